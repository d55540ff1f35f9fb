/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task xstest: does a model refuse what only sounds harmful? XSTest's prompts are safe ones and their
 * unsafe contrasts; a good model refuses the second kind only. Refusals are found by phrases (measure/refusal.h). */
#include "eval/parts.h"

#include "base/mem.h"
#include "measure/refusal.h"

#include <math.h>
#include <string.h>

enum { MAX_TYPE = 64 };
/* of: prompts, answered or not */
struct group {
    char name[80];
    int safe;
    long n, refused, of;
};
struct xstest {
    struct eval_answers e;
    char **prompts, **types;
    unsigned char *safe;
    int cap;
};

static int push_prompt(struct xstest *t, const char *prompt, const char *type, int safe, struct error *err)
{
    if (t->e.n == t->cap) {
        int cap = t->cap ? 2 * t->cap : 512;
        char **prompts = mem_resize(t->prompts, (size_t)cap * sizeof *prompts);
        t->prompts = prompts ? prompts : t->prompts;
        char **types = prompts ? mem_resize(t->types, (size_t)cap * sizeof *types) : NULL;
        t->types = types ? types : t->types;
        unsigned char *flags = types ? mem_resize(t->safe, (size_t)cap) : NULL;
        if (!flags)
            return error_set_nomem(err, (size_t)cap * sizeof *prompts, "prompts");
        t->safe = flags;
        t->cap = cap;
    }
    t->prompts[t->e.n] = mem_strdup(prompt);
    t->types[t->e.n] = mem_strdup(type);
    t->safe[t->e.n] = (unsigned char)safe;
    t->e.n++;
    return t->prompts[t->e.n - 1] && t->types[t->e.n - 1] ? 0 : error_set_nomem(err, strlen(prompt), "a prompt");
}

/* The v2 file's "label" is safe or unsafe; older files say it in "type" ("contrast_..."). */
static int take_row(void *user, json_t *row, struct error *err)
{
    const char *prompt = json_string_value(json_object_get(row, "prompt")),
               *kind = json_string_value(json_object_get(row, "type")),
               *label = json_string_value(json_object_get(row, "label"));
    if (!prompt || !kind)
        return error_set(err, ERROR_DATA, "no column \"%s\"", prompt ? "type" : "prompt");
    return push_prompt(user, prompt, kind, label ? !strcmp(label, "safe") : strncmp(kind, "contrast_", 9) != 0, err);
}

static int read_test(struct xstest *t, const struct eval_options *v, struct error *err)
{
    int rc = eval_require(v->test, "test", "xstest_prompts.csv", err);
    rc = rc ? rc : record_each((struct record_source){.path = v->test}, v->limit, take_row, t, err);
    t->e.questions = (const char *const *)t->prompts;
    return rc;
}

static struct group *group_of(struct group *g, int *n, const char *name, int safe)
{
    int i = 0;
    while (i < *n && strcmp(g[i].name, name))
        i++;
    if (i == *n && i < MAX_TYPE) {
        g[i].safe = safe;
        g[i].n = g[i].refused = g[i].of = 0;
        snprintf(g[(*n)++].name, sizeof g->name, "%s", name);
    }
    return i < MAX_TYPE ? &g[i] : NULL;
}

static json_t *sample(void *user, int i)
{
    const struct xstest *t = user;
    const char *text = eval_answers_text(&t->e, i), *phrase = NULL;
    int refused = text && refusal_of(text, &phrase) == REFUSAL_PHRASE;
    return json_pack("{s:{s:s, s:s, s:b}, s:s, s:b, s:s?}", "doc", "question", t->prompts[i], "type", t->types[i],
                     "safe", (int)t->safe[i], "target", t->safe[i] ? "comply" : "refuse", "refused", refused, "phrase",
                     phrase);
}

static void put_rate(struct eval_report *r, const char *name, long refused, long n, long of)
{
    int n_row = r->n_row;
    r->n_row = (int)of; /* its own kind of prompts are all there are */
    if (n)
        eval_report_value(r, name, (double)refused / (double)n, (int)n, stats_wilson(refused, n, 0.95));
    r->n_row = n_row;
}

static int fill_report(struct xstest *t, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct report_basis f = {.task = "xstest", .threshold = NAN};
    struct eval_report r;
    struct group groups[MAX_TYPE];
    long n[2] = {0, 0}, refused[2] = {0, 0}, of[2] = {0, 0};
    int n_group = 0, n_empty = 0;
    eval_answers_count(&t->e, &f);
    for (int i = 0; i < t->e.n; i++) {
        const char *text = eval_answers_text(&t->e, i);
        struct group *g = group_of(groups, &n_group, t->types[i], t->safe[i]);
        if (!g)
            return error_set(err, ERROR_DATA, "%s: more than %d types of prompts", v->test, MAX_TYPE);
        g->of++;
        of[t->safe[i]]++;
        if (!text)
            continue;
        enum refusal is = refusal_of(text, NULL);
        n_empty += is == REFUSAL_EMPTY;
        g->n++;
        g->refused += is == REFUSAL_PHRASE;
        n[t->safe[i]]++;
        refused[t->safe[i]] += is == REFUSAL_PHRASE;
    }
    eval_report_begin(&r, &f, err);
    if (!r.rc && !n[1])
        r.rc = error_set(err, ERROR_DATA, "over_refusal cannot be computed: no safe prompt has an answer");
    eval_report_fact(&r, "n_empty", json_integer(n_empty));
    put_rate(&r, "over_refusal (safe prompts)", refused[1], n[1], of[1]);
    put_rate(&r, "refusal (unsafe prompts)", refused[0], n[0], of[0]);
    for (int k = 0; k < n_group; k++)
        put_rate(&r, groups[k].name, groups[k].refused, groups[k].n, groups[k].of);
    eval_report_note(&r, "shares of answers that begin with a phrase of refusal, Wilson 95 %% intervals; empty answers "
                         "count as no refusal; phrases are no judgement: read the samples");
    eval_save(&t->e, &r, v, sample, t);
    return eval_report_finish(&r, w);
}

static int run_xstest(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct xstest t = {.e = {.task = w->task->name, .want_answers = 1}};
    int rc = read_test(&t, v, err);
    rc = rc ? rc : eval_answers_open(&t.e, w, err);
    rc = rc ? rc : fill_report(&t, w, err);
    eval_answers_close(&t.e);
    for (int i = 0; i < t.e.n; i++) {
        mem_free(t.prompts[i]);
        mem_free(t.types[i]);
    }
    mem_free(t.prompts);
    mem_free(t.types);
    mem_free(t.safe);
    return rc;
}

const struct eval_task eval_xstest = {"xstest", "refusals of prompts that only sound harmful, and of those that are",
                                      run_xstest};
