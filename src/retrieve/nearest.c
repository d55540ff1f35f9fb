/* SPDX-License-Identifier: Apache-2.0 */
/* The retriever's frame and its cosine form. Scores are sums in double in index order; the k best are kept by
 * insertion. */
#include "retrieve/parts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

int retriever_new_cosine(struct retriever **out, const float *embeddings, int n, int dim, struct error *err)
{
    size_t bytes;
    struct retriever *r = mem_calloc(1, sizeof *r);
    if (!r || size_mul((size_t)n * (size_t)dim + 1, sizeof(float), &bytes) || !(r->unit = mem_alloc(bytes))) {
        mem_free(r);
        return error_set_nomem(err, (size_t)n * (size_t)dim * sizeof(float), "embeddings");
    }
    r->n = n;
    r->dim = dim;
    for (int i = 0; i < n; i++) {
        const float *x = embeddings + (size_t)i * (size_t)dim;
        double squares = 0;
        for (int k = 0; k < dim; k++)
            squares += (double)x[k] * x[k];
        double scale = squares > 0 ? 1 / sqrt(squares) : 0;
        for (int k = 0; k < dim; k++)
            r->unit[(size_t)i * (size_t)dim + (size_t)k] = (float)(x[k] * scale);
    }
    *out = r;
    return 0;
}

void retriever_free(struct retriever *r)
{
    if (!r)
        return;
    mem_free(r->unit);
    bm25_free(r->bm25);
    mem_free(r);
}

static void cosines(const struct retriever *r, const float *query, double *scores)
{
    double squares = 0;
    for (int k = 0; k < r->dim; k++)
        squares += (double)query[k] * query[k];
    double scale = squares > 0 ? 1 / sqrt(squares) : 0;
    for (int i = 0; i < r->n; i++) {
        const float *x = r->unit + (size_t)i * (size_t)r->dim;
        double dot = 0;
        for (int k = 0; k < r->dim; k++)
            dot += (double)x[k] * query[k];
        scores[i] = dot * scale;
    }
}

int retriever_find(const struct retriever *r, const struct retriever_query *query, int k, struct retriever_hit *hits,
                   int *found, struct error *err)
{
    double *scores = mem_calloc((size_t)r->n + 1, sizeof *scores);
    int rc = scores ? 0 : error_set_nomem(err, (size_t)r->n * sizeof *scores, "scores"), n = 0;
    if (!rc && r->bm25)
        rc = bm25_score(r->bm25, query->text, scores, err);
    else if (!rc)
        cosines(r, query->embedding, scores);
    for (int i = 0; i < r->n && !rc; i++) {
        if (n == k && !(n && scores[i] > hits[n - 1].score))
            continue;
        int at = n < k ? n++ : n - 1;
        for (; at > 0 && scores[i] > hits[at - 1].score; at--)
            hits[at] = hits[at - 1];
        hits[at] = (struct retriever_hit){i, scores[i]};
    }
    *found = n;
    mem_free(scores);
    return rc;
}

int retrieve_random(const struct rng_stream *stream, int n, int k, int *out)
{
    int count = k < n ? k : n;
    for (int i = 0; i < count;
         i++) { /* Floyd's way: no table of n; then the drawn order is shuffled by its own numbers */
        int top = n - count + i, pick = (int)rng_below(stream, (uint64_t)i, (uint32_t)top + 1), taken = 0;
        for (int j = 0; j < i; j++)
            taken |= out[j] == pick;
        out[i] = taken ? top : pick;
    }
    for (int i = count; i > 1; i--) {
        int j = (int)rng_below(stream, (uint64_t)count + (uint64_t)i, (uint32_t)i), swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
    return count;
}
