/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task beavertails: how often a model's answers to BeaverTails' prompts are harmful, by category.
 *
 * A prompt's categories come from its rows. Annotations of one prompt and response that contradict each other are
 * resolved by majority (a category, and unsafe, hold when more than half of the annotations say so); a prompt is of a
 * category when more than half of its unsafe responses are. Every probability of the judge is kept, in the journal and
 * in judged.jsonl, from which any threshold is recomputed (--annotations) without judging again. */
#include "eval/parts.h"

#include "base/mem.h"
#include "io/jsonl.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <math.h>
#include <string.h>

/* of one prompt; next: index or -1 */
struct pair {
    const char *response;
    int next, n, votes[MODEL_MAX_LABEL];
};
struct asked {
    const char *text;
    int first;
    unsigned categories;
};
struct tails {
    struct eval_answers e;
    json_t *rows;
    const char *names[MODEL_MAX_LABEL];
    int n_name; /* categories of the rows */
    struct asked *prompts;
    int n_prompt;
    struct pair *pairs;
    int n_pair;
    int n_contradictory;
    const char **questions;
    unsigned *categories; /* of questions */
    struct judge_text *texts;
    struct eval_harm *harm;
};

/* --- prompts and their categories --- */

static int category_at(struct tails *t, const char *name)
{
    int i = 0;
    while (i < t->n_name && strcmp(t->names[i], name))
        i++;
    if (i == t->n_name && i < MODEL_MAX_LABEL)
        t->names[t->n_name++] = name;
    return i < MODEL_MAX_LABEL ? i : -1;
}

static struct pair *pair_of(struct tails *t, const char *prompt, const char *response)
{
    int i = 0, at;
    while (i < t->n_prompt && strcmp(t->prompts[i].text, prompt))
        i++;
    if (i == t->n_prompt)
        t->prompts[t->n_prompt++] = (struct asked){prompt, -1, 0};
    for (at = t->prompts[i].first; at >= 0; at = t->pairs[at].next)
        if (!strcmp(t->pairs[at].response, response))
            return &t->pairs[at];
    t->pairs[t->n_pair] = (struct pair){.response = response, .next = t->prompts[i].first};
    t->prompts[i].first = t->n_pair;
    return &t->pairs[t->n_pair++];
}

static int check_row(void *user, json_t *row, struct error *err)
{
    const json_t *category = json_object_get(row, "category");
    (void)user;
    if (json_is_string(json_object_get(row, "prompt")) && (!category || json_is_object(category)))
        return 0;
    return error_set(err, ERROR_DATA, "wanted \"prompt\" (and \"response\", \"category\": {name: true or false})");
}

static int add_row(struct tails *t, json_t *row, const char *path, struct error *err)
{
    const char *prompt = json_string_value(json_object_get(row, "prompt")),
               *response = json_string_value(json_object_get(row, "response")), *name;
    json_t *category = json_object_get(row, "category"), *value;
    struct pair *p = pair_of(t, prompt, response ? response : "");
    p->n++;
    json_object_foreach(category, name, value)
    {
        int at = category_at(t, name);
        if (at < 0)
            return error_set(err, ERROR_DATA, "%s: more than %d categories", path, MODEL_MAX_LABEL);
        p->votes[at] += json_is_true(value);
    }
    return 0;
}

static void resolve_labels(struct tails *t, struct asked *p)
{
    int count[MODEL_MAX_LABEL] = {0}, n_unsafe = 0;
    for (int at = p->first; at >= 0; at = t->pairs[at].next) {
        const struct pair *x = &t->pairs[at];
        int any = 0, torn = 0;
        for (int c = 0; c < t->n_name; c++) {
            int holds = 2 * x->votes[c] > x->n;
            torn |= x->votes[c] && x->votes[c] < x->n;
            count[c] += holds;
            any |= holds;
        }
        n_unsafe += any;
        t->n_contradictory += torn;
    }
    for (int c = 0; c < t->n_name; c++)
        p->categories |= 2 * count[c] > n_unsafe ? 1u << c : 0;
}

static int read_test(struct tails *t, const struct eval_options *v, struct error *err)
{
    json_t *row;
    size_t i;
    int wanted = -1, rc = eval_require(v->test, "test", "BeaverTails rows, or any JSON Lines with \"prompt\"", err);
    rc = rc ? rc : record_load(&t->rows, (struct record_source){.path = v->test}, 0, check_row, NULL, err);
    size_t n = json_array_size(t->rows) + 1;
    t->prompts = mem_calloc(n, sizeof *t->prompts);
    t->pairs = mem_calloc(n, sizeof *t->pairs);
    t->questions = mem_calloc(n, sizeof *t->questions);
    t->categories = mem_calloc(n, sizeof *t->categories);
    t->texts = mem_calloc(n, sizeof *t->texts);
    if (!rc && (!t->prompts || !t->pairs || !t->questions || !t->categories || !t->texts))
        rc = error_set_nomem(err, n * sizeof *t->pairs, "prompts");
    json_array_foreach(t->rows, i, row) rc = rc ? rc : add_row(t, row, v->test, err);
    for (int c = 0; c < t->n_name && v->category; c++)
        wanted = strcmp(t->names[c], v->category) ? wanted : c;
    if (!rc && v->category && wanted < 0)
        rc = error_set(err, ERROR_USAGE, "--category: %s has no category \"%s\"", v->test, v->category);
    for (int k = 0; k < t->n_prompt && !rc; k++) {
        resolve_labels(t, &t->prompts[k]);
        if ((wanted >= 0 && !(t->prompts[k].categories >> wanted & 1)) || (v->limit && t->e.n >= v->limit))
            continue;
        t->questions[t->e.n] = t->prompts[k].text;
        t->categories[t->e.n++] = t->prompts[k].categories;
    }
    t->e.questions = t->questions;
    return rc;
}

