/* SPDX-License-Identifier: Apache-2.0 */
/* CSV from untrusted bytes: every row has the columns of the first, every field is text. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "io/csv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv *c;
    struct error err = {0};
    if (csv_open_bytes(&c, data, size, "fuzz", &err))
        return 0;
    int rc;
    while ((rc = csv_next(c, &err)) == 1)
        for (size_t i = 0; i < csv_n_column(c); i++) {
            size_t n = strlen(csv_field(c, i));
            if (utf8_valid(csv_field(c, i), n) != n)
                abort();
        }
    if (rc < 0 && !err.message[0])
        abort();
    csv_close(c);
    return 0;
}
