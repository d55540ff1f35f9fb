/* SPDX-License-Identifier: Apache-2.0 */
/* Alignments of the tiny model (tests/tiny_model.h) in a directory of the test's own, small enough to be run for real
 * many times. What cannot be done fails the test. */
#ifndef TESTS_TINY_ALIGN_H
#define TESTS_TINY_ALIGN_H

#include "method/method.h"

extern struct tiny_paths {
    char root[1024], model[1100], seeds[1100], test[1100], judge[1100];
} tiny;

int tiny_align_setup(void **state);
int tiny_align_teardown(void **state);
struct device *tiny_device(int threads);
void tiny_align_gguf(const char *to); /* the model as a file of Q8_0 blocks */
/* Two rounds of six sampled attempts, two questions answered at the end; nothing is tight, so that some are kept. */
void tiny_align_options(struct align_options *o, const char *output);
/* One of four, measured on the test set. */
void tiny_align_one_round(struct align_options *o, const char *output);
void tiny_align(const struct align_options *o, int threads, struct align_result *r);
/* A group's setup: tiny_align_setup and one run on one thread, with these options, whose directory is named. */
int tiny_align_reference(void **state, void (*options)(struct align_options *o, const char *output),
                         char reference[1100]);
void tiny_align_copy(const char *run, const char *to);
void tiny_align_change(const char *run, const char *sql); /* one row of its journal */
/* One process that is killed, or interrupted, at its n-th sign of progress. Returns 1 when it ended before that. */
int tiny_align_until(const struct align_options *o, long after, int interrupt);
/* SHA-256 of RUN/NAME. */
void tiny_align_hash(const char *run, const char *name, char hex[65]);
/* Two runs of two rounds have the same texts, weights, settings and evidence. */
void tiny_align_same(const char *a, const char *b);

#endif
