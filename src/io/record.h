/* SPDX-License-Identifier: Apache-2.0 */
/* What the fields of people's records mean: the shapes that questions and answers, prompts and completions and
 * conversations come in, wherever records are read. Errors are ERROR_DATA without a place, which the reader knows
 * (io/record_reader.h). */
#ifndef IO_RECORD_H
#define IO_RECORD_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

/* Names of fields in one spelling: small letters, no space around, "_" for spaces and hyphens inside ("Best Answer"
 * becomes best_answer). A field that is there in that spelling already stays the one. 0 or -1 (memory). */
int record_fold_names(json_t *record);
/* One name in that spelling, of n bytes at most: its length, or 0 where it has none (blank, or too long: it stays as it
 * is). */
size_t record_fold_name(const char *name, char *out, size_t n);
enum { RECORD_MAX_NAME = 64 };

void record_keys(const json_t *record, struct buf *out); /* its fields, quoted, between commas; "none" */
/* ERROR_DATA: the record has no known shape; says what it has. */
int record_refuse(const json_t *record, struct error *err);
/* The record's own id, a text or a whole number, else this number, in room where it is no text. */
const char *record_id(const json_t *record, long number, char room[24]);
int record_has(const json_t *record, const char *field); /* and it is not null */
int record_flag(const json_t *value); /* true, "True", "yes", 1: 1; false, "false", "no", 0: 0; anything else: -1 */
int record_is_left_out(const json_t *record); /* "kept": false, as generated.jsonl marks what was sifted out */
/* The text of a value: a string, a number, or a list of content parts that are all text ({"type": "text", "text":
 * ...}). Appends; 0, or -1: none of these. */
int record_text(const json_t *value, struct buf *out);

enum record_kind { RECORD_PAIR, RECORD_TURNS, RECORD_INSTANCES, RECORD_SAFETY };
struct record_shape {
    const char *name;                      /* "question-answer", "messages", ... */
    const char *question, *input, *answer; /* fields; input (more of the question) and answer NULL: none */
    enum record_kind kind;
    const char *also; /* fields that belong to the shape and are not used, between spaces */
};
/* What a record with folded names is, or NULL. need_answer: a shape without one will not do. */
const struct record_shape *record_shape(const json_t *record, int need_answer);
/* The turns of a RECORD_TURNS record as [{"role", "content"}, ...]: roles named as OpenAI's format has them, content
 * parts that are all text joined, everything else in a turn as it is. The record's "system" is the first turn where
 * the turns have none; the turns of an answer of its own follow those of the question. A new reference. */
int record_turns(json_t **out, const json_t *record, const struct record_shape *shape, struct error *err);

/* The question and answer that any record holds: of a conversation the first ones, of instances the first. */
struct record_pair {
    struct buf question, answer; /* without blanks at their ends; the input follows the question on a line of its own */
    int has_question, has_answer; /* the record has such a field, turn or instance, though it may be empty */
    int n_more, n_system;         /* other turns or instances, and system messages, which are not in the pair */
};
/* The caller frees it in any case. */
int record_pair(struct record_pair *out, const json_t *record, const struct record_shape *shape, struct error *err);
void record_pair_free(struct record_pair *p);

#endif
