/* SPDX-License-Identifier: Apache-2.0 */
/* Beam search against the published rules, each written here once more the straight way: whole score tables, sorted, as
 * the tensors of the original have it. The "model" is a table of logits keyed by a hash of the history. */
#include "generate/beam.h"

#include "base/mem.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BEAM = 64, MAX_VOCAB = 24, MAX_NEW = 10, MAX_FLAT = MAX_BEAM * MAX_VOCAB };

struct toy {
    unsigned seed;
    int vocab, coarse; /* coarse: logits on a grid, so that equal scores happen */
    struct generate_options o;
    int n_prompt;
    double lp; /* length_penalty as written: 0.6 and not 0.6f */
};
struct answer {
    int n[MAX_BEAM], real[MAX_BEAM];
    int32_t ids[MAX_BEAM][MAX_NEW + 1];
    float score[MAX_BEAM];
    int count;
};

static unsigned mix(unsigned h)
{
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}

static void toy_logprobs(const struct toy *t, const int32_t *ids, int n, float *out)
{
    unsigned h = mix(t->seed + 17);
    double sum = 0, max = -1e30, logits[MAX_VOCAB];
    for (int i = 0; i < n; i++)
        h = mix(h * 31 + (unsigned)ids[i] + 1);
    for (int v = 0; v < t->vocab; v++) {
        double u = (double)(mix(h + 7919u * (unsigned)v) >> 8) / (1 << 24);
        logits[v] = t->coarse ? floor(u * 4) : u * 5;
        max = logits[v] > max ? logits[v] : max;
    }
    for (int v = 0; v < t->vocab; v++)
        sum += exp(logits[v] - max);
    for (int v = 0; v < t->vocab; v++)
        out[v] = (float)(logits[v] - max - log(sum));
}

static int is_eos(const struct toy *t, int token)
{
    for (int i = 0; i < t->o.n_eos; i++)
        if (t->o.eos_ids[i] == token)
            return 1;
    return 0;
}

/* Indices of values in decreasing order, equal ones in increasing order. */
static void order(const float *values, int n, int *index)
{
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && values[index[at - 1]] < values[i]; at--)
            index[at] = index[at - 1];
        index[at] = i;
    }
}

/* One step's flat table [n_beam * vocab] of accumulated scores, and its order. */
static void flat_table(const struct toy *t, int32_t (*ids)[MAX_NEW + 1], int n_new, const float *beam_score,
                       float *flat, int *index)
{
    float logprobs[MAX_VOCAB];
    for (int b = 0; b < t->o.num_beams; b++) {
        toy_logprobs(t, ids[b], n_new, logprobs);
        for (int v = 0; v < t->vocab; v++)
            flat[b * t->vocab + v] = logprobs[v] + beam_score[b];
    }
    order(flat, t->o.num_beams * t->vocab, index);
}

struct listed {
    double score;
    int n;
    int32_t ids[MAX_NEW + 1];
};
struct list {
    struct listed h[MAX_BEAM + 1];
    int n;
    double worst;
};

static void list_add(struct list *l, int n_beam, double score, const int32_t *ids, int n)
{
    if (l->n >= n_beam && score <= l->worst)
        return;
    struct listed *h = &l->h[l->n++];
    h->score = score;
    h->n = n;
    memcpy(h->ids, ids, (size_t)n * 4);
    if (l->n <= n_beam) {
        l->worst = fmin(score, l->worst);
        return;
    }
    int low = 0;
    for (int i = 1; i < l->n; i++)
        if (l->h[i].score < l->h[low].score)
            low = i;
    memmove(&l->h[low], &l->h[low + 1], (size_t)(l->n - low - 1) * sizeof *h);
    l->n--;
    l->worst = INFINITY;
    for (int i = 0; i < l->n; i++)
        l->worst = fmin(l->worst, l->h[i].score);
}

