/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval: a benchmark's own metrics over files of outputs. The numbers come from src/judge, how sure they are from src/stats; this file
 * only joins outputs to references and prints. A missing output or an empty join is an error, never a zero. */
#include "cli/cli.h"

#include "base/mem.h"
#include "io/csv.h"
#include "io/jsonl.h"
#include "judge/alpaca.h"
#include "judge/truthfulqa.h"
#include "stats/stats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int load_array(json_t **array, const char *path, struct error *err)
{
    long repaired = 0;
    return jsonl_load(array, path, &repaired, err);
}

static int eval_alpaca(const struct cli_values *v, struct error *err)
{
    json_t *rows = NULL;
    struct alpaca_metrics m;
    int rc = cli_require(v->annotations, "annotations", "a stored annotations.json", err);
    if (!rc)
        rc = load_array(&rows, v->annotations, err);
    if (!rc)
        rc = alpaca_metrics_of(rows, v->annotations, &m, err);
    json_decref(rows);
    if (rc)
        return rc;
    if (v->json)
        printf("{\"win_rate\": %.17g, \"standard_error\": %.17g, \"discrete_win_rate\": %.17g, \"n_wins\": %d, \"n_wins_base\": %d, \"n_draws\": %d, \"n_total\": %d, \"n_missing\": %d, \"avg_length\": %d}\n",
               m.win_rate, m.standard_error, m.discrete_win_rate, m.n_wins, m.n_wins_base, m.n_draws, m.n_total, m.n_missing, m.avg_length);
    else
        printf("win rate %.4f %% (standard error %.4f), discrete %.4f %%\nwins %d, losses %d, draws %d, n %d%s, missing %d, mean length %d\n", m.win_rate, m.standard_error,
               m.discrete_win_rate, m.n_wins, m.n_wins_base, m.n_draws, m.n_total, m.n_missing ? " (not all rows)" : "", m.n_missing, m.avg_length);
    return 0;
}

struct truth {
    double *max[TRUTH_METRICS], *diff[TRUTH_METRICS];
    long acc[TRUTH_METRICS];
    int n, cap, n_empty;
};

static int truth_push(struct truth *t, const struct truth_score s[TRUTH_METRICS], struct error *err)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        for (int m = 0; m < TRUTH_METRICS; m++) {
            double *max = mem_resize(t->max[m], (size_t)t->cap * sizeof *max), *diff = max ? mem_resize(t->diff[m], (size_t)t->cap * sizeof *diff) : NULL;
            if (max)
                t->max[m] = max;
            if (!diff)
                return error_set_nomem(err, (size_t)t->cap * 8, "scores");
            t->diff[m] = diff;
        }
    }
    for (int m = 0; m < TRUTH_METRICS; m++) {
        t->max[m][t->n] = s[m].max;
        t->diff[m][t->n] = s[m].diff;
        t->acc[m] += s[m].acc;
    }
    t->n++;
    return 0;
}

/* The output of a question: by "question" when the outputs have it, else by their order. */
static const char *output_text(const json_t *record)
{
    static const char *const names[] = {"answer", "text", "output", "response", NULL};
    for (int i = 0; names[i]; i++)
        if (json_is_string(json_object_get(record, names[i])))
            return json_string_value(json_object_get(record, names[i]));
    return NULL;
}

static const json_t *output_of(const json_t *outputs, const char *question, int row)
{
    size_t i;
    json_t *item;
    json_array_foreach(outputs, i, item)
        if (json_is_string(json_object_get(item, "question")) && !strcmp(json_string_value(json_object_get(item, "question")), question))
            return item;
    item = json_array_get(outputs, (size_t)row);
    return json_object_get(item, "question") ? NULL : item;
}

static int truth_row(struct truth *t, const struct csv *c, const long column[3], const json_t *outputs, int row, const char *where, struct error *err)
{
    const char *question = csv_field(c, (size_t)column[0]);
    const json_t *record = output_of(outputs, question, row);
    const char *answer = record ? output_text(record) : NULL;
    if (!answer)
        return error_set(err, ERROR_DATA, "%s: no output (\"answer\", \"text\", \"output\" or \"response\") for question %d \"%.60s\"", where, row, question);
    char **trues = NULL, **falses = NULL;
    int n_true = 0, n_false = 0;
    struct truth_score s[TRUTH_METRICS];
    t->n_empty += !*answer;
    int rc = truth_list_split(csv_field(c, (size_t)column[1]), 1, &trues, &n_true, err);
    if (!rc)
        rc = truth_list_split(csv_field(c, (size_t)column[2]), 0, &falses, &n_false, err);
    if (!rc)
        rc = truth_score(answer, (const char *const *)trues, n_true, (const char *const *)falses, n_false, s, err);
    if (!rc)
        rc = truth_push(t, s, err);
    truth_list_free(trues, n_true);
    truth_list_free(falses, n_false);
    return rc;
}

