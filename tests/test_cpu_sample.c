/* SPDX-License-Identifier: Apache-2.0 */
/* Logit processors, candidates and sampling against literal transcriptions of their definitions, on random logits with
 * ties and -inf, and the same results on every instruction set and thread count. */
#include "tests/ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 6, SEEN = 12, BANNED = 5 };
struct pick_case {
    int vocab, n_top, log_softmax, coarse, rules, biased; /* coarse: logits are multiples of 1/2, so many tie */
    float knobs[4];
    uint64_t stream;
};

static float logit(const struct pick_case *c, int row, int i)
{
    float x = 8 * ops_random(500 + c->stream, (uint64_t)(row * c->vocab + i));
    x = c->coarse ? floorf(x * 2) / 2 : x;
    return c->vocab > 40 && i % 13 == row ? -INFINITY : x;
}
static int seen_id(const struct pick_case *c, int row, int i) /* distinct */
{
    return (row * 31 + i * (c->vocab / SEEN)) % c->vocab;
}
static int banned_id(const struct pick_case *c, int row, int i)
{
    return (row * 17 + i * i * 5 + seen_id(c, row, i) * (i % 2)) % c->vocab;
}
static float penalty_of(int row)
{
    return row % 3 == 2 ? 1 : 1.3f - 0.2f * (float)row;
}

static struct logit_rules rules_of(struct ops *o, const struct pick_case *c)
{
    float penalty[ROWS];
    int32_t seen_offsets[ROWS + 1] = {0}, banned_offsets[ROWS + 1] = {0}, seen[ROWS * SEEN], banned[ROWS * BANNED];
    int n_seen = c->vocab < 2 * SEEN ? 0 : SEEN;
    for (int t = 0; t < ROWS; t++) {
        penalty[t] = penalty_of(t);
        seen_offsets[t + 1] = seen_offsets[t] + n_seen;
        banned_offsets[t + 1] = banned_offsets[t] + (t == 1 ? 0 : BANNED);
        for (int i = 0; i < n_seen; i++)
            seen[seen_offsets[t] + i] = seen_id(c, t, i);
        for (int i = 0; i < BANNED && t != 1; i++)
            banned[banned_offsets[t] + i] = banned_id(c, t, i);
    }
    if (!c->rules)
        return (struct logit_rules){0};
    return (struct logit_rules){ops_new(o, penalty, sizeof penalty), ops_new(o, seen_offsets, sizeof seen_offsets),
                                ops_new(o, seen, sizeof seen), ops_new(o, banned_offsets, sizeof banned_offsets),
                                ops_new(o, banned, sizeof banned)};
}

/* Processed scores of a row, in float as defined; lse in double. */
static void oracle_scores(const struct pick_case *c, int row, int log_softmax, float *s, double *lse)
{
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < c->vocab; i++) {
        s[i] = logit(c, row, i);
        top = s[i] > top ? s[i] : top;
    }
    for (int i = 0; i < c->vocab; i++)
        sum += exp(s[i] - top);
    *lse = top + log(sum);
    for (int i = 0; i < c->vocab && log_softmax; i++)
        s[i] = (float)(s[i] - *lse);
    for (int i = 0; c->rules && i < SEEN && c->vocab >= 2 * SEEN; i++) {
        float *x = &s[seen_id(c, row, i)];
        *x = *x < 0 ? *x * penalty_of(row) : *x / penalty_of(row);
    }
    for (int i = 0; c->rules && i < BANNED && row != 1; i++)
        s[banned_id(c, row, i)] = -INFINITY;
}

static struct span logits_of(struct ops *o, const struct pick_case *c)
{
    size_t n = (size_t)(ROWS * c->vocab);
    float *x = malloc(n * 4);
    for (size_t i = 0; i < n; i++)
        x[i] = logit(c, (int)(i / (size_t)c->vocab), (int)(i % (size_t)c->vocab));
    struct span s = ops_new(o, x, n * 4);
    free(x);
    return s;
}

static size_t candidates_run(struct ops *o, const void *parameter, float *out)
{
    const struct pick_case *c = parameter;
    float bias[ROWS];
    size_t n = (size_t)(ROWS * c->n_top), bytes = n * 4;
    ops_fill(bias, ROWS, 71);
    struct span values = ops_new(o, NULL, bytes), ids = ops_new(o, NULL, bytes), raw = ops_new(o, NULL, bytes);
    tensor_candidates(o->queue, &(struct candidates_args){ROWS, c->vocab, c->n_top, c->log_softmax, logits_of(o, c),
                                                          c->biased ? ops_new(o, bias, sizeof bias) : SPAN_NONE,
                                                          rules_of(o, c), values, ids, raw});
    int32_t *list = malloc(bytes);
    ops_get(o, out, values, bytes);
    ops_get(o, list, ids, bytes);
    ops_get(o, out + 2 * n, raw, bytes);
    for (size_t i = 0; i < n; i++)
        out[n + i] = (float)list[i];
    free(list);
    return 3 * n;
}