/* transformers <= 4.35 (old = 1) and 4.36 to 4.48. */
static void reference_list(const struct toy *t, int old, struct answer *a)
{
    static float flat[MAX_FLAT];
    static int index[MAX_FLAT];
    static int32_t ids[MAX_BEAM][MAX_NEW + 1], next_ids[MAX_BEAM][MAX_NEW + 1];
    static struct list l;
    float score[MAX_BEAM], next_score[MAX_BEAM];
    int nb = t->o.num_beams, keep = nb * (1 + t->o.n_eos > 2 ? 1 + t->o.n_eos : 2), done = 0, n_new = 0;
    double lp = t->lp;
    l.n = 0;
    l.worst = 1e9;
    for (int b = 0; b < nb; b++)
        score[b] = b ? -1e9f : 0;
    while (!done && n_new < t->o.max_new_tokens) {
        flat_table(t, ids, n_new, score, flat, index);
        int cur_len = old ? t->n_prompt + n_new : t->n_prompt + n_new + 1, n_next = 0;
        double denominator = pow(old ? cur_len : cur_len - t->n_prompt, lp);
        for (int rank = 0; rank < keep && n_next < nb; rank++) {
            int beam = index[rank] / t->vocab, token = index[rank] % t->vocab;
            int32_t hypothesis[MAX_NEW + 1];
            memcpy(hypothesis, ids[beam], (size_t)n_new * 4);
            hypothesis[n_new] = token;
            if (is_eos(t, token)) {
                if (rank < nb)
                    list_add(&l, nb, (double)flat[index[rank]] / denominator, hypothesis, n_new + 1);
                continue;
            }
            memcpy(next_ids[n_next], hypothesis, sizeof hypothesis);
            next_score[n_next++] = flat[index[rank]];
        }
        assert_int_equal(n_next, nb);
        if (l.n >= nb) {
            double best = flat[index[0]], attainable = best / pow(old ? cur_len + 1 : cur_len - t->n_prompt, lp);
            if (t->o.early_stopping == EARLY_NEVER && lp > 0)
                attainable = best / pow(old ? t->n_prompt + t->o.max_new_tokens : t->o.max_new_tokens, lp);
            done = t->o.early_stopping == EARLY_TRUE || l.worst >= attainable;
        }
        memcpy(ids, next_ids, sizeof ids);
        memcpy(score, next_score, sizeof score);
        n_new++;
    }
    if (!done)
        for (int b = 0; b < nb; b++)
            list_add(&l, nb, (double)score[b] / pow(old ? t->n_prompt + n_new : n_new, lp), ids[b], n_new);
    a->count = 0;
    while (a->count < t->o.num_return_sequences && l.n) { /* stable ascending sort, popped from its end */
        int best = 0;
        for (int i = 1; i < l.n; i++)
            if (l.h[i].score >= l.h[best].score)
                best = i;
        a->n[a->count] = l.h[best].n;
        a->real[a->count] = 1;
        a->score[a->count] = (float)l.h[best].score;
        memcpy(a->ids[a->count++], l.h[best].ids, (size_t)l.h[best].n * 4);
        memmove(&l.h[best], &l.h[best + 1], (size_t)(l.n - best - 1) * sizeof l.h[0]);
        l.n--;
    }
}

static void empty_bank(int nb, float *score, float *bank_score, int *finished, int *bank_n)
{
    for (int b = 0; b < nb; b++) {
        score[b] = b ? -1e9f : 0;
        bank_score[b] = -1e9f;
        finished[b] = bank_n[b] = 0;
    }
}

static int may_improve(float best, int nb, const int *finished, const float *bank_score)
{
    float low = INFINITY;
    int any = 0;
    for (int b = 0; b < nb; b++)
        low = fminf(low, bank_score[b]);
    for (int b = 0; b < nb; b++)
        any |= best > (finished[b] ? low : -1.0e9f);
    return any;
}

