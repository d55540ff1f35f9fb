/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task qa: any question-answer pairs. Exact match, word F1 and ROUGE-L of the answers, and the negative
 * log-likelihood of the reference answers. */
#include "eval/parts.h"

#include "answer/seeds.h"
#include "base/log.h"
#include "base/mem.h"
#include "measure/qa.h"
#include "measure/rouge.h"

#include <math.h>
#include <string.h>

enum { EXACT, F1, ROUGE_L, NLL, N_METRIC };
static const char *const metric_names[] = {"exact", "f1", "rougeL", "nll"};
static const char *const metric_words[] = {"exact: share of answers that are a reference's words (SQuAD's)",
                                           "f1: of the words of answer and reference (SQuAD's), 0 to 1",
                                           "rougeL: ROUGE-L's F1 of answer and reference, x100",
                                           "nll: mean over rows of nats a reference token"};

struct qa {
    struct eval_answers e;
    struct seeds test;
    const char **questions;
    double *values[N_METRIC]; /* [n] each; NAN: this row lacks it */
    int wanted[N_METRIC];
    long n_token;
};

static int choose_metrics(struct qa *q, const struct eval_options *v, struct error *err)
{
    int n = 0;
    if (!v->metrics) {
        for (int m = 0; m < N_METRIC; m++)
            q->wanted[m] = m != NLL || v->model;
        return 0;
    }
    for (const char *s = v->metrics; *s; s += s[strcspn(s, ",")] ? strcspn(s, ",") + 1 : strcspn(s, ",")) {
        size_t length = strcspn(s, ",");
        int m = 0;
        while (m < N_METRIC && (strlen(metric_names[m]) != length || strncmp(metric_names[m], s, length)))
            m++;
        if (m == N_METRIC)
            return error_set(err, ERROR_USAGE,
                             "--metrics: wanted exact, f1, rougeL, nll with commas between, found \"%.*s\"",
                             (int)length, s);
        q->wanted[m] = 1;
        n++;
    }
    if (q->wanted[NLL] && !v->model)
        return error_set(err, ERROR_USAGE,
                         "--metrics nll: needs --model, whose likelihood of the reference answers it is");
    return n ? 0 : error_set(err, ERROR_USAGE, "--metrics: wanted exact, f1, rougeL or nll");
}

static int rouge_l_of(const char *answer, const char *reference, double *out, struct error *err)
{
    struct rouge_vocab *v = NULL;
    struct rouge_text a = {0}, b = {0};
    struct rouge_score s = {0, 0, 0};
    int rc = rouge_vocab_new(&v, err);
    rc = rc ? rc : rouge_text_init(&a, v, answer, strlen(answer), err);
    rc = rc ? rc : rouge_text_init(&b, v, reference, strlen(reference), err);
    rc = rc ? rc : rouge_l(&b, &a, &s, err);
    *out = 100 * s.f;
    rouge_text_deinit(&a);
    rouge_text_deinit(&b);
    rouge_vocab_free(v);
    return rc;
}

static int score_texts(struct qa *q, struct error *err)
{
    int rc = 0, overlooked = 0;
    for (int i = 0; i < q->e.n && !rc; i++) {
        const char *text = eval_answers_text(&q->e, i), *reference = q->test.items[i].answer;
        struct qa_score s;
        if (!text || !reference || (rc = qa_score(text, reference, &s, err)))
            continue;
        q->values[EXACT][i] = s.exact;
        q->values[F1][i] = s.f1;
        rc = rouge_l_of(text, reference, &q->values[ROUGE_L][i], err);
        overlooked += rouge_overlooks(text) || rouge_overlooks(reference);
    }
    if (overlooked && q->wanted[ROUGE_L])
        log_line(LOG_WARNING,
                 "rougeL: %d rows have letters outside a-z that rouge_score's words do not see; of other scripts exact "
                 "and f1 say more",
                 overlooked);
    return rc;
}

/* Chunks of rows, so that what is scored is in the journal soon. */
static int score_references(struct qa *q, struct error *err)
{
    enum { CHUNK = 32 };
    struct eval_journal *j = q->e.journal;
    int rc = 0;
    for (int first = 0; first < q->e.n && !rc;) {
        struct answers_pair pairs[CHUNK];
        struct speak_score scores[CHUNK];
        int n = 0, i = first;
        for (; i < q->e.n && n < CHUNK; i++)
            if (q->test.items[i].answer && !eval_journal_get(j, "reference", i))
                pairs[n++] = (struct answers_pair){i, q->test.items[i].answer};
        rc = n ? answers_score(q->e.answers, &(struct questions){q->e.questions, q->e.n}, pairs, n, scores, err) : 0;
        for (int k = 0; k < n && !rc; k++)
            rc = eval_journal_put(j, "reference", pairs[k].question,
                                  json_pack("{s:f, s:i}", "logprob", scores[k].logprob, "n_token", scores[k].n_token),
                                  err);
        first = i;
    }
    for (int i = 0; i < q->e.n && !rc; i++) {
        const json_t *row = eval_journal_get(j, "reference", i);
        json_int_t n = json_integer_value(json_object_get(row, "n_token"));
        if (n > 0) {
            q->values[NLL][i] = -json_real_value(json_object_get(row, "logprob")) / (double)n;
            q->n_token += n;
        }
    }
    return rc;
}

