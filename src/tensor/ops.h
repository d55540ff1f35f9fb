/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of operators that every backend fills. An operator takes a queue and a struct of plain values (spans,
 * handles, numbers), which the backend may copy and run later. Shapes are checked by whoever plans the work; operators
 * return nothing.
 *
 * Numerics (docs/NUMERICS.md). f32: each product element is one chain of fused multiply-adds over K in increasing order
 * starting from zero (or from the accumulator, in linear_dw), so the bits do not depend on rows, threads or vector
 * width. Norms and dot products reduce over 16 lanes (lane = index mod 16, each lane one chain in order; then lanes are
 * added pairwise: 8 apart, 4, 2, 1). exp, log, sigmoid are the backend's own polynomials with the same operation order
 * on every instruction set. quantised weights: activations are rounded to int8 in blocks of 32 k, a block's products
 * are one exact integer sum (Q6_K: two), and a chain of fused multiply-adds runs over the blocks in order: the same
 * bits on every instruction set. Or their values are expanded, some at a time, and multiplied as a weight of f32 or
 * bf16 (enum quantised_way). bf16 weights: activations are rounded to bf16, products accumulate in f32; bits may differ
 * between instruction sets only. All activations are f32 unless a dtype member says otherwise; bf16 members are allowed
 * where noted. Strides are in elements; 0 = dense. */
#ifndef TENSOR_OPS_H
#define TENSOR_OPS_H

#include "tensor/tensor.h"

/* Every backend has all of these. */
/* clang-format off */
#define TENSOR_PLAIN_OPS(X)                                                                                         \
    X(weight_pack) X(weight_unpack) X(linear_dx) X(linear_dw) X(embed) X(embed_dw) X(norm) X(norm_dx)               \
    X(rope_table) X(rope) X(kv_store) X(kv_copy) X(attend) X(attend_train) X(attend_train_dx) X(gate) X(gate_dx)    \
    X(bias_dw) X(soft_cap) X(add) X(scale) X(fill) X(copy) X(cast) X(gather_rows) X(scatter_add_rows) X(pool_rows)  \
    X(cross_entropy) X(divergence) X(candidates) X(sample) X(sum_squares)
/* clang-format on */
/* These too, but what they fuse is optional: a backend that says in its `fused` that it has it not gets the composed
 * form, with the same bits.
 *   FUSED_GATE        linear with gate or activate; else linear into args->wide, then gate
 *   FUSED_ADAMW_PACK  adamw with w; else adamw, then weight_pack */
#define TENSOR_OPS(X) TENSOR_PLAIN_OPS(X) X(linear) X(adamw)
enum tensor_fused { FUSED_GATE = 1, FUSED_ADAMW_PACK = 2 };
/* Bytes of linear_args.wide for rows of a product with n outputs and a gate or an activation; 0: the device fuses them.
 * Asked before work. */
size_t linear_wide_bytes(const struct device *d, int64_t n_row, int64_t n);

/* transformers' ACT2FN without those that have parameters (prelu, xielu) and sqrtsoftplus, which weighs experts. */
enum activation {
    ACT_SILU,
    ACT_RELU,
    ACT_GELU,
    ACT_GELU_TANH,
    ACT_GELU_10,
    ACT_QUICK_GELU,
    ACT_RELU2,
    ACT_RELU6,
    ACT_LEAKY_RELU,
    ACT_HARDSWISH,
    ACT_SIGMOID,
    ACT_TANH,
    ACT_MISH,
    ACT_LAPLACE,
    ACT_LINEAR,
    ACT_COUNT
};

/* Rows [row, row+n_row) of w := src [n_row,K], src_dtype F32 or BF16 (of quantised rows for Q8 only); or, for quantised
 * rows of one type, that type: rows of blocks as they lie in a GGUF file (Q8: Q8_0). noise, for F32 into BF16: 0: to
 * nearest; else rounded at random, up as often as what is cut off says; the numbers are functions of noise and the
 * place in w. */
