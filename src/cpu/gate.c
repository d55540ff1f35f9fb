/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, gated or not, and their gradients; a piece is a few rows. */
#include "cpu/kernels.h"

enum { ROWS = 4 };

struct gate_work {
    const struct gate_args *a;
    const struct gate_dx_args *dx;
    const struct kernels *k;
};

static void gate_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct gate_work *w = context;
    const struct gate_args *a = w->a;
    size_t width = (size_t)a->n_col * (a->gated ? 2 : 1);
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        const char *x = (const char *)cpu_ptr(a->x) + (size_t)t * width * dtype_size(a->x_dtype);
        char *y = (char *)cpu_ptr(a->y) + (size_t)t * (size_t)a->n_col * dtype_size(a->y_dtype);
        w->k->gate(a->act, y, a->y_dtype, x, a->gated ? x + (size_t)a->n_col * dtype_size(a->x_dtype) : NULL,
                   a->x_dtype, a->n_col);
    }
}

void cpu_gate(struct queue *q, const struct gate_args *a)
{
    struct gate_work w = {.a = a, .k = cpu_kernels(q)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, gate_rows, &w);
}

static void gate_dx_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct gate_work *w = context;
    const struct gate_dx_args *a = w->dx;
    size_t width = (size_t)a->n_col * (a->gated ? 2 : 1);
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        const char *x = (const char *)cpu_ptr(a->x) + (size_t)t * width * dtype_size(a->x_dtype);
        const float *dy = (const float *)cpu_ptr(a->dy) + (size_t)t * (size_t)a->n_col;
        float *dx = (float *)cpu_ptr(a->dx) + (size_t)t * width;
        w->k->gate_dx(a->act, dx, a->gated ? dx + a->n_col : NULL, x,
                      a->gated ? x + (size_t)a->n_col * dtype_size(a->x_dtype) : NULL, a->x_dtype, dy, a->n_col);
    }
}

void cpu_gate_dx(struct queue *q, const struct gate_dx_args *a)
{
    struct gate_work w = {.dx = a, .k = cpu_kernels(q)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, gate_dx_rows, &w);
}
