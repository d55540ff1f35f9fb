/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on a small random model: the same bytes for a request whatever is around it, prefixes computed once,
 * budgets kept, errors named. */
#include "generate/generate.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/check.h"
#include "tests/generate_mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Alone on a cold engine is the truth; then the whole mix in random order under other settings, twice (cold and
 * hot). */
static void same_bytes_of(enum dtype dtype, const char *more, int n_round)
{
    static int32_t prompts[MAX_REQUEST][CONTEXT];
    static const int pages[] = {32, 64, 128}, chunks[] = {1, 7, 33, 512};
    struct generate_request q[MAX_REQUEST], mixed[MAX_REQUEST];
    struct record alone[MAX_REQUEST] = {{0}}, got[MAX_REQUEST] = {{0}};
    struct device *second = open_device(2), *first;
    struct error err;
    assert_int_equal(device_open(&first, DEVICE_CPU, &(struct device_options){.n_thread = 1}, &err), 0);
    struct model *m1 = small_model_with(first, dtype, more), *m2 = small_model_with(second, dtype, more);
    for (int round = 0; round < n_round; round++) {
        int n = 2 + below(MAX_REQUEST - 2);
        random_requests(q, n, prompts);
        struct generate_engine_options plain;
        generate_engine_options_default(&plain, m1);
        for (int i = 0; i < n; i++) {
            struct generate_engine *e = engine_with(m1, &plain);
            run_all(e, &q[i], 1, &alone[i]);
            generate_engine_free(e);
        }
        struct generate_engine_options o = plain;
        o.page = pages[below(3)];
        o.prefill_chunk = chunks[below(4)];
        o.prefix_cache = below(4) != 0;
        o.max_batch = below(2) ? 0 : 5 + below(12);
        if (below(2)) /* little more than the greediest request needs: eviction and waiting */
            o.memory_bytes = (size_t)(12 + below(12)) * (size_t)(128 / o.page) * 2 * 2 * 2 * 16 * (size_t)o.page *
                             dtype_size(o.kv_dtype);
        struct generate_engine *e = engine_with(m2, &o);
        for (int again = 0; again < 2; again++) {
            int order[MAX_REQUEST];
            for (int i = 0; i < n; i++) {
                int at = below(i + 1);
                order[i] = order[at];
                order[at] = i;
            }
            for (int i = 0; i < n; i++)
                mixed[i] = q[order[i]];
            run_all(e, mixed, n, got);
            for (int i = 0; i < n; i++)
                expect_same(&alone[order[i]], &got[i], again ? "in a hot mix" : "in a mix", round, order[i]);
            forget_records(got, n);
        }
        struct generate_stats s = generate_engine_stats(e);
        assert_int_equal(s.step_allocations, 0);
        assert_true(!o.memory_bytes ||
                    (s.kv_bytes <= o.memory_bytes &&
                     s.peak_pages * 2 * 2 * 2 * 16 * (size_t)o.page * dtype_size(o.kv_dtype) <= s.kv_bytes));
        generate_engine_free(e);
        forget_records(alone, n);
    }
    model_close(m1);
    model_close(m2);
    device_close(first);
    device_close(second);
}

static void same_bytes(enum dtype dtype, int n_round)
{
    same_bytes_of(dtype, "{}", n_round);
}

static int rounds(int n)
{
    const char *reduced = getenv("ISARA_REDUCED");
    return reduced && *reduced ? (n + 3) / 4 : n;
}

static void a_request_gives_the_same_bytes_alone_and_in_any_mix_f32(void **state)
{
    (void)state;
    same_bytes(DTYPE_F32, rounds(everything_remote ? 4 : 12));
}

static void a_request_gives_the_same_bytes_alone_and_in_any_mix_bf16(void **state)
{
    (void)state;
    same_bytes(DTYPE_BF16, rounds(everything_remote ? 4 : 12));
}

static void a_request_gives_the_same_bytes_alone_and_in_any_mix_q8(void **state)
{
    (void)state;
    same_bytes(DTYPE_Q8, rounds(everything_remote ? 4 : 6));
}

