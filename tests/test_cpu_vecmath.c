/* SPDX-License-Identifier: Apache-2.0 */
/* The single-precision functions against libm's double ones over their whole range, at the ends, and the two builds of
 * the plain kernels (with fmaf called and fmaf as one instruction) against each other. */
#include "tests/ops_check.h"

#include "cpu/kernels.h"
#include "cpu/vecmath.h"

#include <math.h>
#include <stdlib.h>

static double ulps(float got, double want)
{
    int e;
    frexp(want, &e);
    double unit = ldexp(1, (e < -125 ? -125 : e) - 24);
    return fabs(got - want) / unit;
}

static void exp_is_within_one_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = -105000; i <= 88720; i += 7) {
        float x = (float)i / 1000 + 0.00017f * (float)(i % 11);
        double u = ulps(f_exp(x), exp((double)x));
        worst = u > worst ? u : worst;
    }
    if (worst > 1)
        fail_msg("exp is off by %g ulp", worst);
    assert_float_equal(f_exp(0), 1, 0);
    assert_float_equal(f_exp(-INFINITY), 0, 0);
    assert_float_equal(f_exp(-110), 0, 0);
    assert_true(isinf(f_exp(89)) && isinf(f_exp(INFINITY)) && isnan(f_exp(NAN)));
}

static void log_is_within_one_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i < 40000; i++) {
        float x = ldexpf(1 + ops_random(90, (uint64_t)i) * 0.49f, i % 4 ? i % 21 - 10 : i % 250 - 125);
        double u = ulps(f_log(x), log((double)x));
        worst = u > worst ? u : worst;
    }
    if (worst > 1)
        fail_msg("log is off by %g ulp", worst);
    assert_float_equal(f_log(1), 0, 0);
    assert_true(isinf(f_log(INFINITY)) && isnan(f_log(NAN)));
}

static void tanh_is_within_two_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = -12000; i <= 12000; i++) {
        float x = (float)i / 1000 + 0.00017f * (float)(i % 11);
        double u = ulps(v_first(v_tanh(v_set(x))), tanh((double)x));
        worst = u > worst ? u : worst;
    }
    if (worst > 2)
        fail_msg("tanh is off by %g ulp", worst);
    assert_float_equal(v_first(v_tanh(v_set(INFINITY))), 1, 0);
    assert_float_equal(v_first(v_tanh(v_set(-INFINITY))), -1, 0);
    assert_true(isnan(v_first(v_tanh(v_set(NAN)))));
}

static void sigmoid_silu_and_phi_are_close(void **state)
{
    (void)state;
    double sigmoid = 0, silu = 0, phi = 0;
    for (int i = -80000; i <= 80000; i += 3) {
        float x = (float)i / 1000;
        double e = 1 / (1 + exp(-(double)x)), u;
        sigmoid = (u = ulps(v_first(v_sigmoid(v_set(x))), e)) > sigmoid ? u : sigmoid;
        silu = (u = ulps(v_first(v_silu(v_set(x))), x * e)) > silu ? u : silu;
        phi = (u = fabs(v_first(v_phi(v_set(x))) - erfc(-x / sqrt(2)) / 2)) > phi ? u : phi;
    }
    if (sigmoid > 3 || silu > 3 || phi > 1e-7)
        fail_msg("sigmoid %g ulp, silu %g ulp, phi %g", sigmoid, silu, phi);
}

static void fused_and_called_plain_kernels_have_equal_bits(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (!isa_has_fma())
        SKIP_TEST("this processor has no fused multiply-add");
    enum { N = 1000 };
    float *x = malloc(4 * N * sizeof *x), *a = x + N, *b = x + 2 * N, *c = x + 3 * N;
    for (int act = ACT_SILU; act <= ACT_GELU_TANH; act++) {
        ops_fill(x, N, 91);
        ops_fill(c, N, 92);
        for (int i = 0; i < N; i++)
            x[i] *= 15;
        struct gate_row row = {
            .act = (enum activation)act, .x_dtype = DTYPE_F32, .y_dtype = DTYPE_F32, .n = N, .g = x, .u = c, .y = a};
        kernels_generic.gate(&row);
        row.y = b;
        kernels_fma.gate(&row);
        assert_memory_equal(a, b, N * sizeof *a);
    }
    float one = kernels_generic.row_exp_sum(x, N, 15, 0), two = kernels_fma.row_exp_sum(x, N, 15, 0);
    assert_memory_equal(&one, &two, 4);
    one = kernels_generic.dot(x, c, N);
    two = kernels_fma.dot(x, c, N);
    assert_memory_equal(&one, &two, 4);
    struct score_tile s = {.n_row = 5,
                           .n_key = 48,
                           .head_dim = 12,
                           .q = x,
                           .q_stride = 12,
                           .k = c,
                           .k_stride = 50,
                           .s = a,
                           .s_stride = 48};
    kernels_generic.scores(&s);
    s.s = b;
    kernels_fma.scores(&s);
    assert_memory_equal(a, b, 240 * sizeof *a);
    free(x);
#else
    SKIP_TEST("x86 has two builds of the plain kernels");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_one_ulp),
        cmocka_unit_test(log_is_within_one_ulp),
        cmocka_unit_test(tanh_is_within_two_ulp),
        cmocka_unit_test(sigmoid_silu_and_phi_are_close),
        cmocka_unit_test(fused_and_called_plain_kernels_have_equal_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
