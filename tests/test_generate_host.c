/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of generation without a model: the processors' lists against plain definitions, the page table and
 * the prefix tree against a plain account of who holds what, and the options. */
#include "generate/pages.h"
#include "generate/rules.h"

#include "base/rng.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

static uint32_t below(uint64_t *at, uint32_t n)
{
    struct rng_stream s = {7, 11, 13};
    return rng_below(&s, (*at)++, n);
}

/* Banned ids by the definition: an id is banned when history + id would end in an n-gram that history already has. */
static void ngram_bans_are_exactly_the_tokens_that_would_repeat_an_ngram(void **state)
{
    (void)state;
    uint64_t at = 0;
    for (int round = 0; round < 5000; round++) {
        int32_t text[41], out[64];
        int n_prompt = 1 + (int)below(&at, 20), n = (int)below(&at, 20), size = 1 + (int)below(&at, 4),
            vocab = 2 + (int)below(&at, 6);
        struct generate_options o;
        generate_options_default(&o);
        o.no_repeat_ngram_size = size;
        o.penalty_scope = (enum penalty_scope)below(&at, 2);
        for (int i = 0; i < n_prompt + n; i++)
            text[i] = (int32_t)below(&at, (uint32_t)vocab);
        struct rule_text t = {text, n_prompt, text + n_prompt, n};
        int count = rule_banned(&t, &o, vocab, out), start = o.penalty_scope == PENALTY_ALL ? 0 : n_prompt,
            end = n_prompt + n;
        for (int v = 0; v < vocab; v++) {
            int want = 0, got = 0;
            text[end] = v;
            for (int i = start; i + size <= end && end - start + 1 >= size; i++)
                want |= !memcmp(text + i, text + end + 1 - size, (size_t)size * 4);
            for (int i = 0; i < count; i++)
                got |= out[i] == v;
            assert_int_equal(got, want);
        }
    }
}

static void the_penalty_hits_each_id_in_scope_once(void **state)
{
    (void)state;
    uint64_t at = 1 << 20;
    uint32_t marks[8] = {0};
    struct rule_marks m = {marks, UINT32_MAX - 500, 8}; /* the marks wrap around within the test */
    for (int round = 0; round < 5000; round++) {
        int32_t text[20], out[40];
        int n_prompt = 1 + (int)below(&at, 9), n = (int)below(&at, 9);
        struct generate_options o;
        generate_options_default(&o);
        o.repetition_penalty = 1.3f;
        o.penalty_scope = (enum penalty_scope)below(&at, 2);
        for (int i = 0; i < n_prompt + n; i++)
            text[i] = (int32_t)below(&at, 8);
        struct rule_text t = {text, n_prompt, text + n_prompt, n};
        int count = rule_seen(&m, &t, &o, out), start = o.penalty_scope == PENALTY_ALL ? 0 : n_prompt;
        for (int v = 0; v < 8; v++) {
            int want = 0, got = 0;
            for (int i = start; i < n_prompt + n; i++)
                want |= text[i] == v;
            for (int i = 0; i < count; i++)
                got += out[i] == v;
            assert_int_equal(got, want);
        }
    }
}

static void eos_is_banned_until_min_new_tokens(void **state)
{
    (void)state;
    int32_t prompt[1] = {3}, ids[4] = {1, 1, 1, 1}, out[8];
    struct generate_options o;
    generate_options_default(&o);
    o.min_new_tokens = 2;
    o.n_eos = 3;
    o.eos_ids[0] = 5;
    o.eos_ids[1] = 7;
    o.eos_ids[2] = 900; /* beyond the vocabulary: nothing to ban */
    for (int n = 0; n < 4; n++) {
        struct rule_text t = {prompt, 1, ids, n};
        assert_int_equal(rule_banned(&t, &o, 10, out), n < 2 ? 2 : 0);
    }
    assert_int_equal(out[0], 5);
    assert_int_equal(out[1], 7);
}

enum { SIZE = 32, MAX_BLOCK = 8, N_PROMPT = 40 };
struct held {
    int live, n_block, n, bound, number, table[MAX_BLOCK];
    const int32_t *tokens;
};

static void check_account(const struct pages *p, const struct held *h, int n_held)
{
    long pinned = 0;
    int used = 0;
    for (int i = 0; i < p->n_page; i++) {
        int users = 0;
        for (int k = 0; k < n_held; k++)
            for (int b = 0; h[k].live && b < h[k].n_block; b++)
                users += h[k].table[b] == i;
        int is_free = 0;
        for (int f = 0; f < p->n_free; f++)
            is_free += p->free[f] == i;
        assert_int_equal(is_free, !users && !p->page[i].in_tree);
        used += !is_free;
        if (is_free)
            continue;
        assert_int_equal(p->page[i].users, users);
        int shared = 0;
        for (int k = 0; k < n_held; k++)
            shared |= h[k].live && h[k].number == p->page[i].share;
        pinned += users && !shared;
    }
    assert_int_equal(p->pinned, pinned);
    assert_int_equal(p->n_used, used);
}

