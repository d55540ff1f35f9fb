/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks or answers in the model's place (--asker-endpoint, --answerer-endpoint): what may be wanted of them, what
 * the run's settings say of them, and what they cost, which the journal counts in the commit that has the text. */
#include "method/parts.h"

#include "base/log.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[ALIGN_ROLES] = {"asker", "answerer"};
/* A key of the role's own goes before the one that all share. */
static const char *const keys[ALIGN_ROLES] = {"ISARA_ASKER_API_KEY", "ISARA_ANSWERER_API_KEY"};

const char *align_role_name(enum align_role role)
{
    return roles[role];
}

static int check_who(const struct align_who *w, const char *role, struct error *err)
{
    if (w->model && !w->endpoint)
        return error_set(err, ERROR_USAGE, "--%s-model: nothing reads it but --%s-endpoint; give that too", role, role);
    if (!w->endpoint)
        return 0;
    if (!w->model || !*w->model)
        return error_set(err, ERROR_USAGE, "--%s-endpoint: wanted --%s-model NAME, the model's name there; found none",
                         role, role);
    if (strncmp(w->endpoint, "http://", 7) && strncmp(w->endpoint, "https://", 8))
        return error_set(err, ERROR_USAGE,
                         "--%s-endpoint: wanted http://HOST[:PORT]/v1 or https://..., found \"%.80s\"", role,
                         w->endpoint);
    return 0;
}

/* Of whoever answers there are texts only. */
static int check_answerer(const struct align_options *o, struct error *err)
{
    static const char *const scores[] = {"none", "reward", "self", "logprob", "context-gain"};
    const char *what = NULL;
    if (o->tune_loss == ALIGN_LOSS_SOFT)
        what = "--tune-loss soft";
    if (o->on_policy)
        what = "--on-policy";
    if (what)
        return error_set(err, ERROR_USAGE,
                         "%s: wants the probabilities of the model that answers, which nobody has of "
                         "--answerer-endpoint; leave one of them out",
                         what);
    if (o->score != SCORE_NONE && o->score != SCORE_REWARD_MODEL)
        return error_set(err, ERROR_USAGE,
                         "--score %s: is what the model that answers thinks of its answer, which nobody knows of "
                         "--answerer-endpoint; take --score reward or none",
                         scores[o->score]);
    return 0;
}

int align_elsewhere_check(const struct align_options *o, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < ALIGN_ROLES && !rc; k++)
        rc = check_who(&o->who[k], roles[k], err);
    return rc || !o->who[ALIGN_ANSWERER].endpoint ? rc : check_answerer(o, err);
}

static int open_one(struct align *a, int k, struct error *err)
{
    const char *key = getenv(keys[k]);
    char shown[300];
    struct elsewhere_options o = a->o.there;
    o.url = a->o.who[k].endpoint;
    o.model = a->o.who[k].model;
    o.key = key ? key : getenv("OPENAI_API_KEY");
    if (!o.url)
        return 0;
    if (o.api == ELSEWHERE_COMPLETIONS && template_is_chat(a->speaker.template))
        return error_set(err, ERROR_USAGE,
                         "--endpoint-api completions: wanted a template of words; a model elsewhere does not have this "
                         "one's chat template; take --endpoint-api chat");
    http_shown(o.url, shown, sizeof shown);
    log_line(LOG_INFO,
             "%s by %s at %s, not by the model itself: this is not self-alignment; beams and penalties are not asked "
             "for there",
             k == ALIGN_ASKER ? "asked" : "answered", o.model, shown);
    return elsewhere_open(&a->elsewhere[k], &o, err);
}

int align_open_elsewhere(struct align *a, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < ALIGN_ROLES && !rc; k++)
        rc = open_one(a, k, err);
    return rc;
}

void align_close_elsewhere(struct align *a)
{
    for (int k = 0; k < ALIGN_ROLES; k++) {
        elsewhere_close(a->elsewhere[k]);
        json_decref(a->costs[k]);
        a->elsewhere[k] = NULL;
        a->costs[k] = NULL;
    }
}

