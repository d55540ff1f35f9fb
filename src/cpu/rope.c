/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions: a table of cosines and sines made once from portable double maths, and the rotation. */
#include "cpu/kernels.h"

#include "base/maths.h"

static void table_row(void *context, int position, int worker)
{
    (void)worker;
    const struct rope_table_args *a = context;
    const float *inv_freq = cpu_ptr(a->inv_freq);
    float *row = (float *)cpu_ptr(a->table) + (size_t)position * (size_t)a->head_dim;
    int half = a->head_dim / 2;
    double factor = a->factor != 0 ? (double)a->factor : 1;
    for (int i = 0; i < half; i++) {
        float angle = (float)position * inv_freq[i];
        row[i] = (float)(maths_cos((double)angle) * factor);
        row[half + i] = (float)(maths_sin((double)angle) * factor);
    }
}

void cpu_rope_table(struct queue *q, const struct rope_table_args *a)
{
    struct rope_table_args copy = *a;
    pool_run(cpu_pool(q), a->n_pos, table_row, &copy);
}

enum { ROWS = 8 };
struct rope_work {
    const struct rope_args *a;
    const struct kernels *k;
};

static void rope_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct rope_work *w = context;
    const struct rope_args *a = w->a;
    const int32_t *positions = cpu_ptr(a->positions);
    int rotated = a->n_rotated ? a->n_rotated : a->head_dim;
    int64_t stride = a->x_stride ? a->x_stride : (int64_t)a->n_head * a->head_dim;
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        const float *table = (const float *)cpu_ptr(a->table) + (size_t)positions[t] * (size_t)rotated;
        float *x = (float *)cpu_ptr(a->x) + t * stride;
        for (int h = 0; h < a->n_head; h++)
            w->k->rope(x + (size_t)h * (size_t)a->head_dim, table, rotated / 2, a->inverse);
    }
}

void cpu_rope(struct queue *q, const struct rope_args *a)
{
    struct rope_work w = {a, cpu_kernels(q)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, rope_rows, &w);
}
