/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task alpaca-eval: outputs against reference outputs, compared by a judge in one order or both, or a
 * stored annotations.json counted again. Files are alpaca_eval's. */
#include "eval/parts.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/jsonl.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "measure/alpaca.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* probability given to what was shown first; rows judged in both orders; of those, same winner */
struct bias {
    double first;
    int n, agree;
};

/* Adds alpaca_eval's numbers to a report that has begun. */
static void add_metrics(struct eval_report *r, const struct alpaca_metrics *m)
{
    double half = 1.959963984540054 * m->standard_error;
    eval_report_value(r, "win_rate", m->win_rate, m->n_total,
                      (struct stats_interval){m->win_rate - half, m->win_rate + half});
    if (m->n_total > 1)
        eval_report_value(r, "standard_error", m->standard_error, m->n_total, EVAL_NO_INTERVAL);
    eval_report_value(r, "discrete_win_rate", m->discrete_win_rate, m->n_total, EVAL_NO_INTERVAL);
    eval_report_fact(r, "n_wins", json_integer(m->n_wins));
    eval_report_fact(r, "n_wins_base", json_integer(m->n_wins_base));
    eval_report_fact(r, "n_draws", json_integer(m->n_draws));
    eval_report_fact(r, "n_total", json_integer(m->n_total));
    eval_report_fact(r, "n_missing", json_integer(m->n_missing));
    eval_report_fact(r, "avg_length", json_integer(m->avg_length));
    eval_report_note(r, "win_rate in per cent, interval normal (as alpaca_eval's standard error)");
}

/* The length-controlled win rate, where it can be computed; else a line that says why not. */
static void add_controlled(struct eval_report *r, const json_t *rows, const char *where, const struct alpaca_metrics *m,
                           const struct eval_options *v)
{
    struct alpaca_controlled c;
    struct error why = {0, ""};
    int rc = alpaca_length_controlled(rows, where, v->df_gamed, &c, &why);
    if (rc == ERROR_DATA && !v->df_gamed) {
        eval_report_note(r, "no length-controlled win rate: %s", why.message);
        return;
    }
    if (rc) {
        r->rc = r->rc ? r->rc : error_set(r->err, rc, "%s", why.message);
        return;
    }
    eval_report_value(r, "length_controlled_winrate", c.win_rate, c.n, EVAL_NO_INTERVAL);
    eval_report_fact(r, "length_controlled_formula",
                     json_string(v->df_gamed ? "length_controlled_v1" : "length_controlled_minimal"));
    if (v->df_gamed)
        eval_report_value(r, "lc_standard_error", c.standard_error, c.n, EVAL_NO_INTERVAL);
    eval_report_note(r, v->df_gamed ? "lc_standard_error only reflects how instructions differ; it is much too small "
                                      "as the error of the win rate"
                                    : "the minimal formula predicts one number for all rows: it has no standard error");
    if (alpaca_is_extreme(m->win_rate, c.win_rate))
        eval_report_note(r, "the length-controlled win rate is far from the plain one: the fit may have failed");
}

static int recount_annotations(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    json_t *rows = NULL;
    struct alpaca_metrics m;
    int rc = jsonl_load(&rows, v->annotations, err);
    rc = rc ? rc : alpaca_metrics_of(rows, v->annotations, &m, err);
    char sha256[65] = "";
    if (!rc && strcmp(v->annotations, "-"))
        rc = sha256_file(v->annotations, sha256, err);
    if (!rc) {
        struct eval_report r;
        const char *annotator = json_string_value(json_object_get(json_array_get(rows, 0), "annotator"));
        eval_report_begin(&r,
                          &(struct report_basis){.task = "alpaca-eval",
                                                 .n_row = m.n_rows,
                                                 .n_unparsed = m.n_missing,
                                                 .threshold = NAN,
                                                 .judge = annotator ? annotator : "as annotated"},
                          err);
        eval_report_fact(&r, "annotations_sha256",
                         json_string(sha256)); /* the judge's own weights are not there to be hashed */
        add_metrics(&r, &m);
        add_controlled(&r, rows, v->annotations, &m, v);
        rc = eval_report_finish(&r, w);
    }
    json_decref(rows);
    return rc;
}

struct alpaca {
    struct eval_answers e;
    const struct eval_options *v;
    struct eval_pairwise *judge;
    json_t *references; /* array of {"instruction","output",...} */
    const char **questions;
    int both; /* orders */
};

