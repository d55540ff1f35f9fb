/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 products in tiles of 16 rows x 16 columns. Each of them sums steps of 32 k in order from zero in one tile,
 * whatever the number of rows, so a row's result does not depend on its neighbours. Up to 16 rows: four columns' tiles
 * at once (two panels); above: two by two. */
#include "cpu/linear.h"

#include <immintrin.h>
#include <string.h>

enum { ROWS = 32, STEP_BYTES = 16 * PANEL * 4 };

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t column_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

/* gcc's tile intrinsics do not say that they read memory. */
static inline void barrier(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* Tiles 0-3 are sums, 4 and 5 rows of A, 6 and 7 (few rows: 5 to 7) columns of B. */
static void enter(int m)
{
    struct tile_config t;
    memset(&t, 0, sizeof t);
    t.palette = 1;
    int top = m < 16 ? m : 16, bottom = m - 16;
    for (int i = 0; i < 8; i++) {
        t.column_bytes[i] = 64;
        t.rows[i] = 16;
    }
    t.rows[0] = t.rows[1] = t.rows[4] = (uint8_t)top;
    t.rows[2] = t.rows[3] = (uint8_t)(m <= 16 ? m : bottom);
    if (m > 16)
        t.rows[5] = (uint8_t)bottom;
    barrier(&t);
    _tile_loadconfig(&t);
}

static void leave(void)
{
    _tile_release();
}

enum { B_ROW = PANEL * 4 };

static inline __attribute__((always_inline)) void sums_start(const struct product_call *c, const float *s0,
                                                             const float *s1, const float *s2, const float *s3)
{
    if (c->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, s0, c->acc_stride * 4);
        _tile_loadd(1, s1, c->acc_stride * 4);
        _tile_loadd(2, s2, c->acc_stride * 4);
        _tile_loadd(3, s3, c->acc_stride * 4);
    }
}

static inline __attribute__((always_inline)) void sums_store(const struct product_call *c, float *s0, float *s1,
                                                             float *s2, float *s3)
{
    _tile_stored(0, s0, c->acc_stride * 4);
    _tile_stored(1, s1, c->acc_stride * 4);
    _tile_stored(2, s2, c->acc_stride * 4);
    _tile_stored(3, s3, c->acc_stride * 4);
}

/* The lines of [from, to), into the second cache. */
static inline __attribute__((always_inline)) const char *fetch(const char *from, const char *to)
{
    for (; from < to; from += 64)
        __builtin_prefetch(from, 0, 2);
    return from;
}

/* 17 to 32 rows, one panel. */
static void two_by_two(const struct product_call *c, int panel)
{
    float *s = c->acc + panel * PANEL, *low = s + 16 * c->acc_stride;
    const char *a = c->a + c->begin / 32 * c->a_step, *b = c->panels[panel], *ahead = c->ahead[panel], *until = ahead;
    int64_t ahead_step = c->n ? (c->ahead_bytes * 32 + c->n - 1) / c->n : 0;
    sums_start(c, s, s + 16, low, low + 16);
    for (int64_t k = 0; k < c->n; k += 32, a += c->a_step, b += STEP_BYTES) {
        ahead = fetch(ahead, until += ahead_step);
        _tile_loadd(6, b, B_ROW);
        _tile_loadd(4, a, c->a_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + 64, B_ROW);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + c->a_half, c->a_row);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    sums_store(c, s, s + 16, low, low + 16);
}

/* Up to 16 rows, two panels. */
static void one_by_four(const struct product_call *c, int panel)
{
    float *s = c->acc + panel * PANEL;
    const char *a = c->a + c->begin / 32 * c->a_step, *b = c->panels[panel], *d = c->panels[panel + 1];
    sums_start(c, s, s + 16, s + 32, s + 48);
    for (int64_t k = 0; k < c->n; k += 32, a += c->a_step, b += STEP_BYTES, d += STEP_BYTES) {
        _tile_loadd(4, a, c->a_row);
        _tile_loadd(5, b, B_ROW);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, b + 64, B_ROW);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, d, B_ROW);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, d + 64, B_ROW);
        _tile_dpbf16ps(3, 4, 5);
    }
    sums_store(c, s, s + 16, s + 32, s + 48);
}

/* Up to 16 rows, one panel. */
static void one_by_two(const struct product_call *c, int panel)
{
    float *s = c->acc + panel * PANEL;
    const char *a = c->a + c->begin / 32 * c->a_step, *b = c->panels[panel];
    if (c->first) {
        _tile_zero(0);
        _tile_zero(1);
    } else {
        _tile_loadd(0, s, c->acc_stride * 4);
        _tile_loadd(1, s + 16, c->acc_stride * 4);
    }
    for (int64_t k = 0; k < c->n; k += 32, a += c->a_step, b += STEP_BYTES) {
        _tile_loadd(4, a, c->a_row);
        _tile_loadd(5, b, B_ROW);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, b + 64, B_ROW);
        _tile_dpbf16ps(1, 4, 6);
    }
    _tile_stored(0, s, c->acc_stride * 4);
    _tile_stored(1, s + 16, c->acc_stride * 4);
}

static void run_product(const struct product_call *c)
{
    int i = 0;
    barrier(c->acc);
    if (c->m > 16)
        for (; i < c->n_panel; i++)
            two_by_two(c, i);
    for (; i + 1 < c->n_panel; i += 2)
        one_by_four(c, i);
    for (; i < c->n_panel; i++)
        one_by_two(c, i);
}

static int at_once(int m)
{
    return m > 16 ? 1 : 2;
}

/* Denormals become zeros here or in the product: the same sums. */
static void put(const float *row, int64_t n, int64_t k, uint16_t *to)
{
    int64_t at = 0;
    for (; at + 32 <= n; at += 32, to += 512)
        _mm512_storeu_si512(to,
                            (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + at + 16), _mm512_loadu_ps(row + at)));
    for (; at < k; at += 32, to += 512) {
        uint32_t mask = at >= n ? 0 : (uint32_t)(((uint64_t)1 << (n - at)) - 1);
        __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, row + at),
               high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), row + at + 16);
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

const struct product_kernel kernel_amx = {.lanes = &lanes_avx512,
                                          .form = FORM_TILES,
                                          .rows = ROWS,
                                          .ahead_least = 4,
                                          .at_once = at_once,
                                          .run = run_product,
                                          .enter = enter,
                                          .leave = leave,
                                          .put = put};