/* On both sides of where frequencies change, and across. */
static void texts_that_turn_by_their_length_give_the_same_bytes_alone_and_in_any_mix(void **state)
{
    (void)state;
    same_bytes_of(DTYPE_F32,
                  "{\"rope_scaling\":{\"rope_type\":\"longrope\",\"original_max_position_embeddings\":30,"
                  "\"short_factor\":[1,1,1,1,1,1,1,1],\"long_factor\":[1,2,3,4,5,6,7,8]}}",
                  rounds(everything_remote ? 2 : 5));
    same_bytes_of(DTYPE_F32, "{\"max_position_embeddings\":45,\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":9}}",
                  rounds(everything_remote ? 2 : 3));
}

/* Four requests of one prompt of 100 tokens, whose frequencies change at 130, in room for little more than one of them:
 * only those that stay below it share its pages, as the others will give back what they have found and take all anew.
 */
static void texts_that_will_turn_otherwise_share_no_pages(void **state)
{
    (void)state;
    static const struct {
        int n_prompt, n_new, computed;
    } cases[] = {{100, 31, 100 + 3 * 1}, {100, 32, 4 * 100}, {131, 8, 4 * 131}};
    enum { PAGE = 32, N_PAGE = 12, N = 4 };
    int32_t prompt[CONTEXT];
    struct generate_request q[N];
    struct record alone = {0}, r[N] = {{0}};
    struct device *d = open_device(1);
    struct model *m =
        small_model_with(d, DTYPE_F32,
                         "{\"rope_scaling\":{\"rope_type\":\"longrope\",\"original_max_position_embeddings\":130,"
                         "\"short_factor\":[1,1,1,1,1,1,1,1],\"long_factor\":[1,2,3,4,5,6,7,8]}}");
    struct generate_engine_options o;
    generate_engine_options_default(&o, m);
    o.page = PAGE;
    o.memory_bytes = (size_t)N_PAGE * 2 * 2 * 2 * 16 * PAGE * dtype_size(o.kv_dtype);
    for (int t = 0; t < CONTEXT; t++)
        prompt[t] = 3 + t % 90;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        for (int i = 0; i < N; i++) {
            q[i] = (struct generate_request){.prompt = prompt, .n_prompt = cases[k].n_prompt};
            generate_options_default(&q[i].options);
            q[i].options.max_new_tokens = q[i].options.min_new_tokens = cases[k].n_new;
        }
        struct generate_engine *e = engine_with(m, NULL);
        run_all(e, q, 1, &alone);
        generate_engine_free(e);
        e = engine_with(m, &o);
        run_all(e, q, N, r);
        struct generate_stats s = generate_engine_stats(e);
        assert_int_equal(s.computed_prompt_tokens, cases[k].computed);
        assert_in_range(s.peak_pages, 1, N_PAGE);
        for (int i = 0; i < N; i++)
            expect_same(&alone, &r[i], "in little room", (int)k, i);
        forget_records(&alone, 1);
        forget_records(r, N);
        generate_engine_free(e);
    }
    model_close(m);
    device_close(d);
}

struct fixture {
    struct device *d;
    struct model *m;
};
static struct fixture fixture_open(enum dtype dtype)
{
    struct fixture f;
    f.d = open_device(1);
    f.m = small_model(f.d, dtype);
    return f;
}
static void fixture_close(struct fixture *f)
{
    model_close(f->m);
    device_close(f->d);
}

/* 64 prompts with a common start of 300 tokens, then one of their own: 300 + 64 token rows are computed, not 64 *
 * 301. */