/* transformers >= 4.49, float arithmetic throughout. */
static void reference_vectorised(const struct toy *t, struct answer *a)
{
    static float flat[MAX_FLAT], top[MAX_FLAT], merged[MAX_FLAT + MAX_BEAM], running[MAX_FLAT];
    static int index[MAX_FLAT], pick[MAX_FLAT + MAX_BEAM], top_hits[MAX_FLAT];
    static int32_t ids[MAX_BEAM][MAX_NEW + 1], top_ids[MAX_FLAT][MAX_NEW + 1], bank[MAX_BEAM][MAX_NEW + 1],
        next[MAX_BEAM][MAX_NEW + 1];
    float score[MAX_BEAM], bank_score[MAX_BEAM], next_bank_score[MAX_BEAM];
    int finished[MAX_BEAM], next_finished[MAX_BEAM], bank_n[MAX_BEAM], next_n[MAX_BEAM];
    int nb = t->o.num_beams, keep = nb * (1 + t->o.n_eos > 2 ? 1 + t->o.n_eos : 2), unsatisfied = 1, n_new = 0, go = 1;
    double lp = t->lp;
    empty_bank(nb, score, bank_score, finished, bank_n);
    while (go) {
        flat_table(t, ids, n_new, score, flat, index);
        int all_hit = 1, full = 1;
        for (int k = 0; k < keep; k++) {
            top[k] = flat[index[k]];
            memcpy(top_ids[k], ids[index[k] / t->vocab], (size_t)n_new * 4);
            top_ids[k][n_new] = index[k] % t->vocab;
            top_hits[k] = is_eos(t, index[k] % t->vocab) || n_new + 1 == t->o.max_new_tokens;
            all_hit &= top_hits[k];
            running[k] = top[k] + (float)top_hits[k] * -1.0e9f;
        }
        order(running, keep, pick);
        for (int b = 0; b < nb; b++) {
            memcpy(ids[b], top_ids[pick[b]], sizeof ids[b]);
            score[b] = running[pick[b]];
            full &= finished[b];
            merged[b] = bank_score[b];
        }
        for (int k = 0; k < keep; k++) {
            float s = top[k] / (float)pow(n_new + 1, lp);
            s += (float)(full && t->o.early_stopping == EARLY_TRUE) * -1.0e9f;
            s += (float)!unsatisfied * -1.0e9f;
            s += (float)!(top_hits[k] && k < nb) * -1.0e9f;
            merged[nb + k] = s;
        }
        order(merged, nb + keep, pick);
        for (int b = 0; b < nb; b++) {
            int from = pick[b], fresh = from - nb;
            next_bank_score[b] = merged[from];
            next_finished[b] = from < nb ? finished[from] : top_hits[fresh] && fresh < nb;
            next_n[b] = from < nb ? bank_n[from] : n_new + 1;
            memcpy(next[b], from < nb ? bank[from] : top_ids[fresh], sizeof next[b]);
        }
        memcpy(bank, next, sizeof bank);
        memcpy(bank_score, next_bank_score, sizeof bank_score);
        memcpy(finished, next_finished, sizeof finished);
        memcpy(bank_n, next_n, sizeof bank_n);
        n_new++;
        int length = t->o.early_stopping == EARLY_NEVER && lp > 0 ? t->o.max_new_tokens : n_new;
        for (int b = 0; b < nb; b++)
            full = b ? full && finished[b] : finished[b];
        unsatisfied = unsatisfied && may_improve(score[0] / (float)pow(length, lp), nb, finished, bank_score);
        go = unsatisfied && !(full && t->o.early_stopping == EARLY_TRUE) && !all_hit;
    }
    a->count = t->o.num_return_sequences;
    for (int b = 0; b < a->count; b++) {
        a->n[b] = bank_n[b];
        a->real[b] = finished[b];
        a->score[b] = bank_score[b];
        memcpy(a->ids[b], bank[b], (size_t)bank_n[b] * 4);
    }
}

/* The search under test, fed the way the engine feeds it. */
static void search(const struct toy *t, struct answer *a)
{
    static float values[MAX_FLAT], raw[MAX_FLAT], logprobs[MAX_VOCAB], row_values[MAX_VOCAB];
    static int32_t ids[MAX_FLAT];
    static struct beam_candidate c[MAX_FLAT];
    const struct beam_hypothesis *best[MAX_BEAM];
    struct beam_search b;
    int rank[MAX_VOCAB];
    void *memory = mem_calloc(1, beam_bytes(t->o.num_beams, t->o.n_eos, t->o.max_new_tokens));
    assert_non_null(memory);
    beam_init(&b, memory, &t->o, t->n_prompt);
    int n_top = b.keep < t->vocab ? b.keep : t->vocab;
    while (!b.done) {
        int n_row = b.n_new ? b.n_beam : 1;
        for (int r = 0; r < n_row; r++) {
            toy_logprobs(t, beam_ids(&b, r), b.n_new, logprobs);
            for (int v = 0; v < t->vocab; v++)
                row_values[v] = logprobs[v] + b.score[r];
            order(row_values, t->vocab, rank);
            for (int k = 0; k < n_top; k++) {
                values[r * n_top + k] = row_values[rank[k]];
                ids[r * n_top + k] = rank[k];
                raw[r * n_top + k] = logprobs[rank[k]];
            }
        }
        int n = beam_merge(&b, &(struct beam_lists){values, ids, raw, n_row, n_top}, c);
        for (int k = 0; k < n; k++)
            c[k].ends = is_eos(t, c[k].token);
        mem_guard_enter();
        beam_step(&b, c, n);
        assert_int_equal(mem_guard_leave(), 0);
    }
    a->count = beam_best(&b, best, t->o.num_return_sequences);
    for (int k = 0; k < a->count; k++) {
        a->n[k] = best[k]->n;
        a->real[k] = best[k]->finished;
        a->score[k] = (float)best[k]->score;
        memcpy(a->ids[k], best[k]->ids, (size_t)best[k]->n * 4);
        if (!best[k]->finished)
            continue;
        for (int i = 0; i < best[k]->n; i++) { /* the history's own log-probabilities travel with it */
            toy_logprobs(t, best[k]->ids, i, logprobs);
            assert_true(best[k]->logprobs[i] == logprobs[best[k]->ids[i]]);
        }
    }
    mem_free(memory);
}

