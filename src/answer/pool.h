/* SPDX-License-Identifier: Apache-2.0 */
/* The pairs that prompts are made of, and which of them stand before a question. Embeddings are the pretrained model's,
 * or the encoder's. */
#ifndef ANSWER_POOL_H
#define ANSWER_POOL_H

#include "answer/seeds.h"
#include "answer/speaker.h"
#include "retrieve/retrieve.h"

/* round 0: a seed, index in the file; index -1 - n of a round: the n-th pair that a person added to it */
struct pool_item {
    const char *question, *answer;
    int round, index;
};
void pool_name(const struct pool_item *p, char name[40]); /* "seed-3", "r1-a17", "r1-p0" */

struct pair_pool {
    struct pool_item *items;
    int n;
    struct retriever *retriever;
    int n_retriever; /* over the first n_retriever items */
};
struct pair_source {
    const struct seed *seeds;
    const int *given;
    int n_given; /* given NULL: the first ones */
    const struct pool_item *more;
    int n_more;
};
/* The pool is those: texts are borrowed. One that has grown is looked through anew when it is next asked. */
int pairs_set(struct pair_pool *p, const struct pair_source *from, struct error *err);
void pairs_free(struct pair_pool *p);
/* Warns when fewer than k pairs fit into a prompt beside a question and what is to be written. */
int pairs_check_room(const struct pair_pool *p, const struct speaker *s, int k, int new_tokens, struct error *err);

struct pair_query {
    const char *const *texts;
    int n, k;
};
int pairs_make_retriever(struct pair_pool *p, struct speaker *s, struct error *err);
/* The k nearest to each text, best first: hits[i*k..], found[i]. */
int pairs_nearest(struct pair_pool *p, struct speaker *s, const struct pair_query *q, struct retriever_hit *hits,
                  int *found, struct error *err);

/* Pairs before each of n questions, in the prompt's order. Those of question i depend on (seed, i, pool, its text)
 * only. */
enum context_kind { CONTEXTS_NONE, CONTEXTS_NEAREST, CONTEXTS_RANDOM };
/* question i: cells[i*k..] of n[i]; the nearest stands last */
struct contexts {
    int k, *cells, *n;
};
int contexts_find(struct contexts *out, struct pair_pool *p, struct speaker *s, enum context_kind kind,
                  const struct pair_query *q, struct error *err);
void contexts_free(struct contexts *c);

#endif
