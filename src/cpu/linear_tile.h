/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of FORM_F32, FORM_PAIRS and FORM_HALVES, written once over vectors: sums of M rows by W vectors stay in
 * registers over the whole of K. Twelve rows by two vectors of 16 keep the multipliers busy (24 sums, 2 + 12 loads a
 * step of k); few rows take more vectors side by side, or each sum would wait for its last one. The including file
 * defines V (sums), B (columns or one word of a row in all lanes), V_LANES, V_LOAD, V_STORE, V_STREAM (a store of an
 * aligned vector past the caches; if missing, V_STORE), V_ZERO, B_LOAD, B_SET1 (of an address), V_MAC(a, b, c) = a b +
 * c, TILE_FORM, TILE_ROWS, TILE_WIDE (of m), TILE_WIDEST, STREAM_ROWS (up to so many rows fetch their panels ahead; if
 * missing, 2). FORM_HALVES has B_HALF(address, i), the columns of k + i, in place of B_LOAD. */
#include "cpu/linear.h"

#ifndef V_STREAM
#define V_STREAM V_STORE
#endif
#ifndef STREAM_ROWS
#define STREAM_ROWS 2
#endif
#ifdef B_HALF
enum { HALVES = 2 };
#else
enum { HALVES = 1 };
#define B_HALF(at, half) B_LOAD(at)
#endif

/* bytes by which few rows, which wait for memory, fetch their panels ahead */
enum { PANEL_VECTORS = PANEL / V_LANES, STREAM_AHEAD = 2048 };

/* Where a tile is, in few registers: x86 adds a register times 1, 2, 4 or 8 to another on its way to memory, so every
 * fifth row has an address of its own. Left alone, gcc keeps one for each row, more than there are registers. */
struct tile_at {
    const char *row[(TILE_ROWS + 4) / 5];
    int64_t apart, apart3;
    const uint32_t *panel[MAX_PANELS];
};
static inline __attribute__((always_inline)) const char *row_in_tile(const struct tile_at *t, int r)
{
    return t->row[r / 5] + (r % 5 == 3 ? t->apart3 : r % 5 * t->apart);
}
static inline __attribute__((always_inline)) struct tile_at tile_begin(int m, int w, const struct product_call *c,
                                                                       const uint32_t *const *b)
{
    struct tile_at t = {.apart = c->a_row, .apart3 = 3 * c->a_row};
    UNROLL
    for (int i = 0; i * 5 < m; i++)
        t.row[i] = c->a + c->begin * (TILE_FORM == FORM_PAIRS ? 2 : 4) + 5 * i * t.apart;
    UNROLL
    for (int i = 0; i * PANEL_VECTORS < w; i++)
        t.panel[i] = b[i];
    return t;
}
/* After this nothing of it can be computed anew from what it was made of. */
static inline __attribute__((always_inline)) void tile_keep(struct tile_at *t, int m, int w)
{
    UNROLL
    for (int i = 0; i * 5 < m; i++)
        __asm__("" : "+r"(t->row[i]));
    UNROLL
    for (int i = 0; i * PANEL_VECTORS < w; i++)
        __asm__("" : "+r"(t->panel[i]));
    __asm__("" : "+r"(t->apart), "+r"(t->apart3));
}
static inline __attribute__((always_inline)) void tile_advance(struct tile_at *t, int m, int w)
{
    UNROLL
    for (int i = 0; i * 5 < m; i++)
        t->row[i] += 4 * HALVES;
    UNROLL
    for (int i = 0; i * PANEL_VECTORS < w; i++)
        t->panel[i] += PANEL;
}

