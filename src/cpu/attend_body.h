/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's two products and its softmax. Scores put lanes across keys (one chain over the head's elements for each),
 * values put lanes across the head's elements (one chain over keys in order for each), so that neither ever sums across
 * lanes. Both hold a block of rows in registers while a key or value vector passes by; the block sizes are what the
 * registers hold and change no bits. With a cache in bf16 a chain's element is a word of two products. */
#if defined(__AVX512F__)
enum { SCORE_ROWS = 12, SCORE_VECTORS = 4, VALUE_ROWS = 6, VALUE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { SCORE_ROWS = 6, SCORE_VECTORS = 1, VALUE_ROWS = 6, VALUE_VECTORS = 1 };
#else
enum { SCORE_ROWS = 2, SCORE_VECTORS = 1, VALUE_ROWS = 2, VALUE_VECTORS = 1 };
#endif

/* sum + x y, or in pairs (sum + x[1] y[1]) + x[0] y[0], each fused: the order in which the instruction for pairs does
 * it, so that it changes no bits either (but for numbers below the normal ones, which it takes for zeros). */
LANE_FN vf multiply_add(vf x, vf y, vf sum, int pairs)
{
    if (!pairs)
        return v_fma(x, y, sum);
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
#else
    vf high = v_set_bits(0xffff0000u);
    return v_fma(v_shift_16(x), v_shift_16(y), v_fma(v_and(x, high), v_and(y, high), sum));
#endif
}

/* A share of what comes next for each of `turns` turns of a loop. */
LANE_FN size_t share_of(const struct ahead *a, int turns)
{
    return a->bytes ? (a->bytes / 64 + (size_t)turns - 1) / (size_t)turns * 64 : 0;
}
LANE_FN const char *ask(const char *at, size_t share)
{
    for (size_t i = 0; i < share; i += 64)
        __builtin_prefetch(at + i, 0, 2); /* into the second cache: into the first one it gains nothing */
    return at + share;
}

/* `rows`, `vectors` and `pairs` are constants in every call. The first block of rows asks for what comes next. */
LANE_FN void score_block(const struct score_tile *t, int row, int key, int rows, int vectors, int pairs)
{
    size_t share = row ? 0 : share_of(&t->ahead, (t->n_key + LANES - 1) / LANES * t->head_dim) * (size_t)vectors;
    const char *ahead = t->ahead.at + share / (size_t)vectors * (size_t)(key / LANES * t->head_dim);
    vf sum[SCORE_ROWS][SCORE_VECTORS];
    const float *q = (const float *)t->q + (size_t)row * t->q_stride, *keys = (const float *)t->k + key;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        sum[r][j] = v_zero();
    for (int d = 0; d < t->head_dim; d++, keys += t->k_stride) {
        vf k[SCORE_VECTORS];
        ahead = ask(ahead, share);
        UNROLL
        for (int j = 0; j < vectors; j++)
            k[j] = v_load(keys + j * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = v_set(q[(size_t)r * t->q_stride + (size_t)d]);
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[r][j] = multiply_add(x, k[j], sum[r][j], pairs);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        v_store(t->s + (size_t)(row + r) * t->s_stride + (size_t)(key + j * LANES), sum[r][j]);
}

/* Rows in blocks of about equal size; 4 vectors at once only where rows are few. */
#define SCORE_CASE(n) \
    case n: score_block(t, row, key, n, vectors, pairs); break;
LANE_FN void score_columns(const struct score_tile *t, int key, int vectors, int pairs)
{
    for (int row = 0, rows, left = (t->n_row + SCORE_ROWS - 1) / SCORE_ROWS; left > 0; row += rows, left--) {
        rows = (t->n_row - row + left - 1) / left;
        switch (rows) {
            SCORE_CASE(1)
            SCORE_CASE(2)
#if defined(__AVX2__)
            SCORE_CASE(3)
            SCORE_CASE(4)
            SCORE_CASE(5)
            SCORE_CASE(6)
#endif
#if defined(__AVX512F__)
        default:
            if (vectors > 2)
                break;
            switch (rows) {
                SCORE_CASE(7)
                SCORE_CASE(8)
                SCORE_CASE(9)
                SCORE_CASE(10)
                SCORE_CASE(11)
                SCORE_CASE(12)
            }
#endif
        }
    }
}

LANE_FN void scores_of(const struct score_tile *t, int pairs)
{
    int key = 0;
#if defined(__AVX512F__)
    for (; t->n_row <= 6 && key + 3 * LANES < t->n_key; key += 4 * LANES)
        score_columns(t, key, 4, pairs);
    for (; key + LANES < t->n_key; key += 2 * LANES)
        score_columns(t, key, 2, pairs);
#endif
    for (; key < t->n_key; key += LANES)
        score_columns(t, key, 1, pairs);
}

static void scores_kernel(const struct score_tile *t)
{
    if (t->dtype == DTYPE_BF16)
        scores_of(t, 1);
    else
        scores_of(t, 0);
}

LANE_FN void value_block(const struct value_tile *t, int row, int d, int rows, int vectors, int pairs, int lanes)
{
    vf sum[VALUE_ROWS][VALUE_VECTORS];
    float *out = t->out + (size_t)row * t->out_stride + (size_t)d;
    const float *p = (const float *)t->p + (size_t)row * t->p_row_stride, *values = (const float *)t->v + d;
    size_t share = row || d ? 0 : share_of(&t->ahead, t->n_key);
    const char *ahead = t->ahead.at;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        sum[r][j] = v_load_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), lanes);
    for (int key = 0; key < t->n_key; key++, values += t->v_stride) {
        vf v[VALUE_VECTORS];
        ahead = ask(ahead, share);
        UNROLL
        for (int j = 0; j < vectors; j++)
            v[j] = v_load_n(values + j * LANES, lanes);
        UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = v_set(p[(size_t)r * t->p_row_stride + (size_t)key * t->p_key_stride]);
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[r][j] = multiply_add(x, v[j], sum[r][j], pairs);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        v_store_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), sum[r][j], lanes);
}