static void a_common_prefix_is_computed_once(void **state)
{
    (void)state;
    static int32_t prompts[64][301];
    static const int pages[] = {32, 64, 128}, chunks[] = {50, 512};
    struct generate_request q[64];
    struct record r[64] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    for (int i = 0; i < 64; i++) {
        for (int t = 0; t < 300; t++)
            prompts[i][t] = 3 + t % 90;
        prompts[i][300] = 3 + i;
        q[i] = (struct generate_request){.prompt = prompts[i], .n_prompt = 301};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 2;
    }
    for (int k = 0; k < 6; k++) {
        struct generate_engine_options o;
        generate_engine_options_default(&o, f.m);
        o.page = pages[k % 3];
        o.prefill_chunk = chunks[k / 3];
        struct generate_engine *e = engine_with(f.m, &o);
        run_all(e, q, 64, r);
        struct generate_stats s = generate_engine_stats(e);
        assert_int_equal(s.prompt_tokens, 64 * 301);
        assert_int_equal(s.computed_prompt_tokens, 300 + 64);
        assert_int_equal(s.step_allocations, 0);
        forget_records(r, 64);
        run_all(e, q, 64, r); /* hot: only the last token of each again */
        assert_int_equal(generate_engine_stats(e).computed_prompt_tokens, 300 + 64 + 64);
        generate_engine_forget(e);
        forget_records(r, 64);
        run_all(e, q, 64, r);
        assert_int_equal(generate_engine_stats(e).computed_prompt_tokens, 2 * (300 + 64) + 64);
        forget_records(r, 64);
        generate_engine_free(e);
    }
    fixture_close(&f);
}

/* Twice the prompts, twice the work; and the five beams of a request share its prompt's pages. */
static void work_grows_with_the_prompts_and_beams_share_their_prompt(void **state)
{
    (void)state;
    static int32_t prompts[16][200];
    struct generate_request q[16];
    struct record r[16] = {{0}};
    long rows[2], head_rows[2];
    struct fixture f = fixture_open(DTYPE_F32);
    for (int i = 0; i < 16; i++) {
        for (int t = 0; t < 200; t++)
            prompts[i][t] = t ? 3 + below(VOCAB - 3) : 3 + i; /* nothing in common */
        q[i] = (struct generate_request){.prompt = prompts[i], .n_prompt = 200};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 20;
        q[i].options.num_beams = 5;
    }
    for (int k = 0; k < 2; k++) {
        struct generate_engine *e = engine_with(f.m, NULL);
        run_all(e, q, k ? 16 : 8, r);
        struct generate_stats s = generate_engine_stats(e);
        rows[k] = s.rows;
        head_rows[k] = s.head_rows;
        assert_int_equal(s.step_allocations, 0);
        assert_in_range(s.peak_pages, 1, (size_t)(k ? 16 : 8) * (4 + 5));
        forget_records(r, 16);
        generate_engine_free(e);
    }
    assert_int_equal(rows[0], 8 * (200 + 19 * 5));
    assert_int_equal(rows[1], 2 * rows[0]);
    assert_int_equal(head_rows[0], 8 * (1 + 19 * 5)); /* of a prompt only the last row meets the vocabulary */
    assert_int_equal(head_rows[1], 2 * head_rows[0]);
    fixture_close(&f);
}

/* The weights are read once a pass, whoever is in flight: sixteen texts take the passes of one. */
static void sixteen_texts_are_decoded_in_the_passes_of_one(void **state)
{
    (void)state;
    static int32_t prompts[16][20];
    struct generate_request q[16];
    struct record r[16] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    for (int i = 0; i < 16; i++) {
        for (int t = 0; t < 20; t++)
            prompts[i][t] =
                t ? 3 + below(VOCAB - 3) : 3 + i; /* nothing in common, so nobody waits for anybody's prefix */
        q[i] = (struct generate_request){.prompt = prompts[i], .n_prompt = 20};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 30;
        q[i].options.num_beams = 1 + i % 3;
    }
    for (int n = 1; n <= 16; n += 15) {
        struct generate_engine *e = engine_with(f.m, NULL);
        run_all(e, q, n, r);
        assert_int_equal(generate_engine_stats(e).steps, 30);
        forget_records(r, 16);
        generate_engine_free(e);
    }
    fixture_close(&f);
}

/* Two places. A long text decodes in one of them while ten short ones follow each other in the other, and a long prompt
 * comes in by chunks of 10 rows: nobody waits for anybody, so there are hardly more steps than the longest text has
 * tokens. */