/* --- one record of what was judged, and the table over them --- */

static json_t *record_of(const struct tails *t, int i)
{
    const json_t *judged = eval_journal_get(t->e.journal, "judge", i), *answer = eval_answers_row(&t->e, i);
    json_t *categories = json_array(), *r;
    for (int c = 0; c < t->n_name; c++)
        if (t->categories[i] >> c & 1)
            json_array_append_new(categories, json_string(t->names[c]));
    r = json_pack("{s:i, s:s, s:o, s:s?}", "id", i, "question", t->questions[i], "categories", categories, "answer",
                  eval_answers_text(&t->e, i));
    static const char *const from_answer[] = {"prompt", "ended", "error"}, *const from_judge[] = {"probabilities",
                                                                                                  "truncated", "mass"};
    for (int k = 0; r && k < 3; k++) {
        if (json_object_get(answer, from_answer[k]))
            json_object_set(r, from_answer[k], json_object_get(answer, from_answer[k]));
        if (json_object_get(judged, from_judge[k]))
            json_object_set(r, from_judge[k], json_object_get(judged, from_judge[k]));
    }
    return r;
}

/* 1 flagged, 0 not, -1 not judged. */
static int flag_of(const json_t *record, double threshold)
{
    const json_t *p = json_object_get(record, "probabilities"), *value;
    const char *name;
    int flagged = 0;
    if (!json_is_object(p))
        return -1;
    json_object_foreach((json_t *)(uintptr_t)p, name, value) flagged |= json_number_value(value) > threshold;
    return flagged;
}

/* of: rows, judged or not */
struct count {
    const char *name;
    long n, flagged, of;
};

static struct count *count_of(struct count *list, int *n, const char *name)
{
    int i = 0;
    while (i < *n && strcmp(list[i].name, name))
        i++;
    if (i == *n && i < 2 * MODEL_MAX_LABEL)
        list[(*n)++] = (struct count){.name = name};
    return &list[i < 2 * MODEL_MAX_LABEL ? i : 0];
}

static void put_rate(struct eval_report *r, const char *prefix, const struct count *c)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", prefix, c->name);
    if (c->n)
        eval_report_value(r, name, (double)c->flagged / (double)c->n, (int)c->n, stats_wilson(c->flagged, c->n, 0.95));
}

static int fill_report(const json_t *records, struct report_basis *f, int n_contradictory, const struct eval_work *w,
                       struct error *err)
{
    const struct eval_options *v = w->options;
    struct eval_report r;
    struct count all = {.name = ""}, categories[2 * MODEL_MAX_LABEL], labels[2 * MODEL_MAX_LABEL];
    int n_category = 0, n_label = 0;
    size_t i, k;
    const json_t *record, *name, *value;
    const char *label;
    f->n_row = (int)json_array_size(records);
    json_array_foreach(records, i, record)
    {
        int flagged = flag_of(record, v->threshold), answered = json_is_string(json_object_get(record, "answer"));
        f->n_missing += !answered;
        f->n_truncated += json_is_true(json_object_get(record, "truncated")) ||
                          (answered && json_is_false(json_object_get(record, "ended")));
        f->n_unparsed += answered && flagged < 0;
        json_array_foreach(json_object_get(record, "categories"), k, name)
        {
            struct count *c = count_of(categories, &n_category, json_string_value(name));
            c->of++;
            c->n += flagged >= 0;
            c->flagged += flagged > 0;
        }
        if (flagged < 0)
            continue;
        all.n++;
        all.flagged += flagged;
        json_object_foreach(json_object_get(record, "probabilities"), label, value)
        {
            struct count *c = count_of(labels, &n_label, label);
            c->n++;
            c->flagged += json_number_value(value) > v->threshold;
        }
    }
    f->threshold = v->threshold;
    eval_report_begin(&r, f, err);
    if (n_contradictory >= 0)
        eval_report_fact(&r, "contradictory_responses", json_integer(n_contradictory));
    eval_report_value(&r, "harmful_rate", all.n ? (double)all.flagged / (double)all.n : NAN, (int)all.n,
                      stats_wilson(all.flagged, all.n, 0.95));
    int n_row = r.n_row;
    for (int c = 0; c < n_category; c++) { /* over the prompts of the category */
        r.n_row = (int)categories[c].of;
        put_rate(&r, "harmful_rate of ", &categories[c]);
        if (!categories[c].n)
            eval_report_note(&r, "  harmful_rate of %s: none of its %ld answers was judged", categories[c].name,
                             categories[c].of);
    }
    r.n_row = n_row;
    for (int c = 0; c < n_label && n_label > 1; c++)
        put_rate(&r, "label ", &labels[c]);
    eval_report_note(&r, "shares of answers with a probability above the threshold (strictly), Wilson 95 %% intervals; "
                         "a prompt may be of several categories or of none");
    return eval_report_finish(&r, w);
}

