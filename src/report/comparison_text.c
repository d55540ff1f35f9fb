/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment's tree as tables, one a metric. */
#include "report/comparison.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_number(struct buf *out, double x, int sign)
{
    if (!isfinite(x))
        buf_printf(out, " %10s", "-");
    else
        buf_printf(out, sign ? " %+10.4f" : " %10.4f", x);
}

static void put_p(struct buf *out, double p)
{
    if (isfinite(p))
        buf_printf(out, " %9.2g", p);
    else
        buf_printf(out, " %9s", "-");
}

static int name_width(const struct report_measured *m, int n)
{
    int width = 12;
    for (int i = 0; i < n; i++)
        if ((int)strlen(m[i].arm) > width)
            width = (int)strlen(m[i].arm);
    return width;
}

static void put_head(const struct report_comparison *c, const struct report_measured *m, struct buf *out)
{
    buf_printf(out, "\n%s", m->metric);
    if (*m->test)
        buf_printf(out, ", test %s", m->test);
    if (c->n_model > 1)
        buf_printf(out, ", model %s", m->model);
    if (m->better)
        buf_printf(out, " (%s is better)", m->better);
    buf_puts(out, "\n");
}

static void put_values(const struct report_measured *m, int n, int width, struct buf *out)
{
    buf_printf(out, "%-*s %10s %10s %10s %10s %6s %5s\n", width, "arm", "mean", "sd", "low", "high", "seeds", "rows");
    for (int i = 0; i < n; i++) {
        int most = 0;
        for (int k = 0; k < m[i].n; k++)
            most = m[i].rows[k] > most ? m[i].rows[k] : most;
        buf_printf(out, "%-*s", width, m[i].arm);
        put_number(out, m[i].mean, 0);
        put_number(out, m[i].sd, 0);
        put_number(out, m[i].low, 0);
        put_number(out, m[i].high, 0);
        buf_printf(out, " %6d %5d\n", m[i].n_value, most);
    }
}

static void put_difference(const char *arm, const struct report_beside *b, int width, struct buf *out)
{
    buf_printf(out, "%-*s", width, arm);
    put_number(out, b->change, 1);
    put_number(out, b->low, 1);
    put_number(out, b->high, 1);
    put_number(out, b->dz, 1);
    put_number(out, b->seeds_low, 1);
    put_number(out, b->seeds_high, 1);
    put_p(out, b->p);
    put_p(out, b->p_holm);
    put_number(out, b->found, 0);
    buf_puts(out, "\n");
}

/* Every arm beside that control. */
static void put_control(const struct report_measured *m, int n, const char *control, int width, struct buf *out)
{
    int any = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m[i].n_beside; k++) {
            const struct report_beside *b = &m[i].beside[k];
            if (!b->n || strcmp(b->control, control))
                continue;
            if (!any++)
                buf_printf(out, "less %s\n%-*s %10s %10s %10s %10s %10s %10s %9s %9s %10s\n", control, width, "",
                           "change", "low", "high", "dz", "seeds low", "high", "p", "p Holm", "found");
            put_difference(m[i].arm, b, width, out);
        }
}

static int is_first(const struct report_measured *m, int i, int k)
{
    for (int a = 0; a <= i; a++)
        for (int b = 0; b < (a < i ? m[a].n_beside : k); b++)
            if (!strcmp(m[a].beside[b].control, m[i].beside[k].control))
                return 0;
    return 1;
}

static void put_beside(const struct report_measured *m, int n, int width, struct buf *out)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m[i].n_beside; k++)
            if (is_first(m, i, k))
                put_control(m, n, m[i].beside[k].control, width, out);
}

void report_comparison_text(const struct report_comparison *c, struct buf *out)
{
    buf_printf(out, "%s: %d arms, %d model%s, %d random seed%s\n", c->name, c->n_arm, c->n_model,
               c->n_model == 1 ? "" : "s", c->n_random_seed, c->n_random_seed == 1 ? "" : "s");
    for (int i = 0; i < c->n_finding; i++) {
        report_finding_text(c, &c->findings[i], out);
        buf_puts(out, "\n");
    }
    for (int i = 0, n; i < c->n; i += n) {
        const struct report_measured *m = &c->list[i];
        n = report_metric_size(c, i);
        int width = name_width(m, n);
        put_head(c, m, out);
        put_values(m, n, width, out);
        put_beside(m, n, width, out);
    }
    buf_puts(
        out,
        "\nmean: over the random seeds\nsd: standard deviation over the random seeds\nlow, high: the mean's 95 % "
        "interval "
        "(Student's t) over the random seeds\nseeds: random seeds behind it\nrows: questions behind it\nchange: mean "
        "over the questions of the arm's value "
        "less the control's, each its mean over the random seeds\nlow, high behind it: its 95 % interval over the "
        "questions\ndz: the change in its standard deviations\nseeds low, high: the same difference's interval over "
        "the random seeds\np: Wilcoxon's signed ranks over the questions\np Holm: the same after Holm over the arms "
        "and controls of the table\nfound: the least change that this test, so corrected, finds four times in five\n");
}