static void finished_requests_leave_at_once_and_long_prompts_hold_nobody_up(void **state)
{
    (void)state;
    static int32_t prompts[12][CONTEXT];
    struct generate_request q[12];
    struct record r[12] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    struct generate_engine_options o;
    generate_engine_options_default(&o, f.m);
    o.max_batch = 2;
    o.prefill_chunk = 10;
    for (int i = 0; i < 12; i++) {
        int n = i == 11 ? 200 : 5;
        for (int t = 0; t < n; t++)
            prompts[i][t] = t ? 3 + below(VOCAB - 3) : 3 + i; /* in this order */
        q[i] = (struct generate_request){.prompt = prompts[i], .n_prompt = n};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = i ? 2 : 60;
    }
    struct generate_engine *e = engine_with(f.m, &o);
    run_all(e, q, 12, r);
    struct generate_stats s = generate_engine_stats(e);
    assert_int_equal(s.rows, 5 + 59 + 10 * (5 + 1) + 200 + 1);
    assert_in_range(s.steps, 60, 62); /* 10 * 2 + 200 / 10 + 1 run beside the 60 */
    forget_records(r, 12);
    generate_engine_free(e);
    fixture_close(&f);
}

static void a_request_that_cannot_run_says_why_and_the_others_go_on(void **state)
{
    (void)state;
    int32_t prompt[CONTEXT];
    struct generate_request q[7];
    struct record r[7] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    for (int t = 0; t < CONTEXT; t++)
        prompt[t] = 3 + t % 50;
    for (int i = 0; i < 7; i++) {
        q[i] = (struct generate_request){.prompt = prompt, .n_prompt = 40};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 8;
    }
    int32_t bad[2] = {5, VOCAB};
    q[0].n_prompt = CONTEXT - 3;
    q[1].options.do_sample = 1;
    q[1].options.temperature = -1;
    q[2].prompt = bad;
    q[2].n_prompt = 2;
    q[3].options.num_beams = 5;
    q[3].options.max_new_tokens = 300;
    q[5].n_prompt = 0;
    q[6].options.n_stop = 1;
    strcpy(q[6].options.stop[0], "x");
    struct generate_engine_options o;
    generate_engine_options_default(&o, f.m);
    o.memory_bytes = 10 * 2 * 2 * 2 * 16 * 64 * 4; /* 10 pages */
    struct generate_engine *e = engine_with(f.m, &o);
    run_all(e, q, 7, r);
    const char *says[7] = {"context of 400", "temperature", "token 1 is 97", "memory", NULL, "prompt", "stop"};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(r[i].code != 0, says[i] != NULL);
        if (says[i] && !strstr(r[i].message, says[i]))
            fail_msg("%d: %s", i, r[i].message);
    }
    assert_true(generate_engine_stats(e).peak_pages <= 10);
    forget_records(r, 7);
    generate_engine_free(e);
    fixture_close(&f);
}

/* Sample k depends on its key and k alone, not on how many are drawn; one candidate left is greedy; another seed is
 * another text. */
static void samples_are_keyed_and_top_k_one_is_greedy(void **state)
{
    (void)state;
    int32_t prompt[30];
    struct generate_request q[5];
    struct record r[5] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    for (int t = 0; t < 30; t++)
        prompt[t] = 3 + 7 * t % 90;
    for (int i = 0; i < 5; i++) {
        q[i] = (struct generate_request){.prompt = prompt, .n_prompt = 30, .seed = 1, .key_a = 2, .key_b = 3};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 16;
        q[i].options.do_sample = i != 4;
        q[i].options.top_k = 0;
        q[i].options.temperature = 3;
    }
    q[0].options.num_return_sequences = 4;
    q[1].options.num_return_sequences = 2;
    q[2].seed = 2;
    q[3].options.top_k = 1;
    struct generate_engine *e = engine_with(f.m, NULL);
    run_all(e, q, 5, r);
    size_t one = r[2].n;
    assert_int_equal(r[0].n, 4 * one);
    assert_memory_equal(r[0].bytes, r[1].bytes, 2 * one);
    assert_memory_not_equal(r[0].bytes, r[0].bytes + one, 64);
    assert_memory_not_equal(r[0].bytes, r[2].bytes, 64);
    assert_int_equal(r[3].n, r[4].n);
    assert_memory_equal(r[3].bytes, r[4].bytes, r[3].n);
    forget_records(r, 5);
    generate_engine_free(e);
    fixture_close(&f);
}

static int stop_at_second(void *user, int index, const struct generate_result *result)
{
    (void)index;
    (void)result;
    return ++*(int *)user == 2 ? ERROR_IO : 0;
}