static void let_go(struct pages *p, struct held *h)
{
    for (int b = 0; b < h->n_block; b++)
        page_drop(p, h->table[b], h->number);
    for (int b = 0; b < h->n_block; b++)
        page_unshare(p, h->table[b], h->number);
    p->reserved -= h->bound;
    h->live = 0;
}

/* Each copies a random piece of an earlier one and goes on with its own tokens. */
static void make_prompts(int32_t prompts[N_PROMPT][MAX_BLOCK * SIZE], int *lengths, uint64_t *at)
{
    for (int i = 0; i < N_PROMPT; i++) {
        int from = i ? (int)below(at, (uint32_t)i) : 0, keep = i ? (int)below(at, (uint32_t)lengths[from]) : 0;
        lengths[i] = keep + 1 + (int)below(at, (uint32_t)(MAX_BLOCK * SIZE - keep));
        for (int t = 0; t < lengths[i]; t++)
            prompts[i][t] = t < keep ? prompts[from][t] : (int32_t)below(at, 3);
    }
}

/* Prompts come and go at random in a pool that is too small for all; what the tree says must be what was put there. */
static void pages_are_shared_evicted_and_never_lost(void **state)
{
    (void)state;
    static int32_t prompts[N_PROMPT][MAX_BLOCK * SIZE];
    struct held held[6] = {{0}};
    struct pages p;
    struct error err;
    uint64_t at = 1 << 21;
    int lengths[N_PROMPT], found = 0;
    make_prompts(prompts, lengths, &at);
    assert_int_equal(pages_init(&p, 20, SIZE, &err), 0);
    for (int round = 0; round < 4000; round++) {
        struct held *h = &held[below(&at, 6)];
        if (h->live) {
            let_go(&p, h);
            check_account(&p, held, 6);
            continue;
        }
        int which = (int)below(&at, N_PROMPT), n = lengths[which], n_block = (n + SIZE - 1) / SIZE;
        struct prefix_match m = prefix_find(&p, prompts[which], n - 1, h->table);
        assert_true(m.n <= n - 1 && m.n == m.n_full * SIZE + m.tail && m.pending == m.n);
        for (int t = 0; t < m.n; t++) { /* the pages found do hold these tokens */
            int page = t / SIZE < m.n_full ? h->table[t / SIZE] : m.partial;
            assert_int_equal(p.tokens[page * SIZE + t % SIZE], prompts[which][t]);
        }
        int bound = n_block - m.n_full;
        if (p.reserved + p.pinned + bound + m.n_evictable > p.n_page)
            continue;
        found += m.n;
        *h = (struct held){.live = 1,
                           .n_block = n_block,
                           .n = n,
                           .bound = bound,
                           .number = (int)(h - held) + 1,
                           .tokens = prompts[which],
                           .table = {h->table[0], h->table[1], h->table[2], h->table[3], h->table[4], h->table[5],
                                     h->table[6], h->table[7]}};
        p.reserved += bound;
        for (int b = 0; b < m.n_full; b++)
            page_hold(&p, h->table[b]);
        for (int b = m.n_full; b < n_block; b++) {
            h->table[b] = page_take(&p, h->number, h->number);
            assert_true(h->table[b] >= 0);
        }
        prefix_insert(&p, prompts[which], n, h->table, m.n_full, 0);
        struct prefix_match coming = prefix_find(&p, prompts[which], n - 1, (int[MAX_BLOCK]){0});
        assert_true(coming.pending == n - 1);
        for (int b = m.n_full; b < n_block; b++)
            prefix_ready(&p, h->table[b], SIZE);
        struct prefix_match again = prefix_find(&p, prompts[which], n - 1, (int[MAX_BLOCK]){0});
        assert_int_equal(again.n, n - 1);
        check_account(&p, held, 6);
    }
    assert_true(found > 50000); /* sharing did happen */
    prefix_forget(&p);
    for (int k = 0; k < 6; k++)
        for (int b = 0; held[k].live && b < held[k].n_block; b++)
            page_drop(&p, held[k].table[b], held[k].number);
    assert_int_equal(p.n_free, p.n_page);
    pages_deinit(&p);
}

