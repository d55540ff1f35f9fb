/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/logistic.h"

#include "base/clamp.h"
#include "base/maths.h"
#include "base/mem.h"
#include "measure/mt19937.h"

#include <math.h>
#include <string.h>

#define TOLERANCE 1e-4
#define NU 1e-12
enum { NEWTON_STEPS = 100, INNER_STEPS = 1000, LINE_STEPS = 20, MOST_FEATURE = 16 };

struct fit {
    const struct logistic_rows *rows;
    struct mt19937 random;
    int n, n_feature, *row; /* row: those with weight, negative ones first, as liblinear groups them */
    double *c, *e, *e_new, *tau, *d,
        *xd; /* [n]: C * weight; exp(w.x) and the step's; first and second derivatives; x.step */
    double w[MOST_FEATURE], step[MOST_FEATURE] /* w after the step */, grad[MOST_FEATURE], hess[MOST_FEATURE],
        neg_sum[MOST_FEATURE];
    int index[MOST_FEATURE];
};

static double x_of(const struct fit *f, int i, int j)
{
    return f->rows->x[(size_t)f->row[i] * (size_t)f->n_feature + (size_t)j];
}

static int y_of(const struct fit *f, int i)
{
    return f->rows->y[f->row[i]];
}

/* Uniform below range: the multiply-and-reject of scikit-learn's bounded_rand_int. */
static uint32_t below(struct mt19937 *m, uint32_t range)
{
    uint64_t product = (uint64_t)mt19937_next(m) * range;
    uint32_t low = (uint32_t)product;
    if (low < range)
        for (uint32_t least = -range % range; low < least; low = (uint32_t)product)
            product = (uint64_t)mt19937_next(m) * range;
    return (uint32_t)(product >> 32);
}

static void swap(int *index, int a, int b)
{
    int t = index[a];
    index[a] = index[b];
    index[b] = t;
}

static void derivatives(struct fit *f)
{
    for (int i = 0; i < f->n; i++) {
        double t = 1 / (1 + f->e[i]);
        f->tau[i] = f->c[i] * t;
        f->d[i] = f->c[i] * f->e[i] * t * t;
    }
}

/* How far coordinate value v with gradient g is from its optimality condition; -1: it may be put aside. */
static double violation(double v, double g, double aside)
{
    if (v != 0)
        return fabs(v > 0 ? g + 1 : g - 1);
    if (g + 1 < 0)
        return -(g + 1);
    if (g - 1 > 0)
        return g - 1;
    return g + 1 > aside && g - 1 < -aside ? -1 : 0;
}

/* Gradients of the active coordinates; returns how many are active. */
static int outer(struct fit *f, double max_old, double *max, double *norm)
{
    int active = f->n_feature;
    *max = *norm = 0;
    for (int s = 0; s < active; s++) {
        int j = f->index[s];
        double sum = 0;
        f->hess[j] = NU;
        for (int i = 0; i < f->n; i++) {
            double x = x_of(f, i, j);
            f->hess[j] += x * x * f->d[i];
            sum += x * f->tau[i];
        }
        f->grad[j] = f->neg_sum[j] - sum;
        double v = violation(f->w[j], f->grad[j], max_old / f->n);
        if (v < 0) {
            swap(f->index, s--, --active);
            continue;
        }
        *max = v > *max ? v : *max;
        *norm += v;
    }
    return active;
}

/* One sweep over the quadratic model's active coordinates. */
static void sweep(struct fit *f, int *active, double max_old, double *max, double *norm)
{
    *max = *norm = 0;
    for (int j = 0; j < *active; j++)
        swap(f->index, j + (int)below(&f->random, (uint32_t)(*active - j)), j);
    for (int s = 0; s < *active; s++) {
        int j = f->index[s];
        double g = f->grad[j] + (f->step[j] - f->w[j]) * NU, h = f->hess[j];
        for (int i = 0; i < f->n; i++)
            g += x_of(f, i, j) * f->d[i] * f->xd[i];
        double v = violation(f->step[j], g, max_old / f->n);
        if (v < 0) {
            swap(f->index, s--, --*active);
            continue;
        }
        *max = v > *max ? v : *max;
        *norm += v;
        double z = -f->step[j];
        if (g + 1 < h * f->step[j])
            z = -(g + 1) / h;
        else if (g - 1 > h * f->step[j])
            z = -(g - 1) / h;
        if (fabs(z) < 1e-12)
            continue;
        z = clamp_f64(z, -10, 10);
        f->step[j] += z;
        for (int i = 0; i < f->n; i++)
            f->xd[i] += x_of(f, i, j) * z;
    }
}

