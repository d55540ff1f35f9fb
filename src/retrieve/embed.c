/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to embeddings with the model itself. */
#include "retrieve/retrieve.h"

#include "base/mem.h"

#include <string.h>

int retrieve_embed(const struct model *m, const struct tokenizer *t, const char *const *texts, int n, float *out, int *n_cut, struct error *err)
{
    struct model_text *list = mem_calloc((size_t)n + 1, sizeof *list);
    size_t *starts = mem_calloc((size_t)n + 1, sizeof *starts);
    struct tokens ids = TOKENS_INIT;
    int rc = list && starts ? 0 : error_set_nomem(err, (size_t)n * sizeof *list, "texts"), n_ctx = model_desc(m)->n_ctx, cut = 0;
    for (int i = 0; i < n && !rc; i++) {
        starts[i] = ids.n;
        rc = tokenizer_encode(t, texts[i], strlen(texts[i]), 0, &ids, err);
        if (!rc && ids.n == starts[i])
            rc = error_set(err, ERROR_DATA, "text %d of %d to embed has no token", i + 1, n);
        if (!rc && ids.n - starts[i] > (size_t)n_ctx)
            ids.n = starts[i] + (size_t)n_ctx, cut++;
    }
    for (int i = 0; i < n && !rc; i++)
        list[i] = (struct model_text){ids.ids + starts[i], (int)((i + 1 < n ? starts[i + 1] : ids.n) - starts[i]), 0};
    if (!rc)
        rc = model_embed(m, list, n, 1, out, err);
    size_t width = (size_t)model_desc(m)->n_embd;
    for (int i = 0; i < n && !rc; i++)
        rc = model_check_numbers(out + (size_t)i * width, width, err, "embedding of \"%.60s\"", texts[i]);
    if (n_cut)
        *n_cut = cut;
    tokens_free(&ids);
    mem_free(list);
    mem_free(starts);
    return rc;
}
