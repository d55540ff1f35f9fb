/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of bf16 multiplied by the instruction for them and by two fused multiply-adds: every operator that has both
 * ways gives the same bits, also where numbers are infinite, none, or below the normal ones. */
#include "tests/ops_check.h"

#include "base/dtype.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_M = 49, MOST_N = 132, MOST_K = 101, N_KIND = 4, N_OP = 5 };
enum op { FORWARD, GATED, DX, DX_ADDED, DW };

struct shape {
    int kind, op, m, n, k;
};

static uint32_t random_bits(int what, int i)
{
    struct rng_stream s = {11, (uint64_t)what, 0};
    return rng_u32(&s, (uint64_t)i);
}

/* Number i of operand `what`: ordinary; its products about as small as the smallest normal numbers; ordinary but for a
 * few of any bits at all (infinities, NaNs of many kinds, subnormal ones); small as before, and rows of zeros, so that
 * what is added to them by other instructions comes out as it is. */
static float number(int kind, int what, int i)
{
    uint32_t bits = random_bits(what, 2 * i), other = random_bits(what, 2 * i + 1), exponent = 120 + other % 10;
    float x;
    if (kind == 3 && what <= 2)
        return 0;
    uint32_t least = what == 7 ? 0 : 56; /* values meet numbers of about one */
    if (kind % 2)
        exponent = other % 16 ? least + other % 16 : 0;
    if (kind != 2 || other % 97)
        bits = (bits & 0x807fffff) | exponent << 23;
    memcpy(&x, &bits, 4);
    return x;
}

static struct span operand(struct ops *o, int kind, int what, int n)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n; i++)
        x[i] = number(kind, what, i);
    struct span s = ops_new(o, x, (size_t)n * sizeof *x);
    free(x);
    return s;
}

static void run(struct ops *o, const struct shape *s, struct weight *w, struct span y)
{
    struct span x = operand(o, s->kind, 1, s->m * s->k), dy = operand(o, s->kind, 2, s->m * s->n);
    if (s->op == DW)
        tensor_linear_dw(o->queue,
                         &(struct linear_dw_args){
                             .n = s->n, .k = s->k, .n_row = s->m, .compute = DTYPE_BF16, .dy = dy, .x = x, .dw = y});
    else if (s->op == FORWARD || s->op == GATED)
        tensor_linear(o->queue, &(struct linear_args){.w = w, .n_row = s->m, .x = x, .y = y, .gate = s->op == GATED});
    else
        tensor_linear_dx(o->queue, &(struct linear_dx_args){
                                       .w = w, .n_row = s->m, .dy = dy, .dx = y, .accumulate = s->op == DX_ADDED});
}

/* The bits of one product by one way, to be freed. */
static uint32_t *bits_of(const struct shape *s, const char *way, size_t *n)
{
    const size_t sizes[N_OP] = {[FORWARD] = (size_t)(s->m * s->n),
                                [GATED] = (size_t)(s->m * (s->n / 2)),
                                [DX] = (size_t)(s->m * s->k),
                                [DX_ADDED] = (size_t)(s->m * s->k),
                                [DW] = (size_t)(s->n * s->k)};
    struct ops o;
    struct weight *w;
    *n = sizes[s->op];
    uint32_t *out = malloc(*n * sizeof *out);
    assert_non_null(out);
    setenv("ISARA_BF16", way, 1);
    ops_open(&o, "avx512bf16", 2);
    assert_string_equal(device_pairs(o.device), way);
    struct span from = operand(&o, s->kind, 3, s->n * s->k), y = operand(&o, s->kind, 4, (int)*n);
    assert_int_equal(weight_new(&w, o.device, (struct weight_shape){s->n, s->k, DTYPE_BF16}, "w", NULL), 0);
    tensor_weight_pack(o.queue, &(struct weight_pack_args){.w = w, .n_row = s->n, .src = from});
    run(&o, s, w, y);
    ops_get(&o, out, y, *n * sizeof *out);
    weight_free(w);
    ops_close(&o);
    volatile float below_normal = 0x1p-140f;
    if (below_normal * 0.5f <= 0)
        fail_msg("subnormal numbers are zeros after product %d by '%s'", s->op, way);
    return out;
}

static void same_bits(const struct shape *s)
{
    size_t n;
    uint32_t *dp = bits_of(s, "dp", &n), *fma = bits_of(s, "fma", &n);
    for (size_t i = 0; i < n; i++)
        if (dp[i] != fma[i])
            fail_msg("numbers %d, product %d of %d x %d x %d at %zu: %08x by the instruction, %08x by two", s->kind,
                     s->op, s->m, s->n, s->k, i, dp[i], fma[i]);
    free(dp);
    free(fma);
}