struct weight_pack_args {
    struct weight *w;
    int64_t row, n_row;
    struct span src;
    enum dtype src_dtype;
    uint64_t noise;
};
/* dst f32 [n_row,K] := rows of w. */
struct weight_unpack_args {
    const struct weight *w;
    int64_t row, n_row;
    struct span dst;
};

/* How a product reads a quantised weight: x becomes int8; or the weight's values are taken, as they are or rounded to
 * bf16, and the product is that of an F32 or a BF16 weight that holds them, bit for bit. No other copy of the weight is
 * made: values live in scratch for as long as they are multiplied. Other weights have one way only. */
enum quantised_way { QUANTISED_INT8, QUANTISED_F32, QUANTISED_BF16 };

/* y[t,n] = epilogue(sum_k x[r(t),k] w[n,k]); r(t) = rows[t] when rows is given, else t.
 * gate: w has 2F rows (F gate rows, then F up rows); y [T,F] = act(gate) * up. activate, without gate: y = act(sum +
 * bias). bias f32 [N]. residual f32 [T,N] is added last and may be y itself; its rows are residual_stride apart (0:
 * dense). */
struct linear_args {
    const struct weight *w;
    int n_row;
    struct span x;
    enum dtype x_dtype;
    int64_t x_stride; /* [.,K] f32 or bf16 */
    struct span rows; /* i32 [T] or SPAN_NONE */
    struct span y;
    enum dtype y_dtype;
    int64_t y_stride;           /* [T,N] or [T,F]; f32 or bf16 */
    struct span bias, residual; /* or SPAN_NONE */
    int gate, activate;
    enum activation act;
    int64_t residual_stride;
    enum quantised_way way;
    struct span wide; /* with gate or activate (then without residual, y dense): linear_wide_bytes(), or SPAN_NONE */
};
/* dx[t,k] (+)= sum_n dy[t,n] w[n,k], chain over n in order. accumulate: the chain's result is added to dx. dx f32
 * [T,K], dy f32 [T,N]. count: only over n in [first, first + count), first a multiple of 32; 0: all. way: of a
 * quantised w, not INT8. */
struct linear_dx_args {
    const struct weight *w;
    int n_row;
    struct span dy;
    int64_t dy_stride;
    struct span dx;
    int64_t dx_stride;
    int accumulate;
    int64_t first, count;
    enum quantised_way way;
};
/* dw[n,k] = dw[n,k] then one chain over t of dy[t,n] x[t,k], in order of t, continuing from the value in dw: so
 * splitting the rows over several calls gives the same bits. compute BF16: dy and x are rounded to bf16 and taken in
 * pairs of rows (2i, 2i+1): n_row must be even and callers pad every training row (sequence) to an even number of token
 * rows with exact zeros. dw f32 [N,K]. borders i32 [n_seq+1] (or SPAN_NONE): rows of sequence i are
 * borders[i]..borders[i+1], all rows in order; lets a backend sum over tiles of rows that begin with each sequence:
 * same bits for any split into calls of whole sequences, and several times the speed where there is AMX. fresh: dw is
 * written as if it had held zeros. */
struct linear_dw_args {
    int64_t n, k;
    int n_row;
    enum dtype compute;
    struct span dy;
    int64_t dy_stride;
    struct span x;
    enum dtype x_dtype;
    int64_t x_stride;
    struct span dw, borders;
    int n_seq, fresh;
};

/* y[t] = row tokens[t] + offset of the table w (a weight [V,C]), y f32 [T,C]. Token < 0 (padding): zeros. accumulate:
 * it is added to y[t]. tokens SPAN_NONE: all are 0. */
struct embed_args {
    const struct weight *w;
    int n_row;
    struct span tokens, y;
    int offset, accumulate;
};
/* dw[tokens[t] + offset] += dy[t], in order of t. dw f32 [V,C]. Token < 0: skipped (padding). */
struct embed_dw_args {
    int64_t n_vocab;
    int n_row, n_col;
    struct span tokens, dy, dw;
    int offset;
};
/* db[n] += dy[t,n] over t in order (continuing, as linear_dw). dy f32 [T,N], dense when dy_stride is 0. */
struct bias_dw_args {
    int n_row, n_col;
    struct span dy;
    int64_t dy_stride;
    struct span db;
};