static void an_option_out_of_range_is_named(void **state)
{
    (void)state;
    struct generate_options o;
    struct error err;
#define BAD(set, word)                                     \
    generate_options_default(&o);                          \
    assert_int_equal(generate_options_check(&o, &err), 0); \
    set;                                                   \
    assert_true(generate_options_check(&o, &err) != 0);    \
    assert_non_null(strstr(err.message, word));
    BAD(o.max_new_tokens = 0, "max_new_tokens")
    BAD(o.min_new_tokens = -1, "min_new_tokens")
    BAD(o.num_beams = 0, "num_beams")
    BAD(o.num_return_sequences = 2, "num_return_sequences")
    BAD((o.do_sample = 1, o.temperature = 0), "temperature")
    BAD((o.do_sample = 1, o.top_p = 1.5f), "top_p")
    BAD((o.do_sample = 1, o.min_p = -0.1f), "min_p")
    BAD((o.do_sample = 1, o.top_k = -1), "top_k")
    BAD(o.repetition_penalty = 0, "repetition_penalty")
    BAD(o.length_penalty = (float)strtod("nan", NULL), "length_penalty")
    BAD(o.no_repeat_ngram_size = -2, "no_repeat_ngram_size")
    BAD((o.do_sample = 1, o.num_beams = 2), "do_sample")
    BAD(o.n_stop = 1, "stop")
#undef BAD
}

static void generation_config_overrides_the_descriptor_and_is_checked(void **state)
{
    (void)state;
    struct generate_options o;
    struct model_desc d = {.eos_ids = {2}, .n_eos = 1};
    struct error err;
    generate_options_default(&o);
    json_t *c = json_loads("{\"eos_token_id\": [7, 9], \"do_sample\": true, \"temperature\": 0.6, \"top_p\": 0.9, "
                           "\"early_stopping\": \"never\", "
                           "\"transformers_version\": \"4.41.2\", \"top_k\": null}",
                           JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(generate_options_merge(&o, NULL, &d, NULL, &err), 0);
    assert_true(o.n_eos == 1 && o.eos_ids[0] == 2);
    assert_int_equal(generate_options_merge(&o, c, &d, "generation_config.json", &err), 0);
    assert_true(o.n_eos == 2 && o.eos_ids[1] == 9 && o.do_sample && o.temperature == 0.6f && o.top_p == 0.9f &&
                o.top_k == 50);
    assert_int_equal(o.early_stopping, EARLY_NEVER);
    json_decref(c);
    c = json_loads("{\"stop_strings\": [\"\\n\", \"END\"], \"typical_p\": 1.0, \"diversity_penalty\": 0}", 0, NULL);
    assert_int_equal(generate_options_merge(&o, c, &d, "generation_config.json", &err), 0);
    assert_true(o.n_stop == 2 && !strcmp(o.stop[0], "\n") && !strcmp(o.stop[1], "END"));
    assert_null(generate_options_unknown(c));
    json_object_set_new(c, "bad_words_ids", json_pack("[[i]]", 4));
    assert_string_equal(generate_options_unknown(c), "bad_words_ids");
    json_object_set_new(c, "typical_p", json_real(0.9));
    assert_string_equal(generate_options_unknown(c), "typical_p");
    json_decref(c);
    const char *bad[] = {"{\"temperature\": \"hot\"}",
                         "{\"stop_strings\": [\"\"]}",
                         "{\"stop_strings\": 3}",
                         "{\"eos_token_id\": [1, 3.5]}",
                         "{\"do_sample\": 1}",
                         "{\"num_beams\": 2.5}",
                         "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = json_loads(bad[i], 0, NULL);
        assert_int_equal(generate_options_merge(&o, c, &d, "generation_config.json", &err), ERROR_CONFIG);
        assert_non_null(strstr(err.message, "generation_config.json"));
        json_decref(c);
    }
}

static int merge_and_check(const char *text, struct generate_options *o, struct error *err)
{
    struct model_desc d = {.eos_ids = {2}, .n_eos = 1};
    json_t *c = json_loads(text, 0, NULL);
    generate_options_default(o);
    int rc = generate_options_merge(o, c, &d, "generation_config.json", err);
    json_decref(c);
    return rc ? rc : generate_options_check(o, err);
}

/* Which files transformers 5.24's generate takes (greedy unless do_sample stands there) and which it refuses; 5.24
 * stops at 44 with [44, -1]. */
static void neutral_values_are_taken_as_transformers_takes_them(void **state)
{
    (void)state;
    static const char *const taken[] = {
        "{\"temperature\": 0.0}",
        "{\"temperature\": -1.0}",
        "{\"temperature\": 1e9}",
        "{\"top_k\": -1}",
        "{\"top_k\": 2.0}",
        "{\"top_p\": 0.0}",
        "{\"top_p\": 1.5}",
        "{\"min_p\": -1.0}",
        "{\"top_k\": 0, \"do_sample\": true}",
        "{\"top_p\": 1.5, \"do_sample\": true}",
        "{\"num_return_sequences\": 0}",
        "{\"no_repeat_ngram_size\": -1}",
        "{\"min_new_tokens\": -1}",
        "{\"repetition_penalty\": null}",
        "{\"temperature\": null, \"top_k\": null}",
        "{\"num_beams\": 1.0}",
    };
    static const struct {
        const char *text, *word;
    } refused[] = {
        {"{\"temperature\": 0.0, \"do_sample\": true}", "temperature"},
        {"{\"top_k\": -1, \"do_sample\": true}", "top_k"},
        {"{\"repetition_penalty\": 0.0}", "repetition_penalty"},
        {"{\"num_beams\": 0}", "num_beams"},
        {"{\"max_new_tokens\": -1}", "max_new_tokens"},
    };
    struct generate_options o;
    struct error err = {0};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (merge_and_check(taken[i], &o, &err))
            fail_msg("%s: %s", taken[i], err.message);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!merge_and_check(refused[i].text, &o, &err) || !strstr(err.message, refused[i].word))
            fail_msg("%s: \"%s\"", refused[i].text, err.message);
    assert_int_equal(merge_and_check("{\"eos_token_id\": -1}", &o, &err), 0);
    assert_int_equal(o.n_eos, 0);
    assert_int_equal(merge_and_check("{\"eos_token_id\": [44, -1]}", &o, &err), 0);
    assert_true(o.n_eos == 1 && o.eos_ids[0] == 44);
    assert_int_equal(
        merge_and_check("{\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}", &o, &err), 0);
    assert_true(o.n_eos == 20 && o.eos_ids[19] == 20);
}

