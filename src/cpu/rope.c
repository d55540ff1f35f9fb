/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions: the cosines and sines of a pass's rows from portable double maths, and the rotation. */
#include "cpu/kernels.h"

#include "base/maths.h"

enum { ROWS = 8 };
/* The frequencies of a text's rows. */
struct turns {
    const float *inv_freq;
    int length;           /* `stretched` are those of so long a text; 0: of none */
    float stretched[512]; /* as many as model_rotation has */
};

static void find_turns(const struct rope_table_args *a, int t, struct turns *out)
{
    const float *inv_freq = cpu_ptr(a->inv_freq);
    int length = a->limit ? ((const int32_t *)cpu_ptr(a->lengths))[t] : 0, last = a->n_rotated / 2 - 1;
    out->inv_freq = inv_freq;
    if (length <= a->limit)
        return;
    out->inv_freq = a->stretch > 0 ? out->stretched : cpu_ptr(a->long_inv_freq);
    if (a->stretch <= 0 || length == out->length)
        return;
    double stretch = (double)a->stretch, longer = stretch * length / a->limit - (stretch - 1);
    out->length = length;
    out->stretched[0] = inv_freq[0];
    for (int i = 1; i <= last; i++)
        out->stretched[i] = (float)((double)inv_freq[i] / maths_pow(longer, (double)i / last));
}

static void table_row(const struct rope_table_args *a, const float *inv_freq, int t)
{
    enum { BLOCK = 64 };
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
    struct turns turns;
    turns.length = 0;
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        find_turns(a, t, &turns);
        table_row(a, turns.inv_freq, t);
    }
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
