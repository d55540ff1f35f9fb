/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions: the cosines and sines of a pass's rows from portable double maths, and the rotation. */
#include "cpu/kernels.h"

#include "base/maths.h"

enum { ROWS = 8 };
static void table_row(const struct rope_table_args *a, int t)
{
    enum { BLOCK = 64 };
    const float *inv_freq = cpu_ptr(a->inv_freq);
    const int32_t *positions = cpu_ptr(a->positions);
    int half = a->n_rotated / 2;
    float *row = (float *)cpu_ptr(a->table) + (size_t)t * (size_t)a->n_rotated;
    double factor = a->factor != 0 ? (double)a->factor : 1, angles[BLOCK], sines[BLOCK], cosines[BLOCK];
    for (int first = 0; first < half; first += BLOCK) {
        int n = half - first < BLOCK ? half - first : BLOCK;
        for (int i = 0; i < n; i++) {
            float angle = (float)positions[t] * inv_freq[first + i];
            angles[i] = (double)angle;
        }
        maths_sin_cos(angles, n, sines, cosines);
        for (int i = 0; i < n; i++) {
            row[first + i] = (float)(cosines[i] * factor);
            row[half + first + i] = (float)(sines[i] * factor);
        }
    }
}

static void table_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct rope_table_args *a = context;
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++)
        table_row(a, t);
}

void cpu_rope_table(struct queue *q, const struct rope_table_args *a)
{
    struct rope_table_args copy = *a;
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, table_rows, &copy);
}

struct rope_work {
    const struct rope_args *a;
    const struct kernels *k;
};

static void rope_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct rope_work *w = context;
    const struct rope_args *a = w->a;
    int rotated = a->n_rotated ? a->n_rotated : a->head_dim;
    int64_t stride = a->x_stride ? a->x_stride : (int64_t)a->n_head * a->head_dim;
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        const float *table = (const float *)cpu_ptr(a->table) + (size_t)t * (size_t)rotated;
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
