/* SPDX-License-Identifier: Apache-2.0 */
/* All three products of a layer are C[M,N] (+)= A[M,K] B[K,N] of one driver:
 *   forward  y  = x w^T    rows of x,              panels as packed
 *   dx       dx = dy w     rows of dy,             panels of w transposed in a thread's scratch
 *   dw       dw += dy^T x  columns of dy as rows,  panels of x's columns
 * A is prepared in row blocks (converted, gathered, padded), B comes in panels of 32 columns, a kernel computes up to
 * `rows` x 32 sums at once over the whole of K, and `finish` writes them out. K is never split between threads, and
 * sums that are put down in between are f32 as in the registers, so that a sum does not depend on blocking.
 *
 * Forms of A and panels:
 *   FORM_F32   A rows of f32, any distance apart; panel [K][32] f32
 *   FORM_PAIRS the same with a word of two bf16 (k, k+1) in place of a float; panel [K/2][32] words
 *   FORM_HALVES rows as F32, of values that bf16 holds, panel as PAIRS
 *   FORM_TILES A in blocks of two halves of 16 rows, [half][K/32][16][32] bf16, or rows as PAIRS; panel as PAIRS.
 *   FORM_BYTES A rows of int8, panel of a quantised weight (cpu/linear_q8.h); a call takes the whole of K
 * Rows that lie in memory as a kernel wants them are not copied. */
#ifndef CPU_LINEAR_H
#define CPU_LINEAR_H

#include "cpu/weight.h"

enum { MAX_PANELS = 4, ACC_STRIDE = 32 * MAX_PANELS, PART_ROWS = 512, STRETCH = 1024 };
enum product_form { FORM_F32, FORM_PAIRS, FORM_HALVES, FORM_TILES, FORM_BYTES };
static inline int rows_are_f32(enum product_form form)
{
    return form == FORM_F32 || form == FORM_HALVES;
}

/* One block of rows times n_panel panels over k in [begin, begin + n); begin is a multiple of STRETCH. */
struct product_call {
    int m, n_panel, first; /* first: sums start from zero, else from acc */
    int64_t begin, n;
    const char *a;                  /* the block's start */
    int64_t a_row, a_step, a_half;  /* bytes between rows; TILES: between steps of 32 k, between halves */
    const void *panels[MAX_PANELS]; /* at begin */
    enum dtype types[MAX_PANELS];   /* BYTES: of the panels */
    float *acc;                     /* m rows, panel i in columns 32 i .. */
    int64_t acc_stride;
    const char *ahead
        /* ahead_bytes from each are asked for meanwhile: a share of the panels that come next, while these are
         * computed with */
        [MAX_PANELS];
    int64_t ahead_bytes; /* 0: nothing */
    int past_caches;     /* first only: acc is written in whole lines that nobody reads soon */
};

/* Rows of sums to their place in the output: epilogue and conversion. Pointers are at the first of n columns of the
 * first row. acc and up have ACC_STRIDE. */
