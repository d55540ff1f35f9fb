/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task alpaca-eval. */
#include "cli/eval.h"

#include "judge/alpaca.h"

#include <math.h>

static int report(const struct cli_values *v, const json_t *rows, const char *where, struct error *err)
{
    struct alpaca_metrics m;
    int rc = alpaca_metrics_of(rows, where, &m, err);
    if (rc)
        return rc;
    struct eval_report r;
    eval_report_begin(&r, &(struct eval_facts){.task = "alpaca-eval", .n_row = m.n_rows, .n_missing = 0, .n_unparsed = m.n_missing, .threshold = NAN,
                                               .judge = "as annotated"}, err);
    double half = 1.959963984540054 * m.standard_error;
    eval_report_value(&r, "win_rate", m.win_rate, m.n_total, (struct stats_interval){m.win_rate - half, m.win_rate + half});
    eval_report_value(&r, "standard_error", m.standard_error, m.n_total, EVAL_NO_INTERVAL);
    eval_report_value(&r, "discrete_win_rate", m.discrete_win_rate, m.n_total, EVAL_NO_INTERVAL);
    eval_report_fact(&r, "n_wins", json_integer(m.n_wins));
    eval_report_fact(&r, "n_wins_base", json_integer(m.n_wins_base));
    eval_report_fact(&r, "n_draws", json_integer(m.n_draws));
    eval_report_fact(&r, "n_total", json_integer(m.n_total));
    eval_report_fact(&r, "n_missing", json_integer(m.n_missing));
    eval_report_fact(&r, "avg_length", json_integer(m.avg_length));
    eval_report_note(&r, "win_rate in per cent, interval normal (as alpaca_eval's standard error)");
    return eval_report_print(&r, v);
}

static int run(const struct eval_task *task, const struct options *options, const struct cli_values *v, struct error *err)
{
    (void)task;
    (void)options;
    json_t *rows = NULL;
    int rc = cli_require(v->annotations, "annotations", "a stored annotations.json", err);
    if (!rc)
        rc = eval_load_array(&rows, v->annotations, err);
    if (!rc)
        rc = report(v, rows, v->annotations, err);
    json_decref(rows);
    return rc;
}

const struct eval_task eval_alpaca = {"alpaca-eval", "win rate against a reference, from a stored annotations.json", run};
