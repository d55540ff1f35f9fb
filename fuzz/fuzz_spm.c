/* SPDX-License-Identifier: Apache-2.0 */
/* A sentencepiece model from untrusted bytes; one that opens encodes hard texts, and any ids must decode to UTF-8,
 * streamed or not. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static void decode(const struct tokenizer *tok, const struct tokens *ids, int skip)
{
    struct buf all = BUF_INIT, parts = BUF_INIT;
    struct tokenizer_stream *s;
    struct error err = {0};
    if (tokenizer_decode(tok, ids->ids, ids->n, skip, &all, &err) || utf8_valid(all.data, all.len) != all.len)
        abort();
    if (tokenizer_stream_new(&s, tok, skip, &err))
        abort();
    for (size_t i = 0; i < ids->n; i++)
        tokenizer_stream_push(s, ids->ids[i], &parts);
    tokenizer_stream_finish(s, &parts);
    tokenizer_stream_free(s);
    if (parts.len != all.len || (all.len && memcmp(parts.data, all.data, all.len)))
        abort();
    buf_free(&all);
    buf_free(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hard[] = "  he hello a b\xe2\x96\x81\xe2\x96\x81 the \xc2\xbd  <s>\n \n \xf0\x9f\x99\x82"
                               "e\xcc\x81 ab</s> abab  ";
    struct tokenizer *tok;
    struct tokens ids = TOKENS_INIT;
    struct error err = {0};
    if (tokenizer_open_spm(&tok, "fuzz", data, size, &err)) {
        if (err.code == 0 || !err.message[0] || tok)
            abort();
        return 0;
    }
    for (int flags = 0; flags < 4; flags++) {
        ids.n = 0;
        if (tokenizer_encode(tok, hard, sizeof hard - 1, flags, &ids, &err))
            abort();
        decode(tok, &ids, flags & 1);
    }
    ids.n = 0;
    for (int32_t id = -1; id <= tokenizer_size(tok) && id < 300; id++)
        tokens_push(&ids, id);
    decode(tok, &ids, 0);
    tokens_free(&ids);
    tokenizer_close(tok);
    return 0;
}