struct finish_call {
    int m, n, activate;
    enum activation act;
    const float *acc, *up;                  /* up: the other half of a gate, in acc too; NULL: no gate */
    const float *bias, *bias_up, *residual; /* or NULL */
    int64_t residual_stride, y_stride;
    float *y; /* one of them */
    uint16_t *y_bf16;
};
/* Random bits for words of bf16: word i of row r takes those of number first + r apart + i. */
struct pack_noise {
    uint32_t key, first, apart;
};
static inline uint16_t bf16_at_random(float x, uint32_t bits16) /* adds the bits and cuts 16 off */
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + bits16) >> 16);
}
/* The same functions on every instruction set, in lanes (cpu/lanes.h). */
struct linear_lanes {
    void (*finish)(const struct finish_call *f);
    void (*expand)(const uint32_t *pairs, int64_t n,
                   float *out); /* n words [n/32][32] of a BF16 panel to floats [2 n/32][32] */
    void (*round)(const float *x, int64_t n, float *out); /* to bf16 and back */
    void (*to_bf16)(const float *x, int64_t n, uint16_t *out);
    void (*from_bf16)(const uint16_t *x, int64_t n, float *out);
    /* out[c][r] = x[r][c] for up to 16 x 16 words; rows past n_row count as zeros; writes 16 words for each of
     * n_col. */
    void (*transpose)(const float *x, int64_t stride, int n_row, int n_col, float *out, int64_t out_stride);
    void (*pair_bf16)(const uint16_t *low, const uint16_t *high,
                      uint32_t *out); /* PANEL words of two rows; high may be NULL */
    /* 16 rows of 32 values, rounded and turned: out[i][r] (PANEL words apart) := the word of x[r][2i], x[r][2i + 1];
     * values past n_k <= 32 count as zeros. out: aligned to 64 bytes, as panels are. noise, or NULL: to nearest. */
    void (*pack)(const float *x, int64_t stride, int n_k, uint32_t *out, const struct pack_noise *noise);
    void (*transpose_pairs)(const uint32_t *x, uint32_t *out); /* words [k/2][32 n] of 32 x 32 values to [n/2][32 k] */
    /* 32 rows (the first n_row of them; the rest counts as zeros) of n_col <= 16 values, rounded: out[c][i] := the word
     * of x[2i][c], x[2i + 1][c]; writes 16 words for each of n_col. */
    void (*pair_columns)(const float *x, int64_t stride, int n_row, int n_col, uint32_t *out, int64_t out_stride);
    /* n <= 16 words (bf16 of low[i], bf16 of high[i]) and zeros up to 16; NULL counts as zeros. */
    void (*pair)(const float *low, const float *high, int n, uint32_t *out);
    void (*values)(enum dtype t, const char *block, int part, float *out); /* use quantised_expand */
    void (*round_values)(const float *x,
                         uint32_t *out); /* [K_STEP][PANEL] values to [K_STEP/2][PANEL] words of a BF16 panel */
};
/* out f32 [32][32] := the 32 k from k (a multiple of 32) on of a quantised panel, past K zeros: the values that GGUF's
 * own conversion gives. */
static inline void quantised_expand(const struct linear_lanes *lanes, const struct weight *w, int64_t panel, int64_t k,
                                    float *out)
{
    enum dtype t = panel_dtype(w, panel);
    lanes->values(t, panel_quantised(w, panel, k), (int)(k % quantised_span(t) / K_STEP), out);
    if (w->k - k < K_STEP)
        memset(out + (w->k - k) * PANEL, 0, (size_t)(K_STEP - (w->k - k)) * PANEL * sizeof *out);
}

struct product_kernel {
    const struct linear_lanes *lanes;
    enum product_form form;
    int rows;        /* most rows of a call */
    int ahead_least; /* blocks of rows, from which on the next panels are fetched ahead */
    int (*at_once)(
        /* panels that a call with m rows should have, if there are as many: few rows need several to keep the
         * multipliers busy; NULL: 1 */
        int m);
    void (*run)(const struct product_call *c);
    void (*enter)(int m), (*leave)(void); /* before and after a thread's calls of one m; or NULL */
    void (*put)(const float *row, int64_t n, int64_t k,
                uint16_t *tile_row); /* TILES: a row of n floats, zeros up to k */
    void (*quantise)(const float *x, const uint16_t *x_bf16, int64_t n, int64_t k,
                     char *row); /* BYTES: a row of n floats or bf16 (the other NULL), zeros up to k */
};
/* The kernel for products of this type with so many rows; `streaming`: for dw, where sums must not depend on how rows
 * are split over calls. */
const struct product_kernel *product_kernel(const struct queue *q, enum dtype t, int rows, int streaming);

/* The type that products with w are computed in. */
static inline enum dtype product_dtype(const struct weight *w, enum quantised_way way)
{
    if (!dtype_is_quantised(w->dtype) || way == QUANTISED_INT8)
        return w->dtype;
    return way == QUANTISED_BF16 ? DTYPE_BF16 : DTYPE_F32;
}
/* The values of quantised_expand as another type's panels have them. */
struct expansion {
    const struct weight *w;
    const struct linear_lanes *lanes;
    enum dtype as; /* F32; BF16: rounded to it */
};
static inline void expand_words(const struct expansion *e, int64_t panel, int64_t k, uint32_t *out) /* of BF16 */
{
    float values[K_STEP * PANEL];
    quantised_expand(e->lanes, e->w, panel, k, values);
    e->lanes->round_values(values, out);
}
static inline void expand_floats(const struct expansion *e, int64_t panel, int64_t k, float *out)
{
    uint32_t words[K_STEP / 2 * PANEL];
    if (e->as == DTYPE_BF16) {
        expand_words(e, panel, k, words);
        e->lanes->expand(words, K_STEP / 2 * PANEL, out);
    } else {
        quantised_expand(e->lanes, e->w, panel, k, out);
    }
}

