/* SPDX-License-Identifier: Apache-2.0 */
/* dw += dy^T x: rows are columns of dy, a part is 32 columns of x, and sums start from what dw holds, so that one chain over token rows
 * goes on from call to call. */
#include "cpu/linear.h"

#include <string.h>

enum { MOST_ROWS = 16384 };
struct outer {
    const struct linear_dw_args *a;
    const float *dy, *x;
    const uint16_t *x_bf16;
    float *dw;
    int64_t dy_stride, x_stride, first, n_row; /* token rows of this run */
};

static int rounded(const struct outer *o)
{
    return o->a->compute == DTYPE_BF16;
}

/* 32 columns of one row of x as floats; past K zeros. */
static void x_row(const struct product *p, const struct outer *o, int64_t t, int64_t k, float *out)
{
    int64_t n = o->a->k - k < PANEL ? o->a->k - k : PANEL, at = (o->first + t) * o->x_stride + k;
    if (n < PANEL)
        memset(out, 0, PANEL * sizeof *out);
    if (o->x_bf16)
        for (int64_t j = 0; j < n; j++)
            out[j] = bf16_to_f32(o->x_bf16[at + j]);
    else if (rounded(o))
        p->kernel->lanes->round(o->x + at, n, out);
    else
        memcpy(out, o->x + at, (size_t)n * sizeof *out);
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

static int x_panels(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room, const void **out)
{
    const struct outer *o = p->context;
    out[0] = room;
    if (p->kernel->form == FORM_F32) {
        for (int64_t t = 0; t < n; t++)
            x_row(p, o, begin + t, part * PANEL, (float *)room + t * PANEL);
        return 1;
    }
    float low[PANEL], high[PANEL];
    for (int64_t t = 0; t < n; t += 2) {
        memset(low, 0, sizeof low);
        memset(high, 0, sizeof high);
        if (begin + t < o->n_row)
            x_row(p, o, begin + t, part * PANEL, low);
        if (begin + t + 1 < o->n_row)
            x_row(p, o, begin + t + 1, part * PANEL, high);
        uint32_t *to = (uint32_t *)room + t / 2 * PANEL;
        for (int j = 0; j < PANEL; j++)
            to[j] = bits_of(low[j]) >> 16 | (bits_of(high[j]) & 0xffff0000u);
    }
    return 1;
}

/* Columns [n, n + m) of dy as rows, CHUNK token rows at a time. */
static void dy_prepare(const struct product *p, int64_t n, int m, char *block)
{
    const struct outer *o = p->context;
    int rows = p->kernel->rows;
    for (int64_t t = 0; t < p->k; t++) {
        const float *from = o->dy + (o->first + t) * o->dy_stride + n;
        int there = t < o->n_row;
        if (p->kernel->form == FORM_F32) {
            float *to = (float *)block + chunk_at(rows, 0, t);
            for (int r = 0; r < m; r++)
                to[r * CHUNK_STRIDE] = !there ? 0 : rounded(o) ? bf16_to_f32(f32_to_bf16(from[r])) : from[r];
        } else {
            uint16_t *to = (uint16_t *)((uint32_t *)block + chunk_at(rows, 0, t / 2)) + t % 2;
            for (int r = 0; r < m; r++)
                to[2 * r * CHUNK_STRIDE] = there ? f32_to_bf16(from[r]) : 0;
        }
    }
}

static float *dw_at(const struct outer *o, int64_t part, int64_t row, int *n)
{
    int64_t left = o->a->k - part * PANEL;
    *n = (int)(left < PANEL ? left : PANEL);
    return o->dw + row * o->a->k + part * PANEL;
}

static float *dw_place(const struct product *p, int64_t part, int64_t row, int64_t *stride)
{
    const struct outer *o = p->context;
    int n;
    float *dw = dw_at(o, part, row, &n);
    *stride = o->a->k;
    return n == PANEL ? dw : NULL;
}

static void dw_start(const struct product *p, int64_t part, int64_t row, int m, float *acc)
{
    const struct outer *o = p->context;
    int n;
    const float *dw = dw_at(o, part, row, &n);
    for (int r = 0; r < m; r++)
        memcpy(acc + r * ACC_STRIDE, dw + r * o->a->k, (size_t)n * sizeof *dw);
}

static void dw_finish(const struct product *p, int64_t part, int64_t row, int m, const float *acc)
{
    const struct outer *o = p->context;
    int n;
    float *dw = dw_at(o, part, row, &n);
    for (int r = 0; r < m; r++)
        memcpy(dw + r * o->a->k, acc + r * ACC_STRIDE, (size_t)n * sizeof *dw);
}

void cpu_linear_dw(struct queue *q, const struct linear_dw_args *a)
{
    struct outer o = {.a = a, .dy = cpu_ptr(a->dy), .dw = cpu_ptr(a->dw),
                      .dy_stride = a->dy_stride ? a->dy_stride : a->n, .x_stride = a->x_stride ? a->x_stride : a->k};
    o.x = a->x_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->x);
    o.x_bf16 = a->x_dtype == DTYPE_BF16 ? cpu_ptr(a->x) : NULL;
    struct product p = {.kernel = product_kernel(cpu_isa(q), a->compute, 1), .m = a->n, .n_part = (a->k + PANEL - 1) / PANEL, .built = 1,
                        .panels = x_panels, .prepare = dy_prepare, .place = dw_place, .adds = 1, .start = dw_start, .finish = dw_finish, .context = &o};
    for (o.first = 0; o.first < a->n_row; o.first += MOST_ROWS) {
        o.n_row = a->n_row - o.first < MOST_ROWS ? a->n_row - o.first : MOST_ROWS;
        p.k = p.kernel->form == FORM_F32 ? o.n_row : round_up(o.n_row, 2);
        product_run(q, &p);
    }
}
