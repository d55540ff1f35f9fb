/* SPDX-License-Identifier: Apache-2.0 */
/* Asking, answering and scoring with contexts: the one way for attempts of the method, arms and test sets.
 *
 * An error is of a row or of the whole: a prompt that does not fit and numbers that do not exist are handed over as
 * that row's error, without a text; everything else (memory, options, a file) ends the call. There is no empty answer
 * for what could not be answered. */
#ifndef ANSWER_SPEAK_H
#define ANSWER_SPEAK_H

#include "answer/prompt.h"

struct speak_item {
    int index;            /* the caller's; names the random stream */
    const char *question; /* NULL: the model is to write one */
    const int *contexts;
    int n_context;
    const char *answer; /* to be scored */
};

/* One text. Everything is borrowed for the call. */
struct spoken {
    const char *prompt; /* exactly what the model was given, as text */
    const char *text;   /* parsed, without the white space around it; NULL with error set */
    const char *raw;    /* as it came, before parsing */
    const char *error;
    int unfit; /* the error is the prompt's: nothing was asked of the model */
    int ended; /* by itself */
    const int32_t *ids;
    const float *logprobs;
    int n_token;
    double logprob; /* sum over the generated tokens */
    float score;    /* beams: as transformers' sequences_scores; else the sum */
    const int *contexts;
    int n_context, dropped;         /* what stood in the prompt; how many were left out */
    const struct spoken_cost *cost; /* somebody else's text (answer/elsewhere.h), without ids; NULL: the model's */
};
/* What a text took elsewhere: requests; tokens as the server counts them, if it says. */
struct spoken_cost {
    int tries, known;
    long prompt, completion;
};

struct speak_job {
    const char *stage, *unit;     /* of the progress line: "answer", "attempts" */
    const char *model;            /* path; NULL: the pretrained one. Read only when something is to be said */
    const struct pair_pool *pool; /* of the contexts; NULL: there are none */
    const char *before;           /* a text before the examples; NULL: none */
    const struct generate_options *options;
    uint64_t stream; /* of random numbers, with the speaker's seed and the item's index */
    int (*put)(void *user, int index, const struct spoken *t,
               struct error *err); /* once an item, in the order they finish */
    void *user;
};
/* All items ask, or all answer. */
int speaker_generate(struct speaker *s, const struct speak_job *job, const struct speak_item *items, int n,
                     struct error *err);

/* What of a raw text that was generated after a prompt is the text; stopped: generation ended by itself. Appends to
 * out; returns whether the text did. */
int speak_read(const struct speaker *s, int asks, const char *raw, int stopped, struct buf *out);

struct speak_score {
    double logprob;
    int n_token; /* of the answer; n_token 0: it does not fit, and its log-likelihood is not known */
    int dropped; /* contexts left out; -1: there is no prompt that fits */
};
struct score_job {
    const char *model; /* as above */
    const struct pair_pool *pool;
    const char *before;
    int room; /* tokens that the prompt leaves free for an answer, at least; what the answer needs beyond is checked */
};
/* Log-likelihoods of given answers, without an end of sequence. ERROR_DATA names the question whose numbers are not
 * finite. */
int speaker_score(struct speaker *s, const struct score_job *job, const struct speak_item *items, int n,
                  struct speak_score *out, struct error *err);

#endif
