/* SPDX-License-Identifier: Apache-2.0 */
/* A small random model, random mixes of requests of every kind, and their results as bytes to compare. */
#ifndef TESTS_GENERATE_MIX_H
#define TESTS_GENERATE_MIX_H

#include "generate/generate.h"

enum { VOCAB = 97, CONTEXT = 400, MAX_REQUEST = 24 };

extern int everything_remote; /* devices are opened as the remote test backend's */
struct device *open_device(int n_thread);
struct model *small_model(struct device *d, enum dtype dtype);
struct model *small_model_with(struct device *d, enum dtype dtype, const char *more); /* members of its config.json */
struct generate_engine *engine_with(struct model *m, const struct generate_engine_options *o);

/* Everything about a result, as bytes to compare. */
struct record {
    char *bytes;
    size_t n;
    int code;
    char message[256];
    int calls;
};
int keep(void *user, int index, const struct generate_result *result); /* user: records, by index */
void forget_records(struct record *r, int n);
void expect_same(const struct record *want, const struct record *got, const char *what, int round, int i);

int below(int n); /* the next throw of one die */
/* A random mix: greedy, sampling and beams with every option, prompts that share pieces. */
void random_requests(struct generate_request *q, int n, int32_t (*prompts)[CONTEXT]);
void run_all(struct generate_engine *e, const struct generate_request *q, int n, struct record *r);

#endif
