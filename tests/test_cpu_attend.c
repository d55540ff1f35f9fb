/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over pages and inside borders: against a double-precision softmax, and the same bits however the rows are
 * batched, the pages sized or shared, and whichever of the two forms computes them. */
#include "tests/ops_check.h"

#include "cpu/kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SEQ = 8 };
struct setup {
    int n_head, n_kv_head, head_dim, n_seq, length[MAX_SEQ], page;
    enum dtype dtype;
    int shared; /* leading positions that all sequences have in common */
    int by_row; /* rows one call each instead of all at once */
    int share_pages;
    int window;     /* 0: none */
    float soft_cap; /* 0: none */
    int reach;      /* of a bias by distance, bordered only; 0: none */
};

static float bias_of(const struct setup *s, int head, int distance)
{
    return ops_random(170, (uint64_t)(head * (2 * s->reach + 1) + distance + s->reach));
}

static int total(const struct setup *s)
{
    int n = 0;
    for (int i = 0; i < s->n_seq; i++)
        n += s->length[i];
    return n;
}

/* Element i of row t of sequence s of q (what 0), k (1), v (2); equal for sequences where they are shared. */
static float element(const struct setup *s, int what, int seq, int t, int i)
{
    uint64_t key = (uint64_t)(t < s->shared && what ? 0 : seq + 1);
    float x = ops_random(100 + (uint64_t)what * 10 + key, (uint64_t)t * 4096 + (uint64_t)i);
    return what == 2 ? x : 2 * x;
}

