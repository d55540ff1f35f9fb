/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a language model which of two answers is better: what it is shown and how its reply is read.
 *
 * A prompt is a text with {instruction}, {output_1} and {output_2}, each once, and optionally {fence}; ours, or the
 * user's file (alpaca_eval's ChatML files are read: <|im_start|>role newline ... <|im_end|>). All are put in with one
 * pass over the file, so nothing that an instruction or an answer says is looked at again. {fence} is a line that no
 * answer can contain, because it is made of their digest.
 *
 * The judge answers with the identifier m (output_1) or M (output_2). Its reply is only ever read as the probabilities
 * of these two tokens, or as exactly one of them; what an answer says cannot change how the reply is read. */
#ifndef JUDGE_PAIRWISE_H
#define JUDGE_PAIRWISE_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

enum { PAIRWISE_MAX_MESSAGE = 8 };
struct pairwise_message {
    char role[16];
    struct buf content;
};
struct pairwise_prompt {
    struct pairwise_message messages[PAIRWISE_MAX_MESSAGE];
    int n;
    char sha256[65];
};
/* path NULL: our own. ERROR_DATA when a placeholder is missing or stands twice. */
int pairwise_prompt_open(struct pairwise_prompt *p, const char *path, struct error *err);
void pairwise_prompt_free(struct pairwise_prompt *p);
/* The messages with everything put in; free with pairwise_prompt_free. */
int pairwise_fill(const struct pairwise_prompt *p, const char *instruction, const char *output_1, const char *output_2,
                  struct pairwise_prompt *out, struct error *err);

/* 2 - P(m) / (P(m) + P(M)): 1 = output_1 is better, 2 = output_2; -INFINITY: a token that was not offered. NAN when
 * neither was. */
double pairwise_preference(double logprob_m, double logprob_M);
/* Reads an OpenAI chat completion: the first token's top_logprobs, or without those a reply that is m or M and nothing
 * else. NAN: it could not be read (no verdict of the two, another schema); *why says what was wrong. */
double pairwise_parse(const json_t *answer, const char **why);
/* The request for it. New reference. */
json_t *pairwise_request(const struct pairwise_prompt *filled, const char *model);

#endif
