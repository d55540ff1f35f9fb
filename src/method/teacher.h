/* SPDX-License-Identifier: Apache-2.0 */
/* Distilling a context (--tune-loss soft): the teacher is the model that answered in a round, with its examples before
 * the question; it is asked how probable it finds each next token of the answer, and tuning learns that from the bare
 * question. A seed's examples are its nearest other pairs. The end of a text is an outcome that is sure: among examples
 * the teacher would go on with another question. */
#ifndef METHOD_TEACHER_H
#define METHOD_TEACHER_H

#include "method/parts.h"

enum { TEACHER_TOP = 64 };

/* A row that the teacher of a round is asked about. */
struct teacher_row {
    const struct pool_item *item;
    int row;    /* of the training data */
    int learns; /* this round's answer is wanted; a seed's comes from the last round */
};
/* Sets what the rows of the data learn, from RUN/round-t/teacher.jsonl of each round up to a->round, which are made or
 * finished first. rows[i]: of items[i] in the data, -1: it has none. */
struct lesson {
    const struct pool_item *items;
    const int *rows;
    int n;
    struct train_data *data;
};
int align_teach(struct align *a, const struct lesson *l, struct error *err);
/* The line of a pair of the round at hand, asked for again; new reference. NULL: it has nothing to learn. */
int align_teach_again(struct align *a, const struct pool_item *item, json_t **line, struct error *err);
/* student.c: the students' answers in place of the items' own, from RUN/round-t/student.jsonl of each round up to
 * a->round, which are made or finished first. An answer that did not end by itself, or is empty, is not taken. Texts
 * are the round's. */
int align_write_answers(struct align *a, struct pool_item *items, int n, struct error *err);

/* teacher_file.c */
struct teacher_record {
    const char *row, *error; /* why the teacher could not be asked; then there is nothing else */
    json_t *contexts;        /* names, in the prompt's order */
    const int32_t *ids;      /* [n] the row's targets */
    int n;
    struct soft_targets soft;
};
int teacher_line(const struct teacher_record *r, json_t **out, struct error *err); /* new reference */
/* Lines that are there, which must be about rows[0..*n_read). ERROR_DATA names a line that is damaged. */
int teacher_read(const char *path, struct train_data *data, const struct teacher_row *rows, int n, int *n_read,
                 struct error *err);
/* The line of a row, without looking further; new reference. NULL: there is none. */
int teacher_find(const char *path, const char *row, json_t **line, struct error *err);
int teacher_targets(const struct train_row *row, int32_t *ids);

#endif
