/* SPDX-License-Identifier: Apache-2.0 */
/* One call of train_run on a tiny model and a little language, in this process or in a child that can be killed. */
#ifndef TESTS_TRAINING_H
#define TESTS_TRAINING_H

#include "tests/check.h"

#include "train/fields.h"
#include "train/parts.h"

enum { N_ROW = 22, ROWS_A_STEP = 4, PER_EPOCH = 6, STEPS = 3 * PER_EPOCH };
extern const char training_model[];

struct training {
    const char *source, *directory;
    struct train_options options;
    int n_thread, first_row, n_row, dequantised; /* a quantised file, for an adapter too */
    long interrupt_at, stop_after;
    void (*on_step)(void *user, const struct train_step *step);
    void *user;
    struct train_result result;
    struct error err;
};

/* Rows of a little language: what comes next is 7 more, modulo 40. */
void training_data(struct train_data *data, int first, int n);
void training_options(struct train_options *o);
int training_here(struct training *r);
void training_must_end(struct training *r);
char *in_directory(const char *directory, const char *name);
void same_file(const char *a, const char *b);
const char *training_directories(const char *name, const char **whole);
/* Weights and log of both, and nothing left over. */
void training_same_end(const char *directory, const char *whole, const char *weights);

#endif
