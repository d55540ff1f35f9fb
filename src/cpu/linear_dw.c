/* SPDX-License-Identifier: Apache-2.0 */
/* dw += dy^T x: rows are columns of dy, a part is 32 columns of x, and sums start from what dw holds, so that one chain
 * over token rows goes on from call to call. */
#include "cpu/linear.h"

#include <string.h>

/* COLUMNS: of dy, prepared at once: whole cache lines, and whole blocks of rows; LARGE: bytes of dw */
enum { STEP = 32, MOST_STEPS = 64, COLUMNS = 48, LARGE = 1 << 20 };
/* Token rows are taken in steps of 32: all of them in a row, or, for tiles, beginning anew with every sequence, so that
 * what is added up inside a tile does not depend on which sequences are in the call. */
struct step {
    int32_t first, count; /* rows */
};
struct outer {
    const struct linear_dw_args *a;
    const float *dy, *x;
    const uint16_t *x_bf16;
    float *dw;
    int64_t dy_stride, x_stride;
    struct step steps[MOST_STEPS]; /* of this run */
    int n_step;
};

/* 32 columns of one row of x as floats; past K zeros. */
static void x_row(const struct product *p, const struct outer *o, int64_t t, int64_t k, float *out)
{
    int64_t n = o->a->k - k < PANEL ? o->a->k - k : PANEL, at = t * o->x_stride + k;
    if (n < PANEL)
        memset(out, 0, PANEL * sizeof *out);
    if (o->x_bf16)
        for (int64_t j = 0; j < n; j++)
            out[j] = bf16_to_f32(o->x_bf16[at + j]);
    else if (o->a->compute == DTYPE_BF16)
        p->kernel->lanes->round(o->x + at, n, out);
    else
        memcpy(out, o->x + at, (size_t)n * sizeof *out);
}

static void x_pair(const struct product *p, const struct outer *o, int64_t t, int has_second, int64_t k, uint32_t *out)
{
    int64_t n = o->a->k - k < PANEL ? o->a->k - k : PANEL, at = t * o->x_stride + k;
    if (o->x) {
        const float *low = o->x + at, *high = has_second ? low + o->x_stride : NULL;
        p->kernel->lanes->pair(low, high, n < 16 ? (int)n : 16, out);
        p->kernel->lanes->pair(low + 16, high ? high + 16 : NULL, n < 16 ? 0 : (int)n - 16, out + 16);
        return;
    }
    const uint16_t *low = o->x_bf16 + at;
    if (n == PANEL) {
        p->kernel->lanes->pair_bf16(low, has_second ? low + o->x_stride : NULL, out);
        return;
    }
    for (int64_t j = 0; j < PANEL; j++)
        out[j] = j < n ? low[j] : 0;
    for (int64_t j = 0; j < n && has_second; j++)
        out[j] |= (uint32_t)low[j + o->x_stride] << 16;
}

static int x_panels(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room, const void **out)
{
    const struct outer *o = p->context;
    out[0] = room;
    for (int64_t at = 0; at < n; at += STEP) {
        struct step s = o->steps[(begin + at) / STEP];
        if (p->kernel->form == FORM_F32)
            for (int i = 0; i < s.count; i++)
                x_row(p, o, s.first + i, part * PANEL, (float *)room + (at + i) * PANEL);
        else
            for (int i = 0; i < STEP && at + i < n; i += 2) {
                uint32_t *to = (uint32_t *)room + (at + i) / 2 * PANEL;
                if (i < s.count)
                    x_pair(p, o, s.first + i, i + 1 < s.count, part * PANEL, to);
                else
                    memset(to, 0, PANEL * sizeof *to);
            }
    }
    return 1;
}

