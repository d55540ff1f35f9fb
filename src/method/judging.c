/* SPDX-License-Identifier: Apache-2.0 */
/* Judging blind on a page. What a person says of a pair is a fact "judged-RATER-INDEX" of the journal: which answer is
 * better, which are bad, by the ids of the sheet that people may label in a file instead, and when. */
#include "method/sheet.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/jsontext.h"
#include "stats/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RATER = 24 };

static int check_rater(const char *rater, struct error *err)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t n = rater ? strlen(rater) : 0;
    if (n && n <= RATER && strspn(rater, fine) == n)
        return 0;
    return error_set(err, ERROR_USAGE, "rater: wanted letters, digits and '_', %d at most, found \"%.40s\"", RATER,
                     rater ? rater : "");
}

/* Rows of the sheet by question and arm; -1: there is none. */
static int *by_question(const struct sheet *s, struct error *err)
{
    int n = s->d.arms.n_text;
    int *rows = mem_alloc((2 * (size_t)n + 1) * sizeof *rows);
    if (!rows) {
        error_set_nomem(err, (size_t)n * 8, "pairs");
        return NULL;
    }
    for (int i = 0; i < 2 * n; i++)
        rows[i] = -1;
    for (int i = 0; i < s->n; i++)
        rows[2 * s->rows[i].index + s->rows[i].arm] = i;
    return rows;
}

static const char *answer_of(const struct sheet *s, int arm, int index)
{
    return s->arms[arm]->results[index].text;
}

static int is_pair(const struct sheet *s, const int *rows, int index)
{
    return rows[2 * index] >= 0 && rows[2 * index + 1] >= 0 &&
           strcmp(answer_of(s, 0, index), answer_of(s, 1, index)) != 0;
}

/* --- what to look at --- */

static void name_fact(const char *rater, int index, char fact[64])
{
    snprintf(fact, 64, "judged-%s-%06d", rater, index);
}

/* What was said of this pair of answers, a new reference; NULL: it was said of another model's, before the run got more
 * rounds, or is not to be read. */
static json_t *said_of(const struct sheet *s, const int *rows, int index, const char *text)
{
    json_t *said = NULL;
    if (index < 0 || index >= s->d.arms.n_text || !is_pair(s, rows, index) ||
        jsontext_parse(&said, jsontext_whole(text, strlen(text), "judged"), NULL, NULL))
        return NULL;
    const char *of = json_string_value(json_object_get(said, "of"));
    if (of && !strcmp(of, s->rows[rows[2 * index]].id))
        return said;
    json_decref(said);
    return NULL;
}

static int index_of(const char *name)
{
    const char *number = strrchr(name, '-');
    return number ? (int)strtol(number + 1, NULL, 10) : -1;
}

struct done {
    const struct sheet *s;
    const int *rows;
    unsigned char *by_index;
    int n, most;
};

static int mark_done(void *user, const char *name, const char *value, struct error *err)
{
    struct done *d = user;
    int index = index_of(name);
    json_t *said = said_of(d->s, d->rows, index, value);
    (void)err;
    if (said) {
        d->by_index[index] = 1;
        d->n++;
    }
    json_decref(said);
    return 0;
}

static json_t *pair_of(const struct sheet *s, const int *rows, const char *rater, int index)
{
    const struct rng_stream sides = {hash64(s->arms[1]->sha256, 64), hash64(rater, strlen(rater)), 1};
    int first = (int)rng_below(&sides, (uint64_t)index, 2);
    json_t *answers = json_array();
    for (int k = 0; k < 2; k++) {
        int arm = k ? !first : first;
        json_array_append_new(answers, json_pack("{s:s, s:s}", "id", s->rows[rows[2 * index + arm]].id, "text",
                                                 answer_of(s, arm, index)));
    }
    return json_pack("{s:i, s:s, s:o}", "index", index, "question", s->d.arms.items[index].question, "answers",
                     answers);
}

/* In the person's own order: what tires comes at another place for another one. */
static int find_next(const struct sheet *s, const int *rows, const char *rater, const struct done *done, int *n,
                     struct error *err)
{
    uint32_t *order = mem_alloc(((size_t)done->most + 1) * sizeof *order);
    int next = -1;
    if (!order)
        return error_set_nomem(err, (size_t)done->most * sizeof *order, "pairs");
    rng_permutation(&(struct rng_stream){hash64(s->arms[1]->sha256, 64), hash64(rater, strlen(rater)), 0}, order,
                    (uint32_t)done->most);
    *n = 0;
    for (int i = 0; i < done->most; i++)
        *n += is_pair(s, rows, i);
    for (int i = 0; i < done->most && next < 0; i++)
        if (is_pair(s, rows, (int)order[i]) && !done->by_index[order[i]])
            next = (int)order[i];
    mem_free(order);
    return next;
}