static const char *reference_of(const struct alpaca *a, int i)
{
    return json_string_value(json_object_get(json_array_get(a->references, (size_t)i), "output"));
}

static const char *generator(const struct alpaca *a)
{
    return a->v->model ? a->v->model : a->v->input;
}

/* --- questions --- */

static int check_reference(void *user, json_t *row, struct error *err)
{
    (void)user;
    return json_is_string(json_object_get(row, "instruction")) && json_is_string(json_object_get(row, "output"))
               ? 0
               : error_set(err, ERROR_DATA, "wanted \"instruction\" and \"output\"");
}

static int read_references(struct alpaca *a, struct error *err)
{
    const char *path = a->v->reference ? a->v->reference : a->v->test;
    int rc =
        eval_require(path, "reference", "reference outputs, alpaca_eval's array of {\"instruction\",\"output\"}", err);
    rc =
        rc ? rc
           : record_load(&a->references, (struct record_source){.path = path}, a->v->limit, check_reference, NULL, err);
    int n = a->e.n = (int)json_array_size(a->references);
    a->e.questions = a->questions = mem_calloc((size_t)n + 1, sizeof *a->questions);
    if (!rc && !a->questions)
        rc = error_set_nomem(err, (size_t)n * sizeof *a->questions, "instructions");
    for (int i = 0; i < a->e.n && !rc; i++)
        a->questions[i] = json_string_value(json_object_get(json_array_get(a->references, (size_t)i), "instruction"));
    return rc;
}

/* --- verdicts --- */

/* What is asked of row i in one order: 0 the reference first, 1 the model's output first. */
static struct eval_question question_of(const struct alpaca *a, int i, int switched)
{
    const char *ours = eval_answers_text(&a->e, i), *reference = reference_of(a, i);
    return (struct eval_question){a->questions[i], switched ? ours : reference, switched ? reference : ours};
}

/* "judge0": the reference first; "judge1": the model's output first. */
static const char *const stages[] = {"judge0", "judge1"};

static int put_verdict(struct alpaca *a, int i, int switched, struct eval_preference *x, struct error *err)
{
    double p = x->preference;
    if (switched)
        p = 3 - p;
    json_t *row = json_pack("{s:o, s:O?, s:s?, s:b}", "preference", isnan(p) ? json_null() : json_real(p), "raw",
                            x->raw, "why", x->why[0] ? x->why : NULL, "truncated", x->truncated);
    json_decref(x->raw);
    return row ? eval_journal_put(a->e.journal, stages[switched], i, row, err) : error_set_nomem(err, 64, "a verdict");
}

static int is_asked(const struct alpaca *a, int i, int switched, int *asked, struct error *err)
{
    const char *ours = eval_answers_text(&a->e, i);
    double random;
    int wanted = switched, rc = a->both ? 0 : alpaca_switched(a->questions[i], &wanted, &random, err);
    *asked = ours && strcmp(ours, reference_of(a, i)) && wanted == switched &&
             !eval_journal_get(a->e.journal, stages[switched], i);
    return rc;
}

static int ask_judge(struct alpaca *a, const int *rows, int n, int switched, struct error *err)
{
    enum { MOST = 64 };
    struct eval_question q[MOST] = {{NULL, NULL, NULL}};
    struct eval_preference x[MOST] = {{.preference = NAN}};
    for (int k = 0; k < n; k++)
        q[k] = question_of(a, rows[k], switched);
    int rc = n ? eval_pairwise_ask(a->judge, q, n, x, err) : 0;
    for (int k = 0; k < n && !rc; k++)
        rc = put_verdict(a, rows[k], switched, &x[k], err);
    return rc;
}

static int judge_all(struct alpaca *a, struct error *err)
{
    int rc = 0, rows[64], batch = eval_pairwise_batch(a->judge);
    for (int switched = 0; switched < 2 && !rc; switched++) {
        int n = 0, asked;
        for (int i = 0; i < a->e.n && !rc; i++) {
            rc = is_asked(a, i, switched, &asked, err);
            if (!rc && asked)
                rows[n++] = i;
            if (!rc && n == batch) {
                rc = ask_judge(a, rows, n, switched, err);
                n = 0;
            }
        }
        rc = rc ? rc : ask_judge(a, rows, n, switched, err);
    }
    return rc;
}

