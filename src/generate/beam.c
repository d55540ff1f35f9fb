/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/beam.h"

#include "base/maths.h"

#include <math.h>
#include <string.h>

static const float NEVER = -1.0e9f; /* transformers' "minus infinity" for beams that must not be chosen */

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

size_t beam_bytes(int n_beam, int n_eos, int max_new)
{
    size_t nb = (size_t)n_beam, history = nb * (size_t)max_new * 4, keep = (size_t)beam_keep(n_beam, n_eos);
    return 3 * round16(nb * 4) + 4 * round16(history) + round16((nb + 1) * sizeof(struct beam_hypothesis)) +
           2 * round16((nb + 1) * (size_t)max_new * 4) + round16((keep + nb) * 4) + round16(keep * 4) +
           round16(nb * sizeof(struct beam_hypothesis));
}

static void *take_room(char **at, size_t bytes)
{
    void *p = *at;
    *at += round16(bytes);
    return p;
}

/* 0.6f is meant as 0.6: the double nearest to the decimal of six places, when that is the same float. */
static double as_written(float x)
{
    double d = floor((double)x * 1e6 + 0.5) / 1e6;
    return (float)d == x ? d : (double)x;
}

void beam_init(struct beam_search *b, void *memory, const struct generate_options *o, int n_prompt)
{
    char *at = memory;
    size_t nb = (size_t)o->num_beams, row = (size_t)o->max_new_tokens * 4;
    memset(b, 0, sizeof *b);
    b->n_beam = o->num_beams;
    b->n_prompt = n_prompt;
    b->max_new = o->max_new_tokens;
    b->keep = beam_keep(o->num_beams, o->n_eos);
    b->length_penalty = as_written(o->length_penalty);
    b->early_stopping = o->early_stopping;
    b->compat = o->beam_compat;
    b->improvable = 1;
    b->worst = 1e9;
    b->parent = take_room(&at, nb * 4);
    b->token = take_room(&at, nb * 4);
    b->score = take_room(&at, nb * 4);
    b->ids = take_room(&at, nb * row);
    b->ids_next = take_room(&at, nb * row);
    b->logprobs = take_room(&at, nb * row);
    b->logprobs_next = take_room(&at, nb * row);
    b->bank = take_room(&at, (nb + 1) * sizeof *b->bank);
    int32_t *ids = take_room(&at, (nb + 1) * row);
    float *logprobs = take_room(&at, (nb + 1) * row);
    b->picked = take_room(&at, ((size_t)b->keep + nb) * 4);
    b->value = take_room(&at, (size_t)b->keep * 4);
    b->merged = take_room(&at, nb * sizeof *b->merged);
    for (int i = 0; i <= b->n_beam; i++)
        b->bank[i] = (struct beam_hypothesis){.score = NEVER,
                                              .ids = ids + (size_t)i * (size_t)b->max_new,
                                              .logprobs = logprobs + (size_t)i * (size_t)b->max_new};
    for (int i = 0; i < b->n_beam; i++)
        b->score[i] = i ? NEVER : 0;
    if (b->compat == BEAM_COMPAT_4_49)
        b->n_bank = b->n_beam; /* placeholders */
}

const int32_t *beam_ids(const struct beam_search *b, int beam)
{
    return b->ids + (size_t)beam * (size_t)b->max_new;
}

/* length ^ penalty in double; the everyday exponents without rounding. */
static double length_power(int length, double penalty)
{
    double n = length;
    if (penalty == 1)
        return n;
    if (penalty == 0)
        return 1;
    if (penalty == 2)
        return n * n;
    if (penalty == -1)
        return 1 / n;
    if (penalty == 0.5)
        return sqrt(n);
    if (penalty == -0.5)
        return 1 / sqrt(n);
    return maths_pow(n, penalty);
}

/* Beams 1.. at the first step: row 0 again, 1e9 lower, which in float leaves whole runs of equal scores: ordered by
 * token again. */
static int merge_first(const struct beam_search *b, struct beam_candidate *out, int n)
{
    int first = n;
    for (int beam = 1; beam < b->n_beam && n < b->keep; beam++)
        for (int i = 0; i < first && n < b->keep; i++) {
            struct beam_candidate c = out[i];
            c.score += NEVER;
            c.parent = beam;
            int at = n++;
            for (; at > first &&
                   (out[at - 1].score < c.score ||
                    (out[at - 1].score == c.score && out[at - 1].parent == beam && out[at - 1].token > c.token));
                 at--)
                out[at] = out[at - 1];
            out[at] = c;
        }
    return n;
}

/* The list of the first step's one row. */
static int merge_one(const struct beam_search *b, const struct beam_lists *l, struct beam_candidate *out)
{
    int n = 0;
    for (; n < l->n_top && n < b->keep && l->values[n] > -INFINITY; n++)
        out[n] = (struct beam_candidate){l->values[n], l->raw[n], 0, l->ids[n], 0};
    n = merge_first(b, out, n);
    for (int i = 0; i < l->n_top && n < b->keep; i++) /* all the rest is forbidden; keep counts whole all the same */
        if (!(l->values[i] > -INFINITY))
            out[n++] = (struct beam_candidate){-INFINITY, l->raw[i], 0, l->ids[i], 0};
    return n;
}

