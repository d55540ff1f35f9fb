/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's two products and its softmax. Scores put lanes across keys (one chain over the head's elements for each), values put lanes across
 * the head's elements (one chain over keys in order for each), so that neither ever sums across lanes. Both hold a block of rows in registers
 * while a key or value vector passes by; the block sizes are what the registers hold and change no bits. */
#if defined(__AVX512F__)
enum { SCORE_ROWS = 12, SCORE_VECTORS = 2, VALUE_ROWS = 6, VALUE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { SCORE_ROWS = 6, SCORE_VECTORS = 1, VALUE_ROWS = 6, VALUE_VECTORS = 1 };
#else
enum { SCORE_ROWS = 2, SCORE_VECTORS = 1, VALUE_ROWS = 2, VALUE_VECTORS = 1 };
#endif

LANE_FN vf load_either(const void *p, size_t at, int half)
{
    return half ? v_load_bf16((const uint16_t *)p + at) : v_load((const float *)p + at);
}
LANE_FN vf load_either_n(const void *p, size_t at, int half, int n)
{
    return half ? v_load_bf16_n((const uint16_t *)p + at, n) : v_load_n((const float *)p + at, n);
}

/* `rows` and `vectors` are constants in every call. */
LANE_FN void score_block(const struct score_tile *t, int row, int key, int rows, int vectors, int half)
{
    vf sum[SCORE_ROWS][SCORE_VECTORS];
    const float *q = t->q + (size_t)row * t->q_stride;
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < vectors; j++)
            sum[r][j] = v_zero();
    for (int d = 0; d < t->head_dim; d++) {
        vf k[SCORE_VECTORS];
        UNROLL for (int j = 0; j < vectors; j++)
            k[j] = load_either(t->k, (size_t)d * t->k_stride + (size_t)(key + j * LANES), half);
        UNROLL for (int r = 0; r < rows; r++) {
            vf x = v_set(q[(size_t)r * t->q_stride + (size_t)d]);
            UNROLL for (int j = 0; j < vectors; j++)
                sum[r][j] = v_fma(x, k[j], sum[r][j]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(t->s + (size_t)(row + r) * t->s_stride + (size_t)(key + j * LANES), sum[r][j]);
}

#define SCORE_CASE(n) \
    case n: score_block(t, row, key, n, vectors, half); break;
LANE_FN void score_columns(const struct score_tile *t, int key, int vectors, int half)
{
    for (int row = 0, rows; row < t->n_row; row += rows) {
        rows = t->n_row - row < SCORE_ROWS ? t->n_row - row : SCORE_ROWS;
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
            SCORE_CASE(7)
            SCORE_CASE(8)
            SCORE_CASE(9)
            SCORE_CASE(10)
            SCORE_CASE(11)
            SCORE_CASE(12)
#endif
        }
    }
}

static void scores_kernel(const struct score_tile *t)
{
    int key = 0;
    for (; key + SCORE_VECTORS * LANES <= t->n_key; key += SCORE_VECTORS * LANES)
        if (t->dtype == DTYPE_BF16)
            score_columns(t, key, SCORE_VECTORS, 1);
        else
            score_columns(t, key, SCORE_VECTORS, 0);
    for (; key < t->n_key; key += LANES)
        if (t->dtype == DTYPE_BF16)
            score_columns(t, key, 1, 1);
        else
            score_columns(t, key, 1, 0);
}

LANE_FN void value_block(const struct value_tile *t, int row, int d, int rows, int vectors, int half, int lanes)
{
    vf sum[VALUE_ROWS][VALUE_VECTORS];
    float *out = t->out + (size_t)row * t->out_stride + (size_t)d;
    const float *p = t->p + (size_t)row * t->p_row_stride;
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < vectors; j++)
            sum[r][j] = v_load_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), lanes);
    for (int key = 0; key < t->n_key; key++) {
        vf v[VALUE_VECTORS];
        UNROLL for (int j = 0; j < vectors; j++)
            v[j] = load_either_n(t->v, (size_t)key * t->v_stride + (size_t)(d + j * LANES), half, lanes);
        UNROLL for (int r = 0; r < rows; r++) {
            vf x = v_set(p[(size_t)r * t->p_row_stride + (size_t)key * t->p_key_stride]);
            UNROLL for (int j = 0; j < vectors; j++)
                sum[r][j] = v_fma(x, v[j], sum[r][j]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < vectors; j++)
            v_store_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), sum[r][j], lanes);
}

#define VALUE_CASE(n) \
    case n: value_block(t, row, d, n, vectors, half, lanes); break;
LANE_FN void value_columns(const struct value_tile *t, int d, int vectors, int half, int lanes)
{
    for (int row = 0, rows; row < t->n_row; row += rows) {
        rows = t->n_row - row < VALUE_ROWS ? t->n_row - row : VALUE_ROWS;
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

LANE_FN void values_of(const struct value_tile *t, int half)
{
    int d = 0;
    for (; d + VALUE_VECTORS * LANES <= t->head_dim; d += VALUE_VECTORS * LANES)
        value_columns(t, d, VALUE_VECTORS, half, LANES);
    for (; d + LANES <= t->head_dim; d += LANES)
        value_columns(t, d, 1, half, LANES);
    if (d < t->head_dim)
        value_columns(t, d, 1, half, t->head_dim - d);
}
static void values_kernel(const struct value_tile *t)
{
    if (t->dtype == DTYPE_BF16)
        values_of(t, 1);
    else
        values_of(t, 0);
}

/* s[0..n) := exp(s - max), s[n..width) := 0; width is a multiple of 16. */
static void softmax_kernel(float *s, int n, int width, float *max, float *sum)
{
    vf top = v_set(-INFINITY), total = v_zero();
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        top = v_max(top, v_load(s + i));
    if (i < n)
        top = v_max(top, v_select(v_first_lanes(n - i), v_load(s + i), v_set(-INFINITY)));
    *max = v_fold_max(top);
    vf m = v_set(*max);
    for (i = 0; i < n; i += LANES) {
        vf p = v_exp(v_sub(v_load(s + i), m));
        if (n - i < LANES)
            p = v_select(v_first_lanes(n - i), p, v_zero());
        v_store(s + i, p);
        total = v_add(total, p);
    }
    for (; i < width; i += LANES)
        v_store(s + i, v_zero());
    *sum = v_fold(total);
}

/* Joins a chunk's state to the rows before it: both are brought to the greater maximum. */
static void merge_kernel(struct softmax_state *whole, const struct softmax_state *part, float *o, const float *part_o, int n)
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
static void finish_kernel(void *out, enum dtype out_dtype, const struct softmax_state *state, const float *o, int n, float *lse)
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

static float dot_kernel(const float *x, const float *y, int n)
{
    vf sum = v_zero();
    for (int i = 0; i < n; i += LANES)
        sum = v_fma(v_load_n(x + i, n - i), v_load_n(y + i, n - i), sum);
    return v_fold(sum);
}

/* Backward: s[0..n) := p = exp(s - lse) and dp := p (dp - delta) scale; both zero in n..width. */
static void softmax_dx_kernel(float *s, float *dp, int n, int width, float lse, float delta, float scale)
{
    vf l = v_set(lse), e = v_set(delta), c = v_set(scale);
    for (int i = 0; i < width; i += LANES) {
        vm in = v_first_lanes(n - i);
        vf p = v_select(in, v_exp(v_sub(v_load(s + i), l)), v_zero());
        v_store(s + i, p);
        v_store(dp + i, v_select(in, v_mul(v_mul(p, v_sub(v_load(dp + i), e)), c), v_zero()));
    }
}