#define VALUE_CASE(n) \
    case n: value_block(t, row, d, n, vectors, pairs, lanes); break;
LANE_FN void value_columns(const struct value_tile *t, int d, int vectors, int pairs, int lanes)
{
    for (int row = 0, rows, left = (t->n_row + VALUE_ROWS - 1) / VALUE_ROWS; left > 0; row += rows, left--) {
        rows = (t->n_row - row + left - 1) / left;
        switch (rows) {
            VALUE_CASE(1)
            VALUE_CASE(2)
#if defined(__AVX2__)
            VALUE_CASE(3)
            VALUE_CASE(4)
            VALUE_CASE(5)
            VALUE_CASE(6)
#endif
        }
    }
}

LANE_FN void values_of(const struct value_tile *t, int pairs)
{
    int d = 0;
    for (; d + VALUE_VECTORS * LANES <= t->head_dim; d += VALUE_VECTORS * LANES)
        value_columns(t, d, VALUE_VECTORS, pairs, LANES);
    for (; d + LANES <= t->head_dim; d += LANES)
        value_columns(t, d, 1, pairs, LANES);
    if (d < t->head_dim)
        value_columns(t, d, 1, pairs, t->head_dim - d);
}
static void values_kernel(const struct value_tile *t)
{
    if (t->dtype == DTYPE_BF16)
        values_of(t, 1);
    else
        values_of(t, 0);
}

/* Lanes i.. of a row that are keys from..n. */
LANE_FN vf only_seen(const struct softmax_row *r, int i, vf x, vf other)
{
    if (i < r->from)
        x = v_select(v_first_lanes(r->from - i), other, x);
    return r->n - i < LANES ? v_select(v_first_lanes(r->n - i), x, other) : x;
}

static __attribute__((noinline, unused)) vf soft_capped(vf x, float cap, vf *t)
{
    *t = v_tanh(v_div(x, v_set(cap)));
    return v_mul(v_set(cap), *t);
}

/* s[from..n) := exp(s - max), 0 up to width elsewhere, in BF16 packed to the front, and the sum is of what was
 * stored. */
