/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: a page of those that fit a filter, and one with all that stood before it. */
#include "serve/view_parts.h"

#include "answer/pool.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 500 };

int view_read_id(const char *id, int *round, int *index)
{
    int used = 0;
    char kind;
    if (!id || sscanf(id, "r%d-%c%d%n", round, &kind, index, &used) != 3 || id[used] || *round < 1 || *index < 0 ||
        (kind != 'a' && kind != 'p'))
        return -1;
    *index = kind == 'p' ? -1 - *index : *index;
    return 0;
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* What was decided by hand, or null. */
static json_t *decision_of(struct view *v, const char *id)
{
    struct arena arena = ARENA_INIT;
    char name[64];
    const char *text = NULL;
    json_t *o = NULL;
    snprintf(name, sizeof name, "review-%s", id);
    if (!run_get_fact(v->run, name, &text, &arena, NULL) && text)
        jsontext_parse(&o, jsontext_whole(text, strlen(text), name), NULL, NULL);
    arena_free(&arena);
    return o ? o : json_null();
}

/* What a repeat or a copy was found in, in words. */
static json_t *match_of(struct view *v, const struct run_shown *s)
{
    char name[40], text[64];
    struct arena arena = ARENA_INIT;
    struct pool_item item;
    if (s->match < 0 || !s->reason)
        return json_null();
    if (!strcmp(s->reason, sift_reason_name(SIFT_TEST_OVERLAP))) {
        snprintf(text, sizeof text, "test question %d", s->match);
    } else if (strcmp(s->reason, sift_reason_name(SIFT_ANSWER_COPIED))) {
        snprintf(text, sizeof text, "r%d-a%d", s->round, s->match);
    } else if (look_pair(v->look, s->round, s->match, &arena, &item, NULL) == 1) {
        pool_name(&item, name);
        snprintf(text, sizeof text, "copied from %s", name);
    } else {
        snprintf(text, sizeof text, "copied from pair %d", s->match);
    }
    arena_free(&arena);
    return json_string(text);
}

struct listing {
    struct view *view;
    json_t *items;
};

static int put_shown(void *user, const struct run_shown *s, struct error *err)
{
    const struct listing *l = user;
    char id[40];
    snprintf(id, sizeof id, "r%d-a%d", s->round, s->index);
    json_t *o = json_pack("{s:s, s:i, s:s?, s:s?, s:s?, s:s?, s:b, s:s?}", "id", id, "round", s->round, "question",
                          s->question, "question_error", s->question_error, "answer", s->answer, "answer_error",
                          s->answer_error, "kept", s->kept, "reason", s->reason);
    json_object_set_new(o, "nearest", real(s->reason ? s->f1 : NAN));
    json_object_set_new(o, "score", real(s->score));
    json_object_set_new(o, "matches", match_of(l->view, s));
    json_object_set_new(o, "decision", decision_of(l->view, id));
    return json_array_append_new(l->items, o) ? error_set_nomem(err, 256, "attempts") : 0;
}

/* A pair of a person's own, as an attempt. */
static int put_added(void *user, const char *name, const char *value, struct error *err)
{
    const struct listing *l = user;
    json_t *fact = NULL;
    const char *id = name + strlen("review-");
    int round, index, rc = jsontext_parse(&fact, jsontext_whole(value, strlen(value), name), NULL, err);
    if (!rc && !view_read_id(id, &round, &index) && index < 0) {
        json_t *o = json_pack("{s:s, s:i, s:O, s:O, s:b, s:s, s:n, s:n, s:n, s:O}", "id", id, "round", round,
                              "question", json_object_get(fact, "question"), "answer", json_object_get(fact, "answer"),
                              "kept", 1, "reason", "kept", "nearest", "score", "matches", "decision", fact);
        rc = json_array_append_new(l->items, o) ? error_set_nomem(err, 256, "attempts") : 0;
    }
    json_decref(fact);
    return rc;
}

static int number_of(const struct http_exchange *x, const char *name, int otherwise)
{
    const char *text = http_query(x, name);
    long n = text ? strtol(text, NULL, 10) : otherwise;
    return n < 0 || n > INT32_MAX ? otherwise : (int)n;
}

void view_attempts(void *user, struct http_exchange *x)
{
    struct view *v = user;
    struct error err = {0};
    const char *reason = http_query(x, "reason"), *words = http_query(x, "q");
    int n = number_of(x, "n", 50), total = 0;
    const struct run_filter f = {.round = number_of(x, "round", 0),
                                 .reason = reason && *reason ? reason : NULL,
                                 .words = words,
                                 .from = number_of(x, "from", 0),
                                 .n = n < MOST ? n : MOST};
    const struct listing l = {v, json_array()};
    char prefix[32] = "review-r";
    if (f.round)
        snprintf(prefix, sizeof prefix, "review-r%d-p", f.round);
    int all = !f.from && (!f.reason || !strcmp(f.reason, sift_reason_name(SIFT_KEPT))) && (!words || !*words);
    int rc = all ? run_get_facts(v->run, prefix, &(struct run_fact_looker){put_added, (void *)(uintptr_t)&l}, &err) : 0;
    rc = rc ? rc : run_look(v->run, &f, &(struct run_looker){put_shown, (void *)(uintptr_t)&l}, &total, &err);
    if (!rc) {
        answer_json(x, 200, json_pack("{s:i, s:i, s:o}", "total", total, "from", f.from, "items", l.items));
        return;
    }
    json_decref(l.items);
    view_fail(x, rc, &err);
}

/* --- one --- */

static json_t *contexts_of(struct view *v, int round, const struct run_text *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_context; i++) {
        struct arena arena = ARENA_INIT;
        struct pool_item item;
        char name[40];
        if (look_pair(v->look, round, t->contexts[i], &arena, &item, NULL) == 1)
            pool_name(&item, name);
        else
            snprintf(name, sizeof name, "pair %d of the pool", t->contexts[i]);
        json_array_append_new(
            list, json_pack("{s:s, s:s?, s:s?}", "name", name, "question", item.question, "answer", item.answer));
        arena_free(&arena);
    }
    return list;
}