int beam_merge(const struct beam_search *b, const struct beam_lists *l, struct beam_candidate *out)
{
    int n = 0;
    size_t n_top = (size_t)l->n_top;
    if (l->n_row == 1)
        return merge_one(b, l, out);
    memset(b->picked, 0, (size_t)l->n_row * sizeof *b->picked);
    for (; n < b->keep; n++) {
        int best = -1;
        for (int row = 0; row < l->n_row; row++)
            if (b->picked[row] < l->n_top &&
                (best < 0 || l->values[(size_t)row * n_top + (size_t)b->picked[row]] >
                                 l->values[(size_t)best * n_top + (size_t)b->picked[best]]))
                best = row;
        if (best < 0)
            break;
        size_t at = (size_t)best * n_top + (size_t)b->picked[best]++;
        out[n] = (struct beam_candidate){l->values[at], l->raw[at], best, l->ids[at], 0};
    }
    return n;
}

/* Writes the history of the parent and, if c, its token into h. */
static void write_hypothesis(const struct beam_search *b, struct beam_hypothesis *h, int parent,
                             const struct beam_candidate *c)
{
    size_t at = (size_t)parent * (size_t)b->max_new, n = (size_t)b->n_new;
    memcpy(h->ids, b->ids + at, n * 4);
    memcpy(h->logprobs, b->logprobs + at, n * 4);
    h->n = b->n_new;
    h->ends = 0;
    h->finished = 1;
    if (c) {
        h->ids[h->n] = c->token;
        h->logprobs[h->n++] = c->raw;
        h->ends = c->ends;
    }
}

/* The beams that run on: copies their histories with the new token. */
static void advance_beams(struct beam_search *b, const struct beam_candidate *c, const int *chosen)
{
    for (int j = 0; j < b->n_beam; j++) {
        const struct beam_candidate *k = &c[chosen[j]];
        size_t from = (size_t)k->parent * (size_t)b->max_new, to = (size_t)j * (size_t)b->max_new, n = (size_t)b->n_new;
        memcpy(b->ids_next + to, b->ids + from, n * 4);
        memcpy(b->logprobs_next + to, b->logprobs + from, n * 4);
        b->ids_next[to + n] = b->token[j] = k->token;
        b->logprobs_next[to + n] = k->raw;
        b->parent[j] = k->parent;
    }
    int32_t *ids = b->ids;
    float *logprobs = b->logprobs;
    b->ids = b->ids_next;
    b->ids_next = ids;
    b->logprobs = b->logprobs_next;
    b->logprobs_next = logprobs;
    b->n_new++;
}

/* 4.35 and 4.48: a list of at most n_beam hypotheses; the worst (of equals the oldest) leaves when a better one
 * comes. */
static void list_add(struct beam_search *b, double score, int parent, const struct beam_candidate *c)
{
    if (b->n_bank >= b->n_beam && !(score > b->worst))
        return;
    struct beam_hypothesis *h = &b->bank[b->n_bank++];
    write_hypothesis(b, h, parent, c);
    h->score = score;
    if (b->n_bank <= b->n_beam) {
        b->worst = score < b->worst ? score : b->worst;
        return;
    }
    int low = 0;
    for (int i = 1; i < b->n_bank; i++)
        if (b->bank[i].score < b->bank[low].score)
            low = i;
    struct beam_hypothesis out = b->bank[low];
    memmove(&b->bank[low], &b->bank[low + 1], (size_t)(b->n_bank - low - 1) * sizeof out);
    b->bank[--b->n_bank] = out; /* its storage is the next one's */
    b->worst = b->bank[0].score;
    for (int i = 1; i < b->n_bank; i++)
        if (b->bank[i].score < b->worst)
            b->worst = b->bank[i].score;
}

static int list_done(const struct beam_search *b, double best, int length)
{
    if (b->n_bank < b->n_beam)
        return 0;
    if (b->early_stopping == EARLY_TRUE)
        return 1;
    if (b->early_stopping == EARLY_NEVER && b->length_penalty > 0)
        length = b->max_new + (b->compat == BEAM_COMPAT_4_35 ? b->n_prompt : 0);
    return b->worst >= best / length_power(length, b->length_penalty);
}

static void step_list(struct beam_search *b, const struct beam_candidate *c, int n)
{
    int with_prompt = b->compat == BEAM_COMPAT_4_35, n_next = 0;
    int length = with_prompt ? b->n_prompt + b->n_new : b->n_new + 1;
    for (int i = 0; i < n && n_next < b->n_beam; i++) {
        if (!c[i].ends)
            b->picked[n_next++] = i;
        else if (i < b->n_beam)
            list_add(b, (double)c[i].score / length_power(length, b->length_penalty), c[i].parent, &c[i]);
    }
    int real = n_next;
    for (; n_next < b->n_beam; n_next++) /* only where a stop string ends nearly everything */
        b->picked[n_next] = n - 1;
    b->done = list_done(b, c[0].score, (with_prompt ? b->n_prompt : 0) + b->n_new + 1);
    advance_beams(b, c, b->picked);
    for (int j = 0; j < b->n_beam; j++)
        b->score[j] = j < real ? c[b->picked[j]].score : NEVER;
    if (b->done || (real && b->n_new < b->max_new))
        return;
    b->done = 1;
    length = with_prompt ? b->n_prompt + b->n_new : b->n_new;
    for (int j = 0; j < real; j++)
        list_add(b, (double)b->score[j] / length_power(length, b->length_penalty), j, NULL);
}

