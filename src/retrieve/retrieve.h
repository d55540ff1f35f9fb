/* SPDX-License-Identifier: Apache-2.0 */
/* The k nearest of a pool of texts: by cosine of embeddings (exact, every pair), or by BM25. Ties go to the lower
 * index, so a result depends on the pool and the query only. A retriever does not change after it is made: any number
 * of threads may query it. */
#ifndef RETRIEVE_RETRIEVE_H
#define RETRIEVE_RETRIEVE_H

#include "base/rng.h"
#include "model/model.h"
#include "text/tokenizer.h"

struct retriever;
struct retriever_hit {
    int index;
    double score;
};
/* BM25 reads the text, cosine the embedding [dim] */
struct retriever_query {
    const char *text;
    const float *embedding;
};

/* embeddings f32 [n,dim], copied and brought to length 1 (a row of zeros is near to nothing: cosine 0). */
int retriever_new_cosine(struct retriever **out, const float *embeddings, int n, int dim, struct error *err);
/* Words are runs of letters and digits, lower-cased; k1 1.2, b 0.75, idf ln(1 + (N - df + 0.5) / (df + 0.5)). */
int retriever_new_bm25(struct retriever **out, const char *const *texts, int n, struct error *err);
void retriever_free(struct retriever *r);
/* The min(k, n) best, best first; *found of them. */
int retriever_find(const struct retriever *r, const struct retriever_query *query, int k, struct retriever_hit *hits,
                   int *found, struct error *err);

/* min(k, n) of 0..n-1 without replacement, in drawn order; returns how many. */
int retrieve_random(const struct rng_stream *stream, int n, int k, int *out);

/* What texts are embedded with. */
struct embedder {
    const struct model *model;
    const struct tokenizer *tokenizer;
};
/* Appends a text's ids as they are embedded: of a sentence encoder (model_desc.sentence) with its prompt and special
 * tokens, cut to its max_length after which those tokens still stand; of another model the bare text, cut to the
 * context. *cut (may be NULL): something was cut. */
int retrieve_tokens(const struct embedder *e, const char *text, size_t n, struct tokens *out, int *cut,
                    struct error *err);
/* Texts read so and pooled (model_embed), L2-normalised, f32 [n, model_width]; *n_cut (may be NULL) of them were cut. A
 * text without a token is an error. */
int retrieve_embed(const struct embedder *e, const char *const *texts, int n, float *out, int *n_cut,
                   struct error *err);

#endif
