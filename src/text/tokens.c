/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer.h"

#include "base/mem.h"

int tokens_push(struct tokens *t, int32_t id)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        int32_t *ids = mem_resize(t->ids, cap * sizeof *ids);
        if (!ids)
            return -1;
        t->ids = ids;
        t->cap = cap;
    }
    t->ids[t->n++] = id;
    return 0;
}

void tokens_free(struct tokens *t)
{
    mem_free(t->ids);
    *t = (struct tokens)TOKENS_INIT;
}