/* The row's preference: mean of its orders, 1.5 for equal outputs, NAN when any order could not be read. */
static double preference_of(const struct alpaca *a, int i, struct bias *b, int *truncated)
{
    double sum = 0, p[2] = {NAN, NAN};
    int n = 0;
    for (int s = 0; s < 2; s++) {
        const json_t *row = eval_journal_get(a->e.journal, stages[s], i);
        if (!row)
            continue;
        const json_t *value = json_object_get(row, "preference");
        *truncated |= json_is_true(json_object_get(row, "truncated"));
        if (!json_is_number(value))
            return NAN;
        sum += p[s] = json_number_value(value);
        n++;
    }
    if (!n)
        return 1.5; /* equal outputs are not asked about */
    if (n == 2) {
        b->first += ((2 - p[0]) + (p[1] - 1)) /
                    2; /* probability of the reference when it stood first, of the model's output when that did */
        b->agree += (p[0] > 1.5) == (p[1] > 1.5);
        b->n++;
    }
    return sum / n;
}

/* --- files --- */

static json_t *annotations_of(const struct alpaca *a, struct bias *b, int *n_missing, int *n_truncated)
{
    json_t *all = json_array();
    char date[32];
    time_t now = (time_t)clock_wall();
    struct tm t;
    gmtime_r(&now, &t);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &t);
    for (int i = 0; i < a->e.n; i++) {
        const json_t *reference = json_array_get(a->references, (size_t)i),
                     *first = eval_journal_get(a->e.journal, stages[0], i),
                     *second = eval_journal_get(a->e.journal, stages[1], i);
        const char *ours = eval_answers_text(&a->e, i);
        int truncated = 0;
        if (!ours) {
            ++*n_missing;
            continue;
        }
        double p = preference_of(a, i, b, &truncated);
        *n_truncated += truncated;
        json_array_append_new(all, json_pack("{s:s, s:s, s:O?, s:O?, s:s, s:s, s:s, s:o, s:s, s:{s:O?, s:O?}}",
                                             "instruction", a->questions[i], "output_1", reference_of(a, i),
                                             "generator_1", json_object_get(reference, "generator"), "dataset",
                                             json_object_get(reference, "dataset"), "output_2", ours, "generator_2",
                                             generator(a), "annotator", eval_pairwise_name(a->judge), "preference",
                                             isnan(p) ? json_null() : json_real(p), "preference_date", date,
                                             "raw_completion", "reference_first", first, "output_first", second));
    }
    return all;
}

static int write_outputs(const struct alpaca *a, const char *directory, struct error *err)
{
    json_t *all = json_array();
    char *path = path_join(directory, "model_outputs.json");
    for (int i = 0; i < a->e.n; i++)
        if (eval_answers_text(&a->e, i))
            json_array_append_new(all, json_pack("{s:O?, s:s, s:s, s:s}", "dataset",
                                                 json_object_get(json_array_get(a->references, (size_t)i), "dataset"),
                                                 "instruction", a->questions[i], "output", eval_answers_text(&a->e, i),
                                                 "generator", generator(a)));
    int rc = path ? jsontext_write(path, all, err) : error_set_nomem(err, 64, "path");
    mem_free(path);
    json_decref(all);
    return rc;
}

static int write_leaderboard(const struct alpaca *a, const char *directory, const struct alpaca_metrics *m,
                             struct error *err)
{
    struct buf b = BUF_INIT;
    char *path = path_join(directory, "leaderboard.csv");
    buf_puts(&b, ",win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,discrete_win_rate,mode,avg_length\n\"");
    for (const char *s = generator(a); *s; s++) {
        if (*s == '"')
            buf_putc(&b, '"');
        buf_putc(&b, *s);
    }
    buf_printf(&b, "\",%.17g,%.17g,%d,%d,%d,%d,%.17g,community,%d\n", m->win_rate, m->standard_error, m->n_wins,
               m->n_wins_base, m->n_draws, m->n_total, m->discrete_win_rate, m->avg_length);
    int rc = path && !b.failed ? file_write(path, b.data, b.len, err) : error_set_nomem(err, b.len, "a leaderboard");
    mem_free(path);
    buf_free(&b);
    return rc;
}

