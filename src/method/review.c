/* SPDX-License-Identifier: Apache-2.0 */
/* A person's decisions on a round. Each is a fact "review-r1-a17" with what is to be done, and an event for every time
 * that one changed its mind; they are done to the attempts in one commit, when the run goes on. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 16 };
static const char *const actions[] = {"strike", "accept", "edit", "add", "undo"};

static int action_named(const char *name)
{
    for (int i = 0; name && i < (int)(sizeof actions / sizeof *actions); i++)
        if (!strcmp(actions[i], name))
            return i;
    return -1;
}

/* --- what is said --- */

static int check_text(const char *text, const char *what, struct error *err)
{
    size_t n = text ? strlen(text) : 0, blank = text ? strspn(text, " \t\r\n") : 0;
    if (n > blank && n <= MOST_TEXT && utf8_valid(text, n) == n)
        return 0;
    return error_set(err, ERROR_USAGE, "%s: wanted a text of at most %d bytes, found %zu%s", what, MOST_TEXT, n,
                     n && n == blank ? ", all of them white space" : "");
}

static int check_round(struct run *r, int round, struct error *err)
{
    struct run_round as;
    int rc = run_get_round(r, round, &as, err);
    if (rc || as.state == RUN_STATE_REVIEW)
        return rc;
    return error_set(err, ERROR_CONFIG,
                     "round %d does not wait for review; that is what isara align --review stops for", round);
}

static int check_attempt(const struct review_decision *d, const struct run_attempt *t, struct error *err)
{
    const char *reason = t->verdict.reason;
    if (!reason)
        return error_set(err, ERROR_CONFIG, "round %d has no attempt %d with a verdict", d->round, d->index);
    if (d->action == REVIEW_STRIKE && !t->verdict.kept)
        return error_set(err, ERROR_CONFIG, "r%d-a%d: was not kept, so there is nothing to strike", d->round, d->index);
    if (d->action == REVIEW_STRIKE || d->action == REVIEW_UNDO)
        return 0;
    if (!strcmp(reason, sift_reason_name(SIFT_TEST_OVERLAP)))
        return error_set(err, ERROR_CONFIG, "r%d-a%d: is near a test question, which the model is measured on",
                         d->round, d->index);
    if (!t->question.text || !t->answer.text)
        return error_set(err, ERROR_CONFIG, "r%d-a%d: has no %s to be kept; add a pair of your own instead", d->round,
                         d->index, t->question.text ? "answer" : "question");
    return 0;
}

static int count_one(void *user, const char *name, const char *value, struct error *err)
{
    int *next = user, round, number;
    (void)value;
    (void)err;
    if (sscanf(name, "review-r%d-p%d", &round, &number) == 2 && number >= *next)
        *next = number + 1;
    return 0;
}

static void name_fact(const struct review_decision *d, char fact[64])
{
    char id[40];
    const struct pool_item item = {.round = d->round, .index = d->index};
    pool_name(&item, id);
    snprintf(fact, 64, "review-%s", id);
}

/* A new pair's place. */
static int place_added(struct run *r, struct review_decision *d, struct error *err)
{
    char prefix[32];
    int next = 0;
    snprintf(prefix, sizeof prefix, "review-r%d-p", d->round);
    int rc = run_get_facts(r, prefix, &(struct run_fact_looker){count_one, &next}, err);
    d->index = -1 - next;
    return rc;
}

static json_t *fact_of(const struct review_decision *d, const struct run_attempt *was)
{
    json_t *o = json_pack("{s:s, s:f}", "action", actions[d->action], "time", clock_wall());
    if (d->question)
        json_object_set_new(o, "question", json_string(d->question));
    if (d->answer)
        json_object_set_new(o, "answer", json_string(d->answer));
    if (d->action == REVIEW_EDIT) {
        json_object_set_new(o, "was_question", json_string(was->question.text));
        json_object_set_new(o, "was_answer", json_string(was->answer.text));
    }
    return o;
}

static int write_down(struct run *r, const struct review_decision *d, const struct run_attempt *was, struct error *err)
{
    char fact[64];
    struct buf text = BUF_INIT, event = BUF_INIT;
    json_t *value = fact_of(d, was);
    name_fact(d, fact);
    int rc = value ? jsontext_dump(&text, value, 0, err) : error_set_nomem(err, 256, "a decision");
    buf_printf(&event, "%s %s", fact + strlen("review-"), buf_text(&text));
    rc = rc ? rc : run_begin(r, err);
    if (!rc) {
        rc = d->action == REVIEW_UNDO ? run_drop_fact(r, fact, err) : run_put_fact(r, fact, buf_text(&text), err);
        rc = rc ? rc : run_add_event(r, "review", buf_text(&event), err);
        if (!rc)
            rc = run_commit(r, err);
        else
            run_rollback(r);
    }
    json_decref(value);
    buf_free(&text);
    buf_free(&event);
    return rc;
}

