/* SPDX-License-Identifier: Apache-2.0 */
#include "text/sentencepiece.h"

size_t sentencepiece_user(const struct sentencepiece *s, const char *text, size_t n)
{
    int32_t value;
    return s->user.n_node ? trie_longest(&s->user, text, n, &value) : 0;
}

int sentencepiece_type(const struct sentencepiece *s, const char *text, size_t n)
{
    int32_t id = vocab_find(s->vocab, text, n);
    return id >= 0 && id < s->size ? s->type[id] : 0;
}

int sentencepiece_unknown(const struct sentencepiece *s, const char *text, size_t n, int *after_unk, struct tokens *out)
{
    int known = *after_unk;
    *after_unk = 1;
    if (!s->byte_fallback)
        return known ? 0 : tokens_push(out, s->unk);
    for (size_t i = 0; i < n; i++)
        if (tokens_push(out, s->byte_id[(unsigned char)text[i]]))
            return -1;
    return 0;
}
