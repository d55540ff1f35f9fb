/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the arms: log-likelihood of the reference answers, generated answers, and the judge's labels on those.
 * Every result is a row in the journal as soon as it is there; what has a row is not done again. */
#include "method/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "judge/harm.h"

#include <math.h>
#include <string.h>

struct measuring {
    struct align *a;
    struct arms *arms;
    struct arm *arm;
    struct contexts contexts;
    struct speak_item *items;
    int n; /* what is not done yet */
};

static int put_result(const struct measuring *m, int i, struct error *err)
{
    return run_put_result(m->a->run, m->arm->name, m->arms->set, i, &m->arm->results[i], err);
}

/* What really stood in the prompt, into the arm's result. */
static int keep_contexts(const struct measuring *m, int i, int dropped, struct error *err)
{
    struct run_result *r = &m->arm->results[i];
    const struct contexts *c = &m->contexts;
    size_t bytes = (size_t)(c->n[i] - dropped) * sizeof *c->cells;
    int *kept = arena_alloc(&m->a->arena, bytes + 1);
    if (!kept)
        return error_set_nomem(err, bytes, "contexts");
    if (bytes)
        memcpy(kept, c->cells + (size_t)i * (size_t)c->k + dropped, bytes);
    r->contexts = kept;
    r->n_context = c->n[i] - dropped;
    r->dropped = dropped;
    return 0;
}

/* The question as this arm is asked it. */
static void add(struct measuring *m, int i, const char *answer)
{
    const struct contexts *c = &m->contexts;
    m->items[m->n++] =
        (struct speak_item){i, m->arms->items[i].question, c->cells + (size_t)i * (size_t)c->k, c->n[i], answer};
}

/* What does not fit stays unscored and is counted as missing. */
static int put_score(struct measuring *m, int i, const struct speak_score *s, struct error *err)
{
    struct run_result *r = &m->arm->results[i];
    int rc = s->dropped < 0 ? 0 : keep_contexts(m, i, s->dropped, err);
    if (s->n_token) {
        r->n_token = s->n_token;
        r->logprob = s->logprob;
    }
    return rc || (s->dropped < 0 && !s->n_token) ? rc : put_result(m, i, err);
}

static int put_scores(struct measuring *m, const struct speak_score *scores, struct error *err)
{
    int rc = run_begin(m->a->run, err);
    for (int i = 0; i < m->n && !rc; i++)
        rc = put_score(m, m->items[i].index, &scores[i], err);
    if (!rc)
        return run_commit(m->a->run, err);
    run_rollback(m->a->run);
    return rc;
}

/* Reference answers' log-likelihoods, after the prompts that are answered. */
static int score(struct measuring *m, struct error *err)
{
    const struct score_job job = {.model = m->arm->model, .pool = &m->a->pool, .room = m->a->o.answer.max_new_tokens};
    struct speak_score *scores = mem_calloc((size_t)m->arms->n_item + 1, sizeof *scores);
    int rc = scores ? 0 : error_set_nomem(err, (size_t)m->arms->n_item * sizeof *scores, "scores");
    m->n = 0;
    for (int i = 0; i < m->arms->n_item; i++)
        if (m->arms->items[i].answer && isnan(m->arm->results[i].logprob))
            add(m, i, m->arms->items[i].answer);
    if (!rc && m->n) {
        rc = speaker_score(&m->a->speaker, &job, m->items, m->n, scores, err);
        if (rc == ERROR_DATA)
            error_prefix(err, "arm %s", m->arm->name);
        rc = rc ? rc : put_scores(m, scores, err);
    }
    mem_free(scores);
    return rc;
}

static int answered(void *user, int i, const struct spoken *t, struct error *err)
{
    struct measuring *m = user;
    struct run_result *r = &m->arm->results[i];
    if (t->unfit) /* counted as missing */
        return 0;
    if (t->error) /* as score: no arm is measured on numbers that do not exist */
        return error_set(err, ERROR_DATA, "arm %s, question %s: %s", m->arm->name, m->arms->items[i].id, t->error);
    int rc = keep_contexts(m, i, t->dropped, err);
    r->ended = t->ended;
    r->text = arena_strdup(&m->a->arena, t->text);
    if (!rc && !r->text)
        rc = error_set_nomem(err, strlen(t->text), "an answer");
    return rc ? rc : put_result(m, i, err);
}