static void candidates_check(const struct pick_case *c)
{
    size_t count, n = (size_t)(ROWS * c->n_top);
    float *got = ops_same_bits(candidates_run, c, &count), *s = malloc((size_t)c->vocab * 4), bias[ROWS];
    char *used = malloc((size_t)c->vocab);
    ops_fill(bias, ROWS, 71);
    for (int t = 0; t < ROWS; t++) {
        double lse;
        oracle_scores(c, t, c->log_softmax, s, &lse);
        memset(used, 0, (size_t)c->vocab);
        for (int k = 0; k < c->n_top; k++) {
            size_t at = (size_t)(t * c->n_top + k);
            int id = (int)got[n + at], best = -1;
            if (k >= c->vocab) {
                assert_int_equal(id, -1);
                continue;
            }
            assert_true(id >= 0 && id < c->vocab && !used[id]);
            for (int i = 0; i < c->vocab; i++)
                if (!used[i] && (best < 0 || s[i] > s[best]))
                    best = i;
            if (c->log_softmax == 0 && !c->biased)
                assert_int_equal(id, best);
            else if (id != best && s[id] > -INFINITY)
                ops_close_to("rank", at, s[id], s[best], 4e-6, 1e-6); /* rounding may reorder neighbours */
            if (k && got[at] == got[at - 1])
                assert_true(got[n + at] > got[n + at - 1]);
            assert_true(!k || got[at] <= got[at - 1]);
            if (s[id] > -INFINITY)
                ops_close_to("value", at, got[at], s[id] + (c->biased ? bias[t] : 0), 4e-6, 1e-6);
            else
                assert_true(isinf(got[at]));
            if (logit(c, t, id) > -INFINITY)
                ops_close_to("raw", at, got[2 * n + at], logit(c, t, id) - lse, 4e-6, 1e-6);
            used[id] = 1;
        }
    }
    free(got);
    free(s);
    free(used);
}

static void candidates_match_their_definition(void **state)
{
    (void)state;
    static const int vocab[] = {1, 7, 16, 17, 63, 65, 257, 5003}, tops[] = {1, 2, 10, 64, 130};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 5; j++)
            for (int kind = 0; kind < 4; kind++)
                candidates_check(&(struct pick_case){.vocab = vocab[i],
                                                     .n_top = tops[j],
                                                     .log_softmax = kind % 2,
                                                     .coarse = kind / 2,
                                                     .rules = (i + j) % 3 > 0,
                                                     .biased = kind == 1,
                                                     .stream = (uint64_t)(i * 7 + j)});
}

/* transformers: temperature, then top-k (ties with the k-th stay), then top-p (sorted ascending, dropped where the
 * cumulative probability is <= 1 - top_p, one stays), then min-p. Here the survivors come sorted by decreasing
 * probability, ties by id; returns how many. *edge is how close top-p came to keeping one more or less. */
struct pair {
    double value;
    int id;
};
static int by_value(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->id - y->id;
}
static int survivors(const struct pick_case *c, const float *s, struct pair *list, double *edge)
{
    int n = 0, kept = 0;
    const float *k = c->knobs;
    for (int i = 0; i < c->vocab; i++)
        if (s[i] > -INFINITY)
            list[n++] = (struct pair){k[0] != 1 ? s[i] / k[0] : s[i], i};
    qsort(list, (size_t)n, sizeof *list, by_value);
    if (k[1] >= 1 && k[1] < (float)n) {
        int last = (int)k[1];
        while (last < n && list[last].value == list[(int)k[1] - 1].value)
            last++;
        n = last;
    }
    double total = 0, above = 0, top = n ? list[0].value : 0;
    for (int i = n - 1; i >= 0; i--)
        total += list[i].value = exp(list[i].value - top);
    *edge = 1;
    for (kept = 0; kept < n; kept++) {
        double cumulative = (total - above) / total, gap = fabs(cumulative - (1 - (double)k[2]));
        *edge = gap < *edge ? gap : *edge;
        if (kept && k[2] < 1 && cumulative <= 1 - (double)k[2])
            break;
        above += list[kept].value;
    }
    n = kept;
    for (kept = 0; kept < n && !(kept && list[kept].value < (double)k[3]); kept++)
        ;
    return kept;
}

static float uniform_of(const struct pick_case *c, int row)
{
    if (row < 2)
        return row ? 0x1.fffffep-1f : 0;
    return (ops_random(700 + c->stream, (uint64_t)row) + 1) / 2;
}

static size_t sample_run(struct ops *o, const void *parameter, float *out)
{
    const struct pick_case *c = parameter;
    float knobs[ROWS][4], uniform[ROWS];
    int32_t ids[ROWS];
    for (int t = 0; t < ROWS; t++) {
        memcpy(knobs[t], c->knobs, sizeof knobs[t]);
        uniform[t] = uniform_of(c, t);
    }
    struct span bi = ops_new(o, NULL, sizeof ids), br = ops_new(o, NULL, ROWS * 4);
    tensor_sample(o->queue,
                  &(struct sample_args){ROWS, c->vocab, logits_of(o, c), rules_of(o, c),
                                        ops_new(o, knobs, sizeof knobs), ops_new(o, uniform, sizeof uniform), bi, br});
    ops_get(o, ids, bi, sizeof ids);
    ops_get(o, out, br, ROWS * 4);
    for (int t = 0; t < ROWS; t++)
        out[ROWS + t] = (float)ids[t];
    return 2 * ROWS;
}