enum norm_kind { NORM_RMS, NORM_LAYER };
/* y = norm(x) * (offset + weight) (+ bias). x f32 [T,C]. inverse: f32 [T] 1/rms (LAYER: also mean: f32 [T]) kept for
 * norm_dx, or SPAN_NONE. n_group > 1: every row has that many stretches of C side by side (the heads of queries and
 * keys), each normalised by itself; inverse and mean are [T,n_group]. Strides are between rows; 0: n_group * C. y may
 * be x. weight SPAN_NONE: as if offset + weight were 1. */
struct norm_args {
    enum norm_kind kind;
    int n_row, n_col;
    float eps;
    struct span x, weight, bias;
    struct span y;
    enum dtype y_dtype;
    struct span inverse, mean;
    int n_group;
    int64_t x_stride, y_stride;
    float offset;
};
/* dx (+)= gradient; dweight [C] += over rows in order (continuing, as linear_dw), dbias likewise. */
struct norm_dx_args {
    enum norm_kind kind;
    int n_row, n_col;
    struct span x, weight, inverse, mean, dy, dx;
    int accumulate;
    struct span dweight, dbias;
    int n_group;
    int64_t x_stride, dy_stride, dx_stride; /* dx may be dy, with its stride */
    float offset;
};

/* table f32 [T, D] : cos [D/2] then sin [D/2] of each row's position * inv_freq[i], the product rounded to f32;
 * inv_freq f32 [D/2] from the host. factor: cosines and sines are multiplied by it (yarn's and longrope's attention
 * factor); 0: by nothing. D: the dimensions that rotate. A row whose length (i32 [T]) is more than `limit` (0: there is
 * none) turns by long_inv_freq, or with a stretch by inv_freq[i] / (stretch * length / limit - stretch + 1)^(2i/(D-2)).
 */
struct rope_table_args {
    int n_row, n_rotated;
    struct span positions /* i32 [T] */, inv_freq, table;
    float factor;
    int limit;
    float stretch;
    struct span lengths, long_inv_freq;
};
/* In place on n_head heads of D at x (row stride in elements), rotate-half layout (pairs i, i+D/2), row t by row t of
 * the table. inverse: rotates back (backward; with a factor it is the gradient, not the inverse). n_rotated: only the
 * first so many elements of a head rotate, D/2 being half of that; 0: all. */
struct rope_args {
    int n_row, n_head, head_dim;
    struct span x;
    int64_t x_stride;
    struct span table;
    int inverse, n_rotated;
};

/* The KV cache of one layer: pages of `page` positions (32, 64 or 128), each holding K and V of all heads in dtype F32
 * or BF16. How a page is laid out is the backend's business; page p lies at base + p * kv_page_bytes(). Position t of
 * sequence s is slot t % page of page block_table[s][t / page]. What lies further behind a sequence's end may be
 * anything: nothing of it reaches a result. */
struct kv_layout {
    enum dtype dtype;
    int page, n_kv_head, head_dim;
};
size_t kv_page_bytes(const struct device *d, const struct kv_layout *layout);
/* Stores k, v f32 [T, K*D] rows (given row stride) at (row_seq[t], positions[t]); a position is stored before those
 * behind it. row_seq < 0: the row is skipped. */
struct kv_store_args {
    struct kv_layout layout;
    int n_row;
    struct span k, v;
    int64_t stride;
    struct span pages, block_table;
    int table_stride;
    struct span row_seq, positions;
};
/* Copies the first positions of pages (copy on write): copies i32 [n][3] = (from, to, positions), in order. */
struct kv_copy_args {
    struct kv_layout layout;
    int n;
    struct span copies, pages;
};
/* out[t] = softmax(q[t] K^T scale) V over positions 0..positions[t] of sequence row_seq[t]. Softmax state per fixed
 * 256-position chunk of absolute position, merged in order; K and V are read as stored, and with a cache in BF16 q *
 * scale and the probabilities of a chunk are rounded to bf16 too (their sum is of the rounded ones). Rows of one
 * sequence are adjacent. Sequences that share leading pages should be adjacent: the backend may read those pages once.
 * q f32 [T, H*D]; out [T, H*D]. row_seq < 0: zeros.
 * window > 0: only the last `window` of these positions, the row's own among them. soft_cap > 0: scores (scaled) become
 * soft_cap * tanh(score / soft_cap). */
