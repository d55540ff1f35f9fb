/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of values by name, and what is worked out of them. */
#include "eval/measured.h"

#include "base/mem.h"
#include "measure/overlap.h"

#include <math.h>
#include <string.h>

enum { MOST_COLUMN = 64, RESAMPLES = 2000 };

const struct measured_column *measured_find(const struct measured *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->columns[i].name, name))
            return &m->columns[i];
    return NULL;
}

static double *add_column(struct measured *m, const char *name, struct error *err)
{
    const struct measured_column *known = measured_find(m, name);
    if (known)
        return known->rows;
    if (!m->columns)
        m->columns = arena_alloc(&m->arena, MOST_COLUMN * sizeof *m->columns);
    double *rows = arena_alloc(&m->arena, ((size_t)m->n_row + 1) * sizeof *rows);
    const char *kept = arena_strdup(&m->arena, name);
    if (!m->columns || !rows || !kept || m->n == MOST_COLUMN) {
        error_set_nomem(err, (size_t)m->n_row * sizeof *rows, "values of questions");
        return NULL;
    }
    for (int i = 0; i < m->n_row; i++)
        rows[i] = NAN;
    m->columns[m->n++] = (struct measured_column){.name = kept, .rows = rows, .whole = NAN};
    return rows;
}

int measured_set_row(struct measured *m, const char *name, int row, double value, struct error *err)
{
    double *rows = add_column(m, name, err);
    if (!rows)
        return ERROR_NOMEM;
    rows[row] = value;
    return 0;
}

int measured_set_whole(struct measured *m, const char *name, double value, struct error *err)
{
    if (!measured_find(m, name) && !add_column(m, name, err))
        return ERROR_NOMEM;
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->columns[i].name, name)) {
            m->columns[i].rows = NULL;
            m->columns[i].whole = value;
        }
    return 0;
}

int measured_words(const char *text)
{
    int n = 0;
    for (const char *s = text; *s; n++) {
        s += strspn(s, " \t\r\n\f\v");
        if (!*s)
            break;
        s += strcspn(s, " \t\r\n\f\v");
    }
    return n;
}

int measured_answer(struct measured *m, int row, const char *text, int ended, struct error *err)
{
    if (!text)
        return 0;
    if (!m->texts)
        m->texts = arena_alloc(&m->arena, ((size_t)m->n_row + 1) * sizeof *m->texts);
    const char *kept = m->texts ? arena_strdup(&m->arena, text) : NULL;
    if (!kept)
        return error_set_nomem(err, (size_t)m->n_row * sizeof *m->texts, "answers");
    int words = measured_words(kept);
    m->texts[m->n_text++] = kept;
    int rc = measured_set_row(m, "answers.words", row, words, err);
    rc = rc ? rc : measured_set_row(m, "answers.empty", row, words == 0, err);
    return rc ? rc : measured_set_row(m, "answers.cut", row, !ended, err);
}

int measured_diversity(struct measured *m, struct error *err)
{
    static const char *const names[] = {"answers.distinct_1", "answers.distinct_2", "answers.distinct_3"};
    struct diversity d;
    int rc = diversity_of(m->texts, m->n_text, &d, err);
    for (int i = 0; i < 3 && !rc; i++)
        if (isfinite(d.distinct[i]))
            rc = measured_set_whole(m, names[i], d.distinct[i], err);
    return rc;
}

double measured_mean(const struct measured *m, const struct measured_column *c, int *n)
{
    double sum = 0;
    *n = 0;
    if (!c->rows) {
        *n = m->n_row;
        return c->whole;
    }
    for (int i = 0; i < m->n_row; i++)
        if (!isnan(c->rows[i])) {
            sum += c->rows[i];
            ++*n;
        }
    return *n ? sum / *n : NAN;
}

const char *measured_better(const char *column)
{
    static const char *const lower[] = {"nll",          "perplexity",    "harmful_rate",
                                        "over_refusal", "answers.empty", "answers.cut"};
    static const char *const higher[] = {"exact",
                                         "f1",
                                         "mc1",
                                         "mc2",
                                         "mc3",
                                         "refusal",
                                         "win_rate",
                                         "discrete_win_rate",
                                         "length_controlled_winrate",
                                         "mean_difference",
                                         "median_difference"};
    for (size_t i = 0; i < sizeof lower / sizeof *lower; i++)
        if (!strcmp(lower[i], column))
            return "lower";
    for (size_t i = 0; i < sizeof higher / sizeof *higher; i++)
        if (!strcmp(higher[i], column))
            return "higher";
    return strncmp(column, "rouge", 5) && strncmp(column, "bleu", 4) ? NULL : "higher"; /* rougeL_diff, bleu_acc, ... */
}

/* d[*n_both], which the caller frees; NULL: no memory. */
static double *differences(const double *mine, const double *theirs, int n, int *n_both, struct error *err)
{
    double *d = mem_alloc(((size_t)n + 1) * sizeof *d);
    *n_both = 0;
    if (!d)
        error_set_nomem(err, (size_t)n * sizeof *d, "differences");
    for (int i = 0; i < n && d; i++)
        if (!isnan(mine[i]) && !isnan(theirs[i]))
            d[(*n_both)++] = mine[i] - theirs[i];
    return d;
}

int measured_change(const double *mine, const double *theirs, int n, struct measured_change *out, struct error *err)
{
    *out = (struct measured_change){.n = 0};
    double *d = differences(mine, theirs, n, &out->n, err);
    int rc = d ? 0 : ERROR_NOMEM;
    if (!rc && out->n)
        rc = stats_paired(d, out->n, &(struct stats_bootstrap){RESAMPLES, 0.95, 0}, &out->paired, err);
    mem_free(d);
    return rc;
}

int measured_finds(const double *mine, const double *theirs, int n, int family, double *out, struct error *err)
{
    struct stats_found found = {NAN, NAN};
    int n_both;
    double *d = differences(mine, theirs, n, &n_both, err);
    const struct stats_design design = stats_design_for(n_both, family, 0);
    int rc = d ? stats_wilcoxon_finds(d, n_both, &design, &found, err) : ERROR_NOMEM;
    *out = found.effect;
    mem_free(d);
    return rc;
}