/* Returns how many rows were decided (not within rounding of a border). */
static int sample_check(const struct pick_case *c)
{
    size_t count;
    int decided = 0;
    float *got = ops_same_bits(sample_run, c, &count), *s = malloc((size_t)c->vocab * 4);
    struct pair *list = malloc((size_t)c->vocab * sizeof *list);
    for (int t = 0; t < ROWS; t++) {
        double lse, edge, total = 0, sum = 0;
        oracle_scores(c, t, 0, s, &lse);
        int n = survivors(c, s, list, &edge), id = (int)got[ROWS + t], at = 0;
        if (n)
            ops_close_to("raw", (size_t)t, got[t], logit(c, t, id) - lse, 4e-6, 1e-6);
        for (int i = 0; i < n; i++)
            total += list[i].value;
        double target = (double)uniform_of(c, t) * total;
        for (at = 0; at + 1 < n && (sum += list[at].value) <= target; at++)
            ;
        int clear =
            n && (edge > 1e-6 || c->knobs[2] == 1) &&
            (t == 0 || (fabs(sum - target) > 1e-6 * total && fabs(sum - list[at].value - target) > 1e-6 * total));
        if (clear)
            assert_int_equal(id, list[at].id);
        decided += clear;
    }
    free(got);
    free(s);
    free(list);
    return decided;
}

static void samples_match_their_definition(void **state)
{
    (void)state;
    static const int vocab[] = {1, 7, 17, 65, 257, 5003};
    static const float knobs[][4] = {{1, 0, 1, 0},       {0.7f, 0, 1, 0},      {1, 5, 1, 0},
                                     {1.5f, 0, 0.9f, 0}, {1, 0, 1, 0.1f},      {0.8f, 50, 0.95f, 0.02f},
                                     {30, 0, 1, 0},      {30, 4000, 0.99f, 0}, {1, 1, 1, 0},
                                     {1, 0, 0, 0},       {1, 100000, 0.5f, 0}};
    int decided = 0, all = 0;
    for (int i = 0; i < 6; i++)
        for (size_t j = 0; j < sizeof knobs / sizeof *knobs; j++)
            for (int kind = 0; kind < 4; kind++, all += ROWS) {
                struct pick_case c = {
                    .vocab = vocab[i], .coarse = kind % 2, .rules = kind / 2, .stream = (uint64_t)(100 + i)};
                memcpy(c.knobs, knobs[j], sizeof c.knobs);
                decided += sample_check(&c);
            }
    for (int i = 0; i < 400; i++, all += ROWS) { /* and random settings on small vocabularies */
        float u[4];
        ops_fill(u, 4, (uint64_t)(9000 + i)); /* -1..1 */
        struct pick_case c = {
            .vocab = 2 + i % 61,
            .coarse = i % 3 == 0,
            .rules = i % 2,
            .stream = (uint64_t)(300 + i),
            .knobs = {expf(u[0]), u[1] > 0 ? ceilf(u[1] * 20) : 0, u[2] > 0 ? u[2] : 1, u[3] > 0 ? u[3] * u[3] : 0}};
        decided += sample_check(&c);
    }
    assert_true(all > 3500 && decided > all * 7 / 10);
}

static size_t even_run(struct ops *o, const void *parameter, float *out)
{
    (void)parameter;
    float logits[4 * 4] = {0}, knobs[4][4] = {{1, 0, 0.5f, 0}, {1, 2, 1, 0}, {0, 0, 1, 0}, {1, 0, 0.5f, 0}},
                     uniform[4] = {0x1.fffffep-1f, 0x1.fffffep-1f, 0.9f, 0.4f};
    int32_t ids[4];
    struct span bi = ops_new(o, NULL, 16), br = ops_new(o, NULL, 16);
    tensor_sample(o->queue, &(struct sample_args){.n_row = 4,
                                                  .n_vocab = 4,
                                                  .logits = ops_new(o, logits, sizeof logits),
                                                  .knobs = ops_new(o, knobs, sizeof knobs),
                                                  .uniform = ops_new(o, uniform, sizeof uniform),
                                                  .ids = bi,
                                                  .raw = br});
    ops_get(o, ids, bi, 16);
    for (int i = 0; i < 4; i++)
        out[i] = (float)ids[i];
    return 4;
}

static void ties_at_the_border_follow_the_rules(void **state)
{
    (void)state;
    size_t n;
    float *got = ops_same_bits(even_run, NULL, &n);
    assert_float_equal(got[0], 1, 0); /* top_p 0.5 of four equal ids keeps two */
    assert_float_equal(got[1], 3, 0); /* top_k 2 of four equal ids keeps all */
    assert_float_equal(got[2], 0, 0); /* temperature 0 is greedy, ties to the lower id */
    assert_float_equal(got[3], 0, 0);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_match_their_definition),
        cmocka_unit_test(samples_match_their_definition),
        cmocka_unit_test(ties_at_the_border_follow_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
