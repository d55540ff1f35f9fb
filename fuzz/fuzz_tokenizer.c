/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json from untrusted bytes; one that opens encodes hard texts (and its own bytes), and any ids must decode
 * to UTF-8, streamed or not. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static void use(const struct tokenizer *tok, const char *text, size_t n)
{
    struct tokens ids = TOKENS_INIT;
    struct buf all = BUF_INIT, parts = BUF_INIT;
    struct tokenizer_stream *s;
    struct error err = {0};
    for (int flags = 0; flags < 4; flags++) {
        ids.n = 0;
        if (tokenizer_encode(tok, text, n, flags, &ids, &err) && !err.message[0])
            abort();
        buf_reset(&all);
        buf_reset(&parts);
        if (tokenizer_decode(tok, ids.ids, ids.n, flags & 1, &all, &err) || utf8_valid(all.data, all.len) != all.len)
            abort();
        if (tokenizer_stream_new(&s, tok, flags & 1, &err))
            abort();
        for (size_t i = 0; i < ids.n; i++)
            tokenizer_stream_push(s, ids.ids[i], &parts);
        tokenizer_stream_finish(s, &parts);
        tokenizer_stream_free(s);
        if (parts.len != all.len || (all.len && memcmp(parts.data, all.data, all.len)))
            abort();
    }
    tokens_free(&ids);
    buf_free(&all);
    buf_free(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hard[] = " It's 12\xc2\xbd  <s>\n \n\xe2\x96\x81 \xf0\x9f\x99\x82"
                               "e\xcc\x81 ab</s> abab";
    struct tokenizer *tok;
    struct error err = {0};
    if (tokenizer_open_json(&tok, "fuzz", (const char *)data, size, NULL, &err)) {
        if (err.code == 0 || !err.message[0] || tok)
            abort();
        return 0;
    }
    use(tok, hard, sizeof hard - 1);
    use(tok, (const char *)data, utf8_valid((const char *)data, size < 300 ? size : 300));
    for (int32_t id = -1; id <= tokenizer_size(tok) && id < 300; id++) {
        struct buf b = BUF_INIT;
        if (tokenizer_decode(tok, &id, 1, 0, &b, &err) || utf8_valid(b.data, b.len) != b.len)
            abort();
        buf_free(&b);
    }
    tokenizer_close(tok);
    return 0;
}
