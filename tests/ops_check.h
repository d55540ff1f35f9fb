/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of operators: a device, buffers between guard bytes, and one case run on every instruction set and thread
 * count, whose results must be the same bytes. */
#ifndef TESTS_OPS_CHECK_H
#define TESTS_OPS_CHECK_H

#include "tests/check.h"

#include "tensor/ops.h"

struct ops {
    struct device *device;
    struct queue *queue;
    struct buffer *buffers[64];
    size_t sizes[64];
    int n;
};
void ops_open(struct ops *o, const char *isa, int n_thread);
void ops_close(struct ops *o); /* checks every guard */
/* A buffer of `bytes` holding data (or 0x5a bytes) between guards. */
struct span ops_new(struct ops *o, const void *data, size_t bytes);
void ops_get(struct ops *o, void *out, struct span s, size_t bytes);

/* Runs the case on every available instruction set of generic, avx2, avx512 with 1, 2 and 3 threads (reduced: fewer)
 * and demands the same bytes. The case writes its results (floats) at out and returns how many. The first run's results
 * are returned, to be freed with free. */
typedef size_t ops_case(struct ops *o, const void *parameter, float *out);
float *ops_same_bits(ops_case *run, const void *parameter, size_t *n);
enum { OPS_MAX_RESULT = 1 << 20 };

float ops_random(uint64_t stream, uint64_t index); /* in -1..1 */
void ops_fill(float *x, size_t n, uint64_t stream);
int ops_reduced(void);
/* |got - want| <= absolute + relative*|want|, naming what and where otherwise. */
void ops_close_to(const char *what, size_t at, double got, double want, double absolute, double relative);

#endif