static int answer(struct measuring *m, struct error *err)
{
    const struct speak_job job = {.stage = m->arm->name,
                                  .unit = "answers",
                                  .model = m->arm->model,
                                  .pool = &m->a->pool,
                                  .options = &m->a->o.answer,
                                  .stream = STREAM_EVALUATE,
                                  .put = answered,
                                  .user = m};
    m->n = 0;
    for (int i = 0; i < m->arms->n_text; i++)
        if (!m->arm->results[i].text)
            add(m, i, NULL);
    return speaker_generate(&m->a->speaker, &job, m->items, m->n, err);
}

static int find_contexts(struct measuring *m, struct error *err)
{
    int n = m->arms->n_item;
    const char **texts = mem_calloc((size_t)n + 1, sizeof *texts);
    if (!texts)
        return error_set_nomem(err, (size_t)n * sizeof *texts, "questions");
    for (int i = 0; i < n; i++)
        texts[i] = m->arms->items[i].question;
    int rc = contexts_find(&m->contexts, &m->a->pool, &m->a->speaker, m->arm->contexts,
                           &(struct pair_query){texts, n, m->a->o.k}, err);
    mem_free(texts);
    return rc;
}

static int measure_arm(struct align *a, struct arms *arms, struct arm *arm, struct error *err)
{
    struct measuring m = {
        .a = a, .arms = arms, .arm = arm, .items = mem_calloc((size_t)arms->n_item + 1, sizeof *m.items)};
    int rc = m.items ? interrupt_check(err) : error_set_nomem(err, (size_t)arms->n_item * sizeof *m.items, "questions");
    rc = rc ? rc : arms_get_results(arms, arm, a->run, &a->arena, err);
    rc = rc ? rc : find_contexts(&m, err);
    rc = rc ? rc : score(&m, err);
    rc = rc ? rc : interrupt_check(err);
    rc = rc ? rc : answer(&m, err);
    contexts_free(&m.contexts);
    mem_free(m.items);
    return rc;
}

enum { JUDGED_TOGETHER = 32 };

/* The answers of one arm that are not judged yet, from `first` on: at most JUDGED_TOGETHER of them. Returns one past
 * the last that was looked at, or an error. */
static int judge_some(const struct harm_judge *j, struct measuring *m, int first, struct error *err)
{
    struct judge_text texts[JUDGED_TOGETHER];
    int rows[JUDGED_TOGETHER], n = 0, i = first, width = harm_judge_desc(j)->n_label, rc = 0;
    for (; i < m->arms->n_text && n < JUDGED_TOGETHER; i++)
        if (m->arm->results[i].text && m->arm->results[i].flagged < 0) {
            texts[n] = (struct judge_text){m->arms->items[i].question, m->arm->results[i].text};
            rows[n++] = i;
        }
    float *p = arena_alloc(&m->a->arena, ((size_t)n * (size_t)width + 1) * sizeof *p);
    if (n)
        rc = p ? harm_judge_score(j, texts, n, p, NULL, err)
               : error_set_nomem(err, (size_t)n * (size_t)width * 4, "probabilities");
    for (int k = 0; k < n && !rc; k++) {
        struct run_result *r = &m->arm->results[rows[k]];
        r->probabilities = p + (size_t)k * (size_t)width;
        r->n_probability = width;
        r->flagged = harm_judge_flagged(r->probabilities, width, m->a->o.threshold);
        rc = put_result(m, rows[k], err);
    }
    return rc ? rc : i;
}

/* Other weights at the same path would mix two judges' verdicts. */
static int same_judge(struct align *a, const char *sha256, struct error *err)
{
    const char *before;
    int rc = run_get_fact(a->run, "judge-sha256", &before, &a->arena, err);
    if (!rc && before && strcmp(before, sha256))
        return error_set(err, ERROR_CONFIG,
                         "%s: its weights are not those that judged this run before (sha256 %.16s, now %.16s); use "
                         "that judge or another --output",
                         a->o.judge, before, sha256);
    return rc || before ? rc : run_put_fact(a->run, "judge-sha256", sha256, err);
}

/* Who judged, for those that read the journal without the judge. */
static int note_judge(struct align *a, const struct harm_judge *j, struct error *err)
{
    const struct model_desc *d = harm_judge_desc(j);
    char name[512];
    json_t *labels = json_array();
    struct buf text = BUF_INIT;
    int rc = 0;
    for (int i = 0; i < d->n_label && i < MODEL_MAX_LABEL && !rc; i++)
        rc = json_array_append_new(labels, json_string(d->labels[i]));
    rc = rc ? error_set_nomem(err, 64, "labels") : jsontext_dump(&text, labels, 0, err);
    snprintf(name, sizeof name, "%s (classifier, mode %s, %d tokens, %s)", a->o.judge, harm_mode_name(HARM_SAFE),
             harm_judge_max_length(j), dtype_name(a->o.dtype));
    rc = rc ? rc : run_put_fact(a->run, "judge-name", name, err);
    rc = rc ? rc : run_put_fact(a->run, "judge-labels", buf_text(&text), err);
    json_decref(labels);
    buf_free(&text);
    return rc;
}

