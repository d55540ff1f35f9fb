/* SPDX-License-Identifier: Apache-2.0 */
#include "text/unigram_model.h"

/* A stretch of the text that is one piece, or several unknown ones together. */
static int push_stretch(const struct unigram_model *m, const unsigned char *barred, const char *text, size_t n,
                        struct tokens *out)
{
    int32_t id = vocab_find_model(m->vocab, text, n);
    if (id >= 0 && !(barred && barred[id]))
        return tokens_push(out, id);
    size_t had = out->n;
    for (size_t i = 0; m->byte_fallback && i < n; i++) {
        int32_t byte = m->byte_id[(unsigned char)text[i]];
        if (byte < 0) {
            out->n = had;
            break;
        }
        if (tokens_push(out, byte))
            return -1;
    }
    if (out->n > had)
        return 0;
    return m->best.unk < 0 ? -2 : tokens_push(out, m->best.unk);
}

int unigram_encode(const struct unigram_model *m, const unsigned char *barred, struct unigram_scratch *s,
                   const char *text, size_t n, struct tokens *out)
{
    size_t count;
    int rc = unigram_cut(&m->best, barred, s, text, n, &count);
    for (size_t i = 0; i < count && !rc; i++) {
        const struct unigram_piece *p = s->piece + i;
        size_t length = p->n;
        if (p->id != m->best.unk) {
            rc = tokens_push(out, p->id);
            continue;
        }
        while (m->fuse_unk && i + 1 < count && p[1].id == m->best.unk) {
            length += (++p)->n;
            i++;
        }
        rc = push_stretch(m, barred, text + p->from + p->n - length, length, out);
    }
    return rc;
}
