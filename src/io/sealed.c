/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sealed.h"

#include "base/hash.h"
#include "io/jsontext.h"

#include <string.h>

static int checksum(const json_t *record, char hex[65], struct error *err)
{
    struct buf b = BUF_INIT;
    int rc = jsontext_dump(&b, record, 0, err);
    if (!rc)
        sha256_bytes(b.data, b.len, hex);
    buf_free(&b);
    return rc;
}

int sealed_close(json_t *record, struct error *err)
{
    char hex[65];
    int rc = checksum(record, hex, err);
    if (!rc && json_object_set_new(record, "sha256", json_string(hex)))
        rc = error_set_nomem(err, sizeof hex, "a checksum");
    return rc;
}

int sealed_open(json_t *record, int *whole, struct error *err)
{
    char wanted[65] = "", found[65];
    const char *sum = json_string_value(json_object_get(record, "sha256"));
    if (sum)
        snprintf(wanted, sizeof wanted, "%s", sum);
    json_object_del(record, "sha256");
    int rc = checksum(record, found, err);
    *whole = !rc && !strcmp(wanted, found);
    return rc;
}
