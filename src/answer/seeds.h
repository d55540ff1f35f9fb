/* SPDX-License-Identifier: Apache-2.0 */
/* Question-answer pairs from any of the formats that the field uses, and what is wrong with them.
 *
 * The first record's fields say what the file is (io/record.h has the shapes): a question and an answer under any of
 * their names, alpaca's and Dolly's instruction with input or context, messages and conversations, self-instruct
 * (instances), BeaverTails (prompt, response, is_safe, category: safe pairs only, contradictory annotations by
 * majority), TruthfulQA. Files as io/record_reader.h reads them. */
#ifndef ANSWER_SEEDS_H
#define ANSWER_SEEDS_H

#include "base/arena.h"
#include "base/error.h"
#include "io/record_reader.h"

struct seed {
    const char *question, *answer; /* trimmed, UTF-8; answer NULL where a test question has none */
    const char *id;                /* the record's, else its number from 0 */
    long line;                     /* in the file, from 1 */
};
struct seeds {
    struct seed *items;
    int n;
    const char *format;            /* "question-answer", "beavertails", ... */
    int n_record;                  /* in the file */
    int n_unsafe, n_contradictory; /* BeaverTails rows left out */
    int n_turns;                   /* records of which only the first question and answer were taken */
    int n_system;                  /* of which a system message was not used */
    int n_left_out;                /* with "kept": false */
    char unknown[200];             /* fields that mean nothing here, by name, or "" */
    struct arena arena;
    char sha256[65]; /* of all pairs, in order */
};
/* need_answer: a record without one is an error (seeds); else its answer is NULL (tests). Unknown format, missing
 * field, empty text: ERROR_DATA with FILE:LINE. */
int seeds_read(struct seeds *out, const char *path, int need_answer, struct error *err);
int seeds_read_fields(struct seeds *out, struct record_source source, int need_answer, struct error *err);
void seeds_free(struct seeds *s);

#endif