int method_judge_next(const char *run_directory, const char *rater, json_t **out, struct error *err)
{
    struct sheet s = {0};
    struct done done = {0};
    char prefix[64];
    int n = 0, next = -1, rc = check_rater(rater, err);
    rc = rc ? rc : sheet_open(&s, run_directory, err);
    int *rows = rc ? NULL : by_question(&s, err);
    done.s = &s;
    done.rows = rows;
    done.most = s.d.arms.n_text;
    done.by_index = rc ? NULL : mem_calloc((size_t)done.most + 1, 1);
    if (!rc && (!rows || !done.by_index))
        rc = error_set_nomem(err, (size_t)done.most, "pairs");
    snprintf(prefix, sizeof prefix, "judged-%.*s-", RATER, rater ? rater : "");
    rc = rc ? rc : run_get_facts(s.run, prefix, &(struct run_fact_looker){mark_done, &done}, err);
    if (!rc)
        next = find_next(&s, rows, rater, &done, &n, err);
    if (!rc && next < -1)
        rc = next;
    if (!rc)
        *out = json_pack("{s:i, s:i, s:o}", "n", n, "done", done.n, "pair",
                         next < 0 ? json_null() : pair_of(&s, rows, rater, next));
    if (!rc && !*out)
        rc = error_set_nomem(err, 256, "a pair");
    mem_free(rows);
    mem_free(done.by_index);
    sheet_close(&s);
    return rc;
}

/* --- what was said --- */

/* of: the pretrained model's answer, by which the pair is known again. */
static int check_judgement(const struct sheet *s, const struct judgement *j, char of[SHEET_ID], struct error *err)
{
    int *rows = by_question(s, err), fits = 0;
    const char *id;
    json_t *value;
    if (!rows)
        return ERROR_NOMEM;
    if (j->index >= 0 && j->index < s->d.arms.n_text && is_pair(s, rows, j->index) && j->better) {
        const char *ids[2] = {s->rows[rows[2 * j->index]].id, s->rows[rows[2 * j->index + 1]].id};
        fits = !strcmp(j->better, "same") || !strcmp(j->better, ids[0]) || !strcmp(j->better, ids[1]);
        json_object_foreach((json_t *)(uintptr_t)j->bad, id, value) fits &=
            json_is_boolean(value) && (!strcmp(id, ids[0]) || !strcmp(id, ids[1]));
        memcpy(of, ids[0], SHEET_ID);
    }
    mem_free(rows);
    return fits ? 0
                : error_set(err, ERROR_USAGE,
                            "wanted the index of a pair, \"better\" as an id of it or \"same\", and in \"bad\" true or "
                            "false by its ids");
}

int method_judge(struct run *r, const struct judgement *j, struct error *err)
{
    struct sheet s = {0};
    struct buf text = BUF_INIT;
    char fact[64], of[SHEET_ID] = "";
    int rc = check_rater(j->rater, err);
    rc = rc ? rc : sheet_open(&s, run_directory(r), err);
    rc = rc ? rc : check_judgement(&s, j, of, err);
    json_t *value =
        rc ? NULL
           : json_pack("{s:s, s:O*, s:s, s:f}", "better", j->better, "bad", j->bad, "of", of, "time", clock_wall());
    if (!rc)
        rc = value ? jsontext_dump(&text, value, 0, err) : error_set_nomem(err, 256, "a judgement");
    if (!rc) {
        name_fact(j->rater, j->index, fact);
        rc = run_put_fact(r, fact, buf_text(&text), err);
    }
    json_decref(value);
    buf_free(&text);
    sheet_close(&s);
    return rc;
}

struct latest {
    char name[64];
    double time;
};

static int find_latest(void *user, const char *name, const char *value, struct error *err)
{
    struct latest *x = user;
    json_t *o = NULL;
    int rc = jsontext_parse(&o, jsontext_whole(value, strlen(value), name), NULL, err);
    double time = json_number_value(json_object_get(o, "time"));
    if (!rc && time >= x->time && strlen(name) < sizeof x->name) {
        x->time = time;
        memcpy(x->name, name, strlen(name) + 1);
    }
    json_decref(o);
    return rc;
}