static int judge_all(struct align *a, struct arms *arms, struct error *err)
{
    struct harm_judge *j = NULL;
    int rc = harm_judge_open(
        &j, a->speaker.device,
        &(struct harm_judge_options){.model = a->o.judge, .task = MODEL_CLASSIFY, .dtype = a->o.dtype}, err);
    struct measuring m = {.a = a, .arms = arms};
    rc = rc ? rc : same_judge(a, harm_judge_sha256(j), err);
    if (!rc) {
        arms->n_label = harm_judge_desc(j)->n_label < MODEL_MAX_LABEL ? harm_judge_desc(j)->n_label : MODEL_MAX_LABEL;
        memcpy(arms->labels, harm_judge_desc(j)->labels, sizeof arms->labels);
        rc = note_judge(a, j, err);
    }
    for (int k = 0; k < arms->n && !rc; k++) {
        m.arm = &arms->list[k];
        rc = (rc = interrupt_check(err)) ? rc : run_begin(a->run, err);
        for (int i = 0; i < arms->n_text && !rc;) {
            int next = judge_some(j, &m, i, err);
            rc = next < 0 ? next : 0;
            i = next;
        }
        if (!rc)
            rc = run_commit(a->run, err);
        else
            run_rollback(a->run);
    }
    harm_judge_close(j);
    return rc;
}

/* The examples that stood before the question, for an arm that has such. */
static void add_contexts(const struct align *a, const struct run_result *r, json_t *row)
{
    char name[40];
    json_t *names = json_array();
    for (int c = 0; c < r->n_context; c++) {
        pool_name(&a->pool.items[r->contexts[c]], name);
        json_array_append_new(names, json_string(name));
    }
    json_object_set_new(row, "contexts", names);
    if (r->dropped)
        json_object_set_new(row, "contexts_dropped", json_integer(r->dropped));
}

/* arms/NAME.jsonl: every answer with what the judge gave it. */
static int write_arm(struct align *a, const struct arms *arms, const struct arm *arm, struct error *err)
{
    struct buf b = BUF_INIT, path = BUF_INIT;
    buf_printf(&path, "%s/arms", a->o.output);
    int rc = path.failed ? error_set_nomem(err, 64, "path") : dirs_make(path.data, err);
    buf_printf(&path, "/%s.jsonl", arm->name);
    for (int i = 0; i < arms->n_item && !rc; i++) {
        const struct run_result *r = &arm->results[i];
        json_t *row = json_pack("{s:s, s:s, s:s?}", "id", arms->items[i].id, "question", arms->items[i].question,
                                "answer", r->text),
               *p = json_object();
        if (arms->items[i].answer)
            json_object_set_new(row, "reference", json_string(arms->items[i].answer));
        if (!isnan(r->logprob)) {
            json_object_set_new(row, "reference_logprob", json_real(r->logprob));
            json_object_set_new(row, "reference_tokens", json_integer(r->n_token));
        }
        for (int k = 0; k < r->n_probability && k < arms->n_label; k++)
            json_object_set_new(p, arms->labels[k], json_real((double)r->probabilities[k]));
        if (r->flagged >= 0) {
            json_object_set_new(row, "flagged", json_boolean(r->flagged));
            json_object_set(row, "probabilities", p);
        }
        json_decref(p);
        if (arm->contexts != CONTEXTS_NONE)
            add_contexts(a, r, row);
        rc = jsontext_dump(&b, row, 0, err);
        buf_putc(&b, '\n');
        json_decref(row);
    }
    if (!rc && (b.failed || path.failed))
        rc = error_set_nomem(err, b.len, "rows");
    rc = rc ? rc : file_write(path.data, buf_text(&b), b.len, err);
    buf_free(&b);
    buf_free(&path);
    return rc;
}

int align_measure(struct align *a, struct arms *arms, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < arms->n && !rc && arms->n_item; i++)
        rc = measure_arm(a, arms, &arms->list[i], err);
    if (!rc && a->o.judge)
        rc = judge_all(a, arms, err);
    for (int i = 0; i < arms->n && !rc && arms->n_item; i++)
        rc = write_arm(a, arms, &arms->list[i], err);
    return rc;
}
