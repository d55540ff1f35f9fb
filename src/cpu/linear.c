/* SPDX-License-Identifier: Apache-2.0 */
/* y = epilogue(x w^T). Panels lie ready in the weight, or are widened from bf16 where the kernel multiplies floats, or
 * expanded from a quantised weight. A gate's part is a panel of gate rows with the panel of up rows for the same
 * columns; where F is no multiple of 32 the up columns straddle two panels. */
#include "cpu/linear.h"

#include <string.h>

struct forward {
    const struct linear_args *a;
    const float *x;
    const uint16_t *x_bf16;
    const int32_t *rows;
    int64_t x_stride, n_out, n_panel;
    struct finish_call finish; /* addresses of row 0, column 0 */
    enum dtype as;             /* of the product */
};

static const void *panel_at(const struct weight *w, int64_t panel, int64_t k)
{
    if (dtype_is_quantised(w->dtype))
        return panel_quantised(w, panel, k);
    if (w->dtype == DTYPE_F32)
        return panel_f32(w, panel) + k * PANEL;
    return panel_bf16(w, panel) + k * PANEL;
}

static int panels_of_part(const struct product *p, int64_t part, int64_t panels[MAX_PANELS])
{
    const struct forward *f = p->context;
    panels[0] = part;
    if (f->a->gate) {
        panels[1] = (f->n_out + part * PANEL) / PANEL;
        panels[2] = panels[1] + 1 < f->n_panel ? panels[1] + 1 : panels[1];
    }
    return p->part_panels;
}

/* n k from `begin` on; the last of them may be fewer than a block. */
static void expand_panel(const struct product *p, int64_t panel, int64_t begin, int64_t n, char *to)
{
    const struct forward *f = p->context;
    const struct expansion e = {f->a->w, p->kernel->lanes, f->as};
    float part[K_STEP * PANEL];
    for (int64_t at = 0; at < n; at += K_STEP) {
        float *floats = (float *)(void *)to + at * PANEL;
        if (p->kernel->form != FORM_F32) {
            expand_words(&e, panel, begin + at, (uint32_t *)(void *)to + at / 2 * PANEL);
        } else if (n - at >= K_STEP) {
            expand_floats(&e, panel, begin + at, floats);
        } else {
            expand_floats(&e, panel, begin + at, part);
            memcpy(floats, part, (size_t)(n - at) * PANEL * sizeof *part);
        }
    }
}

static int forward_panels(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room, const void **out)
{
    const struct forward *f = p->context;
    int64_t panels[MAX_PANELS];
    int count = panels_of_part(p, part, panels);
    size_t bytes = (size_t)n * PANEL * (p->kernel->form == FORM_F32 ? 4 : 2);
    for (int i = 0; i < count; i++) {
        out[i] = panel_at(f->a->w, panels[i], begin);
        if (!p->built)
            continue;
        char *to = room + (size_t)i * bytes;
        if (dtype_is_quantised(f->a->w->dtype))
            expand_panel(p, panels[i], begin, n, to);
        else
            p->kernel->lanes->expand(out[i], n / 2 * PANEL, (float *)to);
        out[i] = to;
    }
    return count;
}

static void forward_types(const struct product *p, int64_t part, enum dtype *types)
{
    const struct forward *f = p->context;
    int64_t panels[MAX_PANELS];
    int count = panels_of_part(p, part, panels);
    for (int i = 0; i < count; i++)
        types[i] = panel_dtype(f->a->w, panels[i]);
}

static void forward_prepare(const struct product *p, int64_t row, int m, char *to)
{
    const struct forward *f = p->context;
    for (int r = 0; r < m; r++) {
        int64_t at = (f->rows ? f->rows[row + r] : row + r) * f->x_stride, k = f->a->w->k;
        if (p->kernel->form == FORM_BYTES)
            p->kernel->quantise(f->x ? f->x + at : NULL, f->x ? NULL : f->x_bf16 + at, k, p->k, row_at(p, to, r));
        else if (f->x)
            product_put_row(p, to, r, f->x + at, k, f->as != DTYPE_F32);
        else
            product_put_row_bf16(p, to, r, f->x_bf16 + at, k);
    }
}

static float *forward_place(const struct product *p, int64_t part, int64_t row, int64_t *stride)
{
    const struct forward *f = p->context;
    *stride = f->finish.y_stride;
    return (part + 1) * PANEL <= f->n_out ? f->finish.y + row * f->finish.y_stride + part * PANEL : NULL;
}