int align_put_elsewhere(json_t *settings, const struct align_options *o)
{
    char name[32], shown[300];
    int rc = 0, any = 0;
    for (int k = 0; k < ALIGN_ROLES; k++) {
        if (!o->who[k].endpoint)
            continue;
        any = 1;
        http_shown(o->who[k].endpoint, shown, sizeof shown);
        snprintf(name, sizeof name, "%s-endpoint", roles[k]);
        rc |= speaker_put_setting(settings, name, shown);
        snprintf(name, sizeof name, "%s-model", roles[k]);
        rc |= speaker_put_setting(settings, name, o->who[k].model);
    }
    if (any)
        rc |= speaker_put_setting(settings, "endpoint-api", o->there.api == ELSEWHERE_CHAT ? "chat" : "completions");
    return rc;
}

void align_elsewhere_from(struct align_options *o, const json_t *settings)
{
    const char *api = json_string_value(json_object_get(settings, "endpoint-api"));
    for (int k = 0; k < ALIGN_ROLES; k++) {
        char name[32];
        snprintf(name, sizeof name, "%s-endpoint", roles[k]);
        o->who[k].endpoint = json_string_value(json_object_get(settings, name));
        snprintf(name, sizeof name, "%s-model", roles[k]);
        o->who[k].model = json_string_value(json_object_get(settings, name));
    }
    o->there.api = api && !strcmp(api, "completions") ? ELSEWHERE_COMPLETIONS : ELSEWHERE_CHAT;
}

void align_hide_tokens(json_t *row, const struct run_text *t)
{
    if (!t->text || t->n)
        return;
    json_object_set_new(row, "n_tokens", json_null());
    json_object_set_new(row, "sum_logprob", json_null());
}

/* --- what it cost --- */

int align_read_costs(struct run *run, enum align_role role, json_t **out, struct error *err)
{
    struct arena arena = ARENA_INIT;
    const char *text = NULL;
    char name[32];
    *out = NULL;
    snprintf(name, sizeof name, "elsewhere-%s", roles[role]);
    int rc = run_get_fact(run, name, &text, &arena, err);
    if (!rc && text)
        rc = jsontext_parse(out, jsontext_whole(text, strlen(text), name), NULL, err);
    arena_free(&arena);
    return rc;
}

int align_resume_elsewhere(struct align *a, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < ALIGN_ROLES && !rc; k++) {
        if (!a->elsewhere[k])
            continue;
        rc = align_read_costs(a->run, (enum align_role)k, &a->costs[k], err);
        if (!rc && json_integer_value(json_object_get(a->costs[k], "texts")) > 0)
            elsewhere_trust(a->elsewhere[k]);
    }
    return rc;
}

static void add(json_t *costs, const char *name, long n)
{
    json_object_set_new(costs, name, json_integer(json_integer_value(json_object_get(costs, name)) + n));
}

/* All that it had, as a server may move. */
static void add_address(json_t *costs, const char *url)
{
    char shown[300];
    json_t *list = json_object_get(costs, "endpoints"), *one;
    size_t i;
    http_shown(url, shown, sizeof shown);
    if (!list)
        json_object_set_new(costs, "endpoints", list = json_array());
    json_array_foreach(list, i, one)
    {
        if (!strcmp(json_string_value(one), shown))
            return;
    }
    json_array_append_new(list, json_string(shown));
}

int align_put_cost(struct align *a, enum align_role role, const struct spoken *t, struct error *err)
{
    struct buf text = BUF_INIT;
    char name[32];
    if (!t->cost || !a->run)
        return 0;
    json_t *costs = a->costs[role] ? json_deep_copy(a->costs[role]) : json_object();
    add_address(costs, a->o.who[role].endpoint);
    add(costs, "texts", t->text != NULL);
    add(costs, "refused", t->text == NULL);
    add(costs, "requests", t->cost->tries);
    add(costs, "prompt_tokens", t->cost->prompt);
    add(costs, "completion_tokens", t->cost->completion);
    add(costs, "uncounted", !t->cost->known);
    int rc = costs ? jsontext_dump(&text, costs, 0, err) : error_set_nomem(err, 256, "costs");
    snprintf(name, sizeof name, "elsewhere-%s", roles[role]);
    rc = rc ? rc : run_put_fact(a->run, name, buf_text(&text), err);
    buf_free(&text);
    if (rc) {
        json_decref(costs);
        return rc;
    }
    json_decref(a->costs[role]);
    a->costs[role] = costs;
    return 0;
}
