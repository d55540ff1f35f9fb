/* SPDX-License-Identifier: Apache-2.0 */
/* Length-controlled win rate (Dubois et al. 2024) as alpaca_eval's glm_winrate computes it with scikit-learn: each row
 * twice, as a win with weight p and as a loss with weight 1 - p; C out of logspace(-4, 4, 10) by five folds of rows;
 * the win rate is the mean prediction at equal lengths. */
#include "measure/alpaca.h"

#include "base/clamp.h"
#include "base/maths.h"
#include "base/mem.h"
#include "io/csv.h"
#include "measure/logistic.h"
#include "measure/mt19937.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_C = 10, N_FOLD = 5, MOST = 3 };
#define GAMED_LAMBDA 0.2
#define EPSILON 1e-15

struct table { /* what is fitted: the gamed baselines' rows, if any, then ours */
    double (*x)[MOST], *p, *weight;
    int n, n_feature, n_gamed;
    double *difficulty;
    int n_difficulty; /* by instruction's number */
};

static void table_free(struct table *t)
{
    mem_free(t->x);
    mem_free(t->p);
    mem_free(t->weight);
    mem_free(t->difficulty);
}

static int reserve(struct table *t, int n, struct error *err)
{
    size_t count = (size_t)t->n + (size_t)n + 1;
    void *x = mem_resize(t->x, count * sizeof *t->x), *p, *w;
    if (x)
        t->x = x;
    if ((p = x ? mem_resize(t->p, count * sizeof *t->p) : NULL))
        t->p = p;
    if ((w = p ? mem_resize(t->weight, count * sizeof *t->weight) : NULL))
        t->weight = w;
    return w ? 0 : error_set_nomem(err, count * sizeof *t->x, "rows");
}

/* --- the user's df_gamed.csv --- */

static int number_of(const struct csv *c, long column, const char *where, double *out, struct error *err)
{
    const char *text = csv_field(c, (size_t)column);
    char *end;
    *out = strtod(text, &end);
    if (!strcmp(text, "True") || !strcmp(text, "False")) {
        *out = *text == 'T';
        end = (char *)text + strlen(text);
    }
    return end == text || *end
               ? error_set(err, ERROR_DATA, "%s:%ld: wanted a number, found \"%.40s\"", where, csv_line(c), text)
               : 0;
}

static int add_difficulty(struct table *t, double index, double value, const char *where, struct error *err)
{
    if (index != t->n_difficulty) /* only the first time that an instruction is seen, in their order */
        return index < t->n_difficulty && index >= 0
                   ? 0
                   : error_set(err, ERROR_DATA, "%s: wanted instructions numbered 0, 1, 2, ... in the column \"index\"",
                               where);
    double *more = mem_resize(t->difficulty, ((size_t)t->n_difficulty + 1) * sizeof *more);
    if (!more)
        return error_set_nomem(err, ((size_t)t->n_difficulty + 1) * sizeof *more, "difficulties");
    t->difficulty = more;
    more[t->n_difficulty++] = value;
    return 0;
}

static int read_gamed(struct table *t, const char *path, struct error *err)
{
    static const char *const names[] = {"preference", "std_delta_len", "instruction_difficulty", "not_gamed_baseline",
                                        "index"};
    struct csv *c = NULL;
    long column[5];
    int rc = csv_open(&c, path, err), more = 1;
    for (int i = 0; i < 5 && !rc; i++)
        if ((column[i] = csv_column(c, names[i])) < 0)
            rc = error_set(err, ERROR_DATA, "%s: no column \"%s\"; wanted alpaca_eval's df_gamed.csv", path, names[i]);
    while (!rc && (more = csv_next(c, err)) == 1) {
        double v[5];
        for (int i = 0; i < 5 && !rc; i++)
            rc = number_of(c, column[i], path, &v[i], err);
        rc = rc ? rc : add_difficulty(t, v[4], v[2], path, err);
        rc = rc ? rc : reserve(t, 1, err);
        if (rc)
            break;
        t->x[t->n][0] = tanh(v[1]);
        t->x[t->n][1] = v[2];
        t->x[t->n][2] = v[3];
        t->p[t->n] = v[0];
        t->weight[t->n++] = v[3] != 0 ? 1 : GAMED_LAMBDA / 2;
    }
    t->n_gamed = t->n;
    csv_close(c);
    return !rc && more < 0 ? more : rc;
}