static int interrupt_at_first(void *user, int index, const struct generate_result *result)
{
    (void)user;
    (void)index;
    (void)result;
    interrupt_request(2);
    return 0;
}

/* Stopping in the middle, by the caller or a signal, leaves an engine that gives the same bytes again and has lost no
 * page. */
static void an_engine_that_was_stopped_goes_on_as_new(void **state)
{
    (void)state;
    static int32_t prompts[MAX_REQUEST][CONTEXT];
    struct generate_request q[12];
    struct record want[12] = {{0}}, got[12] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    struct error err;
    random_requests(q, 12, prompts);
    struct generate_engine_options o;
    generate_engine_options_default(&o, f.m);
    o.prefill_chunk = 40;
    struct generate_engine *e = engine_with(f.m, &o);
    run_all(e, q, 12, want);
    for (int k = 0; k < 4; k++) {
        int n = 0;
        if (k % 2)
            generate_engine_forget(e);
        if (k < 2) {
            assert_int_equal(generate_run(e, q, 12, stop_at_second, &n, &err), ERROR_IO);
            assert_int_equal(n, 2);
        } else {
            assert_int_equal(generate_run(e, q, 12, interrupt_at_first, NULL, &err), ERROR_INTERRUPTED);
            interrupt_clear();
        }
        run_all(e, q, 12, got);
        for (int i = 0; i < 12; i++)
            expect_same(&want[i], &got[i], "after a stop", k, i);
        forget_records(got, 12);
    }
    forget_records(want, 12);
    generate_engine_free(e);
    fixture_close(&f);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static int32_t prompts[MAX_REQUEST][CONTEXT];
    struct generate_request q[4];
    struct record want[4] = {{0}}, got[4] = {{0}};
    struct fixture f = fixture_open(DTYPE_F32);
    struct error err;
    random_requests(q, 4, prompts);
    struct generate_engine *e = engine_with(f.m, NULL);
    run_all(e, q, 4, want);
    generate_engine_free(e);
    for (long n = 0;; n++) {
        mem_fail_at(n);
        int code = generate_engine_new(&e, f.m, NULL, NULL, &err);
        if (!code) {
            code = generate_run(e, q, 4, keep, got, &err);
            int pending = mem_fail_pending();
            mem_fail_at(-1);
            forget_records(got, 4);
            run_all(e, q, 4, got); /* it can go on */
            for (int i = 0; i < 4; i++)
                expect_same(&want[i], &got[i], "after a failed allocation", (int)n, i);
            forget_records(got, 4);
            generate_engine_free(e);
            if (!code && pending)
                break;
        }
        mem_fail_at(-1);
        assert_true(code == 0 || code == ERROR_NOMEM);
        assert_true(n < 2000);
    }
    forget_records(want, 4);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_gives_the_same_bytes_alone_and_in_any_mix_f32),
        cmocka_unit_test(a_request_gives_the_same_bytes_alone_and_in_any_mix_bf16),
        cmocka_unit_test(a_request_gives_the_same_bytes_alone_and_in_any_mix_q8),
        cmocka_unit_test(texts_that_turn_by_their_length_give_the_same_bytes_alone_and_in_any_mix),
        cmocka_unit_test(texts_that_will_turn_otherwise_share_no_pages),
        cmocka_unit_test(a_common_prefix_is_computed_once),
        cmocka_unit_test(work_grows_with_the_prompts_and_beams_share_their_prompt),
        cmocka_unit_test(sixteen_texts_are_decoded_in_the_passes_of_one),
        cmocka_unit_test(finished_requests_leave_at_once_and_long_prompts_hold_nobody_up),
        cmocka_unit_test(a_request_that_cannot_run_says_why_and_the_others_go_on),
        cmocka_unit_test(samples_are_keyed_and_top_k_one_is_greedy),
        cmocka_unit_test(an_engine_that_was_stopped_goes_on_as_new),
        cmocka_unit_test(every_allocation_may_fail),
    };
    int failed = cmocka_run_group_tests_name("on the processor", tests, NULL, NULL);
    everything_remote = 1;
    return failed + cmocka_run_group_tests_name("on the remote test backend", tests, NULL, NULL);
}
