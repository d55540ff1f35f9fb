/* SPDX-License-Identifier: Apache-2.0 */
/* base/: maths against libm, Philox against its published vectors, pool, buffers, errors. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

static void maths_agree_with_libm(void **state)
{
    (void)state;
    struct rng_stream s = {1, 2, 3};
    for (int i = 0; i < 20000; i++) {
        double x = (rng_uniform_double(&s, (uint64_t)i) - 0.5) * 200;
        double y = rng_uniform_double(&s, (uint64_t)i + 100000) * 1e4 + 1e-9;
        assert_true(fabs(maths_exp(x) / exp(x) - 1) < 1e-15);
        assert_true(fabs(maths_log(y) - log(y)) < 1e-15 * (1 + fabs(log(y))));
        assert_true(fabs(maths_sin(x * 50) - sin(x * 50)) < 1e-15);
        assert_true(fabs(maths_cos(x * 50) - cos(x * 50)) < 1e-15);
        assert_true(fabs(maths_pow(y, x / 50) / pow(y, x / 50) - 1) < 2e-15);
    }
    assert_true(maths_exp(0) == 1 && maths_log(1) == 0 && maths_cos(0) == 1 && maths_exp(-1000) == 0);
}

/* Any number at once: libm's, and the bits of the single ones. */
static void sines_and_cosines_together(void **state)
{
    (void)state;
    double x[19], sines[19], cosines[19];
    for (int n = 1; n <= 19; n++) {
        for (int i = 0; i < n; i++)
            x[i] = (i % 2 ? -1 : 1) * (0.37 + 1.7 * i + 4096.125 * (i / 3) * n);
        maths_sin_cos(x, n, sines, cosines);
        for (int i = 0; i < n; i++) {
            assert_true(fabs(sines[i] - sin(x[i])) < 1e-12 && fabs(cosines[i] - cos(x[i])) < 1e-12);
            assert_true(sines[i] == maths_sin(x[i]) && cosines[i] == maths_cos(x[i]));
        }
    }
}

/* Known answers of the Random123 distribution (kat_vectors). */
static void philox_known_answers(void **state)
{
    (void)state;
    uint32_t out[4];
    philox4x32((uint32_t[]){0, 0}, (uint32_t[]){0, 0, 0, 0}, out);
    assert_int_equal(out[0], 0x6627e8d5);
    assert_int_equal(out[1], 0xe169c58d);
    assert_int_equal(out[2], 0xbc57ac4c);
    assert_int_equal(out[3], 0x9b00dbd8);
    philox4x32((uint32_t[]){0xa4093822, 0x299f31d0}, (uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, out);
    assert_int_equal(out[0], 0xd16cfe09);
    assert_int_equal(out[3], 0x24126ea1);
}

static void permutation_is_one(void **state)
{
    (void)state;
    uint32_t order[100];
    int seen[100] = {0};
    rng_permutation(&(struct rng_stream){7, 0, 0}, order, 100);
    for (int i = 0; i < 100; i++)
        seen[order[i]]++;
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
}

static void add_piece(void *context, int piece, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_long *)context, piece + 1);
}

static void pool_runs_every_piece_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct pool *p = NULL;
        assert_int_equal(pool_new(&p, n, NULL), 0);
        for (int run = 0; run < 200; run++) {
            atomic_long sum = 0;
            pool_run(p, 37, add_piece, &sum);
            assert_int_equal(sum, 37 * 38 / 2);
        }
        pool_free(p);
    }
}

/* Worker w has the pieces from w n / threads to (w + 1) n / threads; where those are the same, none. */
static void a_pieces_stretch_ends_where_the_next_workers_begins(void **state)
{
    (void)state;
    for (int n_thread = 1; n_thread <= 5; n_thread++) {
        struct pool *p = NULL;
        assert_int_equal(pool_new(&p, n_thread, NULL), 0);
        for (int n = 1; n <= 40; n++)
            for (int piece = 0; piece < n; piece++) {
                int worker = 0;
                while ((worker + 1) * n / n_thread <= piece)
                    worker++;
                assert_int_equal(pool_stretch_end(p, n, piece), (worker + 1) * n / n_thread);
            }
        pool_free(p);
    }
}

/* A worker that is late for the last run meets the generation that stops in its place: it must not sleep on it. */
static void pool_stops_while_workers_are_late(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct pool *p = NULL;
        atomic_long sum = 0;
        assert_int_equal(pool_new(&p, 2 + i % 3, NULL), 0);
        for (int run = 0; run < i % 4; run++)
            pool_run(p, 2, add_piece, &sum);
        pool_free(p);
        assert_int_equal(sum, i % 4 * 3);
    }
}

static void buffers_survive_failed_allocations(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s-%d", "abc", 42);
    assert_string_equal(b.data, "abc-42");
    mem_fail_at(0);
    for (int i = 0; i < 100; i++)
        buf_putc(&b, 'x');
    assert_true(b.failed);
    mem_fail_at(-1);
    assert_null(buf_take(&b));
}

static void errors_carry_exit_codes(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_exit_code(error_set(&err, ERROR_DATA, "f.jsonl:%d: bad", 3)), 65);
    error_prefix(&err, "seeds");
    assert_string_equal(err.message, "seeds: f.jsonl:3: bad");
    error_set(&err, ERROR_DATA, "found \"%s\"", "a\r\nisara: done");
    assert_string_equal(err.message, "found \"a  isara: done\""); /* one line, whatever it quotes */
    assert_int_equal(error_exit_code(ERROR_INTERRUPTED), 75);
    assert_int_equal(error_exit_code(0), 0);
}

static void sha256_known_answer(void **state)
{
    (void)state;
    char hex[65];
    sha256_bytes("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maths_agree_with_libm),
        cmocka_unit_test(sines_and_cosines_together),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(permutation_is_one),
        cmocka_unit_test(pool_runs_every_piece_once),
        cmocka_unit_test(a_pieces_stretch_ends_where_the_next_workers_begins),
        cmocka_unit_test(pool_stops_while_workers_are_late),
        cmocka_unit_test(errors_carry_exit_codes),
        cmocka_unit_test(buffers_survive_failed_allocations),
        cmocka_unit_test(sha256_known_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