/* OUTPUT/model_outputs.json, OUTPUT/ANNOTATOR/annotations.json and leaderboard.csv */
static int write_files(const struct alpaca *a, const json_t *annotations, const struct alpaca_metrics *m,
                       struct error *err)
{
    struct buf directory = BUF_INIT;
    buf_printf(&directory, "%s/", a->v->output);
    eval_sanitize(eval_pairwise_name(a->judge), &directory);
    int rc = directory.failed ? error_set_nomem(err, 64, "path") : dirs_make(directory.data, err);
    rc = rc ? rc : write_outputs(a, a->v->output, err);
    rc = rc ? rc : write_leaderboard(a, directory.data, m, err);
    char *path = rc ? NULL : path_join(directory.data, "annotations.json");
    if (!rc)
        rc = path ? jsontext_write(path, annotations, err) : error_set_nomem(err, 64, "path");
    mem_free(path);
    buf_free(&directory);
    return rc;
}

static int finish_alpaca(struct alpaca *a, const struct eval_work *w, struct error *err)
{
    struct alpaca_metrics m;
    struct bias b = {0};
    struct report_basis f = {.task = "alpaca-eval",
                             .threshold = NAN,
                             .judge = eval_pairwise_name(a->judge),
                             .judge_sha256 = eval_pairwise_sha256(a->judge)};
    int n_missing = 0, n_cut = 0;
    json_t *rows = annotations_of(a, &b, &n_missing, &n_cut);
    int rc = rows ? alpaca_metrics_of(rows, "the judge's verdicts", &m, err) : error_set_nomem(err, 64, "annotations");
    if (!rc && (n_missing + m.n_missing) > a->v->max_missing * a->e.n)
        rc = error_set(err, ERROR_DATA,
                       "%d of %d rows have no output and %d no verdict that could be read: more than --max-missing %g; "
                       "no win rate is given (the journal says why)",
                       n_missing, a->e.n, m.n_missing, a->v->max_missing);
    if (!rc && a->v->output)
        rc = write_files(a, rows, &m, err);
    if (rc) {
        json_decref(rows);
        return rc;
    }
    struct eval_report r;
    eval_answers_count(&a->e, &f);
    f.n_truncated += n_cut;
    f.n_unparsed = m.n_missing;
    eval_report_begin(&r, &f, err);
    eval_report_fact(&r, "judge_prompt_sha256", json_string(eval_pairwise_prompt_sha256(a->judge)));
    eval_report_fact(&r, "order", json_string(a->both ? "both" : "alpaca"));
    add_metrics(&r, &m);
    add_controlled(&r, rows, "the judge's verdicts", &m, a->v);
    json_decref(rows);
    if (b.n) {
        eval_report_value(&r, "position_bias", b.first / b.n - 0.5, b.n, EVAL_NO_INTERVAL);
        eval_report_value(&r, "order_agreement", (double)b.agree / b.n, b.n, stats_wilson(b.agree, b.n, 0.95));
        eval_report_note(&r, "position_bias: mean probability of what was shown first, less 0.5\norder_agreement: "
                             "share of rows with the same winner in both orders");
    }
    return eval_report_finish(&r, w);
}

static int run_alpaca(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    if (v->annotations)
        return recount_annotations(w, err);
    struct alpaca a = {.e = {.task = w->task->name, .want_answers = 1},
                       .v = v,
                       .both = !v->judge_order || strcmp(v->judge_order, "alpaca")};
    int rc = read_references(&a, err);
    rc = rc ? rc : eval_pairwise_open(&a.judge, w, err);
    if (!rc && !(a.e.more_settings = json_pack("{s:s, s:s, s:s, s:b}", "judge-sha256", eval_pairwise_sha256(a.judge),
                                               "judge-prompt-sha256", eval_pairwise_prompt_sha256(a.judge),
                                               "judge-dtype", dtype_name(v->dtype), "both-orders", a.both)))
        rc = error_set_nomem(err, 64, "settings");
    rc = rc ? rc : eval_answers_open(&a.e, w, err);
    rc = rc ? rc : judge_all(&a, err);
    rc = rc ? rc : finish_alpaca(&a, w, err);
    eval_answers_close(&a.e);
    eval_pairwise_close(a.judge);
    json_decref(a.references);
    mem_free(a.questions);
    return rc;
}

const struct eval_task eval_alpaca = {
    "alpaca-eval", "win rate against reference outputs by a judge, or from a stored annotations.json", run_alpaca};