static float stored(const struct setup *s, float x)
{
    return s->dtype == DTYPE_BF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

static float *rows_of(const struct setup *s, int what, int width)
{
    float *x = malloc((size_t)total(s) * (size_t)width * sizeof *x);
    assert_non_null(x);
    for (int seq = 0, row = 0; seq < s->n_seq; seq++)
        for (int t = 0; t < s->length[seq]; t++, row++)
            for (int i = 0; i < width; i++)
                x[(size_t)row * (size_t)width + (size_t)i] = element(s, what, seq, t, i);
    return x;
}

enum { TABLE = 40 };

/* Returns the number of pages and one: they are numbered in decreasing order unless sequences share some, so that
 * nothing may lean on neighbours. */
static int fill_table(const struct setup *s, int32_t *table)
{
    int n_page = 1;
    for (int i = 0; i < s->n_seq; i++)
        for (int p = 0; p < TABLE; p++) {
            int common = s->share_pages && (p + 1) * s->page <= s->shared && i;
            int used = p * s->page < s->length[i];
            table[i * TABLE + p] = -1000000;
            if (common)
                table[i * TABLE + p] = table[p];
            else if (used)
                table[i * TABLE + p] = n_page++;
        }
    for (int i = 0; i < s->n_seq * TABLE && !s->share_pages; i++)
        if (table[i] >= 0)
            table[i] = n_page - table[i];
    return n_page;
}

static size_t paged(struct ops *o, const void *parameter, float *out)
{
    const struct setup *s = parameter;
    struct kv_layout layout = {s->dtype, s->page, s->n_kv_head, s->head_dim};
    int n = total(s), width = s->n_head * s->head_dim, kv = s->n_kv_head * s->head_dim;
    int32_t table[MAX_SEQ * TABLE], *seq = malloc((size_t)n * sizeof *seq),
                                    *position = malloc((size_t)n * sizeof *position),
                                    *owner = malloc((size_t)n * sizeof *owner);
    int n_page = fill_table(s, table);
    for (int i = 0, row = 0; i < s->n_seq; i++)
        for (int t = 0; t < s->length[i]; t++, row++) {
            seq[row] = i;
            position[row] = t;
            owner[row] = i && s->share_pages && t < s->shared / s->page * s->page ? -1 : i; /* stored once */
        }
    float *q = rows_of(s, 0, width), *k = rows_of(s, 1, kv), *v = rows_of(s, 2, kv);
    struct span bq = ops_new(o, q, (size_t)n * (size_t)width * 4), bk = ops_new(o, k, (size_t)n * (size_t)kv * 4),
                bv = ops_new(o, v, (size_t)n * (size_t)kv * 4);
    struct span pages = ops_new(o, NULL, kv_page_bytes(o->device, &layout) * (size_t)(n_page + 1)),
                bt = ops_new(o, table, sizeof table);
    struct span bs = ops_new(o, seq, (size_t)n * 4), bp = ops_new(o, position, (size_t)n * 4),
                bw = ops_new(o, owner, (size_t)n * 4), bo = ops_new(o, NULL, (size_t)n * (size_t)width * 4);
    for (int row = 0; row < n; row += s->by_row ? 1 : n) {
        size_t r = (size_t)row;
        struct span rs = span_at(bs, r * 4), rp = span_at(bp, r * 4);
        int rows = s->by_row ? 1 : n;
        tensor_kv_store(o->queue, &(struct kv_store_args){.layout = layout,
                                                          .n_row = rows,
                                                          .k = span_at(bk, r * (size_t)kv * 4),
                                                          .v = span_at(bv, r * (size_t)kv * 4),
                                                          .pages = pages,
                                                          .block_table = bt,
                                                          .table_stride = TABLE,
                                                          .row_seq = span_at(bw, r * 4),
                                                          .positions = rp});
        tensor_attend(o->queue, &(struct attend_args){.layout = layout,
                                                      .n_row = rows,
                                                      .n_head = s->n_head,
                                                      .n_seq = s->n_seq,
                                                      .scale = 0.3f,
                                                      .q = span_at(bq, r * (size_t)width * 4),
                                                      .pages = pages,
                                                      .block_table = bt,
                                                      .table_stride = TABLE,
                                                      .row_seq = rs,
                                                      .positions = rp,
                                                      .out = span_at(bo, r * (size_t)width * 4),
                                                      .window = s->window,
                                                      .soft_cap = s->soft_cap});
    }
    ops_get(o, out, bo, (size_t)n * (size_t)width * 4);
    free(q);
    free(k);
    free(v);
    free(seq);
    free(position);
    free(owner);
    return (size_t)n * (size_t)width;
}

static size_t bordered(struct ops *o, const void *parameter, float *out)
{
    const struct setup *s = parameter;
    int n = total(s), width = s->n_head * s->head_dim, kv = s->n_kv_head * s->head_dim, all = width + 2 * kv,
        longest = 0;
    int32_t borders[MAX_SEQ + 1] = {0};
    for (int i = 0; i < s->n_seq; i++) {
        borders[i + 1] = borders[i] + s->length[i];
        longest = s->length[i] > longest ? s->length[i] : longest;
    }
    float *q = rows_of(s, 0, width), *k = rows_of(s, 1, kv), *v = rows_of(s, 2, kv),
          *x = malloc((size_t)n * (size_t)all * sizeof *x);
    int reaches = s->reach ? s->n_head * (2 * s->reach + 1) : 0;
    float *bias = malloc((size_t)(reaches + 1) * sizeof *bias);
    for (int i = 0; i < reaches; i++)
        bias[i] = bias_of(s, i / (2 * s->reach + 1), i % (2 * s->reach + 1) - s->reach);
    for (int t = 0; t < n; t++) {
        memcpy(x + (size_t)t * (size_t)all, q + (size_t)t * (size_t)width, (size_t)width * 4);
        memcpy(x + (size_t)t * (size_t)all + width, k + (size_t)t * (size_t)kv, (size_t)kv * 4);
        memcpy(x + (size_t)t * (size_t)all + width + kv, v + (size_t)t * (size_t)kv, (size_t)kv * 4);
    }
    struct span b = ops_new(o, x, (size_t)n * (size_t)all * 4), bo = ops_new(o, NULL, (size_t)n * (size_t)width * 4),
                bb = ops_new(o, borders, sizeof borders), bd = ops_new(o, bias, (size_t)(reaches + 1) * 4);
    tensor_attend_train(o->queue, &(struct attend_train_args){.n_row = n,
                                                              .n_seq = s->n_seq,
                                                              .n_head = s->n_head,
                                                              .n_kv_head = s->n_kv_head,
                                                              .head_dim = s->head_dim,
                                                              .max_len = longest,
                                                              .causal = 1,
                                                              .scale = 0.3f,
                                                              .q = b,
                                                              .k = span_at(b, (size_t)width * 4),
                                                              .v = span_at(b, (size_t)(width + kv) * 4),
                                                              .stride = all,
                                                              .borders = bb,
                                                              .out = bo,
                                                              .window = s->window,
                                                              .soft_cap = s->soft_cap,
                                                              .bias = reaches ? bd : SPAN_NONE,
                                                              .reach = s->reach});
    ops_get(o, out, bo, (size_t)n * (size_t)width * 4);
    free(bias);
    free(q);
    free(k);
    free(v);
    free(x);
    return (size_t)n * (size_t)width;
}

/* With a cache in bf16 q is rounded once it is scaled. */
static double scaled(const struct setup *s, float q)
{
    return s->dtype == DTYPE_BF16 ? (double)bf16_to_f32(f32_to_bf16(0.3f * q)) : (double)q * 0.3f;
}

/* out[d], and in most[d] the same with values' absolutes: rounding probabilities to bf16 (by 1/512 of each at most,
 * above and below the line) moves out[d] by less than 1/256 of it. */
static void oracle_row(const struct setup *s, int seq, int t, int head, double *out, double *most)
{
    int kv = head / (s->n_head / s->n_kv_head), d_count = s->head_dim,
        begin = s->window && t >= s->window ? t + 1 - s->window : 0;
    double *p = malloc((size_t)(t + 1) * sizeof *p), top = -INFINITY, sum = 0;
    for (int j = begin; j <= t; j++) {
        p[j] = 0;
        for (int d = 0; d < d_count; d++)
            p[j] += scaled(s, element(s, 0, seq, t, head * d_count + d)) *
                    stored(s, element(s, 1, seq, j, kv * d_count + d));
        if (s->reach)
            p[j] += (double)bias_of(s, head, j - t);
        if (s->soft_cap > 0)
            p[j] = (double)s->soft_cap * tanh(p[j] / (double)s->soft_cap);
        top = p[j] > top ? p[j] : top;
    }
    for (int j = begin; j <= t; j++)
        sum += p[j] = exp(p[j] - top);
    for (int d = 0; d < d_count; d++) {
        out[d] = most[d] = 0;
        for (int j = begin; j <= t; j++) {
            double v = p[j] / sum * stored(s, element(s, 2, seq, j, kv * d_count + d));
            out[d] += v;
            most[d] += fabs(v);
        }
    }
    free(p);
}

static void check_oracle(const struct setup *s, const float *got)
{
    double want[512], most[512], off = 0, n = 0;
    for (int seq = 0, row = 0; seq < s->n_seq; seq++)
        for (int t = 0; t < s->length[seq]; t++, row++)
            for (int h = 0;
                 h < s->n_head && (t < 3 || t % 61 == 0 || t + 2 > s->length[seq] || (t & 255) > 253 || (t & 255) < 2);
                 h++) {
                size_t at = ((size_t)row * (size_t)s->n_head + (size_t)h) * (size_t)s->head_dim;
                oracle_row(s, seq, t, h, want, most);
                for (int d = 0; d < s->head_dim; d++, n++) {
                    ops_close_to("out", at + (size_t)d, got[at + (size_t)d], want[d],
                                 1e-5 + (s->dtype == DTYPE_BF16 ? most[d] / 256 : 0), 1e-5);
                    off += fabs((double)got[at + (size_t)d] - want[d]);
                }
            }
    assert_true(off / n < (s->dtype == DTYPE_BF16 ? 4e-4 : 1e-6)); /* roundings cancel */
}

static void same_as(const struct setup *s, ops_case *run, const float *want, size_t n)
{
    struct ops o;
    float *got = malloc((n + 1) * sizeof *got);
    ops_open(&o, NULL, 2);
    assert_int_equal(run(&o, s, got), n);
    ops_close(&o);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], 4))
            fail_msg("page %d, by_row %d, share_pages %d: element %zu is %.9g, elsewhere %.9g", s->page, s->by_row,
                     s->share_pages, i, (double)got[i], (double)want[i]);
    free(got);
}

