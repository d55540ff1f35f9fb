/* SPDX-License-Identifier: Apache-2.0 */
/* Packs rows of a weight into panels and gives them back. One piece of work is one panel. */
#include "cpu/linear.h"

#include "base/mem.h"

#include <string.h>

int cpu_weight_supported(const struct device *d, enum dtype t)
{
    (void)d;
    return t == DTYPE_F32 || t == DTYPE_BF16 || dtype_is_quantised(t);
}

int cpu_weight_bytes(const struct device *d, struct weight_shape shape, size_t *bytes)
{
    (void)d;
    enum dtype t = shape.dtype;
    if (shape.n < 0 || shape.k < 0 || shape.n > N_MOST || shape.k > K_MOST)
        return -1;
    size_t rows = (size_t)round_up(shape.n, PANEL);
    size_t columns = (size_t)(t == DTYPE_F32 ? shape.k : round_up(shape.k, K_STEP));
    if (dtype_is_quantised(t))
        return columns % (size_t)quantised_span(t)
                   ? -1
                   : size_mul(rows / PANEL, columns / (size_t)quantised_span(t) * quantised_block(t), bytes);
    return size_mul(rows, columns, bytes) || size_mul(*bytes, dtype_size(t), bytes) ? -1 : 0;
}

static void pack_f32(const struct packing *w, int64_t n, const float *src)
{
    float *dst = (float *)panel_f32(w->a.w, n / PANEL) + n % PANEL;
    for (int64_t k = 0; k < w->a.w->k; k++)
        dst[k * PANEL] = src[k];
}

/* Random bits of row n from k on. */
static struct pack_noise noise_at(const struct packing *w, int64_t n, int64_t k)
{
    int64_t apart = panel_k(w->a.w) / 2;
    return (struct pack_noise){(uint32_t)(w->a.noise ^ w->a.noise >> 32), (uint32_t)(n * apart + k / 2),
                               (uint32_t)apart};
}

static void pack_bf16(const struct packing *w, int64_t n, const float *src)
{
    uint16_t *dst = (uint16_t *)panel_bf16(w->a.w, n / PANEL);
    struct pack_noise noise = noise_at(w, n, 0);
    for (int64_t k = 0; k < w->a.w->k; k++) {
        uint32_t bits = w->a.noise ? noise_of(noise.key, noise.first + (uint32_t)(k / 2)) >> (k % 2 * 16) & 0xffff : 0;
        dst[bf16_at(k, n % PANEL)] = w->a.noise ? bf16_at_random(src[k], bits) : f32_to_bf16(src[k]);
    }
}

static void pack_from_bf16(const struct packing *w, int64_t n, const uint16_t *src)
{
    const struct weight *weight = w->a.w;
    float *f = (float *)panel_f32(weight, n / PANEL) + n % PANEL;
    uint16_t *h = (uint16_t *)panel_bf16(weight, n / PANEL);
    for (int64_t k = 0; k < weight->k; k++)
        if (weight->dtype == DTYPE_F32)
            f[k * PANEL] = bf16_to_f32(src[k]);
        else
            h[bf16_at(k, n % PANEL)] = src[k];
}

/* A whole panel from f32 rows, 16 rows at a time; the same values as row by row. */
static void pack_whole(const struct packing *w, int64_t panel, const float *src)
{
    const struct weight *weight = w->a.w;
    int64_t k = weight->k, step = weight->dtype == DTYPE_F32 ? 16 : K_STEP;
    for (int64_t at = 0; at < k; at += step)
        for (int64_t j = 0; j < PANEL; j += 16) {
            int n = (int)(k - at < step ? k - at : step);
            struct pack_noise noise = noise_at(w, panel * PANEL + j, at);
            if (weight->dtype == DTYPE_F32)
                w->lanes->transpose(src + j * k + at, k, 16, n, (float *)panel_f32(weight, panel) + at * PANEL + j,
                                    PANEL);
            else
                w->lanes->pack(src + j * k + at, k, n, (uint32_t *)panel_bf16(weight, panel) + at / 2 * PANEL + j,
                               w->a.noise ? &noise : NULL);
        }
}

/* A whole panel of bf16 from rows of bf16: pairs of k are words, which are turned as they are. */
static void pack_pairs(const struct packing *w, int64_t panel, const uint16_t *src)
{
    const struct weight *weight = w->a.w;
    int64_t k = weight->k;
    for (int64_t at = 0; at < k; at += K_STEP)
        for (int64_t j = 0; j < PANEL; j += 16)
            w->lanes->transpose((const float *)(src + j * k + at), k / 2, 16,
                                (int)(k - at < K_STEP ? k - at : K_STEP) / 2,
                                (float *)panel_bf16(weight, panel) + at / 2 * PANEL + j, PANEL);
}

