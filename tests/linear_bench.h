/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of products, and devices of every instruction set that compute with them. */
#ifndef TESTS_LINEAR_BENCH_H
#define TESTS_LINEAR_BENCH_H

#include "tests/check.h"

#include "tensor/ops.h"

enum {
    MAX_ROWS = 65,
    MAX_N = 576,
    MAX_K = 576,
    MAX_X = MAX_ROWS * MAX_K,
    MAX_W = MAX_N * MAX_K,
    MAX_Y = MAX_ROWS * MAX_N,
    GUARD = 64
};
enum { N_ISA = 6 };
extern const char *const linear_isas[N_ISA];
extern float linear_x[MAX_X], linear_w[MAX_W], linear_y[MAX_W + 2 * GUARD], linear_other[MAX_W + 2 * GUARD],
    linear_dy[MAX_Y], linear_bias[MAX_N], linear_residual[MAX_Y];

/* A device with its buffers, or d NULL when the machine lacks the instruction set. */
struct linear_bench {
    struct device *d;
    struct queue *q;
    struct buffer *x, *w, *y, *dy, *bias, *residual, *rows;
    struct weight *packed;
};

int linear_setup(void **state);
int linear_reduced(void);
float linear_half(float f);
struct span linear_at(struct buffer *b);
int linear_open(struct linear_bench *b, const char *isa, int n_thread);
void linear_close(struct linear_bench *b);
/* The first n x k values of w as a weight, packed in two calls that cut a panel. */
void linear_pack(struct linear_bench *b, int n, int k, enum dtype t);
/* Marks y, lets run write from GUARD on, fetches count floats and checks that the rest is as it was. */
void linear_prepare_y(struct linear_bench *b, const float *start, int count);
void linear_fetch_y(struct linear_bench *b, int count);
struct span linear_y_span(const struct linear_bench *b);

#endif
