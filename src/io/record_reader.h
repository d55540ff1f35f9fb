/* SPDX-License-Identifier: Apache-2.0 */
/* The one way in which people's files of records are read: any form that io/jsonl.h knows, names of fields in one
 * spelling, odd records passed on with what is odd about them, attempts that were sifted out left out and counted. */
#ifndef IO_RECORD_READER_H
#define IO_RECORD_READER_H

#include "base/error.h"

#include <jansson.h>

struct record_source {
    const char *path; /* "-": standard input */
    /* the fields that hold question and answer (--question-field, --answer-field), in any case and spacing; NULL: those
     * that io/record.h knows */
    const char *question_field, *answer_field;
    int again; /* was read before: what there is to warn of in its form was said */
};
struct record_reader;
int record_reader_open(struct record_reader **out, struct record_source source, struct error *err);
void record_reader_take_all(struct record_reader *r); /* records with "kept": false too */
/* 1 with a new reference in *record, 0 at the end, or an error code. Where question_field or answer_field is given, a
 * record holds "question" and "answer", and what else is no question or answer; ERROR_DATA where the first record has
 * neither that field nor any shape of io/record.h. */
int record_reader_next(struct record_reader *r, json_t **record, struct error *err);
/* Warns of a table without a row of names, unless it was read before. NULL is fine. */
void record_reader_close(struct record_reader *r);

/* Hands each record over, at most limit (0: no limit); an error that take returns ends it and gets the record's place.
 * Warns of those left out and of odd ones. */
typedef int record_take(void *user, json_t *record, struct error *err);
int record_each(struct record_source source, int limit, record_take *take, void *user, struct error *err);
/* All of them, which take (NULL: nothing) looked at, as an array (a new reference). */
int record_load(json_t **array, struct record_source source, int limit, record_take *take, void *user,
                struct error *err);

/* After a first record: whether question and answer are the fields that were named. */
int record_reader_by_fields(const struct record_reader *r);
const char *record_reader_where(const struct record_reader *r); /* FILE:LINE of the last record */
long record_reader_line(const struct record_reader *r);
long record_reader_number(
    const struct record_reader *r); /* what stands for its id: its line (JSON Lines) or place, from 0 */
const char *record_reader_odd(const struct record_reader *r); /* NULL: nothing */
/* An error about the last record: with its place before it, and what is odd about it behind. rc */
int record_reader_explain(const struct record_reader *r, int rc, struct error *err);
/* So far. */
struct record_count {
    long n, n_left_out /* "kept": false */, n_odd;
};
struct record_count record_reader_count(const struct record_reader *r);
void record_reader_warn(const struct record_reader *r); /* of those left out */
/* After a first record: "JSON Lines, gzip". */
void record_reader_form(const struct record_reader *r, char text[80]);

#endif