struct attend_args {
    struct kv_layout layout;
    int n_row, n_head, n_seq;
    float scale;
    struct span q;
    int64_t q_stride;
    struct span pages, block_table;
    int table_stride;
    struct span row_seq, positions;
    struct span out;
    enum dtype out_dtype;
    int window;
    float soft_cap;
};
/* Causal (or not) attention inside the sequences whose rows are borders[i]..borders[i+1] (i32 [n_seq+1], also given on
 * the host as max_len). q, k, v f32 with one row stride. Same arithmetic as attend (chunks of 256 from the sequence's
 * start). lse: f32 [T,H] log-sum-exp kept for backward, or SPAN_NONE. valid: i32 [n_seq] number of real rows of each
 * sequence (the rest is padding: its outputs are zero), or SPAN_NONE. window (causal only) and soft_cap as in
 * attend. bias: f32 [H, 2 reach + 1], added to the scores of a head by how far a key lies behind its row (-reach to
 * reach, as far as any does), or SPAN_NONE, as attend_train_dx wants it. */
struct attend_train_args {
    int n_row, n_seq, n_head, n_kv_head, head_dim, max_len, causal;
    float scale;
    struct span q, k, v;
    int64_t stride;
    struct span borders, valid, out;
    enum dtype out_dtype;
    struct span lse;
    int window;
    float soft_cap;
    struct span bias;
    int reach;
};
/* dq, dk, dv f32 with stride dstride := gradients (zeros in padding rows); `out` as attend_train wrote it, f32. */
struct attend_train_dx_args {
    struct attend_train_args forward;
    struct span dout, dq, dk, dv;
    int64_t dstride;
};

/* y[t,f] = act(x[t,f]) * x[t,F+f] when gated (x [T,2F]), else act(x[t,f]). x and y f32 or bf16. */
struct gate_args {
    enum activation act;
    int gated, n_row, n_col /* F */;
    struct span x, y;
    enum dtype y_dtype, x_dtype;
};
/* dx f32 [T,2F] or [T,F] from dy [T,F]; x f32 or bf16. An f32 x may be dx. */
struct gate_dx_args {
    enum activation act;
    int gated, n_row, n_col;
    struct span x, dy, dx;
    enum dtype x_dtype;
};

/* x = cap tanh(x / cap), f32 */
struct soft_cap_args {
    size_t n;
    float cap;
    struct span x;
};
/* y += x, or with a buffer there z = y + x, where z may be y; f32 */
struct add_args {
    size_t n;
    struct span x, y, z;
};
/* y = factor x, f32; y may be x */
struct scale_args {
    size_t n;
    float factor;
    struct span x, y;
};
/* zeroes */
struct fill_args {
    size_t bytes;
    struct span y;
};
struct copy_args {
    size_t bytes;
    struct span x, y;
};
struct cast_args {
    size_t n;
    struct span x;
    enum dtype x_dtype;
    struct span y;
    enum dtype y_dtype;
};
/* y[i] = x[rows[i]], f32 */
struct gather_rows_args {
    int n_row, n_col;
    struct span x, rows, y;
};
/* y[rows[i]] += x[i], in order, f32 */
struct scatter_add_rows_args {
    int n_row, n_col;
    struct span x, rows, y;
};
enum pool_kind { POOL_MEAN, POOL_MAX, POOL_FIRST, POOL_LAST };
/* y[s] = what `kind` says of its (valid) rows, zeros of none */
struct pool_rows_args {
    enum pool_kind kind;
    int n_seq, n_col;
    struct span x, borders, valid, y;
};

/* nll[i] = logsumexp(logits[i]) - logits[i][targets[i]]. With grad_scale != 0 logits are replaced by (softmax - onehot)
 * * grad_scale. Target < 0 (padding): nll 0 and a row of zeros. soft_cap > 0: the logits are what soft_cap gave, and
 * the gradient is with respect to what it got. */
