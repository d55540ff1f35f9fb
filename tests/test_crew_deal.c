/* SPDX-License-Identifier: Apache-2.0 */
/* Requests dealt to ranks, played out: a rank's step takes as long as its rows, and the one whose clock is behind goes
 * next. Everything is dealt once, prompts that begin alike stay together, and few decoding rows are lost at the end. */
#include "base/rng.h"
#include "crew/deal.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

enum { RANKS = 4, MOST = 600, LANES = 64 };

/* The rows that W2 (bench/README.md: 32 prompts, 5 beams, at most 96 new tokens) takes of SmolLM2-135M with its end of
 * sequence: `isara generate --num-beams 5 --max-new-tokens 96`, generate_result.rows. */
enum { W2 = 32, W2_BEAMS = 5, W2_NEW = 96, W2_ROWS = 475, W2_SHORT = 12, W2_SHORT_ROWS = 250 };

struct play {
    struct generate_request requests[MOST];
    int32_t prompts[MOST][8];
    int tokens[MOST]; /* decoding steps that each takes */
    int n, rank_of[MOST];
    struct deal deal;
    int hand[RANKS][MOST], left[RANKS][MOST], n_hand[RANKS]; /* requests, and steps to go */
    long rows[RANKS];
    double clock[RANKS];
};

static int lanes(const struct play *p, int request)
{
    return p->requests[request].options.num_beams;
}

static void add(struct play *p, int prefix, int beams, int most, int tokens)
{
    int i = p->n++;
    struct generate_request *r = &p->requests[i];
    for (int k = 0; k < 8; k++)
        p->prompts[i][k] = k < 4 ? prefix : i;
    *r = (struct generate_request){.prompt = p->prompts[i], .n_prompt = 8};
    generate_options_default(&r->options);
    r->options.num_beams = beams;
    r->options.max_new_tokens = most;
    p->tokens[i] = tokens;
    p->rank_of[i] = -1;
}

static void take(struct play *p, int rank)
{
    int i;
    while ((i = deal_next(&p->deal, rank)) >= 0) {
        assert_true(p->rank_of[i] < 0);
        p->rank_of[i] = rank;
        p->hand[rank][p->n_hand[rank]] = i;
        p->left[rank][p->n_hand[rank]++] = p->tokens[i];
    }
}

static void step(struct play *p, int rank)
{
    int kept = 0, rows = 0;
    for (int k = 0; k < p->n_hand[rank]; k++) {
        int i = p->hand[rank][k], left = p->left[rank][k] - 1;
        rows += lanes(p, i);
        if (!left) {
            deal_done(&p->deal, rank, i, (long)p->tokens[i] * lanes(p, i));
            continue;
        }
        p->hand[rank][kept] = i;
        p->left[rank][kept++] = left;
    }
    p->n_hand[rank] = kept;
    p->rows[rank] += rows;
    p->clock[rank] += 8 + rows; /* what a step takes beside its rows */
}

static double run(struct play *p)
{
    struct error err;
    assert_int_equal(0, deal_init(&p->deal, &(struct deal_load){p->requests, NULL, p->n},
                                  &(struct deal_ranks){RANKS, LANES, 4}, &err));
    while (p->deal.n_done < p->n) {
        int next = -1;
        for (int r = 0; r < RANKS; r++)
            take(p, r);
        for (int r = 0; r < RANKS; r++)
            if (p->n_hand[r] && (next < 0 || p->clock[r] < p->clock[next]))
                next = r;
        assert_true(next >= 0);
        if (next < 0)
            break;
        step(p, next);
        for (int r = 0; r < RANKS; r++) /* who had nothing to do waited */
            if (!p->n_hand[r] && p->clock[r] < p->clock[next])
                p->clock[r] = p->clock[next];
    }
    for (int i = 0; i < p->n; i++)
        assert_true(p->rank_of[i] >= 0);
    deal_free(&p->deal);
    return deal_lost(p->rows, RANKS);
}

static void few_rows_of_w2_are_lost(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    for (int i = 0; i < W2; i++)
        add(p, i, W2_BEAMS, W2_NEW, (i == W2_SHORT ? W2_SHORT_ROWS : W2_ROWS) / W2_BEAMS);
    double lost = run(p);
    assert_true(lost <= 0.05);
    printf("W2 on 4 ranks: %.1f %% lost\n", 100 * lost);
    free(p);
}

/* Texts that end after a random number of tokens, as answers do. */
static void few_rows_of_texts_of_random_lengths_are_lost(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct play *p = calloc(1, sizeof *p);
        struct rng_stream s = {seed, 1, 2};
        for (int i = 0; i < MOST; i++)
            add(p, i, 1, 256, 1 + (int)rng_below(&s, (uint64_t)i, 256));
        double lost = run(p);
        worst = lost > worst ? lost : worst;
        free(p);
    }
    assert_true(worst <= 0.05);
    printf("600 texts of 1 to 256 tokens on 4 ranks: at most %.1f %% lost\n", 100 * worst);
}

/* 16 groups of neighbours: most of a group are on one rank. */
static void prompts_that_begin_alike_stay_on_one_rank(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    int moves = 0, groups = 16, each = 8;
    for (int i = 0; i < groups * each; i++)
        add(p, i % groups, 1, 64, 64);
    run(p);
    for (int i = groups; i < groups * each; i++)
        moves += p->rank_of[i] != p->rank_of[i - groups];
    assert_true(moves <= groups);
    free(p);
}

static void the_longest_go_out_first(void **state)
{
    (void)state;
    struct play *p = calloc(1, sizeof *p);
    struct error err;
    for (int i = 0; i < 40; i++)
        add(p, i, 1, i == 30 || i == 33 ? 512 : 32, 32);
    assert_int_equal(0, deal_init(&p->deal, &(struct deal_load){p->requests, NULL, p->n},
                                  &(struct deal_ranks){RANKS, LANES, 4}, &err));
    assert_true(deal_next(&p->deal, 0) == 30);
    assert_true(deal_next(&p->deal, 1) == 33);
    assert_true(deal_next(&p->deal, 2) != 33);
    deal_free(&p->deal);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_rows_of_w2_are_lost),
        cmocka_unit_test(few_rows_of_texts_of_random_lengths_are_lost),
        cmocka_unit_test(prompts_that_begin_alike_stay_on_one_rank),
        cmocka_unit_test(the_longest_go_out_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