static const struct setup setups[] = {
    {.n_head = 9, .n_kv_head = 3, .head_dim = 64, .n_seq = 4, .length = {300, 257, 33, 1}, .shared = 33},
    {.n_head = 4, .n_kv_head = 4, .head_dim = 40, .n_seq = 5, .length = {31, 32, 63, 255, 256}, .shared = 0},
    {.n_head = 6, .n_kv_head = 1, .head_dim = 17, .n_seq = 3, .length = {140, 150, 160}, .shared = 137},
    {.n_head = 2, .n_kv_head = 2, .head_dim = 128, .n_seq = 1, .length = {530}},
    {.n_head = 7, .n_kv_head = 1, .head_dim = 8, .n_seq = 3, .length = {65, 1, 2}},
    {.n_head = 4, .n_kv_head = 2, .head_dim = 24, .n_seq = 3, .length = {530, 300, 40}, .shared = 35, .window = 70},
    {.n_head = 2,
     .n_kv_head = 1,
     .head_dim = 16,
     .n_seq = 2,
     .length = {290, 33},
     .shared = 32,
     .window = 1,
     .soft_cap = 0.7f},
    {.n_head = 3, .n_kv_head = 3, .head_dim = 32, .n_seq = 3, .length = {600, 90, 7}, .window = 256, .soft_cap = 3},
};
enum { N_SETUP = sizeof setups / sizeof *setups };