/* The greatest of value[0..n) (of equals the first), which is then marked as taken by making it NAN; -1 when none is
 * left. */
static int pop_greatest(float *value, int n, float *score)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!isnan(value[i]) && (best < 0 || value[i] > value[best]))
            best = i;
    if (best >= 0) {
        *score = value[best];
        value[best] = NAN;
    }
    return best;
}

/* 4.49: the bank and the new candidates in one list; its n_beam best (of equals the first) are the next bank. */
static void bank_merge(struct beam_search *b, const struct beam_candidate *c, int n, int at_limit)
{
    int nb = b->n_beam, full = 1, n_old = 0;
    float scale = (float)length_power(b->n_new + 1, b->length_penalty), score = 0;
    for (int i = 0; i < nb; i++)
        full &= b->bank[i].finished;
    for (int i = 0; i < n; i++) {
        float s = c[i].score / scale;
        s += full && b->early_stopping == EARLY_TRUE ? NEVER : 0;
        s += b->improvable ? 0 : NEVER;
        s += (c[i].ends || at_limit) && i < nb ? 0 : NEVER;
        b->value[i] = s;
    }
    int next = pop_greatest(b->value, n, &score);
    for (int k = 0; k < nb; k++) {
        if (next < 0 || !(score > (float)b->bank[n_old].score)) {
            b->merged[k] = b->bank[n_old++];
            continue;
        }
        b->merged[k] = (struct beam_hypothesis){.score = score, .n = next, .ids = NULL};
        next = pop_greatest(b->value, n, &score);
    }
    for (int k = 0, spare = n_old; k < nb; k++) { /* the storage of those that left serves the new ones */
        struct beam_hypothesis *h = &b->merged[k];
        if (h->ids)
            continue;
        const struct beam_candidate *t = &c[h->n];
        double s = h->score;
        *h = b->bank[spare++];
        write_hypothesis(b, h, t->parent, t);
        h->score = s;
        h->finished = (t->ends || at_limit) && t - c < nb;
    }
    memcpy(b->bank, b->merged, (size_t)nb * sizeof *b->bank);
}

static int bank_improvable(const struct beam_search *b)
{
    int length = b->early_stopping == EARLY_NEVER && b->length_penalty > 0 ? b->max_new : b->n_new;
    float best = b->score[0] / (float)length_power(length, b->length_penalty), low = (float)b->bank[0].score;
    for (int i = 1; i < b->n_beam; i++)
        if ((float)b->bank[i].score < low)
            low = (float)b->bank[i].score;
    for (int i = 0; i < b->n_beam; i++)
        if (best > (b->bank[i].finished ? low : NEVER))
            return 1;
    return 0;
}

static void step_bank(struct beam_search *b, const struct beam_candidate *c, int n)
{
    int at_limit = b->n_new + 1 >= b->max_new, all_end = 1, full = 1;
    bank_merge(b, c, n, at_limit);
    for (int i = 0; i < n; i++) {
        b->value[i] = c[i].score + (c[i].ends || at_limit ? NEVER : 0);
        all_end &= c[i].ends || at_limit;
    }
    for (int j = 0; j < b->n_beam; j++) {
        b->score[j] = NEVER;
        int i = pop_greatest(b->value, n, &b->score[j]);
        b->picked[j] = i < 0 ? n - 1 : i;
    }
    advance_beams(b, c, b->picked);
    for (int i = 0; i < b->n_beam; i++)
        full &= b->bank[i].finished;
    b->improvable = b->improvable && bank_improvable(b);
    b->done = !b->improvable || (full && b->early_stopping == EARLY_TRUE) || all_end;
}

void beam_step(struct beam_search *b, const struct beam_candidate *c, int n)
{
    if (b->compat == BEAM_COMPAT_4_49)
        step_bank(b, c, n);
    else
        step_list(b, c, n);
}

int beam_best(struct beam_search *b, const struct beam_hypothesis **out, int n)
{
    int n_out = 0;
    if (b->compat == BEAM_COMPAT_4_49) {
        for (; n_out < n && n_out < b->n_beam; n_out++)
            out[n_out] = &b->bank[n_out];
        return n_out;
    }
    memset(b->picked, 0, (size_t)b->n_bank * sizeof *b->picked);
    for (; n_out < n && n_out < b->n_bank; n_out++) { /* best first, of equals the latest */
        int best = -1;
        for (int i = 0; i < b->n_bank; i++)
            if (!b->picked[i] && (best < 0 || b->bank[i].score >= b->bank[best].score))
                best = i;
        b->picked[best] = 1;
        out[n_out] = &b->bank[best];
    }
    return n_out;
}
