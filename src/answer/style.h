/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt styles besides the template (struct prompt_style): the model's own chat template, where examples are earlier
 * turns, and a primer of solved pairs. */
#ifndef ANSWER_STYLE_H
#define ANSWER_STYLE_H

#include "answer/speaker.h"

struct style_options {
    const char *name; /* "template", "zero-shot" and NULL: the template; "primer"; "chat" */
    const char *
        /* a file: text of solved pairs, or lm-eval's YAML whose doc_to_text is a Jinja template in `question` */
        primer;
    int original; /* an answer to a primer ends at "Q:", as TruthfulQA has it, else at an empty line, as lm-eval */
};
struct style;
/* *style NULL: the template. */
int style_open(struct style **out, const struct style_options *o, const struct prompt_style **style, struct error *err);
/* After the model's tokenizer is there; it must outlive the style. Reads the chat template; an error when the model has
 * none. */
int style_attach(struct style *s, const struct tokenizer *t, struct error *err);
void style_close(struct style *s); /* NULL is fine */

#endif