/* Minimises the quadratic model; returns the sweeps it took. */
static int inner(struct fit *f, int n_active, double enough)
{
    int active = n_active, iteration = 0;
    double max_old = INFINITY, max, norm;
    memset(f->xd, 0, (size_t)f->n * sizeof *f->xd);
    while (iteration < INNER_STEPS) {
        sweep(f, &active, max_old, &max, &norm);
        iteration++;
        if (norm <= enough) {
            if (active == n_active)
                break;
            active = n_active;
            max_old = INFINITY;
            continue;
        }
        max_old = max;
    }
    return iteration;
}

static double norm_of(const double *w, int n)
{
    double sum = 0;
    for (int j = 0; j < n; j++)
        sum += fabs(w[j]);
    return sum;
}

/* Goes along the step, half as far each time, until the objective has fallen enough. */
static void line_search(struct fit *f, double *w_norm)
{
    double norm = norm_of(f->step, f->n_feature), delta = norm - *w_norm, neg = 0;
    for (int j = 0; j < f->n_feature; j++)
        delta += f->grad[j] * (f->step[j] - f->w[j]);
    for (int i = 0; i < f->n; i++)
        neg += y_of(f, i) < 0 ? f->c[i] * f->xd[i] : 0;
    for (int tries = 0; tries < LINE_STEPS; tries++) {
        double change = norm - *w_norm + neg - 0.01 * delta;
        for (int i = 0; i < f->n; i++) {
            double e = maths_exp(f->xd[i]);
            f->e_new[i] = f->e[i] * e;
            change += f->c[i] * maths_log((1 + f->e_new[i]) / (e + f->e_new[i]));
        }
        if (change <= 0) {
            *w_norm = norm;
            memcpy(f->w, f->step, sizeof f->w);
            memcpy(f->e, f->e_new, (size_t)f->n * sizeof *f->e);
            derivatives(f);
            return;
        }
        for (int j = 0; j < f->n_feature; j++)
            f->step[j] = (f->w[j] + f->step[j]) * 0.5;
        norm = norm_of(f->step, f->n_feature);
        delta *= 0.5;
        neg *= 0.5;
        for (int i = 0; i < f->n; i++)
            f->xd[i] *= 0.5;
    }
    for (int i = 0; i < f->n; i++) { /* no step helped: begin again from what w says */
        double sum = 0;
        for (int j = 0; j < f->n_feature; j++)
            sum += f->w[j] * x_of(f, i, j);
        f->e[i] = maths_exp(sum);
    }
    memcpy(f->step, f->w, sizeof f->w);
    derivatives(f);
}

static void minimise(struct fit *f, double tolerance)
{
    double w_norm = 0, max_old = INFINITY, first = 0, inner_tolerance = 1, max, norm;
    derivatives(f);
    for (int iteration = 0; iteration < NEWTON_STEPS; iteration++) {
        int active = outer(f, max_old, &max, &norm);
        first = iteration ? first : norm;
        if (norm <= tolerance * first)
            return;
        int sweeps = inner(f, active, inner_tolerance * first);
        line_search(f, &w_norm);
        if (sweeps == 1)
            inner_tolerance *= 0.25;
        max_old = max;
    }
}

int logistic_l1(const struct logistic_rows *rows, double C, uint32_t seed, double *w, struct error *err)
{
    struct fit f = {.rows = rows, .n_feature = rows->n_feature};
    size_t n = (size_t)rows->n + 1;
    if (rows->n_feature < 1 || rows->n_feature > MOST_FEATURE)
        return error_set(err, ERROR_INTERNAL, "logistic regression: wanted 1 to %d features, found %d", MOST_FEATURE,
                         rows->n_feature);
    f.row = mem_alloc(n * sizeof *f.row);
    double *all = mem_calloc(n * 6, sizeof *all);
    if (!f.row || !all) {
        mem_free(f.row);
        mem_free(all);
        return error_set_nomem(err, n * 6 * sizeof *all, "logistic regression");
    }
    f.c = all;
    f.e = all + n;
    f.e_new = all + 2 * n;
    f.tau = all + 3 * n;
    f.d = all + 4 * n;
    f.xd = all + 5 * n;
    int positive = 0;
    for (int y = -1; y <= 1; y += 2)
        for (int i = 0; i < rows->n; i++)
            if (rows->y[i] == y && rows->weight[i] > 0) {
                f.row[f.n] = i;
                f.c[f.n] = C * rows->weight[i];
                f.e[f.n] = 1;
                f.n++;
                positive += y > 0;
            }
    for (int j = 0; j < f.n_feature; j++) {
        f.index[j] = j;
        for (int i = 0; i < f.n; i++)
            f.neg_sum[j] += y_of(&f, i) < 0 ? f.c[i] * x_of(&f, i, j) : 0;
    }
    mt19937_seed(&f.random, seed);
    int least = positive < f.n - positive ? positive : f.n - positive;
    if (f.n)
        minimise(&f, TOLERANCE * (least > 1 ? least : 1) / f.n);
    memcpy(w, f.w, (size_t)f.n_feature * sizeof *w);
    mem_free(f.row);
    mem_free(all);
    return 0;
}