int method_judge_undo(struct run *r, const char *rater, struct error *err)
{
    struct latest x = {0};
    char prefix[64];
    int rc = check_rater(rater, err);
    snprintf(prefix, sizeof prefix, "judged-%.*s-", RATER, rater ? rater : "");
    rc = rc ? rc : run_get_facts(r, prefix, &(struct run_fact_looker){find_latest, &x}, err);
    return rc || !x.name[0] ? rc : run_drop_fact(r, x.name, err);
}

/* --- all of it, for a report --- */

struct recorded_labels {
    struct sheet *s;
    struct report_people *people;
    const int *rows;
    char raters[SHEET_MOST_RATERS][RATER + 1];
    int n_rater, counting; /* a first pass finds the raters */
};

static int rater_of(struct recorded_labels *x, const char *name)
{
    char rater[RATER + 1];
    if (sscanf(name, "judged-%24[^-]-", rater) != 1)
        return -1;
    for (int i = 0; i < x->n_rater; i++)
        if (!strcmp(x->raters[i], rater))
            return i;
    if (x->n_rater == SHEET_MOST_RATERS)
        return -1;
    memcpy(x->raters[x->n_rater], rater, sizeof rater);
    return x->n_rater++;
}

static void take(struct recorded_labels *x, int rater, int index, const json_t *said)
{
    const char *better = json_string_value(json_object_get(said, "better")), *id;
    const struct sheet *s = x->s;
    json_t *bad;
    int row = better ? sheet_row_named(s, better) : -1;
    if (row >= 0 && s->rows[row].index == index && s->rows[row].arm)
        x->people->n_after++;
    else if (row >= 0 && s->rows[row].index == index)
        x->people->n_before++;
    else
        x->people->n_same++;
    json_object_foreach(json_object_get(said, "bad"), id, bad)
    {
        row = sheet_row_named(s, id);
        if (row >= 0 && s->rows[row].index == index && json_is_boolean(bad))
            s->labels[row * s->n_rater + rater] = (signed char)json_is_true(bad);
    }
}

static int take_judged(void *user, const char *name, const char *value, struct error *err)
{
    struct recorded_labels *x = user;
    int index = index_of(name);
    json_t *said = said_of(x->s, x->rows, index, value);
    int rater = said ? rater_of(x, name) : -1;
    (void)err;
    if (!x->counting && rater >= 0)
        take(x, rater, index, said);
    json_decref(said);
    return 0;
}

static void fill_wins(struct report_people *p)
{
    int n = p->n_after + p->n_before, least = p->n_after < p->n_before ? p->n_after : p->n_before;
    struct stats_interval w = stats_clopper_pearson(p->n_after, n, 0.95);
    p->wins = n ? (double)p->n_after / n : NAN;
    p->wins_low = n ? w.low : NAN;
    p->wins_high = n ? w.high : NAN;
    p->p_wins = n ? fmin(1, 2 * stats_binomial_cdf(least, n, 0.5)) : NAN;
}

static int read_recorded(struct sheet *s, struct report_run *r, struct error *err)
{
    struct report_people people = {0};
    int *rows = by_question(s, err);
    struct recorded_labels x = {.s = s, .people = &people, .rows = rows, .counting = 1};
    const struct run_fact_looker to = {take_judged, &x};
    int rc = rows ? run_get_facts(s->run, "judged-", &to, err) : ERROR_NOMEM;
    x.counting = 0;
    rc = rc ? rc : sheet_raters(s, x.n_rater, err);
    rc = rc ? rc : run_get_facts(s->run, "judged-", &to, err);
    if (!rc && people.n_after + people.n_before + people.n_same) {
        fill_wins(&people);
        sheet_people(s, r);
        r->people.n_after = people.n_after;
        r->people.n_before = people.n_before;
        r->people.n_same = people.n_same;
        r->people.wins = people.wins;
        r->people.wins_low = people.wins_low;
        r->people.wins_high = people.wins_high;
        r->people.p_wins = people.p_wins;
    }
    mem_free(rows);
    return rc;
}

static int count_facts(void *user, const char *name, const char *value, struct error *err)
{
    (void)name;
    (void)value;
    (void)err;
    ++*(int *)user;
    return 0;
}

int method_labels_recorded(struct report_run *r, struct error *err)
{
    struct sheet s = {0};
    struct run *run = NULL;
    int n = 0, rc = run_open_readonly(&run, r->output, err);
    rc = rc ? rc : run_get_facts(run, "judged-", &(struct run_fact_looker){count_facts, &n}, err);
    run_close(run);
    if (rc || !n)
        return rc;
    rc = sheet_open(&s, r->output, err);
    rc = rc ? rc : read_recorded(&s, r, err);
    sheet_close(&s);
    return rc;
}