static json_t *sample(void *user, int i)
{
    const struct qa *q = user;
    const struct seed *t = &q->test.items[i];
    json_t *s = json_pack("{s:{s:s, s:s, s:s?}, s:s?}", "doc", "id", t->id, "question", t->question, "answer",
                          t->answer, "target", t->answer);
    for (int m = 0; m < N_METRIC; m++)
        if (s && q->wanted[m])
            json_object_set_new(s, metric_names[m], isnan(q->values[m][i]) ? json_null() : json_real(q->values[m][i]));
    return s;
}

static int fill_report(struct qa *q, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct report_basis f = {.task = "qa", .threshold = NAN};
    struct eval_report r;
    eval_answers_count(&q->e, &f);
    if (!q->e.want_answers) {
        f.n_missing = 0;
        f.n_truncated = 0;
    }
    eval_report_begin(&r, &f, err);
    double *x = mem_alloc(((size_t)q->e.n + 1) * sizeof *x);
    if (!x)
        r.rc = error_set_nomem(err, (size_t)q->e.n * sizeof *x, "values");
    for (int m = 0; m < N_METRIC && !r.rc; m++) {
        struct stats_interval i = EVAL_NO_INTERVAL;
        int n = 0;
        for (int k = 0; k < q->e.n; k++)
            if (!isnan(q->values[m][k]))
                x[n++] = q->values[m][k];
        if (!q->wanted[m])
            continue;
        if (m == EXACT && n)
            i = stats_wilson(lround(stats_mean(x, n) * n), n, 0.95);
        else
            r.rc = eval_mean_interval(x, n, v->seed, &i, err);
        eval_report_value(&r, metric_names[m], stats_mean(x, n), n, i);
    }
    mem_free(x);
    for (int m = 0; m < N_METRIC; m++)
        if (q->wanted[m])
            eval_report_note(&r, "%s", metric_words[m]);
    eval_report_note(&r, "95 %% intervals: of exact Wilson's, else " EVAL_INTERVALS);
    eval_save(&q->e, &r, v, sample, q);
    return eval_report_finish(&r, w);
}

static int run_qa(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct qa q = {.e = {.task = w->task->name}};
    int rc = eval_require(v->test, "test", "questions with reference answers, in any of the formats of docs/FORMATS.md",
                          err);
    rc = rc ? rc : choose_metrics(&q, v, err);
    rc = rc ? rc : seeds_read_fields(&q.test, eval_source(v, v->test), 0, err);
    q.e.n = v->limit && v->limit < q.test.n ? v->limit : q.test.n;
    q.e.want_answers = q.wanted[EXACT] || q.wanted[F1] || q.wanted[ROUGE_L];
    size_t n = (size_t)q.e.n + 1;
    q.e.questions = q.questions = mem_calloc(n, sizeof *q.questions);
    for (int m = 0; m < N_METRIC && !rc; m++)
        if (!(q.values[m] = mem_alloc(n * sizeof(double))))
            rc = error_set_nomem(err, n * sizeof(double), "values");
    if (!rc && !q.questions)
        rc = error_set_nomem(err, n * sizeof *q.questions, "questions");
    for (int i = 0; i < q.e.n && !rc; i++) {
        q.questions[i] = q.test.items[i].question;
        for (int m = 0; m < N_METRIC; m++)
            q.values[m][i] = NAN;
    }
    rc = rc ? rc : eval_answers_open(&q.e, w, err);
    rc = rc ? rc : score_texts(&q, err);
    if (!rc && q.wanted[NLL])
        rc = score_references(&q, err);
    rc = rc ? rc : fill_report(&q, w, err);
    eval_answers_close(&q.e);
    for (int m = 0; m < N_METRIC; m++)
        mem_free(q.values[m]);
    mem_free(q.questions);
    seeds_free(&q.test);
    return rc;
}

const struct eval_task eval_qa = {
    "qa", "any question-answer pairs: exact match, F1, ROUGE-L, likelihood of the references", run_qa};
