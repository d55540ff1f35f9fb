/* SPDX-License-Identifier: Apache-2.0 */
/* A test set answered or scored by a model outside of a run: plainly, or with k seeds before each question (the k
 * nearest, or k random ones). Prompts, retrieval and decoding are those of the arms of the method, so what is measured
 * here stands on the same footing.
 *
 *     struct answers_options o;
 *     answers_options_default(&o);
 *     o.speaker.model = "models/miniature", o.seeds.path = "models/seeds.jsonl", o.arm = CONTEXTS_NEAREST;
 *     if (answers_open(&a, device, &o, &err) || answers_generate(a, &(struct questions){texts, n}, NULL, put, user,
 * &err)) ... */
#ifndef ANSWER_ANSWERS_H
#define ANSWER_ANSWERS_H

#include "answer/speak.h"

struct answers_options {
    struct speaker_options speaker; /* [bf16, the template, contexts by the model's own embeddings] */
    struct record_source seeds;     /* path NULL: without contexts only */
    enum context_kind arm;
    int k;                          /* [5] */
    struct generate_options decode; /* [greedy, 256 new tokens]; n_eos 0: the model's */
};
void answers_options_default(struct answers_options *o);

struct answers;
int answers_open(struct answers **out, struct device *device, const struct answers_options *o, struct error *err);
void answers_close(struct answers *a); /* NULL is fine */
const struct tokenizer *answers_tokenizer(const struct answers *a);
/* Everything that decides an answer's bits: model, seeds, arm, style, template, decoding. A new reference, or NULL when
 * out of memory. */
json_t *answers_settings(const struct answers *a);
const char *answers_arm_name(enum context_kind arm);               /* "zero-shot", ... */
struct model *answers_model(struct answers *a, struct error *err); /* loads it; NULL with err set */

struct questions {
    const char *const *texts;
    int n;
};
/* Answers question i for all i with skip == NULL or !skip[i]; put is called once each, in the order they finish.
 * Question i's contexts and random stream depend on (seed, i, seeds) only, so an interrupted set goes on with the same
 * bits. The contexts of an array of questions are found once: while it is asked about, its texts stay what they are. */
int answers_generate(struct answers *a, const struct questions *q, const char *skip,
                     int (*put)(void *user, int i, const struct spoken *answer, struct error *err), void *user,
                     struct error *err);

/* Log-likelihood of given answers. question: index into questions (its contexts), answer: text. */
struct answers_pair {
    int question;
    const char *answer;
};
int answers_score(struct answers *a, const struct questions *q, const struct answers_pair *pairs, int n_pair,
                  struct speak_score *out, struct error *err);

#endif
