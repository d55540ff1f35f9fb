/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/parts.h"

#include "base/mem.h"

struct pieces {
    const struct tokenizer *tokenizer; /* NULL: tokens have numbers only */
    struct tokenizer_stream *at, *probe;
    struct buf text;
};

struct pieces *pieces_new(const struct served *m)
{
    struct pieces *p = mem_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->tokenizer = m->tokenizer;
    if (m->tokenizer && (tokenizer_stream_new(&p->at, m->tokenizer, 0, NULL) ||
                         tokenizer_stream_new(&p->probe, m->tokenizer, 0, NULL))) {
        pieces_free(p);
        return NULL;
    }
    return p;
}

void pieces_free(struct pieces *p)
{
    if (!p)
        return;
    if (p->at)
        tokenizer_stream_free(p->at);
    if (p->probe)
        tokenizer_stream_free(p->probe);
    buf_free(&p->text);
    mem_free(p);
}

void pieces_probe(struct pieces *p, int32_t id, struct buf *out)
{
    buf_reset(out);
    if (!p->tokenizer) {
        buf_printf(out, "token_id:%d", (int)id);
        return;
    }
    if (tokenizer_stream_copy(p->probe, p->at))
        out->failed = 1;
    tokenizer_stream_push(p->probe, id, out);
    tokenizer_stream_finish(p->probe, out);
}

size_t pieces_push(struct pieces *p, int32_t id)
{
    size_t n = 0;
    if (!p->tokenizer)
        return 0;
    buf_reset(&p->text);
    tokenizer_stream_push(p->at, id, &p->text);
    for (size_t i = 0; i < p->text.len; i++)
        n += ((unsigned char)p->text.data[i] & 0xC0) != 0x80;
    return n;
}