struct product {
    const struct product_kernel *kernel;
    int64_t m, k;    /* k: A's depth (FORM_PAIRS, FORM_TILES: rounded up to 32) */
    int64_t n_part;  /* columns are dealt in parts; parts side by side have columns side by side */
    int part_panels; /* panels of a part at most; only parts of 1 are taken several at once */
    int built;       /* panels are built in scratch; 0: they lie ready */
    /* Fills panels[] for k in [begin, begin + n), in `room` when built; returns how many. */
    int (*panels)(const struct product *p, int64_t part, int64_t begin, int64_t n, char *room, const void **panels);
    void (*types)(const struct product *p, int64_t part, enum dtype *types); /* BYTES: of the same panels */
    /* Puts rows [row, row + m) at `to`, a_row apart or (TILES) in a block. NULL: A lies ready at a. */
    void (*prepare)(const struct product *p, int64_t row, int m, char *to);
    /* Where a part's sums may lie from the beginning, full panels only: the output itself; NULL: they need start and
     * finish. */
    float *(*place)(const struct product *p, int64_t part, int64_t row, int64_t *stride);
    int adds; /* sums go on from what lies at place */
    /* what lies at place is large, begins a line in every row, and is not read soon: a kernel may write it past the
     * caches */
    int past_caches;
    int prepare_rows; /* rows that prepare is best given at once, for forms without blocks; 0: a kernel's */
    void (*start)(const struct product *p, int64_t part, int64_t row, int m, float *acc); /* NULL: from zero */
    void (*fetch)(const struct product *p, int64_t part, int64_t row,
                  int m); /* asks for the memory that finish will want; or NULL */
    void (*finish)(const struct product *p, int64_t part, int64_t row, int m, const float *acc);
    const void *context;
    const char *
        /* prepared rows: set by product_run, or by the caller when they lie ready, with a_row and, for TILES, a_step
         * and a_half */
        a;
    int64_t a_row, a_step, a_half;
    int64_t first_row, last_row, first_part, last_part; /* rows now prepared, parts now at hand */
};
void product_run(struct queue *q, struct product *p);

/* Packing, a panel at a time (weight.c). */
struct packing {
    struct weight_pack_args a;
    const void *src;
    const struct linear_lanes *lanes;
};
struct packing packing_of(struct queue *q, const struct weight_pack_args *a);
void pack_panel(const struct packing *w, int64_t panel); /* those of its rows that are in [a.row, a.row + a.n_row) */

/* Row r of what `prepare` writes, for forms without blocks. */
static inline char *row_at(const struct product *p, char *to, int r)
{
    return to + r * p->a_row;
}
/* Place of (row r, k) in a block of TILES, in elements of 2 bytes. */
static inline size_t tile_at(int64_t k_padded, int r, int64_t k)
{
    return (size_t)((r / 16) * 16 * k_padded + k / 32 * 512 + r % 16 * 32 + k % 32);
}
static inline int wide_in_32_registers(int m) /* vectors of outputs at once, so that m rows of sums fit */
{
    if (m <= 2)
        return 8;
    return m <= 6 ? 4 : 2;
}
/* Rows a_row bytes apart may be read where they lie: not when a dozen of them would share two sets of a first-level
 * cache. */
static inline int rows_apart(int64_t a_row, int64_t m)
{
    return m <= 4 || a_row % 2048;
}
/* Stores one row of n floats (bf16 forms and `round`: rounded) as row r at `to`; what follows up to p->k is zeroed. */
void product_put_row(const struct product *p, char *to, int r, const float *row, int64_t n, int round);
void product_put_row_bf16(const struct product *p, char *to, int r, const uint16_t *row, int64_t n);

extern const struct linear_lanes lanes_generic, lanes_avx2, lanes_avx512, lanes_neon;
extern const struct product_kernel kernel_generic, kernel_generic_fma, kernel_avx2, kernel_avx512, kernel_avx512bf16,
    kernel_halves_avx512, kernel_amx, kernel_neon;

#endif