/* --- our rows --- */

static int add_rows(struct table *t, const json_t *annotations, const char *where, struct error *err)
{
    int n = (int)json_array_size(annotations), rc = reserve(t, n, err);
    double *delta = mem_alloc(((size_t)n + 1) * sizeof *delta);
    if (!rc && !delta)
        rc = error_set_nomem(err, (size_t)n * sizeof *delta, "lengths");
    for (int i = 0; i < n && !rc; i++) {
        const json_t *row = json_array_get(annotations, (size_t)i), *a = json_object_get(row, "output_1"),
                     *b = json_object_get(row, "output_2");
        if (!json_is_string(a) || !json_is_string(b))
            rc = error_set(err, ERROR_DATA,
                           "%s: record %d: wanted \"output_1\" and \"output_2\" for the length-controlled win rate",
                           where, i);
        else if (t->n_feature == 3 && i >= t->n_difficulty)
            rc = error_set(err, ERROR_DATA, "%s: %d rows, but the difficulties are of %d instructions", where, n,
                           t->n_difficulty);
        else
            delta[i] = (double)(alpaca_code_points(json_string_value(a)) - alpaca_code_points(json_string_value(b)));
    }
    double sd = rc ? NAN : stats_sd(delta, n);
    if (!rc && !(sd > 0))
        rc = error_set(err, ERROR_DATA,
                       "%s: the length-controlled win rate cannot be computed: all outputs differ from their "
                       "references by the same length",
                       where);
    for (int i = 0; i < n && !rc; i++) {
        double p, *x = t->x[t->n];
        if ((rc = alpaca_preference_of(json_array_get(annotations, (size_t)i), where, (size_t)i, &p, err)))
            break;
        x[0] = tanh(delta[i] / sd); /* in the formulas' order, which the fit's random choices rest on */
        x[t->n_feature - 1] = 1;
        if (t->n_feature == 3)
            x[1] = t->difficulty[i];
        t->p[t->n] = p - 1;
        t->weight[t->n] = 1;
        t->n += !isnan(p);
    }
    mem_free(delta);
    return rc;
}

/* --- the fit --- */

/* each row as a win and as a loss */
struct doubled {
    double *x, *weight;
    signed char *y;
    int n;
};

static int fold_of(int row, int n)
{
    return (n - 1 - row) % N_FOLD; /* groups of one size are dealt out from the last to the first */
}

static void fill_doubled(struct doubled *d, const struct table *t, int without)
{
    d->n = 0;
    for (int side = 1; side >= 0; side--)
        for (int i = 0; i < t->n; i++) {
            if (fold_of(i, t->n) == without)
                continue;
            memcpy(d->x + (size_t)d->n * (size_t)t->n_feature, t->x[i], (size_t)t->n_feature * sizeof(double));
            d->weight[d->n] = (side ? t->p[i] : 1 - t->p[i]) * t->weight[i];
            d->y[d->n++] = (signed char)(side ? 1 : -1);
        }
}

static double predict(const double *w, const double *x, int n)
{
    double sum = 0;
    for (int j = 0; j < n; j++)
        sum += w[j] * x[j];
    return 1 / (1 + maths_exp(-sum));
}

