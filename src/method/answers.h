/* SPDX-License-Identifier: Apache-2.0 */
/* A test set answered or scored by a model outside of a run: plainly, or with k seeds before each question (the k nearest, or k random ones). Prompts, retrieval
 * and decoding are those of the arms of method/, so what is measured here stands on the same footing.
 *
 *     struct answers_options o;
 *     answers_options_default(&o);
 *     o.model = "models/miniature", o.seeds = "models/seeds.jsonl", o.arm = ANSWERS_ICL_KNN;
 *     if (answers_open(&a, device, &o, &err) || answers_generate(a, questions, n, NULL, put, user, &err)) ... */
#ifndef METHOD_ANSWERS_H
#define METHOD_ANSWERS_H

#include "method/method.h"
#include "text/template.h"

#include <jansson.h>

enum answers_arm { ANSWERS_ZERO_SHOT, ANSWERS_ICL_KNN, ANSWERS_ICL_RANDOM };

/* How a question is put to the model when not by the method's template. */
struct prompt_style {
    const char *name;
    /* Appends the whole prompt to out. */
    int (*compose)(void *user, const struct example *examples, size_t n, const char *question, struct buf *out, struct error *err);
    void *user;
    const char *stop;         /* text that ends an answer, or "" */
    const char *score_cue, *score_prefix; /* when a given answer is scored: what ends the prompt ("\nA:"), what stands before the answer (" ") */
    int special;              /* the prompt holds special tokens as text, BOS among them */
};

struct answers_options {
    const char *model, *seeds /* NULL: zero-shot only */, *template_file, *encoder;
    enum answers_arm arm;
    enum align_retriever retriever;
    int k;                    /* [5] */
    const struct prompt_style *style; /* NULL: the template; borrowed until close */
    struct generate_options decode;   /* [greedy, 256 new tokens]; n_eos 0: the model's */
    struct generate_engine_options engine; /* page 0: defaults */
    enum dtype dtype;
    uint64_t seed;
};
void answers_options_default(struct answers_options *o);

struct answers;
int answers_open(struct answers **out, struct device *device, const struct answers_options *o, struct error *err);
void answers_close(struct answers *a); /* NULL is fine */
const char *answers_sha256(const struct answers *a);           /* of the model's weights */
const struct seeds *answers_seeds(const struct answers *a);    /* n 0 without */
const struct tokenizer *answers_tokenizer(const struct answers *a);
/* Everything that decides an answer's bits: model, seeds, arm, style, template, decoding. A new reference, or NULL when out of memory. */
json_t *answers_settings(const struct answers *a);
const char *answers_arm_name(enum answers_arm arm);            /* "zero-shot", ... */
struct model *answers_model(struct answers *a, struct error *err); /* loads it; NULL with err set */

/* One answer. Everything is borrowed for the call. */
struct answered {
    const char *prompt;       /* exactly what the model was given, as text */
    const char *text;         /* parsed; NULL with error set */
    const char *raw;          /* as it came, before parsing */
    const char *error;        /* the prompt does not fit, ... */
    int ended, n_token, dropped; /* ended by itself; tokens generated; contexts left out */
    const int *contexts; int n_context; /* seed indices in the prompt's order */
    double logprob;           /* sum over the generated tokens */
};
/* Answers questions[i] for all i with skip == NULL or !skip[i]; put is called once each, in the order they finish. Question i's contexts and random stream depend on
 * (seed, i, seeds) only, so an interrupted set goes on with the same bits. */
int answers_generate(struct answers *a, const char *const *questions, int n, const char *skip,
                     int (*put)(void *user, int i, const struct answered *answered, struct error *err), void *user, struct error *err);

/* Log-likelihood of given answers. question: index into questions (its contexts), answer: text. */
struct answers_pair { int question; const char *answer; };
struct answers_score { double logprob; int n_token; /* of the answer; 0: it does not fit */ };
int answers_score(struct answers *a, const char *const *questions, int n, const struct answers_pair *pairs, int n_pair, struct answers_score *out, struct error *err);

#endif