static void expect_same(const struct toy *t, const struct answer *want, const struct answer *got)
{
    int same = want->count == got->count;
    for (int k = 0; same && k < want->count; k++)
        same = want->real[k] == got->real[k] &&
               (!want->real[k] || (want->n[k] == got->n[k] && want->score[k] == got->score[k] &&
                                   !memcmp(want->ids[k], got->ids[k], (size_t)want->n[k] * 4)));
    if (same)
        return;
    printf("seed %u vocab %d beams %d eos %d new %d prompt %d lp %g early %d rule %d coarse %d\n", t->seed, t->vocab,
           t->o.num_beams, t->o.n_eos, t->o.max_new_tokens, t->n_prompt, (double)t->o.length_penalty,
           t->o.early_stopping, t->o.beam_compat, t->coarse);
    for (int k = 0; k < want->count; k++) {
        printf("  want %.9g:", (double)want->score[k]);
        for (int i = 0; i < want->n[k]; i++)
            printf(" %d", want->ids[k][i]);
        printf("  got %.9g:", (double)got->score[k]);
        for (int i = 0; i < got->n[k]; i++)
            printf(" %d", got->ids[k][i]);
        printf("\n");
    }
    fail();
}

static void every_rule_agrees_with_its_straight_form_on_random_tables(void **state)
{
    (void)state;
    static struct answer want, got;
    static const double penalties[] = {-1, -0.5, 0, 0.6, 1, 2};
    const char *reduced = getenv("ISARA_REDUCED");
    int n_case = reduced && *reduced ? 600 : 9000;
    for (int i = 0; i < n_case; i++) {
        unsigned r = mix((unsigned)i + 1000);
        struct toy t = {.seed = (unsigned)i, .coarse = i % 3 == 0, .n_prompt = 1 + (int)(mix(r + 1) % 60)};
        generate_options_default(&t.o);
        t.o.num_beams = 1 + (int)(mix(r + 2) % 5);
        t.o.n_eos = (int)(mix(r + 3) % 4);
        t.vocab = 2 + t.o.n_eos + (int)(mix(r + 4) % 12);
        for (int k = 0; k < t.o.n_eos; k++)
            t.o.eos_ids[k] = (int)(mix(r + 20) % (unsigned)t.vocab + (unsigned)k) % t.vocab;
        t.o.max_new_tokens = 1 + (int)(mix(r + 5) % 8);
        t.o.num_return_sequences = 1 + (int)(mix(r + 6) % (unsigned)t.o.num_beams);
        t.lp = penalties[mix(r + 7) % 6];
        t.o.length_penalty = (float)t.lp;
        t.o.early_stopping = (enum early_stopping)(mix(r + 8) % 3);
        t.o.beam_compat = (enum beam_compat)(i % 3);
        if (t.o.beam_compat == BEAM_COMPAT_4_49)
            reference_vectorised(&t, &want);
        else
            reference_list(&t, t.o.beam_compat == BEAM_COMPAT_4_35, &want);
        search(&t, &got);
        expect_same(&t, &want, &got);
    }
}

