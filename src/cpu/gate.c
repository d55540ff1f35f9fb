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
        w->k->gate(&(struct gate_row){.act = a->act,
                                      .x_dtype = a->x_dtype,
                                      .y_dtype = a->y_dtype,
                                      .n = a->n_col,
                                      .g = x,
                                      .u = a->gated ? x + (size_t)a->n_col * dtype_size(a->x_dtype) : NULL,
                                      .y = y});
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
        w->k->gate_dx(&(struct gate_dx_row){.act = a->act,
                                            .x_dtype = a->x_dtype,
                                            .n = a->n_col,
                                            .g = x,
                                            .u = a->gated ? x + (size_t)a->n_col * dtype_size(a->x_dtype) : NULL,
                                            .dy = dy,
                                            .dg = dx,
                                            .du = a->gated ? dx + a->n_col : NULL});
    }
}

void cpu_gate_dx(struct queue *q, const struct gate_dx_args *a)
{
    struct gate_work w = {.dx = a, .k = cpu_kernels(q)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, gate_dx_rows, &w);
}