/* Those of a panel's rows that are given, in blocks as they are. */
static void take_rows(const struct packing *w, int64_t panel)
{
    int64_t end = w->a.row + w->a.n_row, first = panel * PANEL > w->a.row ? panel * PANEL : w->a.row,
            last = (panel + 1) * PANEL < end ? (panel + 1) * PANEL : end;
    size_t row_bytes = (size_t)(w->a.w->k / quantised_span(w->a.src_dtype)) * quantised_file_block(w->a.src_dtype);
    quantised_take(w->a.w, first, last - first, (const char *)w->src + (size_t)(first - w->a.row) * row_bytes);
}

void pack_panel(const struct packing *w, int64_t panel)
{
    int64_t k = w->a.w->k, end = w->a.row + w->a.n_row;
    int is_whole = panel * PANEL >= w->a.row && (panel + 1) * PANEL <= end;
    if (dtype_is_quantised(w->a.src_dtype)) {
        take_rows(w, panel);
        return;
    }
    size_t row_bytes = (size_t)k * dtype_size(w->a.src_dtype);
    if (w->a.src_dtype == DTYPE_F32 && !dtype_is_quantised(w->a.w->dtype) && is_whole) {
        pack_whole(w, panel, (const float *)w->src + (panel * PANEL - w->a.row) * k);
        return;
    }
    if (w->a.src_dtype == DTYPE_BF16 && w->a.w->dtype == DTYPE_BF16 && is_whole && k % 2 == 0) {
        pack_pairs(w, panel, (const uint16_t *)w->src + (panel * PANEL - w->a.row) * k);
        return;
    }
    for (int64_t n = panel * PANEL; n < (panel + 1) * PANEL; n++) {
        if (n < w->a.row || n >= end)
            continue;
        if (dtype_is_quantised(w->a.w->dtype))
            quantised_pack(w->a.w, n, (const char *)w->src + (size_t)(n - w->a.row) * row_bytes, w->a.src_dtype);
        else if (w->a.src_dtype == DTYPE_BF16)
            pack_from_bf16(w, n, (const uint16_t *)w->src + (n - w->a.row) * k);
        else if (w->a.w->dtype == DTYPE_F32)
            pack_f32(w, n, (const float *)w->src + (n - w->a.row) * k);
        else
            pack_bf16(w, n, (const float *)w->src + (n - w->a.row) * k);
    }
}

struct packing packing_of(struct queue *q, const struct weight_pack_args *a)
{
    return (struct packing){*a, cpu_ptr(a->src), product_kernel(q, DTYPE_F32, 0, 0)->lanes};
}

static void pack_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct packing *w = context;
    pack_panel(w, w->a.row / PANEL + piece);
}

void cpu_weight_pack(struct queue *q, const struct weight_pack_args *a)
{
    struct packing w = packing_of(q, a);
    if (a->n_row > 0)
        pool_run(cpu_pool(q), (int)((a->row + a->n_row - 1) / PANEL - a->row / PANEL + 1), pack_piece, &w);
}

void weight_row(const struct weight *w, int64_t n, float *out)
{
    if (dtype_is_quantised(w->dtype)) {
        quantised_row(w, n, out);
        return;
    }
    const float *f = panel_f32(w, n / PANEL) + n % PANEL;
    const uint16_t *h = panel_bf16(w, n / PANEL);
    if (w->dtype == DTYPE_F32)
        for (int64_t k = 0; k < w->k; k++)
            out[k] = f[k * PANEL];
    else
        for (int64_t k = 0; k < w->k; k++)
            out[k] = bf16_to_f32(h[bf16_at(k, n % PANEL)]);
}

struct unpack {
    const struct weight *w;
    int64_t row, n_row;
    float *dst;
};
enum { UNPACK_ROWS = 16 };

static void unpack_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct unpack *u = context;
    for (int64_t i = (int64_t)piece * UNPACK_ROWS; i < (piece + 1) * (int64_t)UNPACK_ROWS && i < u->n_row; i++)
        weight_row(u->w, u->row + i, u->dst + i * u->w->k);
}

void cpu_weight_unpack(struct queue *q, const struct weight_unpack_args *a)
{
    struct unpack u = {.w = a->w, .row = a->row, .n_row = a->n_row, .dst = cpu_ptr(a->dst)};
    pool_run(cpu_pool(q), (int)((a->n_row + UNPACK_ROWS - 1) / UNPACK_ROWS), unpack_rows, &u);
}