static int decide(struct run *r, struct review_decision *d, struct error *err)
{
    struct arena arena = ARENA_INIT;
    struct run_attempt was = {0};
    int writes = d->action == REVIEW_EDIT || d->action == REVIEW_ADD, rc = check_round(r, d->round, err);
    if (!rc && writes)
        rc = check_text(d->question, "question", err);
    if (!rc && writes)
        rc = check_text(d->answer, "answer", err);
    if (!rc && d->action == REVIEW_ADD)
        rc = place_added(r, d, err);
    else if (!rc && d->index >= 0)
        rc = run_get_attempt(r, d->round, d->index, &was, &arena, err);
    if (!rc && d->index >= 0)
        rc = check_attempt(d, &was, err);
    else if (!rc && d->action != REVIEW_ADD && d->action != REVIEW_UNDO)
        rc = error_set(err, ERROR_CONFIG, "a pair of your own can be taken back, and added again in other words");
    rc = rc ? rc : write_down(r, d, &was, err);
    arena_free(&arena);
    return rc;
}

int method_review(struct run *r, const struct review_decision *d, char id[40], struct error *err)
{
    struct review_decision own = *d;
    int rc = run_lock(r, err);
    if (rc)
        return rc;
    rc = decide(r, &own, err);
    run_unlock(r);
    const struct pool_item item = {.round = own.round, .index = own.index};
    pool_name(&item, id);
    return rc;
}

/* --- what is done --- */

struct said {
    int action, index; /* an added pair: -1 - its number */
    const char *question, *answer;
};

/* The strings are value's. */
static int read_fact(const char *name, const json_t *value, struct said *out, struct error *err)
{
    int round, number, used = 0;
    char kind;
    out->action = action_named(json_string_value(json_object_get(value, "action")));
    out->question = json_string_value(json_object_get(value, "question"));
    out->answer = json_string_value(json_object_get(value, "answer"));
    int named = sscanf(name, "review-r%d-%c%d%n", &round, &kind, &number, &used) == 3 && !name[used] && number >= 0;
    int pair = named && kind == 'p', writes = out->action == REVIEW_EDIT || out->action == REVIEW_ADD;
    out->index = pair ? -1 - number : number;
    if (!named || out->action < 0 || pair != (out->action == REVIEW_ADD) ||
        (writes && (!out->question || !out->answer)))
        return error_set(err, ERROR_DATA, "run.db: the fact %.40s is no decision of a review; the journal is damaged",
                         name);
    return 0;
}

static int with_fact(const char *name, const char *text, json_t **value, struct said *out, struct error *err)
{
    int rc = jsontext_parse(value, jsontext_whole(text, strlen(text), name), NULL, err);
    return rc ? rc : read_fact(name, *value, out, err);
}

/* What a person wrote is held to what prompts can have and to the test set, as what the model wrote is. */
static int check_written(struct align *a, const char *name, const struct said *s, struct error *err)
{
    int row = -1, rc = a->o.keep_test_overlap ? 0 : align_near_test(a, s->question, &row, err);
    if (!rc && row >= 0)
        rc = error_set(err, ERROR_CONFIG,
                       "%s: its question is near row %d of the test set; write another one (isara view), or strike it",
                       name + strlen("review-"), row);
    if (!rc && (!prompt_question_parses(&a->speaker, s->question) || !prompt_answer_parses(&a->speaker, s->answer)))
        rc = error_set(err, ERROR_CONFIG, "%s: holds the template's own words; write it otherwise (isara view)",
                       name + strlen("review-"));
    return rc;
}

static int copy_text(struct align *a, struct run_text *to, const char *text, struct error *err)
{
    to->text = arena_strdup(&a->round_arena, text);
    to->ids = NULL;
    to->logprobs = NULL;
    to->n = 0;
    to->score = NAN;
    return to->text ? 0 : error_set_nomem(err, strlen(text), "an attempt");
}

static int apply_edit(struct align *a, struct run_attempt *t, const struct said *s, struct error *err)
{
    const char *question = strcmp(s->question, t->question.text) ? s->question : NULL,
               *answer = strcmp(s->answer, t->answer.text) ? s->answer : NULL;
    int rc = run_put_edited(a->run, a->round, t->index, question, answer, err);
    if (!rc && question)
        rc = copy_text(a, &t->question, question, err);
    if (!rc && answer)
        rc = copy_text(a, &t->answer, answer, err);
    t->score = NAN;
    return rc;
}

