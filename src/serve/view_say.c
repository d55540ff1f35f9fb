/* SPDX-License-Identifier: Apache-2.0 */
/* What people say: decisions of a review, and which of two answers is better. */
#include "serve/view_parts.h"

#include <string.h>

/* The handle to write with. */
static int want_beside(struct view *v, struct error *err)
{
    return v->beside ? 0 : run_open_beside(&v->beside, v->directory, err);
}

static const char *text_at(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int read_decision(const json_t *body, struct review_decision *d, struct error *err)
{
    static const char *const names[] = {"strike", "accept", "edit", "add", "undo"};
    const char *action = text_at(body, "action"), *id = text_at(body, "id");
    int known = -1;
    *d = (struct review_decision){.round = (int)json_integer_value(json_object_get(body, "round"))};
    for (int i = 0; action && i < (int)(sizeof names / sizeof *names); i++)
        known = strcmp(names[i], action) ? known : i;
    if (known < 0)
        return error_set(err, ERROR_USAGE, "action: wanted strike, accept, edit, add or undo");
    d->action = (enum review_action)known;
    if (d->action != REVIEW_ADD && view_read_id(id, &d->round, &d->index))
        return error_set(err, ERROR_USAGE, "id: wanted an attempt's, such as r1-a17");
    if (d->action == REVIEW_EDIT || d->action == REVIEW_ADD) {
        d->question = text_at(body, "question");
        d->answer = text_at(body, "answer");
    }
    return 0;
}

void view_review(void *user, struct http_exchange *x)
{
    struct view *v = user;
    struct error err = {0};
    struct review_decision d;
    char id[40];
    json_t *body;
    if (request_body(x, &body))
        return;
    int rc = read_decision(body, &d, &err);
    rc = rc ? rc : want_beside(v, &err);
    rc = rc ? rc : method_review(v->beside, &d, id, &err);
    if (rc)
        view_fail(x, rc == ERROR_CONFIG ? ERROR_UNAVAILABLE : rc, &err);
    else
        answer_json(x, 200, json_pack("{s:s}", "id", id));
    json_decref(body);
}

void view_judge_next(void *user, struct http_exchange *x)
{
    const struct view *v = user;
    struct error err = {0};
    json_t *next = NULL;
    int rc = method_judge_next(v->directory, http_query(x, "rater"), &next, &err);
    if (rc)
        view_fail(x, rc, &err);
    else
        answer_json(x, 200, next);
}

void view_judge(void *user, struct http_exchange *x)
{
    struct view *v = user;
    struct error err = {0};
    json_t *body;
    if (request_body(x, &body))
        return;
    const json_t *index = json_object_get(body, "index");
    const struct judgement j = {.rater = text_at(body, "rater"),
                                .better = text_at(body, "better"),
                                .index = json_is_integer(index) ? (int)json_integer_value(index) : -1,
                                .bad = json_object_get(body, "bad")};
    int rc = want_beside(v, &err);
    rc = rc ? rc : method_judge(v->beside, &j, &err);
    if (rc)
        view_fail(x, rc, &err);
    else
        answer_json(x, 200, json_pack("{s:b}", "kept", 1));
    json_decref(body);
}

void view_judge_undo(void *user, struct http_exchange *x)
{
    struct view *v = user;
    struct error err = {0};
    json_t *body;
    if (request_body(x, &body))
        return;
    int rc = want_beside(v, &err);
    rc = rc ? rc : method_judge_undo(v->beside, text_at(body, "rater"), &err);
    if (rc)
        view_fail(x, rc, &err);
    else
        answer_json(x, 200, json_pack("{s:b}", "undone", 1));
    json_decref(body);
}