/* Vector v's columns begin at b[v / PANEL_VECTORS], at its lane there. */
static inline __attribute__((always_inline)) void tile_rows(int m, int w, const struct product_call *c,
                                                            const uint32_t *const *b, const char *ahead, float *acc)
{
    V sum[TILE_ROWS][8];
    struct tile_at t = tile_begin(m, w, c, b);
    int64_t n = TILE_FORM == FORM_F32 ? c->n : c->n / 2, ahead_step = m > 6 && n ? (c->ahead_bytes + n - 1) / n : 0;
    if (!c->past_caches)
        UNROLL
    for (int r = 0; r < m; r++) /* the places of the sums are at hand when they are wanted */
        UNROLL
    for (int v = 0; v < w; v += 64 / (int)sizeof(V))
        __builtin_prefetch(acc + r * c->acc_stride + v * V_LANES, 1);
    UNROLL
    for (int r = 0; r < m; r++)
        UNROLL
    for (int v = 0; v < w; v++)
        sum[r][v] = c->first ? V_ZERO : V_LOAD(acc + r * c->acc_stride + v * V_LANES);
    for (int64_t left = n; left > 0; left--) {
        tile_keep(&t, m, w);
        if (m > 6) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += ahead_step;
        }
        UNROLL
        for (int half = HALVES - 1; half >= 0; half--) { /* the order in which vdpbf16ps adds */
            B column[8];
            UNROLL
            for (int v = 0; v < w; v++) {
                const uint32_t *at = t.panel[v / PANEL_VECTORS] + v % PANEL_VECTORS * V_LANES;
                column[v] = B_HALF(at, half);
                if (m <= STREAM_ROWS && half == HALVES - 1)
                    __builtin_prefetch((const char *)at + STREAM_AHEAD, 0, 2);
            }
            UNROLL
            for (int r = 0; r < m; r++) {
                B x = B_SET1(row_in_tile(&t, r) + 4 * half);
                UNROLL
                for (int v = 0; v < w; v++)
                    sum[r][v] = V_MAC(x, column[v], sum[r][v]);
            }
        }
        tile_advance(&t, m, w);
    }
    if (c->past_caches) {
        UNROLL
        for (int r = 0; r < m; r++)
            UNROLL
        for (int v = 0; v < w; v++)
            V_STREAM(acc + r * c->acc_stride + v * V_LANES, sum[r][v]);
        return;
    }
    UNROLL
    for (int r = 0; r < m; r++)
        UNROLL
    for (int v = 0; v < w; v++)
        V_STORE(acc + r * c->acc_stride + v * V_LANES, sum[r][v]);
}

#define TILE_OF(M, W)                                                                                                 \
    static void tile_##M##_##W(const struct product_call *c, const uint32_t *const *b, const char *ahead, float *acc) \
    {                                                                                                                 \
        tile_rows(M, W, c, b, ahead, acc);                                                                            \
    }
/* clang-format off */
#define TILES_OF(W) TILE_OF(1, W) TILE_OF(2, W) TILE_OF(3, W)
TILES_OF(2) TILE_OF(4, 2) TILE_OF(5, 2) TILE_OF(6, 2)
TILES_OF(4)
#if TILE_ROWS > 6
TILE_OF(7, 2) TILE_OF(8, 2) TILE_OF(9, 2) TILE_OF(10, 2) TILE_OF(11, 2) TILE_OF(12, 2)
TILE_OF(4, 4) TILE_OF(5, 4) TILE_OF(6, 4)
TILES_OF(6) TILES_OF(8)
#endif
    /* clang-format on */

    static void (*const tiles[TILE_ROWS][TILE_WIDEST / 2])(const struct product_call *, const uint32_t *const *,
                                                           const char *, float *) = {
#if TILE_ROWS > 6
        {tile_1_2, tile_1_4, tile_1_6, tile_1_8},
        {tile_2_2, tile_2_4, tile_2_6, tile_2_8},
        {tile_3_2, tile_3_4, tile_3_6, tile_3_8},
        {tile_4_2, tile_4_4},
        {tile_5_2, tile_5_4},
        {tile_6_2, tile_6_4},
        {tile_7_2},
        {tile_8_2},
        {tile_9_2},
        {tile_10_2},
        {tile_11_2},
        {tile_12_2},
#else
        {tile_1_2, tile_1_4}, {tile_2_2, tile_2_4}, {tile_3_2, tile_3_4}, {tile_4_2}, {tile_5_2}, {tile_6_2},
#endif
};

/* Vectors from `at` on, as many as the rows allow, never beginning within a panel and ending in another. */
static void run_product(const struct product_call *c)
{
    int n = c->n_panel * PANEL_VECTORS, most = TILE_WIDE(c->m), width;
    for (int at = 0; at < n; at += width) {
        const uint32_t *b[MAX_PANELS];
        width = n - at < most ? n - at : most;
        for (int i = 0; i * PANEL_VECTORS < width; i++)
            b[i] = (const uint32_t *)c->panels[at / PANEL_VECTORS + i] + at % PANEL_VECTORS * V_LANES;
        tiles[c->m - 1][width / 2 - 1](c, b, c->ahead[at / PANEL_VECTORS], c->acc + at * V_LANES);
    }
}

static int at_once(int m)
{
    return (TILE_WIDE(m) + PANEL_VECTORS - 1) / PANEL_VECTORS;
}
