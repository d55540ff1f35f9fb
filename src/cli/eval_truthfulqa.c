/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task truthfulqa: answers against the true and the false references of every question. */
#include "cli/eval.h"

#include "base/mem.h"
#include "io/csv.h"
#include "judge/truthfulqa.h"

#include <math.h>
#include <string.h>

struct truth {
    double *max[TRUTH_METRICS], *diff[TRUTH_METRICS];
    long acc[TRUTH_METRICS];
    int n, cap, n_empty, n_row, n_missing;
};

static int push(struct truth *t, const struct truth_score s[TRUTH_METRICS], struct error *err)
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

static int score_row(struct truth *t, const struct csv *c, const long column[3], const json_t *outputs, int row, struct error *err)
{
    const json_t *record = output_of(outputs, csv_field(c, (size_t)column[0]), row);
    const char *answer = record ? eval_output_text(record) : NULL;
    t->n_row++;
    if (!answer) {
        t->n_missing++;
        return 0;
    }
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
        rc = push(t, s, err);
    truth_list_free(trues, n_true);
    truth_list_free(falses, n_false);
    return rc;
}

static int print(const struct truth *t, const struct cli_values *v, struct error *err)
{
    struct eval_report r;
    eval_report_begin(&r, &(struct eval_facts){.task = "truthfulqa", .n_row = t->n_row, .n_missing = t->n_missing, .threshold = NAN}, err);
    eval_report_fact(&r, "n_empty", json_integer(t->n_empty));
    for (int m = 0; m < TRUTH_METRICS && !r.rc && t->n; m++) {
        struct stats_interval max, diff, acc = stats_wilson(t->acc[m], t->n, 0.95);
        const char *name = truth_metric_name((enum truth_metric)m);
        char key[32];
        if ((r.rc = stats_bootstrap_mean(t->max[m], t->n, 2000, 0.95, v->seed, &max, err)) ||
            (r.rc = stats_bootstrap_mean(t->diff[m], t->n, 2000, 0.95, v->seed, &diff, err)))
            break;
        snprintf(key, sizeof key, "%s_max", name);
        eval_report_value(&r, key, stats_mean(t->max[m], t->n), t->n, max);
        snprintf(key, sizeof key, "%s_diff", name);
        eval_report_value(&r, key, stats_mean(t->diff[m], t->n), t->n, diff);
        snprintf(key, sizeof key, "%s_acc", name);
        eval_report_value(&r, key, (double)t->acc[m] / t->n, t->n, acc);
    }
    eval_report_note(&r, "max and diff x100 with bootstrap BCa 95 %% intervals, acc a share with Wilson's; empty answers score 0\n"
                         "headline: rougeL_diff (the column called rougeL is rougeLsum)");
    return eval_report_print(&r, v);
}

static int run(const struct eval_task *task, const struct options *options, const struct cli_values *v, struct error *err)
{
    (void)task;
    (void)options;
    struct csv *c = NULL;
    struct truth t = {0};
    json_t *outputs = NULL;
    const char *test = v->test ? v->test : v->data;
    int rc = cli_require(test, "test", "TruthfulQA.csv", err);
    if (!rc)
        rc = cli_require(v->input, "input", "the outputs, JSON Lines with \"answer\" (and \"question\", or in the questions' order)", err);
    if (!rc)
        rc = eval_load_array(&outputs, v->input, err);
    if (!rc)
        rc = csv_open(&c, test, err);
    static const char *const names[] = {"Question", "Correct Answers", "Incorrect Answers"};
    long column[3];
    for (int i = 0; i < 3 && !rc; i++)
        if ((column[i] = csv_column(c, names[i])) < 0)
            rc = error_set(err, ERROR_DATA, "%s: no column \"%s\"", test, names[i]);
    for (int row = 0; !rc && (!v->limit || row < v->limit) && (rc = csv_next(c, err)) == 1; row++)
        rc = score_row(&t, c, column, outputs, row, err);
    if (!rc && !t.n)
        rc = error_set(err, ERROR_DATA, "%s: no output (\"answer\", \"text\", \"output\" or \"response\") belongs to any of the %d questions of %s", v->input, t.n_row, test);
    if (!rc)
        rc = print(&t, v, err);
    for (int m = 0; m < TRUTH_METRICS; m++) {
        mem_free(t.max[m]);
        mem_free(t.diff[m]);
    }
    csv_close(c);
    json_decref(outputs);
    return rc;
}

const struct eval_task eval_truthfulqa = {"truthfulqa", "ROUGE and BLEU against true and false references", run};