LANE_FN void softmax_any(const struct softmax_row *r, int half, struct softmax_state *state)
{
    float *s = r->s;
    uint16_t *packed = (uint16_t *)(void *)s;
    vf top = v_set(-INFINITY), total = v_zero(), t;
    for (int i = r->from / LANES * LANES; r->soft_cap > 0 && i < r->n; i += LANES)
        v_store(s + i, soft_capped(v_load(s + i), r->soft_cap, &t));
    for (int i = r->from / LANES * LANES; i < r->n; i += LANES)
        top = v_max(top, only_seen(r, i, v_load(s + i), v_set(-INFINITY)));
    state->max = v_fold_max(top);
    vf m = v_set(state->max);
    for (int i = 0; i < r->width; i += LANES) {
        int seen = i < r->n && i + LANES > r->from;
        vf p = seen ? only_seen(r, i, v_exp(v_sub(v_load(s + i), m)), v_zero()) : v_zero();
        if (half) {
            v_store_bf16(packed + i, p);
            p = v_load_bf16(packed + i);
        } else {
            v_store(s + i, p);
        }
        total = v_add(total, p);
    }
    state->sum = v_fold(total);
}
static void softmax_kernel(const struct softmax_row *r, struct softmax_state *state)
{
    if (r->dtype == DTYPE_BF16)
        softmax_any(r, 1, state);
    else
        softmax_any(r, 0, state);
}

/* Joins a chunk's state to the rows before it: both are brought to the greater maximum. */
static void merge_kernel(struct softmax_state *whole, const struct softmax_state *part, float *o, const float *part_o,
                         int n)
{
    float top = whole->max > part->max ? whole->max : part->max;
    float a = f_exp(whole->max - top), b = f_exp(part->max - top);
    whole->max = top;
    whole->sum = fmaf(whole->sum, a, part->sum * b);
    for (int i = 0; i < n; i += LANES) {
        int left = n - i;
        v_store_n(o + i, v_fma(v_load_n(o + i, left), v_set(a), v_mul(v_load_n(part_o + i, left), v_set(b))), left);
    }
}

/* Keys past a row's end have weight zero and may have turned +0 into -0 or not: adding +0 settles it. */
static void finish_kernel(void *out, enum dtype out_dtype, const struct softmax_state *state, const float *o, int n,
                          float *lse)
{
    vf sum = v_set(state->sum);
    for (int i = 0; i < n; i += LANES)
        store_as(out, out_dtype, (size_t)i, v_add(v_div(v_load_n(o + i, n - i), sum), v_zero()), n - i);
    if (lse)
        *lse = state->max + f_log(state->sum);
}

static void copy_scaled_kernel(float *y, const float *x, float scale, int n)
{
    for (int i = 0; i < n; i += LANES)
        v_store_n(y + i, v_mul(v_load_n(x + i, n - i), v_set(scale)), n - i);
}

static void round_scaled_kernel(uint16_t *y, const float *x, float scale, int n)
{
    for (int i = 0; i < n; i += LANES)
        v_store_bf16_n(y + i, v_mul(v_load_n(x + i, n - i), v_set(scale)), n - i);
}

static float dot_kernel(const float *x, const float *y, int n)
{
    vf sum = v_zero();
    for (int i = 0; i < n; i += LANES)
        sum = v_fma(v_load_n(x + i, n - i), v_load_n(y + i, n - i), sum);
    return v_fold(sum);
}

/* Backward, in keys from..n: s := p = exp(s - lse), dp := p (dp - delta) scale, by the slope of the soft cap; both zero
 * elsewhere up to width. */
static void softmax_dx_kernel(const struct softmax_dx_row *r)
{
    vf l = v_set(r->lse), e = v_set(r->delta), c = v_set(r->scale), t = v_zero();
    for (int i = 0; i < r->width; i += LANES) {
        vf x = v_load(r->s + i), d = v_load(r->dp + i);
        if (r->soft_cap > 0)
            x = soft_capped(x, r->soft_cap, &t);
        vf p = v_exp(v_sub(x, l));
        d = v_mul(v_mul(p, v_sub(d, e)), c);
        if (r->soft_cap > 0)
            d = v_mul(d, v_fnma(t, t, v_set(1)));
        vm in = v_first_lanes(r->n - i), before = v_first_lanes(r->from - i);
        v_store(r->s + i, v_select(before, v_zero(), v_select(in, p, v_zero())));
        v_store(r->dp + i, v_select(before, v_zero(), v_select(in, d, v_zero())));
    }
}
