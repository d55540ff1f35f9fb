/* SPDX-License-Identifier: Apache-2.0 */
/* The logit processors' lists for one sequence: which ids the repetition penalty hits and which are forbidden at the
 * next token. They are made from the tokens anew each step; that is a few hundred comparisons a sequence and leaves no
 * state to copy when beams fork. */
#ifndef GENERATE_RULES_H
#define GENERATE_RULES_H

#include "generate/generate.h"

/* ids: generated so far */
struct rule_text {
    const int32_t *prompt;
    int n_prompt;
    const int32_t *ids;
    int n;
};
/* mark [n_vocab], zeroed at the start */
struct rule_marks {
    uint32_t *mark, now;
    int n_vocab;
};

/* Distinct ids in the penalty's scope, each once; at most n_prompt + n. Returns how many. */
int rule_seen(struct rule_marks *m, const struct rule_text *t, const struct generate_options *o, int32_t *out);
/* Ids that would repeat an n-gram, then the EOS ids while min_new_tokens is not reached; at most n_prompt + n +
 * n_eos. */
int rule_banned(const struct rule_text *t, const struct generate_options *o, int n_vocab, int32_t *out);

#endif
