/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/grams.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

static int compare_grams(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash > y->hash ? 1 : -1;
    return x->text != y->text ? x->text - y->text : x->at - y->at;
}

int grams_of(struct grams *out, const struct grams_texts *texts, int n, struct error *err)
{
    size_t all = 0;
    for (int i = 0; i < texts->n; i++)
        all += texts->items[i].n >= n ? (size_t)(texts->items[i].n - n + 1) : 0;
    *out = (struct grams){mem_alloc((all + 1) * sizeof *out->items), 0};
    if (!out->items)
        return error_set_nomem(err, (all + 1) * sizeof *out->items, "n-grams");
    for (int i = 0; i < texts->n; i++)
        for (int k = 0; k + n <= texts->items[i].n; k++)
            out->items[out->n++] = (struct gram){hash64(texts->items[i].words + k, (size_t)n * sizeof(int32_t)), i, k};
    qsort(out->items, out->n, sizeof *out->items, compare_grams);
    return 0;
}
