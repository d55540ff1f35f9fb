/* SPDX-License-Identifier: Apache-2.0 */
/* dx = dy w from the forward's packed weight: a part is 32 columns of dx, its panel [N][32] is transposed out of the
 * forward panels in a thread's scratch, 32 x 32 values at a time, which are expanded first where the weight is
 * quantised. */
#include "cpu/linear.h"

#include "base/clamp.h"

#include <string.h>

struct backward {
    const struct linear_dx_args *a;
    const float *dy;
    float *dx;
    int64_t dy_stride, dx_stride;
    int64_t first, count; /* rows of w */
    enum dtype as;        /* of the product */
};

/* [count n][32 k], 16 x 16 at a time; k past K become zeros. */
static void transposed(const struct product *p, const float *panel, int64_t n_k, int64_t count, float *out)
{
    for (int64_t j = 0; j < PANEL; j += 16)
        for (int64_t i = 0; i < count; i += 16) {
            int rows = (int)clamp_int64(n_k - j, 0, 16);
            p->kernel->lanes->transpose(panel + j * PANEL + i, PANEL, rows, count - i < 16 ? (int)(count - i) : 16,
                                        out + i * PANEL + j, PANEL);
        }
}

/* Weights in bf16 have K padded to 32, so blocks are whole. */
static void transposed_widened(const struct product *p, const struct weight *w, int64_t k, int64_t n, float *out)
{
    float wide[PANEL * PANEL];
    p->kernel->lanes->expand((const uint32_t *)(panel_bf16(w, n / PANEL) + k * PANEL), PANEL / 2 * PANEL, wide);
    transposed(p, wide, PANEL, PANEL, out);
}

/* The same from a quantised weight; its values past K are multiplied with nothing that is kept. */
static void transposed_expanded(const struct product *p, int64_t k, int64_t n, int64_t count, void *out)
{
    const struct backward *b = p->context;
    const struct expansion e = {b->a->w, p->kernel->lanes, b->as};
    float wide[PANEL * PANEL];
    uint32_t words[PANEL / 2 * PANEL];
    if (p->kernel->form == FORM_F32) {
        expand_floats(&e, n / PANEL, k, wide);
        transposed(p, wide, PANEL, count, out);
    } else {
        expand_words(&e, n / PANEL, k, words);
        p->kernel->lanes->transpose_pairs(words, out);
    }
}

static int backward_panels(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room,
                           const void **out)
{
    const struct backward *b = p->context;
    const struct weight *w = b->a->w;
    for (int64_t i = 0; i < n; i += PANEL) {
        int64_t count = n - i < PANEL ? n - i : PANEL, k = part * PANEL;
        if (dtype_is_quantised(w->dtype))
            transposed_expanded(p, k, b->first + begin + i, count,
                                room + i * PANEL * (p->kernel->form == FORM_F32 ? 4 : 2));
        else if (w->dtype == DTYPE_F32)
            transposed(p, panel_f32(w, (b->first + begin + i) / PANEL) + k * PANEL, w->k - k, count,
                       (float *)room + i * PANEL);
        else if (p->kernel->form == FORM_F32)
            transposed_widened(p, w, k, b->first + begin + i, (float *)room + i * PANEL);
        else
            p->kernel->lanes->transpose_pairs(
                (const uint32_t *)(panel_bf16(w, (b->first + begin + i) / PANEL) + k * PANEL),
                (uint32_t *)room + i / 2 * PANEL);
    }
    out[0] = room;
    return 1;
}

static void backward_prepare(const struct product *p, int64_t row, int m, char *to)
{
    const struct backward *b = p->context;
    for (int r = 0; r < m; r++)
        product_put_row(p, to, r, b->dy + (row + r) * b->dy_stride + b->first, b->count, b->as == DTYPE_BF16);
}

static float *backward_place(const struct product *p, int64_t part, int64_t row, int64_t *stride)
{
    const struct backward *b = p->context;
    *stride = b->dx_stride;
    return (part + 1) * PANEL <= b->a->w->k ? b->dx + row * b->dx_stride + part * PANEL : NULL;
}

static void backward_finish(const struct product *p, int64_t part, int64_t row, int m, const float *acc)
{
    const struct backward *b = p->context;
    int64_t column = part * PANEL, left = b->a->w->k - column;
    float *dx = b->dx + row * b->dx_stride + column;
    struct finish_call c = {
        .m = m, .n = (int)(left < PANEL ? left : PANEL), .acc = acc, .y = dx, .y_stride = b->dx_stride};
    if (b->a->accumulate) {
        c.residual = dx;
        c.residual_stride = b->dx_stride;
    }
    p->kernel->lanes->finish(&c);
}

/* The lines that finish adds to. */
static void backward_fetch(const struct product *p, int64_t part, int64_t row, int m)
{
    const struct backward *b = p->context;
    for (int r = 0; r < m; r++) {
        const float *to = b->dx + (row + r) * b->dx_stride + part * PANEL;
        __builtin_prefetch(to, 1);
        __builtin_prefetch(to + 16, 1);
    }
}

void cpu_linear_dx(struct queue *q, const struct linear_dx_args *a)
{
    const struct weight *w = a->w;
    struct backward b = {.a = a,
                         .dy = cpu_ptr(a->dy),
                         .dx = cpu_ptr(a->dx),
                         .dy_stride = a->dy_stride ? a->dy_stride : w->n,
                         .dx_stride = a->dx_stride ? a->dx_stride : w->k,
                         .first = a->first,
                         .count = a->count ? a->count : w->n - a->first,
                         .as = product_dtype(w, a->way)};
    struct product p = {.kernel = product_kernel(q, b.as, a->n_row, 0),
                        .m = a->n_row,
                        .n_part = (w->k + PANEL - 1) / PANEL,
                        .part_panels = 1,
                        .built = 1,
                        .k = b.as == DTYPE_BF16 ? round_up(b.count, PANEL) : b.count,
                        .panels = backward_panels,
                        .prepare = backward_prepare,
                        .fetch = backward_fetch,
                        .finish = backward_finish,
                        .place = a->accumulate ? NULL : backward_place,
                        .context = &b};
    int64_t row = 4 * b.dy_stride;
    if (b.as == DTYPE_F32 && rows_apart(row, p.m)) {
        p.prepare = NULL;
        p.a = (const char *)(b.dy + b.first);
        p.a_row = row;
    }
    product_run(q, &p);
}
