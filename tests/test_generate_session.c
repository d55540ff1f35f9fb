/* SPDX-License-Identifier: Apache-2.0 */
/* An open session: whatever is submitted and cancelled when, a request that stays gives the bytes it gives alone; one
 * that is cancelled leaves nothing behind. */
#include "generate/parts.h"

#include "tests/check.h"
#include "tests/generate_mix.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a session has told about the requests of one round. */
struct told {
    const struct generate_request *q;
    int n, bad;                   /* bad: a token out of turn */
    int32_t *ids[MAX_REQUEST][8]; /* by request and sequence */
    int n_id[MAX_REQUEST][8];
    struct record got[MAX_REQUEST];
    int cancelled[MAX_REQUEST];
};

static int index_of(const struct told *t, const struct generate_request *r)
{
    return (int)(r - t->q);
}

static int on_token(void *user, const struct generate_request *r, const struct generate_token *token)
{
    struct told *t = user;
    int i = index_of(t, r), *n = &t->n_id[i][token->sequence];
    t->bad |= token->position != *n || t->cancelled[i];
    if (!t->ids[i][token->sequence])
        t->ids[i][token->sequence] = calloc(64, sizeof(int32_t));
    t->ids[i][token->sequence][(*n)++] = token->id;
    return 0;
}

static int on_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct told *t = user;
    int i = index_of(t, r);
    t->bad |= t->cancelled[i];
    for (int s = 0; s < result->n; s++)
        t->bad |= result->sequences[s].n != t->n_id[i][s] ||
                  memcmp(result->sequences[s].ids, t->ids[i][s], (size_t)t->n_id[i][s] * 4);
    return keep(t->got, i, result);
}

static void forget(struct told *t)
{
    for (int i = 0; i < MAX_REQUEST; i++)
        for (int s = 0; s < 8; s++)
            free(t->ids[i][s]);
    forget_records(t->got, MAX_REQUEST);
}

static struct generate_limits limits_of(const struct generate_engine *e, int requests)
{
    struct generate_limits l;
    generate_limits_default(&l, e);
    l.requests = requests;
    l.width = 5;
    return l;
}

/* Submits, cancels and steps as the die says until all have been handed out or cancelled. */
static void random_session(struct generate_engine *e, struct told *t)
{
    struct generate_limits l = limits_of(e, t->n);
    struct error err;
    l.sequences = below(2) ? 0 : 5 + below(12);
    int next = 0;
    assert_int_equal(generate_begin(e, &l, &(struct generate_calls){on_token, on_done, t}, &err), 0);
    while (next < t->n || generate_pending(e)) {
        for (int more = below(4); more > 0 && next < t->n; more--, next++)
            assert_int_equal(generate_submit(e, &t->q[next], &err), 0);
        int out = next && !below(12) ? below(next) : -1;
        if (out >= 0 && !t->got[out].calls) {
            t->cancelled[out] = 1;
            generate_cancel(e, &t->q[out]);
        }
        assert_int_equal(generate_step(e, &err), 0);
    }
    generate_end(e);
    assert_int_equal(e->pages.reserved, 0);
    assert_int_equal(e->pages.pinned, 0);
}

static void same_bytes_whatever_comes_when(enum dtype dtype, int n_round)
{
    static int32_t prompts[MAX_REQUEST][CONTEXT];
    static const int pages[] = {32, 64, 128}, chunks[] = {1, 7, 33, 512};
    struct generate_request q[MAX_REQUEST];
    struct record alone[MAX_REQUEST] = {{0}};
    struct device *d = open_device(2);
    struct model *m = small_model(d, dtype);
    int n_cancelled = 0;
    for (int round = 0; round < n_round; round++) {
        struct told t = {.q = q, .n = 2 + below(MAX_REQUEST - 2)};
        struct generate_engine_options o;
        random_requests(q, t.n, prompts);
        for (int i = 0; i < t.n; i++) {
            struct generate_engine *e = engine_with(m, NULL);
            run_all(e, &q[i], 1, &alone[i]);
            generate_engine_free(e);
        }
        generate_engine_options_default(&o, m);
        o.page = pages[below(3)];
        o.prefill_chunk = chunks[below(4)];
        o.prefix_cache = below(4) != 0;
        if (below(2))
            o.memory_bytes = (size_t)(12 + below(12)) * (size_t)(128 / o.page) * 2 * 2 * 2 * 16 * (size_t)o.page *
                             dtype_size(o.kv_dtype);
        struct generate_engine *e = engine_with(m, &o);
        random_session(e, &t);
        assert_int_equal(t.bad, 0);
        for (int i = 0; i < t.n; i++) {
            n_cancelled += t.cancelled[i];
            assert_int_equal(t.got[i].calls, !t.cancelled[i]);
            if (!t.cancelled[i])
                expect_same(&alone[i], &t.got[i], "in a session", round, i);
        }
        assert_int_equal(generate_engine_stats(e).step_allocations, 0);
        generate_engine_free(e);
        forget(&t);
        forget_records(alone, t.n);
    }
    assert_true(n_cancelled > 0);
    model_close(m);
    device_close(d);
}