/* Each key of generation_config.json alone: its own field is set and no other. */
static void each_key_sets_its_own_field(void **state)
{
    (void)state;
    struct generate_options wanted[14];
    static const char *const keys[14] = {
        "{\"max_new_tokens\": 7}",
        "{\"min_new_tokens\": 3}",
        "{\"num_beams\": 4}",
        "{\"num_return_sequences\": 2}",
        "{\"top_k\": 9}",
        "{\"no_repeat_ngram_size\": 5}",
        "{\"temperature\": 0.75}",
        "{\"top_p\": 0.625}",
        "{\"min_p\": 0.25}",
        "{\"repetition_penalty\": 1.5}",
        "{\"length_penalty\": 0.5}",
        "{\"do_sample\": true}",
        "{\"early_stopping\": true}",
        "{\"early_stopping\": \"never\"}",
    };
    for (int i = 0; i < 14; i++)
        generate_options_default(&wanted[i]);
    wanted[0].max_new_tokens = 7;
    wanted[1].min_new_tokens = 3;
    wanted[2].num_beams = 4;
    wanted[3].num_return_sequences = 2;
    wanted[4].top_k = 9;
    wanted[5].no_repeat_ngram_size = 5;
    wanted[6].temperature = 0.75f;
    wanted[7].top_p = 0.625f;
    wanted[8].min_p = 0.25f;
    wanted[9].repetition_penalty = 1.5f;
    wanted[10].length_penalty = 0.5f;
    wanted[11].do_sample = 1;
    wanted[12].early_stopping = EARLY_TRUE;
    wanted[13].early_stopping = EARLY_NEVER;
    for (int i = 0; i < 14; i++) {
        struct generate_options o;
        json_t *config = json_loads(keys[i], 0, NULL);
        generate_options_default(&o);
        assert_int_equal(generate_options_merge(&o, config, NULL, "t", NULL), 0);
        if (memcmp(&o, &wanted[i], sizeof o))
            fail_msg("%s sets something else", keys[i]);
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_sets_its_own_field),
        cmocka_unit_test(ngram_bans_are_exactly_the_tokens_that_would_repeat_an_ngram),
        cmocka_unit_test(the_penalty_hits_each_id_in_scope_once),
        cmocka_unit_test(eos_is_banned_until_min_new_tokens),
        cmocka_unit_test(pages_are_shared_evicted_and_never_lost),
        cmocka_unit_test(an_option_out_of_range_is_named),
        cmocka_unit_test(generation_config_overrides_the_descriptor_and_is_checked),
        cmocka_unit_test(neutral_values_are_taken_as_transformers_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