static int truth_print(const struct truth *t, const struct cli_values *v, struct error *err)
{
    if (v->json)
        printf("{\"n\": %d, \"n_empty\": %d", t->n, t->n_empty);
    else
        printf("TruthfulQA, %d questions, %d empty answers (scored 0); x100, 95 %% intervals: bootstrap BCa, acc Wilson\n", t->n, t->n_empty);
    for (int m = 0; m < TRUTH_METRICS; m++) {
        struct stats_interval max, diff, acc = stats_wilson(t->acc[m], t->n, 0.95);
        int rc = stats_bootstrap_mean(t->max[m], t->n, 2000, 0.95, v->seed, &max, err);
        if (!rc)
            rc = stats_bootstrap_mean(t->diff[m], t->n, 2000, 0.95, v->seed, &diff, err);
        if (rc)
            return rc;
        const char *name = truth_metric_name((enum truth_metric)m);
        double mean_max = stats_mean(t->max[m], t->n), mean_diff = stats_mean(t->diff[m], t->n), share = (double)t->acc[m] / t->n;
        if (v->json)
            printf(", \"%s_max\": %.17g, \"%s_diff\": %.17g, \"%s_acc\": %.17g", name, mean_max, name, mean_diff, name, share);
        else
            printf("  %-7s max %7.3f [%7.3f, %7.3f]  diff %7.3f [%7.3f, %7.3f]  acc %.4f [%.4f, %.4f]\n", name, mean_max, max.low, max.high, mean_diff, diff.low, diff.high,
                   share, acc.low, acc.high);
    }
    puts(v->json ? "}" : "headline: rougeL_diff (the column called rougeL is rougeLsum)");
    return 0;
}

static int eval_truthfulqa(const struct cli_values *v, struct error *err)
{
    struct csv *c = NULL;
    struct truth t = {0};
    json_t *outputs = NULL;
    int rc = cli_require(v->data, "data", "TruthfulQA.csv", err);
    if (!rc)
        rc = cli_require(v->input, "input", "the outputs, JSON Lines with \"answer\" (and \"question\", or in the questions' order)", err);
    if (!rc)
        rc = load_array(&outputs, v->input, err);
    if (!rc)
        rc = csv_open(&c, v->data, err);
    static const char *const names[] = {"Question", "Correct Answers", "Incorrect Answers"};
    long column[3];
    for (int i = 0; i < 3 && !rc; i++)
        if ((column[i] = csv_column(c, names[i])) < 0)
            rc = error_set(err, ERROR_DATA, "%s: no column \"%s\"", v->data, names[i]);
    for (int row = 0; !rc && (rc = csv_next(c, err)) == 1; row++)
        rc = v->limit && row >= v->limit ? -100 : truth_row(&t, c, column, outputs, row, v->input, err);
    rc = rc == -100 ? 0 : rc;
    if (!rc && !t.n)
        rc = error_set(err, ERROR_DATA, "%s: no questions", v->data);
    if (!rc)
        rc = truth_print(&t, v, err);
    for (int m = 0; m < TRUTH_METRICS; m++) {
        mem_free(t.max[m]);
        mem_free(t.diff[m]);
    }
    csv_close(c);
    json_decref(outputs);
    return rc;
}

int verb_eval(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    static const struct { const char *name; int (*run)(const struct cli_values *, struct error *); } tasks[] = {
        {"alpaca-eval", eval_alpaca}, {"truthfulqa", eval_truthfulqa}};
    int rc = cli_require(v->task, "task", "alpaca-eval or truthfulqa", err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        if (!strcmp(tasks[i].name, v->task))
            return tasks[i].run(v, err);
    return error_set(err, ERROR_USAGE, "--task: wanted alpaca-eval or truthfulqa, found \"%s\"", v->task);
}