/* Best of all sequences by sum / length ^ penalty; 4.35's length is the prompt's too, and without EOS. */
static void enumerate(const struct toy *t, int32_t *ids, int n, float sum, float *best)
{
    float logprobs[MAX_VOCAB];
    toy_logprobs(t, ids, n, logprobs);
    for (int v = 0; v < t->vocab; v++) {
        float total = logprobs[v] + sum;
        ids[n] = v;
        int length = t->o.beam_compat == BEAM_COMPAT_4_35 ? t->n_prompt + n + !is_eos(t, v) : n + 1;
        if (is_eos(t, v) || n + 1 == t->o.max_new_tokens)
            *best = fmaxf(*best, total / (float)pow(length, t->o.length_penalty));
        else
            enumerate(t, ids, n + 1, total, best);
    }
}

static void as_many_beams_as_sequences_find_the_best_sequence(void **state)
{
    (void)state;
    static struct answer got;
    for (unsigned i = 0; i < 300; i++) {
        struct toy t = {.seed = i + 5000, .vocab = 4, .n_prompt = 3};
        generate_options_default(&t.o);
        t.o.num_beams = 64;
        t.o.n_eos = 1;
        t.o.eos_ids[0] = (int)(i % 4);
        t.o.max_new_tokens = 3;
        t.o.length_penalty = (float)(i % 5) / 2;
        t.o.early_stopping = EARLY_NEVER;
        t.o.beam_compat = (enum beam_compat)(i % 3);
        int32_t ids[4];
        float best = -INFINITY;
        enumerate(&t, ids, 0, 0, &best);
        search(&t, &got);
        assert_true(fabsf(got.score[0] - best) <= 1e-6f);
    }
}

static void one_beam_is_greedy(void **state)
{
    (void)state;
    static struct answer got;
    for (unsigned i = 0; i < 600; i++) {
        struct toy t = {.seed = i + 9000, .vocab = 12, .n_prompt = 3};
        generate_options_default(&t.o);
        t.o.n_eos = 1;
        t.o.eos_ids[0] = 5;
        t.o.max_new_tokens = 8;
        t.o.early_stopping = EARLY_TRUE;
        t.o.beam_compat = (enum beam_compat)(i % 3);
        search(&t, &got);
        int32_t ids[8];
        float logprobs[MAX_VOCAB];
        int n = 0, best = 0;
        do {
            toy_logprobs(&t, ids, n, logprobs);
            best = 0;
            for (int v = 1; v < t.vocab; v++)
                best = logprobs[v] > logprobs[best] ? v : best;
            ids[n++] = best;
        } while (best != 5 && n < 8);
        assert_int_equal(got.n[0], n);
        assert_memory_equal(got.ids[0], ids, (size_t)n * 4);
    }
}

/* transformers issue 26624: three hypotheses of 1, 2 and 3 tokens with the same log-probability a token should tie. */
static void equal_log_probabilities_tie_from_4_48_on_and_not_before(void **state)
{
    (void)state;
    const float step = -1.5f;
    for (int compat = BEAM_COMPAT_4_35; compat <= BEAM_COMPAT_4_49; compat++) {
        struct generate_options o;
        generate_options_default(&o);
        o.num_beams = 3;
        o.num_return_sequences = 3;
        o.n_eos = 1;
        o.eos_ids[0] = 0;
        o.max_new_tokens = 4;
        o.early_stopping = EARLY_TRUE;
        o.beam_compat = (enum beam_compat)compat;
        void *memory = mem_calloc(1, beam_bytes(3, 1, 4));
        struct beam_search b;
        beam_init(&b, memory, &o, 10);
        for (int i = 0; i < 3; i++) {
            struct beam_candidate c[6];
            for (int k = 0; k < 6; k++)
                c[k] = (struct beam_candidate){step * (float)(i + 1) - (k > 0 ? (float)k : 0), step, 0, k, k == 0};
            beam_step(&b, c, 6);
        }
        assert_true(b.done);
        const struct beam_hypothesis *best[3];
        assert_int_equal(beam_best(&b, best, 3), 3);
        for (int k = 0; k < 3; k++) {
            double want = compat == BEAM_COMPAT_4_35 ? (double)step * best[k]->n / (10 + best[k]->n - 1) : (double)step;
            assert_float_equal(best[k]->score, want, 1e-6);
        }
        mem_free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_agrees_with_its_straight_form_on_random_tables),
        cmocka_unit_test(as_many_beams_as_sequences_find_the_best_sequence),
        cmocka_unit_test(one_beam_is_greedy),
        cmocka_unit_test(equal_log_probabilities_tie_from_4_48_on_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
