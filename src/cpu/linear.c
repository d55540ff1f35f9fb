/* SPDX-License-Identifier: Apache-2.0 */
/* y = epilogue(x w^T). Panels lie ready in the weight, or are widened from bf16 where the kernel multiplies floats. A gate's part is a panel of
 * gate rows with the panel of up rows for the same columns; where F is no multiple of 32 the up columns straddle two panels. */
#include "cpu/linear.h"

#include <string.h>

struct forward {
    const struct linear_args *a;
    const float *x;
    const uint16_t *x_bf16;
    const int32_t *rows;
    int64_t x_stride, n_out, n_panel;
    struct finish_call finish; /* addresses of row 0, column 0 */
    int part_panels;
};

static const void *panel_at(const struct weight *w, int64_t panel, int64_t k)
{
    if (dtype_is_quantised(w->dtype))
        return panel_quantised(w, panel, k);
    if (w->dtype == DTYPE_F32)
        return panel_f32(w, panel) + k * PANEL;
    return panel_bf16(w, panel) + k * PANEL;
}

static int part_panels(const struct forward *f, int64_t part, int64_t panels[MAX_PANELS])
{
    if (f->a->gate) {
        int64_t up = (f->n_out + part * PANEL) / PANEL;
        panels[0] = part;
        panels[1] = up;
        panels[2] = up + 1 < f->n_panel ? up + 1 : up;
        return f->part_panels;
    }
    panels[0] = part * f->part_panels;
    panels[1] = panels[0] + 1;
    return f->n_panel - panels[0] < f->part_panels ? 1 : f->part_panels;
}

static int forward_panels(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room, const void **out)
{
    const struct forward *f = p->context;
    int64_t panels[MAX_PANELS];
    int count = part_panels(f, part, panels);
    size_t bytes = (size_t)n * PANEL * (p->kernel->form == FORM_F32 ? 4 : 2);
    for (int i = 0; i < count; i++) {
        out[i] = panel_at(f->a->w, panels[i], begin);
        if (!p->built)
            continue;
        char *to = room + (size_t)i * bytes;
        p->kernel->lanes->expand(out[i], n / 2 * PANEL, (float *)to);
        out[i] = to;
    }
    return count;
}

static void forward_prepare(const struct product *p, int64_t row, int m, char *block)
{
    const struct forward *f = p->context;
    for (int r = 0; r < m; r++) {
        int64_t at = (f->rows ? f->rows[row + r] : row + r) * f->x_stride, k = f->a->w->k;
        if (p->kernel->form == FORM_BYTES)
            p->kernel->quantise(f->x ? f->x + at : NULL, f->x ? NULL : f->x_bf16 + at, k, p->k, block + r * p->a_row);
        else if (f->x)
            product_put_row(p, block, r, f->x + at, k, f->a->w->dtype != DTYPE_F32);
        else
            product_put_row_bf16(p, block, r, f->x_bf16 + at, k);
    }
}

static float *forward_place(const struct product *p, int64_t part, int64_t row, int64_t *stride)
{
    const struct forward *f = p->context;
    int64_t column = part * PANEL * f->part_panels;
    *stride = f->finish.y_stride;
    return column + PANEL * f->part_panels <= f->n_out ? f->finish.y + row * f->finish.y_stride + column : NULL;
}

static void forward_finish(const struct product *p, int64_t part, int64_t row, int m, const float *acc)
{
    const struct forward *f = p->context;
    struct finish_call c = f->finish;
    int64_t column = part * PANEL * (f->a->gate ? 1 : f->part_panels), left = f->n_out - column, most = PANEL * (f->a->gate ? 1 : f->part_panels);
    c.m = m;
    c.n = (int)(left < most ? left : most);
    c.acc = acc;
    c.up = f->a->gate ? acc + PANEL + (f->n_out + column) % PANEL : NULL;
    c.bias = c.bias ? c.bias + column : NULL;
    c.bias_up = c.bias_up ? c.bias_up + column : NULL;
    c.residual = c.residual ? c.residual + row * c.residual_stride + column : NULL;
    c.y = c.y ? c.y + row * c.y_stride + column : NULL;
    c.y_bf16 = c.y_bf16 ? c.y_bf16 + row * c.y_stride + column : NULL;
    p->kernel->lanes->finish(&c);
}

static void forward_outputs(struct forward *f)
{
    const struct linear_args *a = f->a;
    struct finish_call *c = &f->finish;
    c->bias = cpu_ptr(a->bias);
    c->bias_up = c->bias ? c->bias + f->n_out : NULL;
    c->residual = cpu_ptr(a->residual);
    c->residual_stride = a->residual_stride ? a->residual_stride : f->n_out;
    c->y_stride = a->y_stride ? a->y_stride : f->n_out;
    c->y = a->y_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->y);
    c->y_bf16 = a->y_dtype == DTYPE_BF16 ? cpu_ptr(a->y) : NULL;
}

void cpu_linear(struct queue *q, const struct linear_args *a)
{
    const struct weight *w = a->w;
    struct product p = {.kernel = product_kernel(cpu_isa(q), w->dtype, 0), .m = a->n_row, .k = w->k};
    struct forward f = {.a = a, .rows = cpu_ptr(a->rows), .n_panel = (w->n + PANEL - 1) / PANEL, .n_out = a->gate ? w->n / 2 : w->n};
    f.x = a->x_dtype == DTYPE_BF16 ? NULL : cpu_ptr(a->x);
    f.x_bf16 = a->x_dtype == DTYPE_BF16 ? cpu_ptr(a->x) : NULL;
    f.x_stride = a->x_stride ? a->x_stride : w->k;
    forward_outputs(&f);
    f.part_panels = a->gate ? (f.n_out % PANEL ? 3 : 2) : p.kernel->form == FORM_TILES && a->n_row <= 16 ? 2 : 1;
    p.n_part = a->gate ? (f.n_out + PANEL - 1) / PANEL : (f.n_panel + f.part_panels - 1) / f.part_panels;
    p.k = panel_k(w);
    p.built = w->dtype == DTYPE_BF16 && p.kernel->form == FORM_F32 ? f.part_panels : 0;
    p.panels = forward_panels;
    p.prepare = forward_prepare;
    p.finish = forward_finish;
    p.place = f.finish.y && !a->gate && !f.finish.bias && !f.finish.residual ? forward_place : NULL;
    p.context = &f;
    if (p.kernel->form == FORM_TILES && f.x_bf16 && !f.rows && w->k % K_STEP == 0) {
        p.prepare = NULL;
        p.a = (const char *)f.x_bf16;
        p.a_row = 2 * f.x_stride, p.a_step = 64, p.a_half = 16 * p.a_row;
    }
    product_run(q, &p);
}
