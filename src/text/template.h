/* SPDX-License-Identifier: Apache-2.0 */
/* The prompts of the method: example pairs, then the beginning of one more, which the model goes on with. With the
 * built-in template
 *
 *     Question: Why is the sky blue?\nAnswer: Air scatters blue light most.\n\n      <- pair, separator
 *     Question: How do magnets work?\nAnswer: ...\n\n
 *     Question:                                                                       <- ask: the model writes a
 *                                                                                     question Question: What is
 *                                                                                     rust?\nAnswer:
 *                                                                                     <- or answer: the model writes an
 *                                                                                     answer
 *
 * and a model is tuned on the prompt "Question: What is rust?\nAnswer:" with the completion " Iron oxide." (the caller
 * appends EOS).
 *
 * A template file is a YAML mapping or a JSON object of strings; only `pair` must be there, the rest follows from it:
 *
 *     pair: "Question: {q}\nAnswer: {a}"     {q} once, then {a} once
 *     preamble: ""                           before everything
 *     separator: "\n\n"                      between pairs, and between the last pair and what is asked for
 *     ask: "Question:"                       pair up to {q}, blanks at its end cut, line feeds kept
 *     answer: "Question: {q}\nAnswer:"       pair up to {a}, white space at its end cut
 *     completion: " {a}"                     the rest of pair up to {a}, and {a}
 *     question_end: "\n"                     where a written question ends
 *     answer_end: "\nQuestion:"              where a written answer ends: a line feed and ask (without white space at
 *     its end); separator when ask is empty
 *
 * The other kind is a model's own chat template: pairs are turns of user and assistant, a question is asked for by
 * opening a user's turn behind them, and what people say never reaches the Jinja template, so that nothing in it is
 * taken for a turn's mark (template_chat.c, docs/METHOD.md).
 *
 * Everything here is text in, text out: no files but the template's own. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/buf.h"
#include "base/error.h"
#include "text/pair.h"

struct template;
struct example {
    const char *question, *answer;
};

int template_builtin(struct template **out, struct error *err);
int template_load(struct template **out, const char *path, struct error *err);
/* The same from text; name stands for the file in messages. */
int template_read(struct template **out, const char *text, size_t n, const char *name, struct error *err);
/* The tokenizer's chat template, with a system turn of that text (NULL: what the template does without one).
 * ERROR_UNAVAILABLE: it has none, or one that cannot be used so (named). */
int template_chat(struct template **out, const struct tokenizer *tok, const char *system, struct error *err);
void template_free(struct template *t); /* NULL is fine */
int template_is_chat(const struct template *t);
const char *template_system(const struct template *t); /* of a chat template: the system turn that was given, or NULL */
/* All fields with their effective values, as one JSON object (for a run's resolved configuration), which template_read
 * makes the same template of. */
void template_describe(const struct template *t, struct buf *out);

/* What a prompt is made of. */
struct template_prompt {
    const char *before; /* a text before the examples (of a chat template: in the system turn); NULL: none */
    const struct example *examples;
    size_t n;
    const char *question; /* NULL: the model is to write one */
};
/* Appends the prompt. Texts go in with the white space around them cut, and where they stand is added to `people` (or
 * NULL): special tokens in the template's own words are tokens, in theirs text. */
int template_write(const struct template *t, const struct template_prompt *p, struct buf *out,
                   struct text_spans *people, struct error *err);
/* An answer as it goes on behind the prompt that has no examples, appended; out->failed when out of memory. */
void template_completion(const struct template *t, const char *answer, struct buf *out, struct text_spans *people);
/* What closes an answer that is tuned on; "": the tokenizer's end of sequence. */
const char *template_end(const struct template *t);
int template_flags(const struct template *t); /* of tokenizer_encode, for its texts */

/* template_ship.c: appends a Jinja template by which a chat's turns become this template's prompts, for the model that
 * is tuned on them; nothing when that is the tokenizer's own. bos: the tokenizer puts it before every text. */
int template_jinja(const struct template *t, int bos, struct buf *out, struct error *err);

/* Generation may stop as soon as its text holds this string: nothing after it is looked at. */
const char *template_ask_stop(const struct template *t);
const char *template_answer_stop(const struct template *t);

/* What the model wrote, cut out of the n bytes that it generated and appended to out without the white space around it
 * (it may be empty). at_eos: generation ended at the end-of-sequence token. Returns 1 when the text ended by itself (at
 * its end mark or at EOS), 0 when it was cut off. An answer's end mark counts at its very beginning too, where the line
 * feed may be missing. */
int template_parse_question(const struct template *t, const char *generated, size_t n, int at_eos, struct buf *out);
int template_parse_answer(const struct template *t, const char *generated, size_t n, int at_eos, struct buf *out);

#endif