static void say_text(struct buf *out, const char *what, const struct run_text *t)
{
    double sum = 0;
    for (int i = 0; i < t->n; i++)
        sum += (double)t->logprobs[i];
    if (t->n)
        buf_printf(out, "%s: %d tokens, log-probability %.2f", what, t->n, sum);
    else if (t->text)
        buf_printf(out, "%s: not in the model's own words", what);
    else
        buf_printf(out, "%s: none", what);
    if (t->text && !t->ended)
        buf_puts(out, ", cut at the token limit");
    if (t->dropped)
        buf_printf(out, ", %d examples had no room", t->dropped);
    buf_puts(out, ". ");
}

void view_attempt(void *user, struct http_exchange *x)
{
    struct view *v = user;
    struct arena arena = ARENA_INIT;
    struct error err = {0};
    struct run_attempt t = {0};
    struct buf facts = BUF_INIT;
    int round, index;
    if (view_read_id(http_query(x, "id"), &round, &index) || index < 0) {
        http_error(x, 400, "id", "id: wanted an attempt's, such as r1-a17");
        return;
    }
    int rc = run_get_attempt(v->run, round, index, &t, &arena, &err);
    if (!rc && !t.question.text && !t.question.error)
        rc = error_set(&err, ERROR_NOINPUT, "there is no attempt %d in round %d", index, round);
    if (!rc) {
        say_text(&facts, "Question", &t.question);
        say_text(&facts, "Answer", &t.answer);
        int answered = t.answer.text || t.answer.error;
        answer_json(x, 200,
                    json_pack("{s:o, s:o, s:s}", "ask", contexts_of(v, round, &t.question), "answer",
                              answered ? contexts_of(v, round, &t.answer) : json_null(), "facts", buf_text(&facts)));
    } else {
        view_fail(x, rc, &err);
    }
    buf_free(&facts);
    arena_free(&arena);
}