struct cross_entropy_args {
    int n_row, n_vocab;
    struct span logits, targets, nll;
    float grad_scale, soft_cap;
};

/* Of softmax(logits[i]) = q from a distribution p of which the n_top greatest log-probabilities are known, the rest
 * being one more outcome of probability 1 - their sum: loss[i] = sum of p (log p - log q) over these outcomes. ids i32
 * [n_row,n_top], each row's distinct, -1 behind its last; logprobs f32 [n_row,n_top]. With grad_scale != 0 logits are
 * replaced by the gradient * grad_scale, soft_cap as in cross_entropy. A row without ids (padding): loss 0 and a row of
 * zeros. n_top <= DIVERGENCE_MAX_TOP. */
enum { DIVERGENCE_MAX_TOP = 256 };
struct divergence_args {
    int n_row, n_vocab, n_top;
    struct span logits, ids, logprobs, loss;
    float grad_scale, soft_cap;
};

/* Logit processors for one batch of rows, transformers' order: repetition penalty, then bans (no-repeat-ngram,
 * min-length, ...). Lists are CSR: ids of row i are list[offset[i]] .. list[offset[i+1]-1]. */
struct logit_rules {
    struct span penalty;                    /* f32 [n] (1 = off), or SPAN_NONE */
    struct span seen_offsets, seen_ids;     /* i32: distinct ids the penalty hits */
    struct span banned_offsets, banned_ids; /* i32: set to -inf */
};
/* beams: s = log_softmax(logits), else s = logits; processors on s; + bias[i] (f32 [n], beam score; or SPAN_NONE); the
 * n_top greatest per row in decreasing order, ties to the lower id: values f32 [n,n_top], ids i32 [n,n_top]; raw f32
 * [n,n_top]: log_softmax of the unprocessed logits at those ids. logits are overwritten. */
struct candidates_args {
    int n_row, n_vocab, n_top, log_softmax;
    struct span logits, bias;
    struct logit_rules rules;
    struct span values, ids, raw;
};
/* One sampled id a row: processors, then temperature, top_k, top_p, min_p (each row's own, f32 [n,4] in `knobs`:
 * temperature, top_k (0 off), top_p, min_p), then the inverse distribution function at uniform[i] over ids in
 * decreasing probability (ties: lower id). id i32 [n], raw f32 [n]. */
struct sample_args {
    int n_row, n_vocab;
    struct span logits;
    struct logit_rules rules;
    struct span knobs, uniform, ids, raw;
};

/* out f64 [1] (+)= sum of squares of x f32 [n]; fixed blocks of 4096, each 16 double lanes, blocks added in order.
 * apart: out f64 [blocks] := their sums, which are not added. */
struct sum_squares_args {
    size_t n;
    struct span x, out;
    int accumulate, apart;
};
/* Decoupled AdamW as torch.optim.AdamW, f32: g = grad * grad_scale; p *= 1 - lr*decay; m, v; p -= lr * (m/c1) /
 * (sqrt(v/c2) + eps), c1 = 1-beta1^t, c2 = 1-beta2^t. moments BF16: m and v are kept in bf16, rounded at random, up as
 * often as what is cut off says; the numbers are functions of (key, first + index). w: NULL, or the weight whose rows
 * [row, row + n / K) param holds: they are packed while they are at hand, as weight_pack packs them with this noise. */
struct adamw_args {
    size_t n;
    struct span param, grad, m, v;
    float lr, beta1, beta2, eps, decay, grad_scale, c1, c2;
    enum dtype moments;
    uint64_t key, first;
    struct weight *w;
    int64_t row;
    uint64_t noise;
};

struct backend_ops {
#define X(op) void (*op)(struct queue * q, const struct op##_args *args);
    TENSOR_OPS(X)
#undef X
};
/* tensor_linear(q, &(struct linear_args){...}) and so on. */
#define X(op) void tensor_##op(struct queue *q, const struct op##_args *args);
TENSOR_OPS(X)
#undef X

#endif
