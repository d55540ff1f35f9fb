/* SPDX-License-Identifier: Apache-2.0 */
/* The inner kernels of every operator but the products: bodies in lanes (the *_body.h files), compiled once for each
 * instruction set in parts (kernels_<part>_<isa>.c), and a table of the results. Kernels see plain rows; which rows,
 * and on which thread, is the operators' business. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "cpu/cpu.h"

/* One row of norm and of norm_dx; dweight over rows in order for columns begin..end. */
struct norm_row {
    enum norm_kind kind;
    int n;
    float eps, offset; /* weights are offset + weight */
    const float *x, *weight, *bias;
    void *y;
    enum dtype y_dtype;
    float *inverse, *mean;
};
struct norm_dx_row {
    enum norm_kind kind;
    int n, accumulate;
    float inverse, mean, offset;
    const float *x, *weight, *dy;
    float *dx;
};
struct norm_dw_columns {
    enum norm_kind kind;
    int n_row, n_group, n_col, begin, end;
    size_t x_stride, dy_stride;
    const float *x, *inverse, *mean, *dy;
    float *dweight, *dbias;
};

/* Memory that will be wanted next: a kernel asks for it little by little, while it computes. */
struct ahead {
    const char *at;
    size_t bytes;
};
/* s[row][key] := sum_d q[row][d] k[d][key] for n_key keys, rounded up to 16 (which k and s must hold). Strides in
 * elements; in pairs an element of k is a word of two, (d, d + 1), head_dim counts words, and both products of a word
 * are added to the sum, the second first. q has words too or, without pair_words, two f32 for each. */
struct score_tile {
    int n_row, n_key, head_dim;
    const void *q, *k;
    float *s;
    size_t q_stride, k_stride, s_stride;
    struct ahead ahead;
};
/* out[row][d] += sum_key p[row][key] v[key][d], over keys in order; out f32. In pairs an element of v is a word of
 * two keys, (key, key + 1), and n_key counts words; one of p too or, without pair_words, an f32. */
struct value_tile {
    int n_row, n_key, head_dim;
    const void *p, *v;
    float *out;
    size_t p_row_stride, p_key_stride, v_stride, out_stride;
    struct ahead ahead;
};
struct softmax_state {
    float max, sum;
};
/* One row of scores: keys from..n are seen (n not included), up to width (a multiple of 16) the rest has weight 0;
 * soft_cap as in ops.h. */
struct softmax_row {
    float *s;
    int from, n, width;
    enum dtype dtype;
    float soft_cap;
    int words; /* in BF16: packed to the front */
};
struct softmax_dx_row { /* dp becomes the scores' gradient, s the probabilities */
    float *s, *dp;
    int from, n, width;
    float lse, delta, scale, soft_cap;
};

/* A row of a gate: y := act(g) u, and its gradients; u NULL: no gate. */
struct gate_row {
    enum activation act;
    enum dtype x_dtype, y_dtype; /* x_dtype: of g and u */
    int n;
    const void *g, *u;
    void *y;
};
struct gate_dx_row {
    enum activation act;
    enum dtype x_dtype;
    int n;
    const void *g, *u;
    const float *dy;
    float *dg, *du;
};
/* Adam's moments as they were computed and as they are kept. */
struct moments {
    const float *m, *v;
    uint16_t *m_kept, *v_kept;
};

/* The greatest so far, in decreasing order. */
struct top_list {
    int n, max;
    float *values;
    int32_t *ids;
};

#define PLAIN_KERNELS(X)                                                                                       \
    X(void, scores, (const struct score_tile *t))                                                              \
    X(void, values, (const struct value_tile *t))                                                              \
    X(void, norm, (const struct norm_row *r))                                                                  \
    X(void, norm_dx, (const struct norm_dx_row *r))                                                            \
    X(void, norm_dw, (const struct norm_dw_columns *c))                                                        \
    X(void, rope, (float *head, const float *table, int half, int inverse))                                    \
    X(void, add, (float *y, const float *x, size_t n))                                                         \
    X(void, divide, (float *y, float a, size_t n))                                                             \
    X(void, soft_cap, (float *x, float cap, size_t n))                                                         \
    X(void, soft_cap_dx, (float *g, const float *y, float cap, size_t n))                                      \
    X(void, column_sums, (float *sum, const float *x, size_t stride, int n_row, int begin, int end))           \
    X(void, cast, (void *y, enum dtype y_dtype, const void *x, enum dtype x_dtype, size_t n))                  \
    X(void, gate, (const struct gate_row *r))                                                                  \
    X(void, gate_dx, (const struct gate_dx_row *r))                                                            \
    X(void, softmax, (const struct softmax_row *r, struct softmax_state *state))                               \
    X(void, merge,                                                                                             \
      (struct softmax_state * whole, const struct softmax_state *part, float *o, const float *part_o, int n))  \
    X(void, finish,                                                                                            \
      (void *out, enum dtype out_dtype, const struct softmax_state *state, const float *o, int n, float *lse)) \
    X(void, copy_scaled, (float *y, const float *x, float scale, int n))                                       \
    X(void, round_scaled, (void *y, enum dtype y_dtype, const float *x, float scale, int n))                   \
    X(float, dot, (const float *x, const float *y, int n))                                                     \
    X(void, softmax_dx, (const struct softmax_dx_row *r))                                                      \
    X(float, row_max, (const float *x, int n))                                                                 \
    X(float, row_exp_sum, (float *x, int n, float max, int keep))                                              \
    X(void, row_log_softmax, (float *y, const float *x, int n, float max, float log_sum))                      \
    X(void, row_top, (struct top_list * top, const float *x, int n, const float *bias))                        \
    X(int, row_band, (int32_t * ids, const float *x, int n, float low, float high))                            \
    X(float, exp_one, (float x))                                                                               \
    X(double, squares, (const float *x, size_t n))                                                             \
    X(void, round_moments, (const struct moments *m, size_t n, uint32_t key, uint32_t first))                  \
    X(void, adamw, (const struct adamw_args *a, float *param, const float *grad, float *m, float *v, size_t n))
/* Attention's products over a cache in bf16, which differ with an instruction for pairs. */
#define PAIR_KERNELS(X)                                \
    X(void, pair_scores, (const struct score_tile *t)) \
    X(void, pair_values, (const struct value_tile *t))
#define KERNELS(X)   \
    PLAIN_KERNELS(X) \
    PAIR_KERNELS(X)

struct kernels {
#define X(type, name, parameters) type(*name) parameters;
    KERNELS(X)
#undef X
    int pair_words; /* what meets a cache in bf16, queries and probabilities, lies in words of two as the cache does;
                       0: in f32 that bf16 holds */
};

extern const struct kernels kernels_generic, kernels_fma, kernels_avx2, kernels_avx512, kernels_avx512bf16;
const struct kernels *cpu_kernels(const struct queue *q);

#endif