static double loss_of(const struct table *t, const double *w, int fold)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < t->n; i++)
        if (fold_of(i, t->n) == fold) {
            double q = clamp_f64(predict(w, t->x[i], t->n_feature), EPSILON, 1 - EPSILON);
            sum += t->weight[i] * (t->p[i] * maths_log(q) + (1 - t->p[i]) * maths_log(1 - q));
            n++;
        }
    return -sum / n;
}

/* Seeds of the fits of a path: RandomState(123).randint(2^31 - 1), one after another. */
static void seeds_of_path(uint32_t seeds[N_C])
{
    struct mt19937 m;
    mt19937_seed(&m, 123);
    for (int i = 0; i < N_C; i++)
        do
            seeds[i] = mt19937_next(&m) & 0x7fffffffu;
        while (seeds[i] > 2147483646u);
}

static int choose_and_fit(const struct table *t, struct doubled *d, struct alpaca_controlled *out, struct error *err)
{
    uint32_t seeds[N_C];
    double score[N_C] = {0}, w[MOST];
    int rc = 0, best = 0;
    seeds_of_path(seeds);
    for (int fold = 0; fold < N_FOLD && !rc; fold++) {
        fill_doubled(d, t, fold);
        struct logistic_rows rows = {d->x, d->y, d->weight, d->n, t->n_feature};
        for (int c = 0; c < N_C && !rc; c++) {
            rc = logistic_l1(&rows, pow(10, -4 + 8.0 * c / (N_C - 1)), seeds[c], w, err);
            score[c] -= rc ? 0 : loss_of(t, w, fold) / N_FOLD;
        }
    }
    for (int c = 1; c < N_C; c++)
        best = score[c] > score[best] ? c : best;
    fill_doubled(d, t, -1);
    out->C = pow(10, -4 + 8.0 * best / (N_C - 1));
    return rc ? rc
              : logistic_l1(&(struct logistic_rows){d->x, d->y, d->weight, d->n, t->n_feature}, out->C, seeds[0],
                            out->w, err);
}

int alpaca_length_controlled(const json_t *annotations, const char *where, const char *gamed,
                             struct alpaca_controlled *out, struct error *err)
{
    struct table t = {.n_feature = gamed ? 3 : 2};
    struct doubled d = {0};
    *out = (struct alpaca_controlled){0};
    int n = (int)json_array_size(annotations), rc = gamed ? read_gamed(&t, gamed, err) : 0;
    rc = rc ? rc : add_rows(&t, annotations, where, err);
    if (!rc && t.n - t.n_gamed < N_FOLD)
        rc = error_set(
            err, ERROR_DATA,
            "%s: the length-controlled win rate cannot be computed: %d rows have a preference, wanted at least %d",
            where, t.n - t.n_gamed, N_FOLD);
    size_t count = ((size_t)t.n * 2 + (size_t)n + 2);
    d.x = mem_alloc(count * MOST * sizeof *d.x);
    d.weight = mem_alloc(count * sizeof *d.weight);
    d.y = mem_alloc(count);
    if (!rc && (!d.x || !d.weight || !d.y))
        rc = error_set_nomem(err, count * MOST * sizeof *d.x, "rows");
    rc = rc ? rc : choose_and_fit(&t, &d, out, err);
    for (int i = 0; i < n && !rc; i++) /* at equal lengths */
        d.weight[i] =
            predict(out->w, t.n_feature == 2 ? (double[]){0, 1} : (double[]){0, t.difficulty[i], 1}, t.n_feature);
    if (!rc) {
        out->win_rate = 100 * stats_mean(d.weight, n);
        out->standard_error = 100 * stats_sd(d.weight, n) / sqrt(n);
        out->n = t.n - t.n_gamed;
    }
    mem_free(d.x);
    mem_free(d.weight);
    mem_free(d.y);
    table_free(&t);
    return rc;
}

int alpaca_is_extreme(double raw, double controlled)
{
    double low = fmin(raw - raw / 4, raw - 10), high = fmax(raw + (100 - raw) / 4, raw + 10);
    return controlled < low || controlled > high;
}