/* Columns [n, n + m) of dy, m <= 16, in one step of rows: rows at `to`. */
static void dy_step(const struct product *p, const struct outer *o, int at, int64_t n, int m, char *to)
{
    struct step s = o->steps[at];
    const float *dy = o->dy + s.first * o->dy_stride + n;
    int64_t apart = p->a_row / 4;
    float *f = (float *)to + at * STEP;
    const struct linear_lanes *lanes = p->kernel->lanes;
    switch (p->kernel->form) {
    case FORM_F32:
    case FORM_HALVES:
        for (int i = 0; i < s.count; i += 16)
            lanes->transpose(dy + i * o->dy_stride, o->dy_stride, s.count - i < 16 ? s.count - i : 16, m, f + i, apart);
        for (int r = 0; r < m && o->a->compute == DTYPE_BF16; r++)
            lanes->round(f + r * apart, s.count, f + r * apart);
        break;
    case FORM_PAIRS: lanes->pair_columns(dy, o->dy_stride, s.count, m, (uint32_t *)to + at * STEP / 2, apart); break;
    case FORM_TILES: lanes->pair_columns(dy, o->dy_stride, s.count, m, (uint32_t *)to + at * 256, 16); break;
    case FORM_BYTES: /* weights only */ break;
    }
}

/* Columns [n, n + m) of dy as rows. */
static void dy_prepare(const struct product *p, int64_t n, int m, char *to)
{
    const struct outer *o = p->context;
    int64_t half =
        p->kernel->form == FORM_TILES ? p->k / STEP * 1024 : 16 * p->a_row; /* bytes from 16 rows to the next */
    for (int i = 0; i < o->n_step; i++)
        for (int r = 0; r < m; r += 16)
            dy_step(p, o, i, n + r, m - r < 16 ? m - r : 16, to + r / 16 * half);
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

/* The next steps from row *t of sequence *sequence on; 0 when there are none. */
static int next_steps(struct outer *o, const int32_t *borders, int n_seq, int *sequence, int32_t *t)
{
    for (o->n_step = 0; o->n_step < MOST_STEPS && *sequence < n_seq;) {
        int32_t end = borders[*sequence + 1], count = end - *t < STEP ? end - *t : STEP;
        if (count > 0)
            o->steps[o->n_step++] = (struct step){*t, count};
        *t += STEP;
        if (*t >= end && ++*sequence < n_seq)
            *t = borders[*sequence];
    }
    return o->n_step;
}

void cpu_linear_dw(struct queue *q, const struct linear_dw_args *a)
{
    struct outer o = {.a = a,
                      .dy = cpu_ptr(a->dy),
                      .dw = cpu_ptr(a->dw),
                      .dy_stride = a->dy_stride ? a->dy_stride : a->n,
                      .x_stride = a->x_stride ? a->x_stride : a->k};
    o.x = a->x_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->x);
    o.x_bf16 = a->x_dtype == DTYPE_BF16 ? cpu_ptr(a->x) : NULL;
    const int32_t whole[2] = {0, a->n_row}, *borders = cpu_ptr(a->borders);
    struct product p = {.kernel = product_kernel(q, a->compute, a->n, !borders),
                        .m = a->n,
                        .n_part = (a->k + PANEL - 1) / PANEL,
                        .part_panels = 1,
                        .built = 1,
                        .panels = x_panels,
                        .prepare = dy_prepare,
                        .place = dw_place,
                        .adds = !a->fresh,
                        .start = a->fresh ? NULL : dw_start,
                        .finish = dw_finish,
                        .prepare_rows = COLUMNS,
                        .context = &o};
    int n_seq = a->n_seq, sequence = 0;
    if (!borders || p.kernel->form != FORM_TILES) {
        borders = whole;
        n_seq = 1;
    }
    int32_t t = borders[0];
    while (next_steps(&o, borders, n_seq, &sequence, &t)) {
        p.k = (int64_t)(o.n_step - 1) * STEP + o.steps[o.n_step - 1].count;
        if (p.kernel->form == FORM_TILES)
            p.k = round_up(p.k, STEP);
        else if (p.kernel->form != FORM_F32)
            p.k = round_up(p.k, 2);
        p.past_caches =
            !p.adds && sequence == n_seq && a->k % 16 == 0 && (uintptr_t)o.dw % 64 == 0 && a->n * a->k * 4 >= LARGE;
        product_run(q, &p);
        p.adds = 1;
        p.start = dw_start;
    }
}