static void results_do_not_depend_on_arrivals_f32(void **state)
{
    (void)state;
    same_bytes_whatever_comes_when(DTYPE_F32, getenv("ISARA_REDUCED") ? 4 : 12);
}

static void results_do_not_depend_on_arrivals_bf16(void **state)
{
    (void)state;
    same_bytes_whatever_comes_when(DTYPE_BF16, getenv("ISARA_REDUCED") ? 4 : 12);
}

static int32_t long_prompt[CONTEXT];

/* kind 0: greedy, 1: three samples, 2: four beams. */
static struct generate_request request_of(int kind, int first, int n_prompt, int n_new)
{
    struct generate_request r = {.prompt = long_prompt + first, .n_prompt = n_prompt, .seed = 5};
    generate_options_default(&r.options);
    r.options.max_new_tokens = n_new;
    r.options.n_eos = 0;
    r.options.do_sample = kind == 1;
    r.options.num_return_sequences = kind == 1 ? 3 : 1;
    r.options.num_beams = kind == 2 ? 4 : 1;
    return r;
}

/* Pages, reservations and slots in use after some steps, with a second request that is cancelled then, or without
 * it. */
struct use {
    int pages, slots;
    long reserved, pinned;
};

static struct use use_after(struct model *m, const struct generate_request *stays, const struct generate_request *goes,
                            int n_step, int prefix_cache, struct told *t)
{
    struct generate_engine_options o;
    struct error err;
    generate_engine_options_default(&o, m);
    o.page = 32;
    o.prefill_chunk = 16;
    o.prefix_cache = prefix_cache;
    struct generate_engine *e = engine_with(m, &o);
    struct generate_limits l = limits_of(e, 4);
    assert_int_equal(generate_begin(e, &l, &(struct generate_calls){on_token, on_done, t}, &err), 0);
    assert_int_equal(generate_submit(e, stays, &err), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(generate_step(e, &err), 0);
    if (goes)
        assert_int_equal(generate_submit(e, goes, &err), 0);
    for (int i = 0; i < n_step; i++)
        assert_int_equal(generate_step(e, &err), 0);
    if (goes) {
        int before = e->pages.n_used, free_before = e->n_free_slot;
        t->cancelled[index_of(t, goes)] = 1;
        generate_cancel(e, goes);
        assert_int_equal(generate_pending(e), 1);
        assert_true(!n_step || (e->n_free_slot > free_before && (prefix_cache || e->pages.n_used < before)));
    }
    struct use use = {0, e->n_free_slot, e->pages.reserved, e->pages.pinned};
    for (int i = 0; i < e->pages.n_page; i++) /* what only the prefix cache keeps is given up when a page is wanted */
        use.pages += e->pages.page[i].users > 0;
    while (generate_pending(e))
        assert_int_equal(generate_step(e, &err), 0);
    generate_end(e);
    generate_engine_free(e);
    return use;
}

static void a_cancelled_request_gives_back_its_pages_and_slots_at_once(void **state)
{
    (void)state;
    struct device *d = open_device(1);
    struct model *m = small_model(d, DTYPE_F32);
    for (int i = 0; i < CONTEXT; i++)
        long_prompt[i] = 3 + below(VOCAB - 3);
    for (int kind = 0; kind < 3; kind++)
        for (int k = 0; k < 10; k++) { /* waiting, within its prompt, with its first tokens, later */
            int n_step = k < 7 ? k : 2 * k, prefix_cache = k % 2;
            struct generate_request q[2] = {request_of(0, 0, 70, 60), request_of(kind, k % 3 ? 100 : 0, 75, 40)};
            struct told with = {.q = q, .n = 2}, without = {.q = q, .n = 2};
            struct use a = use_after(m, &q[0], &q[1], n_step, prefix_cache, &with),
                       b = use_after(m, &q[0], NULL, n_step, prefix_cache, &without);
            assert_memory_equal(&a, &b, sizeof a);
            assert_int_equal(with.bad, 0);
            assert_int_equal(with.got[1].calls, 0);
            expect_same(&without.got[0], &with.got[0], "beside one that was cancelled", kind, n_step);
            forget(&with);
            forget(&without);
        }
    model_close(m);
    device_close(d);
}

/* The first token of request 0 cancels request 1 and submits request 2, whose end cancels request 0. */
struct chain {
    struct generate_engine *e;
    struct generate_request q[3];
    int done[3];
    int told[3];
};

static int chain_token(void *user, const struct generate_request *r, const struct generate_token *token)
{
    struct chain *c = user;
    struct error err;
    c->told[r - c->q]++;
    if (r != c->q || token->position)
        return 0;
    generate_cancel(c->e, &c->q[1]);
    return generate_submit(c->e, &c->q[2], &err);
}

static int chain_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct chain *c = user;
    c->done[r - c->q] += result->n;
    if (r == &c->q[2])
        generate_cancel(c->e, &c->q[0]);
    return 0;
}