static int missing(void)
{
    struct device *d;
    struct device_options options = {.n_thread = 1, .isa = "avx512bf16"};
    if (device_open(&d, DEVICE_CPU, &options, NULL))
        return 1;
    device_close(d);
    return 0;
}

static void products_have_the_same_bits_either_way(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25, MOST_M},
                     shapes[][2] = {{132, 101}, {64, 32}, {40, 7}};
    if (missing())
        SKIP_TEST("wanted a processor with avx512bf16");
    for (int kind = 0; kind < N_KIND; kind++)
        for (int op = 0; op < N_OP; op++)
            for (int i = 0; i < 3; i++)
                for (size_t r = 0; r < sizeof rows / sizeof *rows; r += ops_reduced() ? 4 : 1)
                    same_bits(&(struct shape){kind, op, rows[r], shapes[i][0], shapes[i][1]});
}

/* Attention of one sequence, two query heads a key head, over a cache in bf16; `out` has a place for every query. */
enum { LENGTH = 300, TABLE = 10, PAGE = 32, MOST_DIM = 64 };
static void attend(const char *way, int kind, int head_dim, uint32_t *out)
{
    struct ops o;
    int32_t table[TABLE], positions[LENGTH], sequence[LENGTH] = {0};
    struct kv_layout layout = {DTYPE_BF16, PAGE, 2, head_dim};
    for (int i = 0; i < TABLE; i++)
        table[i] = TABLE - 1 - i;
    for (int i = 0; i < LENGTH; i++)
        positions[i] = i;
    setenv("ISARA_BF16", way, 1);
    ops_open(&o, "avx512bf16", 2);
    struct span q = operand(&o, kind == 1 ? 0 : kind, 5, LENGTH * 4 * head_dim),
                k = operand(&o, 0, 6, LENGTH * 2 * head_dim), v = operand(&o, kind, 7, LENGTH * 2 * head_dim);
    struct span y = ops_new(&o, NULL, (size_t)(LENGTH * 4 * head_dim) * sizeof *out),
                pages = ops_new(&o, NULL, TABLE * kv_page_bytes(o.device, &layout));
    struct span bt = ops_new(&o, table, sizeof table), bs = ops_new(&o, sequence, sizeof sequence),
                bp = ops_new(&o, positions, sizeof positions);
    tensor_kv_store(o.queue, &(struct kv_store_args){.layout = layout,
                                                     .n_row = LENGTH,
                                                     .k = k,
                                                     .v = v,
                                                     .pages = pages,
                                                     .block_table = bt,
                                                     .table_stride = TABLE,
                                                     .row_seq = bs,
                                                     .positions = bp});
    tensor_attend(o.queue, &(struct attend_args){.layout = layout,
                                                 .n_row = LENGTH,
                                                 .n_head = 4,
                                                 .n_seq = 1,
                                                 .scale = 0.3f,
                                                 .q = q,
                                                 .pages = pages,
                                                 .block_table = bt,
                                                 .table_stride = TABLE,
                                                 .row_seq = bs,
                                                 .positions = bp,
                                                 .out = y});
    ops_get(&o, out, y, (size_t)(LENGTH * 4 * head_dim) * sizeof *out);
    ops_close(&o);
}

static void attention_has_the_same_bits_either_way(void **state)
{
    (void)state;
    static const int dims[] = {MOST_DIM, 33};
    static uint32_t dp[LENGTH * 4 * MOST_DIM], fma[LENGTH * 4 * MOST_DIM];
    if (missing())
        SKIP_TEST("wanted a processor with avx512bf16");
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < 2; i++) {
            attend("dp", kind, dims[i], dp);
            attend("fma", kind, dims[i], fma);
            for (int j = 0; j < LENGTH * 4 * dims[i]; j++)
                if (dp[j] != fma[j])
                    fail_msg("numbers %d, head of %d at %d: %08x by the instruction, %08x by two", kind, dims[i], j,
                             dp[j], fma[j]);
        }
}

static void a_way_that_there_is_not_is_refused(void **state)
{
    (void)state;
    struct device *d;
    struct error err = {0};
    setenv("ISARA_BF16", "sometimes", 1);
    assert_int_equal(device_open(&d, DEVICE_CPU, NULL, &err), ERROR_USAGE);
    unsetenv("ISARA_BF16");
    assert_non_null(strstr(err.message, "ISARA_BF16 'sometimes': wanted dp or fma"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_have_the_same_bits_either_way),
        cmocka_unit_test(attention_has_the_same_bits_either_way),
        cmocka_unit_test(a_way_that_there_is_not_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
