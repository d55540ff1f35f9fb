/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates from untrusted bytes: each parses or is refused with a message, and renders or fails within its
 * bounds; what it writes is what it was given to write. */
#include "fuzz/fuzz.h"

#include "base/mem.h"
#include "jinja/jinja.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *variables;
    struct jinja *t;
    struct error err = {0};
    struct buf out = BUF_INIT;
    struct jinja_spans spans;
    if (!variables)
        variables =
            json_loads("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\" "
                       "h\\u00e9 \"},{\"role\":\"assistant\",\"content\":null,\"n\":[1,2.5,true]}],"
                       "\"bos_token\":\"<s>\",\"eos_token\":\"</"
                       "s>\",\"add_generation_prompt\":true,\"tools\":null,\"x\":7,\"l\":[3,1,2],\"d\":{\"a\":1}}",
                       0, NULL);
    if (!json_object_get(variables, "big")) { /* work grows fast with it: the bounds must hold */
        char *big = calloc(1, 1000001);
        json_object_set_new(variables, "big", json_string(big ? memset(big, 'a', 1000000) : ""));
        free(big);
    }
    int rc = jinja_parse(&t, (const char *)data, size, "fuzz", &err);
    if (!rc && !(rc = jinja_render(t, variables, 1722000000, &out, &spans, &err))) {
        for (int i = 0; i < spans.n; i++)
            if (spans.items[i].begin > spans.items[i].end || spans.items[i].end > out.len)
                abort();
        mem_free(spans.items);
    }
    if ((rc && !err.message[0]) || out.len > (size_t)256 << 20)
        abort();
    jinja_free(t);
    buf_free(&out);
    return 0;
}