static void callbacks_may_submit_and_cancel(void **state)
{
    (void)state;
    struct device *d = open_device(1);
    struct model *m = small_model(d, DTYPE_F32);
    struct generate_engine *e = engine_with(m, NULL);
    struct chain c = {.e = e, .q = {request_of(0, 0, 9, 60), request_of(0, 20, 9, 1), request_of(0, 40, 9, 5)}};
    struct generate_limits l = limits_of(e, 3);
    struct error err;
    assert_int_equal(generate_begin(e, &l, &(struct generate_calls){chain_token, chain_done, &c}, &err), 0);
    assert_int_equal(generate_submit(e, &c.q[0], &err), 0);
    assert_int_equal(generate_submit(e, &c.q[1], &err), 0); /* has its only token in the same step, and is not told */
    while (generate_pending(e))
        assert_int_equal(generate_step(e, &err), 0);
    generate_end(e);
    assert_int_equal(c.told[1], 0);
    assert_int_equal(c.done[0] + c.done[1], 0);
    assert_int_equal(c.done[2], 1);
    assert_int_equal(c.told[2], 5);
    assert_true(c.told[0] >= 5 && c.told[0] < 10);
    generate_engine_free(e);
    model_close(m);
    device_close(d);
}

static int cancel_itself(void *user, const struct generate_request *r, const struct generate_token *token)
{
    struct chain *c = user;
    c->told[r - c->q]++;
    if (token->position == 1)
        generate_cancel(c->e, r);
    return 0;
}

static void a_request_may_be_cancelled_at_its_own_token(void **state)
{
    (void)state;
    struct device *d = open_device(1);
    struct model *m = small_model(d, DTYPE_F32);
    struct generate_engine *e = engine_with(m, NULL);
    struct chain c = {.e = e, .q = {request_of(0, 0, 9, 6), request_of(2, 20, 9, 6), request_of(0, 40, 9, 2)}};
    struct generate_limits l = limits_of(e, 3);
    struct error err;
    assert_int_equal(generate_begin(e, &l, &(struct generate_calls){cancel_itself, chain_done, &c}, &err), 0);
    for (int i = 0; i < 3;
         i++) /* greedy, beams, whose tokens are told at their end, and one that ends with this token */
        assert_int_equal(generate_submit(e, &c.q[i], &err), 0);
    while (generate_pending(e))
        assert_int_equal(generate_step(e, &err), 0);
    generate_end(e);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c.told[i], 2);
        assert_int_equal(c.done[i], 0);
    }
    assert_int_equal(e->pages.reserved, 0);
    generate_engine_free(e);
    model_close(m);
    device_close(d);
}

static void refuse(struct generate_engine *e, struct generate_request r, const char *want)
{
    struct error err = {0};
    assert_true(generate_submit(e, &r, &err) != 0);
    if (!strstr(err.message, want))
        fail_msg("wanted \"%s\", found \"%s\"", want, err.message);
}

