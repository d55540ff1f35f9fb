/* SPDX-License-Identifier: Apache-2.0 */
/* A model behind an OpenAI-compatible endpoint that asks or answers in the place of the one that is aligned. It sees
 * the same examples; of its tokens and probabilities nothing is known, and its window is its own affair.
 *
 * chat (/chat/completions, which every such server has, and in which tuned models answer best): examples are turns of a
 * conversation, questions the user's and answers the assistant's. Nobody can go on with a turn of the user there, so
 * who is to ask gets the example pairs in one turn, in the template's words, with a request for one more question.
 * completions (/completions): the text that the model itself would be given, to the byte, up to the template's stop;
 * for pretrained models. */
#ifndef ANSWER_ELSEWHERE_H
#define ANSWER_ELSEWHERE_H

#include "answer/speak.h"
#include "io/http_text.h"

#define ELSEWHERE_APIS "chat|completions" /* in their order */
enum elsewhere_api { ELSEWHERE_CHAT, ELSEWHERE_COMPLETIONS };

struct elsewhere_options {
    const char *url, *model; /* "http://host:port/v1"; the name it has there */
    const char *key;         /* bearer token, or NULL */
    enum elsewhere_api api;
    int at_once;           /* requests in flight */
    double timeout, pause; /* as io/endpoint.h has them */
    int tries;
    double per_minute;
    const struct http_clock *clock; /* NULL: the machine's */
};
struct elsewhere;
/* Asks nothing yet. */
int elsewhere_open(struct elsewhere **out, const struct elsewhere_options *o, struct error *err);
void elsewhere_close(struct elsewhere *e); /* NULL is fine */
/* What it refuses, or says that cannot be read, is an error of that one text from now on. Before it has said anything
 * that could be used it is an error of the whole, once nothing else is left to ask. */
void elsewhere_trust(struct elsewhere *e);
/* What it is given for an item of the job, as text. */
int elsewhere_prompt(const struct elsewhere *e, struct speaker *s, const struct speak_job *job,
                     const struct speak_item *item, struct buf *out, struct error *err);
/* What speaker_generate is, by it. Beams and penalties are not asked for. */
int elsewhere_generate(struct elsewhere *e, struct speaker *s, const struct speak_job *job,
                       const struct speak_item *items, int n, struct error *err);

#endif