static void check_setup(struct setup s, int forms)
{
    size_t n;
    s.page = 32;
    float *first = ops_same_bits(paged, &s, &n);
    check_oracle(&s, first);
    for (s.page = 32; s.page <= 128; s.page *= 2)
        for (s.by_row = 0; s.by_row < 2; s.by_row++)
            for (s.share_pages = 0; s.share_pages < 2; s.share_pages++)
                same_as(&s, paged, first, n);
    if (forms)
        same_as(&s, bordered, first, n);
    free(first);
}

static void f32_cache_matches_oracle_and_all_batchings(void **state)
{
    (void)state;
    for (int i = 0; i < (ops_reduced() ? 1 : N_SETUP); i++)
        check_setup(setups[i], 1);
}

static void bf16_cache_matches_oracle_and_all_batchings(void **state)
{
    (void)state;
    for (int i = 0; i < (ops_reduced() ? 1 : N_SETUP); i++) {
        struct setup s = setups[i];
        s.dtype = DTYPE_BF16;
        check_setup(s, 0);
    }
}

static void bordered_form_has_the_same_bits_everywhere(void **state)
{
    (void)state;
    for (int i = 0; i < (ops_reduced() ? 1 : N_SETUP); i++) {
        if (i >= 3 && !setups[i].window)
            continue;
        size_t n;
        float *first = ops_same_bits(bordered, &setups[i], &n);
        check_oracle(&setups[i], first);
        free(first);
    }
}

static void scores_get_a_bias_by_distance(void **state)
{
    (void)state;
    struct setup s = {.n_head = 6, .n_kv_head = 2, .head_dim = 24, .n_seq = 3, .length = {530, 3, 290}, .reach = 540};
    size_t n;
    float *first = ops_same_bits(bordered, &s, &n);
    check_oracle(&s, first);
    free(first);
}

/* Copy on write: page 0's first 7 positions to page 2, then the first 5 of that to page 1; what lies behind them may be
 * anything. */
enum { COPY_PAGES = 4, COPY_HEADS = 3, COPY_DIM = 5, COPY_PAGE = 32 };
static struct kv_layout copy_layout(enum dtype dtype)
{
    return (struct kv_layout){dtype, COPY_PAGE, COPY_HEADS, COPY_DIM};
}

static size_t copied(struct ops *o, const void *parameter, float *out)
{
    struct kv_layout layout = copy_layout(*(const enum dtype *)parameter);
    static const int32_t copies[2][3] = {{0, 2, 7}, {2, 1, 5}};
    size_t bytes = COPY_PAGES * kv_page_bytes(o->device, &layout);
    ops_fill(out, bytes / 4, 90);
    struct span pages = ops_new(o, out, bytes);
    tensor_kv_copy(o->queue, &(struct kv_copy_args){layout, 2, ops_new(o, copies, sizeof copies), pages});
    ops_get(o, out, pages, bytes);
    return bytes / 4;
}

/* Bytes from a page's begin to element d of a head's key (or value) at a position. */
static size_t copied_at(const struct kv_layout *l, int value, int head, int position, int d)
{
    size_t part = (size_t)(value * l->n_kv_head + head) * kv_head_bytes(l);
    if (l->dtype == DTYPE_F32)
        return part + 4 * (size_t)(value ? position * l->head_dim + d : d * l->page + position);
    return part + 2 * (size_t)(value ? (position / 2 * l->head_dim + d) * 2 + position % 2
                                     : (d / 2 * l->page + position) * 2 + d % 2);
}

static void copies_hold_the_positions_in_use(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    for (int t = 0; t < 2; t++) {
        size_t n;
        struct kv_layout l = copy_layout(dtypes[t]);
        size_t page = kv_bytes(&l), element = dtype_size(l.dtype);
        char *got = (char *)ops_same_bits(copied, &dtypes[t], &n), *before = malloc(n * 4);
        assert_non_null(before);
        ops_fill((float *)(void *)before, n, 90);
        assert_memory_equal(got, before, page);
        assert_memory_equal(got + 3 * page, before + 3 * page, page);
        for (int i = 0; i < 2 * COPY_HEADS * COPY_DIM * 7; i++) {
            size_t at = copied_at(&l, i % 2, i / 2 % COPY_HEADS, i / 2 / COPY_HEADS % 7, i / 2 / COPY_HEADS / 7);
            assert_memory_equal(got + 2 * page + at, before + at, element);
            if (i / 2 / COPY_HEADS % 7 < 5)
                assert_memory_equal(got + page + at, before + at, element);
        }
        free(got);
        free(before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_cache_matches_oracle_and_all_batchings),
        cmocka_unit_test(bf16_cache_matches_oracle_and_all_batchings),
        cmocka_unit_test(bordered_form_has_the_same_bits_everywhere),
        cmocka_unit_test(scores_get_a_bias_by_distance),
        cmocka_unit_test(copies_hold_the_positions_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
