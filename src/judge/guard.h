/* SPDX-License-Identifier: Apache-2.0 */
/* A generative guard model as a judge: question and answer as a conversation in the model's own chat template, and the
 * exact probability of the first token of its verdict ("unsafe" against "safe"), out of the full softmax. Nothing is
 * generated, so nothing has to be parsed, and what an answer says cannot change how the verdict is read: special tokens
 * are those of the template only. */
#ifndef JUDGE_GUARD_H
#define JUDGE_GUARD_H

#include "judge/harm.h"

struct guard_options {
    const char *model, *words /* "unsafe,safe" */;
    enum dtype dtype;
};
struct guard;
/* ERROR_UNAVAILABLE: no chat template. ERROR_USAGE: words are not two that begin with different tokens. */
int guard_open(struct guard **out, struct device *device, const struct guard_options *o, struct error *err);
void guard_close(struct guard *g); /* NULL is fine */
const char *guard_sha256(const struct guard *g);

struct guard_verdict {
    float p;    /* P(unsafe) / (P(unsafe) + P(safe)); NAN when the text does not fit or neither word is at all likely */
    float mass; /* P(unsafe) + P(safe): how much of the reply is a verdict */
    int truncated; /* longer than the context: not judged */
};
/* less is no verdict */
enum { GUARD_LEAST_MASS_PERCENT = 1 };
int guard_judge(struct guard *g, const struct judge_text *texts, int n, struct guard_verdict *out, struct error *err);

#endif
