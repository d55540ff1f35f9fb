/* SPDX-License-Identifier: Apache-2.0 */
/* Records from untrusted bytes: JSON Lines, arrays, gzip. What is read can be written in one line and read again,
 * equal. */
#include "fuzz/fuzz.h"

#include "base/buf.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jsonl *r;
    struct error err = {0};
    json_t *record, *again;
    struct buf text = BUF_INIT;
    int rc = jsonl_open_bytes(&r, data, size, "fuzz", &err);
    if (rc)
        return 0;
    while ((rc = jsonl_next(r, &record, &err)) == 1) {
        buf_reset(&text);
        if (jsontext_dump(&text, record, 0, &err) || memchr(text.data, '\n', text.len) ||
            jsontext_parse(&again, jsontext_whole(text.data, text.len, "again"), NULL, &err) ||
            !json_equal(record, again))
            abort();
        json_decref(record);
        json_decref(again);
    }
    if (rc < 0 && !err.message[0])
        abort();
    buf_free(&text);
    jsonl_close(r);
    return 0;
}