static void what_a_session_was_not_made_for_is_named(void **state)
{
    (void)state;
    struct device *d = open_device(1);
    struct model *m = small_model(d, DTYPE_F32);
    struct generate_engine *e = engine_with(m, NULL);
    struct generate_limits l = {.requests = 1, .length = 50, .width = 2, .eos = 1};
    struct generate_request fits = request_of(0, 0, 10, 40), r;
    struct told t = {.q = &fits, .n = 1};
    struct generate_calls calls = {on_token, on_done, &t};
    struct error err = {0};
    refuse(e, fits, "no session is open");
    assert_int_equal(
        generate_begin(e, &(struct generate_limits){.requests = 1, .length = 401, .width = 1}, &calls, &err),
        ERROR_USAGE);
    assert_non_null(strstr(err.message, "length"));
    assert_int_equal(generate_begin(e, &l, &calls, &err), 0);
    assert_int_equal(generate_begin(e, &l, &calls, &err), ERROR_USAGE);
    assert_int_equal(generate_run(e, &fits, 1, keep, t.got, &err), ERROR_USAGE);
    refuse(e, request_of(0, 0, 11, 40), "length of 50");
    refuse(e, request_of(1, 0, 10, 4), "num_return_sequences: 3 sequences");
    refuse(e, request_of(2, 0, 10, 4), "num_beams: 4 sequences");
    r = request_of(0, 0, 10, 4);
    r.options.repetition_penalty = 1.5f;
    refuse(e, r, "repetition_penalty");
    r = request_of(2, 0, 10, 4);
    r.options.num_beams = 2;
    r.options.n_eos = 2;
    refuse(e, r, "eos_token_id");
    assert_int_equal(generate_submit(e, &fits, &err), 0);
    refuse(e, fits, "1 requests");
    while (generate_pending(e))
        assert_int_equal(generate_step(e, &err), 0);
    assert_int_equal(t.got[0].calls, 1);
    assert_int_equal(generate_step(e, &err), 0); /* nothing to do */
    generate_end(e);
    generate_engine_free(e);
    forget(&t);
    model_close(m);
    device_close(d);
}

/* LLaMA-7B's shape, 512 long prompts with beams of 5: keys and values of all in flight would take 100 GiB, but the
 * engine holds what fits into a quarter of the memory and lets the others wait. */
static void what_a_run_takes_is_what_fits_at_a_time(void **state)
{
    (void)state;
    static struct generate_load loads[512];
    const struct model_desc d = {.n_layer = 32,
                                 .n_embd = 4096,
                                 .n_head = 32,
                                 .n_kv_head = 32,
                                 .head_dim = 128,
                                 .n_ff = 11008,
                                 .n_vocab = 32000,
                                 .gated = 1};
    struct generate_options o;
    struct device *device;
    generate_options_default(&o);
    o.num_beams = 5;
    o.max_new_tokens = 512;
    for (int i = 0; i < 512; i++)
        loads[i] = (struct generate_load){1400, 512};
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, NULL), 0);
    double quarter = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 4;
    double all = (double)generate_memory(device, &d, DTYPE_BF16, &o, loads, 512),
           one = (double)generate_memory(device, &d, DTYPE_BF16, &o, loads, 1), each = 2.0 * 32 * 2 * 4096 * 1400;
    assert_true(all < quarter + 2e9); /* activations and logits */
    assert_true(all > 2 * one);
    assert_true(one > each); /* keys and values in bf16 of one prompt, in every layer */
    device_close(device);
}

/* On LLaMA-7B's shape a position takes half a MiB; of each beam's last page half is empty. */
static void beams_ends_are_small_where_positions_are_large(void **state)
{
    (void)state;
    const struct model_desc large = {.n_layer = 32, .n_kv_head = 32, .head_dim = 128},
                            grouped = {.n_layer = 32, .n_kv_head = 8, .head_dim = 128};
    assert_int_equal(plan_page(&large, DTYPE_BF16), 32);
    assert_int_equal(plan_page(&grouped, DTYPE_BF16), 64);
    assert_int_equal(plan_page(&grouped, DTYPE_F32), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_arrivals_f32),
        cmocka_unit_test(results_do_not_depend_on_arrivals_bf16),
        cmocka_unit_test(a_cancelled_request_gives_back_its_pages_and_slots_at_once),
        cmocka_unit_test(callbacks_may_submit_and_cancel),
        cmocka_unit_test(a_request_may_be_cancelled_at_its_own_token),
        cmocka_unit_test(what_a_session_was_not_made_for_is_named),
        cmocka_unit_test(what_a_run_takes_is_what_fits_at_a_time),
        cmocka_unit_test(beams_ends_are_small_where_positions_are_large),
    };
    int failed = cmocka_run_group_tests_name("generate_session", tests, NULL, NULL);
    everything_remote = 1;
    return failed + cmocka_run_group_tests_name("generate_session_remote", tests, NULL, NULL);
}