static void forward_finish(const struct product *p, int64_t part, int64_t row, int m, const float *acc)
{
    const struct forward *f = p->context;
    struct finish_call c = f->finish;
    int64_t column = part * PANEL, left = f->n_out - column;
    c.m = m;
    c.n = (int)(left < PANEL ? left : PANEL);
    c.acc = acc;
    c.up = f->a->gate ? acc + PANEL + (f->n_out + column) % PANEL : NULL;
    c.bias = c.bias ? c.bias + column : NULL;
    c.bias_up = c.bias_up ? c.bias_up + column : NULL;
    c.residual = c.residual ? c.residual + row * c.residual_stride + column : NULL;
    c.y = c.y ? c.y + row * c.y_stride + column : NULL;
    c.y_bf16 = c.y_bf16 ? c.y_bf16 + row * c.y_stride + column : NULL;
    p->kernel->lanes->finish(&c);
}

/* The lines of a part's residual and outputs: they are the only ones of a block that are not near already. */
static void forward_fetch(const struct product *p, int64_t part, int64_t row, int m)
{
    const struct forward *f = p->context;
    const struct finish_call *c = &f->finish;
    int64_t column = part * PANEL;
    for (int r = 0; r < m; r++) {
        const char *y = c->y ? (const char *)(c->y + (row + r) * c->y_stride + column)
                             : (const char *)(c->y_bf16 + (row + r) * c->y_stride + column);
        __builtin_prefetch(y, 1);
        if (c->y)
            __builtin_prefetch(y + 64, 1);
        if (!c->residual || (c->residual == c->y && c->residual_stride == c->y_stride))
            continue;
        __builtin_prefetch(c->residual + (row + r) * c->residual_stride + column);
        __builtin_prefetch(c->residual + (row + r) * c->residual_stride + column + 16);
    }
}

static void forward_outputs(struct forward *f)
{
    const struct linear_args *a = f->a;
    struct finish_call *c = &f->finish;
    c->act = a->act;
    c->activate = a->activate;
    c->bias = cpu_ptr(a->bias);
    c->bias_up = c->bias ? c->bias + f->n_out : NULL;
    c->residual = cpu_ptr(a->residual);
    c->residual_stride = a->residual_stride ? a->residual_stride : f->n_out;
    c->y_stride = a->y_stride ? a->y_stride : f->n_out;
    c->y = a->y_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->y);
    c->y_bf16 = a->y_dtype == DTYPE_BF16 ? cpu_ptr(a->y) : NULL;
}

/* Rows that need no copy, as the kernel's form wants them. */
static void rows_in_place(struct product *p, const struct forward *f)
{
    enum product_form form = p->kernel->form;
    const void *x = NULL;
    if (form == FORM_F32 && f->as == DTYPE_F32)
        x = f->x;
    else if (form == FORM_PAIRS || form == FORM_TILES)
        x = f->x_bf16;
    int64_t row = f->x_stride * (form == FORM_F32 ? 4 : 2);
    if (!x || f->rows || p->k != f->a->w->k || (uintptr_t)x % 4 || row % 4 ||
        (form != FORM_TILES && !rows_apart(row, p->m)))
        return;
    p->prepare = NULL;
    p->a = x;
    p->a_row = row;
    p->a_step = 64;
    p->a_half = 16 * row;
}

void cpu_linear(struct queue *q, const struct linear_args *a)
{
    const struct weight *w = a->w;
    enum dtype as = product_dtype(w, a->way);
    struct product p = {.kernel = product_kernel(q, as, a->n_row, 0),
                        .m = a->n_row,
                        .k = as == DTYPE_F32 ? w->k : panel_k(w),
                        .part_panels = 1};
    struct forward f = {.a = a,
                        .rows = cpu_ptr(a->rows),
                        .n_panel = (w->n + PANEL - 1) / PANEL,
                        .n_out = a->gate ? w->n / 2 : w->n,
                        .as = as};
    f.x = a->x_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->x);
    f.x_bf16 = a->x_dtype == DTYPE_BF16 ? cpu_ptr(a->x) : NULL;
    f.x_stride = a->x_stride ? a->x_stride : w->k;
    forward_outputs(&f);
    if (a->gate)
        p.part_panels = f.n_out % PANEL ? 3 : 2;
    p.n_part = (f.n_out + PANEL - 1) / PANEL;
    p.built = as != w->dtype || (as == DTYPE_BF16 && p.kernel->form == FORM_F32);
    p.panels = forward_panels;
    p.types = p.kernel->form == FORM_BYTES ? forward_types : NULL;
    p.prepare = forward_prepare;
    p.fetch = forward_fetch;
    p.finish = forward_finish;
    p.place = f.finish.y && !a->gate && !a->activate && !f.finish.bias && !f.finish.residual ? forward_place : NULL;
    p.context = &f;
    rows_in_place(&p, &f);
    product_run(q, &p);
}