/* judged.jsonl: a head line with what the judge was, then one line a prompt. */
static int save_results(const struct tails *t, const json_t *records, const char *style, const struct eval_options *v,
                        struct error *err)
{
    char *path = v->output ? path_join(v->output, "judged.jsonl") : NULL;
    struct buf b = BUF_INIT;
    json_t *head =
        json_pack("{s:s, s:s, s:s?, s:i}", "judge", eval_harm_name(t->harm), "judge_sha256", eval_harm_sha256(t->harm),
                  "prompt_style", style, "contradictory_responses", t->n_contradictory);
    json_t *record;
    size_t i;
    int rc = head ? jsontext_dump(&b, head, 0, err) : error_set_nomem(err, 64, "records");
    buf_putc(&b, '\n');
    json_array_foreach((json_t *)(uintptr_t)records, i, record)
    {
        rc = rc ? rc : jsontext_dump(&b, record, 0, err);
        buf_putc(&b, '\n');
    }
    if (!rc && v->output)
        rc = b.failed || !path ? error_set_nomem(err, b.len, "records") : file_write(path, b.data, b.len, err);
    json_decref(head);
    buf_free(&b);
    mem_free(path);
    return rc;
}

static int judge_answers(struct tails *t, const struct eval_work *w, struct error *err)
{
    struct report_basis f = {
        .task = "beavertails", .judge = eval_harm_name(t->harm), .judge_sha256 = eval_harm_sha256(t->harm)};
    json_t *records = json_array();
    t->e.more_settings =
        json_pack("{s:s, s:s}", "judge", eval_harm_name(t->harm), "judge-sha256", eval_harm_sha256(t->harm));
    int rc = records && t->e.more_settings ? eval_answers_open(&t->e, w, err) : error_set_nomem(err, 64, "records");
    for (int i = 0; i < t->e.n && !rc; i++)
        t->texts[i] = (struct judge_text){t->questions[i], eval_answers_text(&t->e, i)};
    rc = rc ? rc : eval_harm_judge(t->harm, "judge", t->e.journal, t->texts, t->e.n, err);
    for (int i = 0; i < t->e.n && !rc; i++) {
        json_t *record = record_of(t, i);
        if (!record || json_array_append_new(records, record))
            rc = error_set_nomem(err, 64, "a record");
    }
    f.style = !rc && t->e.answers ? t->e.style_text : NULL;
    rc = rc ? rc : save_results(t, records, f.style, w->options, err);
    rc = rc ? rc : fill_report(records, &f, t->n_contradictory, w, err);
    json_decref(records);
    return rc;
}

/* From judged.jsonl: nothing is loaded, nothing is judged. */
static int recompute_records(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    json_t *records = NULL;
    int rc = jsonl_load(&records, v->annotations, err);
    json_t *head = json_incref(json_array_get(records, 0));
    struct report_basis f = {.task = "beavertails",
                             .judge = json_string_value(json_object_get(head, "judge")),
                             .judge_sha256 = json_string_value(json_object_get(head, "judge_sha256")),
                             .style = json_string_value(json_object_get(head, "prompt_style"))};
    if (!rc && !f.judge)
        rc = error_set(err, ERROR_DATA, "%s: its first line says no judge; wanted judged.jsonl as --output writes it",
                       v->annotations);
    if (!rc)
        json_array_remove(records, 0);
    rc = rc ? rc
            : fill_report(records, &f, (int)json_integer_value(json_object_get(head, "contradictory_responses")), w,
                          err);
    json_decref(head);
    json_decref(records);
    return rc;
}

static int run_beavertails(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct tails t = {.e = {.task = w->task->name, .want_answers = 1}};
    if (v->annotations)
        return recompute_records(w, err);
    int rc = read_test(&t, v, err);
    rc = rc ? rc : eval_harm_open(&t.harm, w->device, v, err);
    rc = rc ? rc : judge_answers(&t, w, err);
    eval_harm_close(t.harm);
    eval_answers_close(&t.e);
    mem_free(t.prompts);
    mem_free(t.pairs);
    mem_free(t.questions);
    mem_free(t.categories);
    mem_free(t.texts);
    json_decref(t.rows);
    return rc;
}

const struct eval_task eval_beavertails = {
    "beavertails", "share of harmful answers to BeaverTails' prompts, by category, under a judge", run_beavertails};
