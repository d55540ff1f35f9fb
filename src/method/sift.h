/* SPDX-License-Identifier: Apache-2.0 */
/* The sift: which attempts are kept, and why the others are not. Rules in order, the first that fails is the reason;
 * verdicts depend on the order of the calls and on nothing else.
 *
 * A repeat is a question whose ROUGE-L F1 with a kept one (or a seed) is greater than the threshold. Lengths bound the
 * F1 from above, then the overlap of the bags of words does, and what is left is decided by a bit-parallel LCS: the
 * verdict is that of comparing with all of them. */
#ifndef METHOD_SIFT_H
#define METHOD_SIFT_H

#include "base/error.h"

#include <stddef.h>

/* X(name, text): reasons as generated.jsonl and the tables have them. */
#define SIFT_REASONS(X)                                                  \
    X(KEPT, "kept")                                                      \
    X(ERROR, "could not be generated")                                   \
    X(QUESTION_EMPTY, "question is empty")                               \
    X(QUESTION_UNPARSED, "question does not parse")                      \
    X(QUESTION_UNENDED, "question did not end by itself")                \
    X(QUESTION_SHORT, "question is too short")                           \
    X(QUESTION_LONG, "question is too long")                             \
    X(QUESTION_REPETITIVE, "question repeats itself")                    \
    X(QUESTION_NOISY, "question is not one, but talk about it")          \
    X(QUESTION_REPEAT, "question repeats a kept one")                    \
    X(TEST_OVERLAP, "question is near a test question")                  \
    X(ANSWER_EMPTY, "answer is empty")                                   \
    X(ANSWER_UNPARSED, "answer does not parse")                          \
    X(ANSWER_UNENDED, "answer did not end by itself")                    \
    X(ANSWER_SHORT, "answer is too short")                               \
    X(ANSWER_LONG, "answer is too long")                                 \
    X(ANSWER_REPETITIVE, "answer repeats itself")                        \
    X(ANSWER_NOISY, "answer is not one, but talk about it")              \
    X(ANSWER_COPIED, "answer is copied from a context")                  \
    X(ANSWER_REPEAT, "answer repeats another of its question")           \
    X(SCORE_LOW, "answer's score is too low")                            \
    X(SCORE_BEATEN, "another answer of its question has a better score") \
    X(STRUCK, "struck by a person")                                      \
    X(ENOUGH, "not needed: enough were kept")
enum sift_reason {
#define X(name, text) SIFT_##name,
    SIFT_REASONS(X)
#undef X
        SIFT_REASON_COUNT
};
const char *sift_reason_name(enum sift_reason r); /* "kept", "question_repeat", ... */
const char *sift_reason_text(enum sift_reason r);
int sift_reason_find(const char *name); /* -1: none */

struct sift_options {
    double threshold;                           /* ROUGE-L F1 above this is a repeat [0.7] */
    int question_min_words, question_max_words; /* [3, 150], as Self-Instruct has them with "<= 3" made "< 3" */
    int answer_min_words, answer_max_words;     /* [1, 400] */
    double repetition; /* share of word 4-grams that occurred before, above this it repeats itself [0.3] */
    double copy;       /* ROUGE-L F1 with a context's answer above this is a copy [0.95] */
    int need_end;      /* must have ended by itself [1] */
    int noise;         /* must not hold what a model says about its task instead of doing it [0] */
    double deviations; /* words from the seeds' mean, in their standard deviations, at most; 0: any [0] */
};
void sift_options_default(struct sift_options *o);
int sift_options_check(const struct sift_options *o, struct error *err);

struct sift; /* the questions kept so far */
int sift_new(struct sift **out, const struct sift_options *options, struct error *err);
void sift_free(struct sift *s);
/* Adds a question that later ones are compared with (seeds, and what is kept); name is the caller's number for it. */
int sift_add(struct sift *s, const char *question, int name, struct error *err);

/* name -1: none compared */
struct sift_match {
    int name;
    double f1;
};
/* The closest question among all added: greatest F1, ties to the first added. Exact, whatever its size. */
int sift_nearest(struct sift *s, const char *question, struct sift_match *match, struct error *err);
/* The first added question with F1 > threshold, or match->name -1. The quick form the sift itself uses. */
int sift_repeat(struct sift *s, const char *question, struct sift_match *match, struct error *err);

/* ended by itself; the template could be read back */
struct sift_text {
    const char *text;
    int ended, parsed;
};
/* Words between white space; every character of a script written without spaces counts as one. */
int sift_count_words(const char *text);
/* Rules on one text alone. */
enum sift_reason sift_question(const struct sift *s, const struct sift_text *q);
enum sift_reason sift_answer(const struct sift *s, const struct sift_text *a);
/* Greatest ROUGE-L F1 of an answer with its contexts' answers. */
int sift_copied(const struct sift *s, const char *answer, const char *const *contexts, int n, struct sift_match *match,
                struct error *err);

#endif