static int apply(void *user, const char *name, const char *text, struct error *err)
{
    struct align *a = user;
    json_t *value = NULL;
    struct said s;
    int rc = with_fact(name, text, &value, &s, err),
        writes = !rc && (s.action == REVIEW_EDIT || s.action == REVIEW_ADD);
    if (writes)
        rc = check_written(a, name, &s, err);
    if (!rc && s.index >= a->n_attempt)
        rc = error_set(err, ERROR_DATA, "run.db: the fact %.40s is of no attempt; the journal is damaged", name);
    struct run_attempt *t = !rc && s.index >= 0 ? &a->attempts[s.index] : NULL;
    if (t && s.action == REVIEW_EDIT)
        rc = apply_edit(a, t, &s, err);
    if (t && !rc) {
        t->verdict.kept = s.action != REVIEW_STRIKE;
        t->verdict.reason = sift_reason_name(t->verdict.kept ? SIFT_KEPT : SIFT_STRUCK);
        t->verdict.match = -1;
        rc = run_put_verdict(a->run, a->round, s.index, &t->verdict, err);
    }
    json_decref(value);
    return rc;
}

/* Read whole before anything is written, as the journal is what is written to. */
struct decisions {
    struct decision {
        const char *name, *text;
    } * list;
    int n, cap;
    struct arena arena;
};

static int collect(void *user, const char *name, const char *value, struct error *err)
{
    struct decisions *d = user;
    if (d->n == d->cap) {
        int cap = d->cap * 2 + 64;
        struct decision *list = mem_resize(d->list, (size_t)cap * sizeof *list);
        if (!list)
            return error_set_nomem(err, (size_t)cap * sizeof *list, "decisions");
        d->list = list;
        d->cap = cap;
    }
    struct decision x = {arena_strdup(&d->arena, name), arena_strdup(&d->arena, value)};
    d->list[d->n++] = x;
    return x.name && x.text ? 0 : error_set_nomem(err, strlen(value), "decisions");
}

int align_apply_review(struct align *a, struct error *err)
{
    struct decisions d = {.arena = ARENA_INIT};
    char prefix[32];
    snprintf(prefix, sizeof prefix, "review-r%d-", a->round);
    int rc = run_get_facts(a->run, prefix, &(struct run_fact_looker){collect, &d}, err);
    for (int i = 0; i < d.n && !rc; i++)
        rc = apply(a, d.list[i].name, d.list[i].text, err);
    mem_free(d.list);
    arena_free(&d.arena);
    return rc;
}

static int take_added(void *user, const char *name, const char *text, struct error *err)
{
    struct added_pairs *out = user;
    json_t *value = NULL;
    struct said s;
    int round = 0, rc = with_fact(name, text, &value, &s, err);
    sscanf(name, "review-r%d-", &round);
    if (!rc && out->n == out->cap) {
        int cap = out->cap * 2 + 16;
        struct pool_item *items = mem_resize(out->items, (size_t)cap * sizeof *items);
        rc = items ? 0 : error_set_nomem(err, (size_t)cap * sizeof *items, "pairs");
        out->items = items ? items : out->items;
        out->cap = items ? cap : out->cap;
    }
    if (!rc) {
        struct pool_item item = {arena_strdup(out->arena, s.question), arena_strdup(out->arena, s.answer), round,
                                 s.index};
        rc = item.question && item.answer ? 0 : error_set_nomem(err, strlen(text), "pairs");
        out->items[out->n++] = item;
    }
    json_decref(value);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    return ((const struct pool_item *)b)->index - ((const struct pool_item *)a)->index;
}

int review_added(struct run *r, int round, struct added_pairs *out, struct error *err)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "review-r%d-p", round);
    int rc = run_get_facts(r, prefix, &(struct run_fact_looker){take_added, out}, err);
    if (out->n)
        qsort(out->items, (size_t)out->n, sizeof *out->items, by_number);
    return rc;
}

static int count_action(void *user, const char *name, const char *text, struct error *err)
{
    struct report_review *n = user;
    json_t *value = NULL;
    struct said s;
    int rc = with_fact(name, text, &value, &s, err);
    n->struck += !rc && s.action == REVIEW_STRIKE;
    n->accepted += !rc && s.action == REVIEW_ACCEPT;
    n->edited += !rc && s.action == REVIEW_EDIT;
    n->added += !rc && s.action == REVIEW_ADD;
    json_decref(value);
    return rc;
}

int method_review_counts(struct run *r, struct report_review *out, struct error *err)
{
    *out = (struct report_review){0};
    return run_get_facts(r, "review-r", &(struct run_fact_looker){count_action, out}, err);
}
