/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts that fit into the window, and what is read out of the texts that follow them. */
#ifndef ANSWER_PROMPT_H
#define ANSWER_PROMPT_H

#include "answer/pool.h"

struct prompt {
    struct tokens ids;
    int dropped;
    struct buf text;
    struct text_spans people;
};
void prompt_free(struct prompt *p);

struct prompt_parts {
    const char *question; /* NULL: the model is to write one */
    const int *contexts;
    int n_context;      /* indices of the pool, in the prompt's order */
    int room;           /* new tokens that must still fit */
    const char *before; /* a text before the examples; NULL: none */
    int scored;         /* ends with what the style puts before an answer that is given */
};
/* When it is too long the first context goes, again and again: it is the farthest. ERROR_DATA: it does not fit even so,
 * or is empty. */
int prompt_make(const struct speaker *s, const struct pair_pool *pool, const struct prompt_parts *parts,
                struct prompt *out, struct error *err);
/* The text alone, with all contexts, whatever the window is. */
int prompt_write(const struct speaker *s, const struct pair_pool *pool, const struct prompt_parts *parts,
                 struct prompt *out, struct error *err);
/* The tokens of an answer after that prompt, appended to out (text/pair.h). */
int prompt_completion(const struct speaker *s, const struct prompt *p, const char *answer, struct tokens *out,
                      struct error *err);
/* Does the text read back as what it was meant to be? */
int prompt_question_parses(const struct speaker *s, const char *question);
int prompt_answer_parses(const struct speaker *s, const char *answer);

#endif
