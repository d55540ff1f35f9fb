/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the two kinds of template. */
#ifndef TEXT_TEMPLATE_PARTS_H
#define TEXT_TEMPLATE_PARTS_H

#include "text/template.h"

#include <jansson.h>

/* A chat template has the last three. */
enum template_field { PAIR, PREAMBLE, SEPARATOR, ASK, ANSWER, COMPLETION, QUESTION_END, ANSWER_END, TEMPLATE_FIELDS };
struct template
{
    char *field[TEMPLATE_FIELDS];
    struct template_chat *chat; /* NULL: the plain kind */
};
/* template_words.c: what people say, without the white space around it. */
void template_put_people(struct buf *out, struct text_spans *people, const char *s);
int template_is_space(char c);
size_t template_trimmed(const char *s, size_t n); /* n less the white space at the end */

/* template_chat.c. t becomes the tokenizer's chat template. */
int template_chat_open(struct template *t, const struct tokenizer *tok, const char *system, struct error *err);
/* From what template_chat_described gave; ERROR_CONFIG names the field that is wrong. */
int template_chat_read(struct template *t, const json_t *described, const char *name, struct error *err);
json_t *template_chat_described(const struct template_chat *c); /* new reference */
int template_chat_write(const struct template_chat *c, const struct template_prompt *p, struct buf *out,
                        struct text_spans *people, struct error *err);
const char *template_chat_end(const struct template_chat *c);
const char *template_chat_system(const struct template_chat *c);
const char *template_chat_text(const struct template_chat *c); /* Jinja's */
int template_chat_has_system(const struct template_chat *c);   /* a place for a system turn */
/* The day that it prints, as Llama 3's templates write it; 0: it prints none. */
int template_chat_day(const struct template_chat *c, char day[32]);
void template_chat_free(struct template_chat *c);

#endif
