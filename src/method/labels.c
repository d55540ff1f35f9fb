/* SPDX-License-Identifier: Apache-2.0 */
/* People's labels beside the judge's: a blinded sheet out, and what comes back. A line's id is a hash of the run's
 * model, the arm and the question, so that no key need be kept and none can be read from it. */
#include "method/sheet.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/csv.h"
#include "io/file.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static void name_row(const struct sheet *s, struct sheet_row *x)
{
    char text[256], hex[65];
    snprintf(text, sizeof text, "%s %d %d", s->arms[1]->sha256, x->arm, x->index);
    sha256_bytes(text, strlen(text), hex);
    snprintf(x->id, sizeof x->id, "%.12s", hex);
}

static int fill_rows(struct sheet *s, struct error *err)
{
    int n = 0, most = s->d.arms.n_text;
    s->rows = mem_calloc(2 * (size_t)most + 1, sizeof *s->rows);
    struct sheet_row *in_order = mem_calloc(2 * (size_t)most + 1, sizeof *in_order);
    uint32_t *order = mem_calloc(2 * (size_t)most + 1, sizeof *order);
    int rc = s->rows && in_order && order ? 0 : error_set_nomem(err, (size_t)most * sizeof *order, "a sheet");
    for (int i = 0; i < 2 * most && !rc; i++)
        if (s->arms[i % 2]->results[i / 2].text && s->d.arms.items[i / 2].question) {
            in_order[n] = (struct sheet_row){.arm = i % 2, .index = i / 2};
            name_row(s, &in_order[n++]);
        }
    if (!rc)
        rng_permutation(&(struct rng_stream){hash64(s->arms[1]->sha256, 64), hash64("labels", 6), 0}, order,
                        (uint32_t)n);
    for (int i = 0; i < n && !rc; i++)
        s->rows[i] = in_order[order[i]];
    s->n = n;
    mem_free(in_order);
    mem_free(order);
    return rc;
}

int sheet_open(struct sheet *s, const char *run_directory, struct error *err)
{
    *s = (struct sheet){.run = NULL};
    int rc = run_open_readonly(&s->run, run_directory, err);
    rc = rc ? rc : recorded_read(&s->d, s->run, err);
    const struct arms *arms = &s->d.arms;
    if (!rc && (arms->n < 2 || !arms->list[arms->n - 1].round || !arms->n_text || !arms->list[arms->n - 1].sha256[0]))
        rc = error_set(err, ERROR_NOINPUT,
                       "%s: has no answers of two models that people could label; finish the run first", run_directory);
    if (rc)
        return rc;
    s->arms[0] = &arms->list[0];
    s->arms[1] = &arms->list[arms->n - 1];
    return fill_rows(s, err);
}

void sheet_close(struct sheet *s)
{
    recorded_free(&s->d);
    run_close(s->run);
    mem_free(s->rows);
    mem_free(s->labels);
}

int method_labels_out(const struct report_run *r, const char *path, struct error *err)
{
    struct sheet s;
    struct buf out = BUF_INIT;
    int rc = sheet_open(&s, r->output, err);
    buf_puts(&out, "id,question,answer,label\r\n");
    for (int i = 0; i < s.n && !rc; i++) {
        buf_printf(&out, "%s,", s.rows[i].id);
        csv_put_quoted(&out, s.d.arms.items[s.rows[i].index].question);
        buf_putc(&out, ',');
        csv_put_quoted(&out, s.arms[s.rows[i].arm]->results[s.rows[i].index].text);
        buf_puts(&out, ",\r\n");
    }
    if (!rc)
        rc = out.failed ? error_set_nomem(err, out.len, "a sheet") : file_write(path, out.data, out.len, err);
    buf_free(&out);
    sheet_close(&s);
    return rc;
}

/* 1, 0, -1 for none, -2 for what cannot be read. */
static int label_of(const char *text)
{
    static const char *const yes[] = {"1", "yes", "y", "true"}, *const no[] = {"0", "no", "n", "false"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!strcasecmp(text, yes[i]))
            return 1;
        if (!strcasecmp(text, no[i]))
            return 0;
    }
    return *text ? -2 : -1;
}

int sheet_row_named(const struct sheet *s, const char *id)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->rows[i].id, id))
            return i;
    return -1;
}

struct label_columns {
    size_t id, raters[SHEET_MOST_RATERS];
    int n;
};

static int find_columns(struct label_columns *x, const struct csv *c, const char *path, struct error *err)
{
    long id = csv_column(c, "id");
    *x = (struct label_columns){.id = (size_t)(id < 0 ? 0 : id)};
    for (size_t i = 0; i < csv_n_column(c) && x->n < SHEET_MOST_RATERS; i++) {
        const char *name = csv_column_name(c, i);
        if (!strcmp(name, "label") || !strncmp(name, "label_", 6))
            x->raters[x->n++] = i;
    }
    return id >= 0 && x->n
               ? 0
               : error_set(err, ERROR_DATA, "%s:1: wanted a column \"id\" and \"label\" or \"label_NAME\"s", path);
}

static int read_line(struct sheet *s, const struct label_columns *x, const struct csv *c, const char *path,
                     struct error *err)
{
    int row = sheet_row_named(s, csv_field(c, x->id));
    if (row < 0)
        return error_set(err, ERROR_DATA,
                         "%s:%ld: id \"%.40s\" is none of this run's; wanted the sheet of --labels-out", path,
                         csv_line(c), csv_field(c, x->id));
    for (int k = 0; k < x->n; k++) {
        int label = label_of(csv_field(c, x->raters[k]));
        if (label < -1)
            return error_set(err, ERROR_DATA, "%s:%ld: label: wanted yes, no or nothing, found \"%.40s\"", path,
                             csv_line(c), csv_field(c, x->raters[k]));
        s->labels[row * x->n + k] = (signed char)label;
    }
    return 0;
}

int sheet_raters(struct sheet *s, int n, struct error *err)
{
    s->n_rater = n;
    s->labels = mem_alloc((size_t)s->n * (size_t)n + 1);
    if (!s->labels)
        return error_set_nomem(err, (size_t)s->n * (size_t)n, "labels");
    memset(s->labels, -1, (size_t)s->n * (size_t)n);
    return 0;
}

static int read_labels(struct sheet *s, const char *path, struct error *err)
{
    struct csv *c = NULL;
    struct label_columns x = {.n = 0};
    int more = 0, rc = csv_open(&c, path, err);
    rc = rc ? rc : find_columns(&x, c, path, err);
    rc = rc ? rc : sheet_raters(s, x.n, err);
    while (!rc && (more = csv_next(c, err)) == 1)
        rc = read_line(s, &x, c, path, err);
    csv_close(c);
    return rc || more >= 0 ? rc : more;
}

/* What most raters say of a row; -1: nobody, or as many yes as no. */
static int majority(const struct sheet *s, int row)
{
    int yes = 0, no = 0;
    for (int k = 0; k < s->n_rater; k++) {
        yes += s->labels[row * s->n_rater + k] == 1;
        no += s->labels[row * s->n_rater + k] == 0;
    }
    return yes == no ? -1 : yes > no;
}

static double kappa_of_raters(const struct sheet *s)
{
    double sum = 0;
    int n = 0;
    for (int a = 0; a < s->n_rater; a++)
        for (int b = 0; b < a; b++) {
            struct stats_crossed x = {0, 0, 0, 0};
            for (int i = 0; i < s->n; i++) {
                int one = s->labels[i * s->n_rater + a], other = s->labels[i * s->n_rater + b];
                x.both += one == 1 && other == 1;
                x.first += one == 1 && other == 0;
                x.second += one == 0 && other == 1;
                x.neither += one == 0 && other == 0;
            }
            double kappa = stats_cohen_kappa(&x);
            sum += isnan(kappa) ? 0 : kappa;
            n += !isnan(kappa);
        }
    return n ? sum / n : NAN;
}

/* The judge against the majority of people, over both arms. */
static void fill_judge(const struct sheet *s, struct report_people *p)
{
    struct stats_crossed x = {0, 0, 0, 0}; /* first: people */
    for (int i = 0; i < s->n; i++) {
        int said = majority(s, i), flagged = s->arms[s->rows[i].arm]->results[s->rows[i].index].flagged;
        if (said < 0 || flagged < 0)
            continue;
        x.both += said && flagged;
        x.first += said && !flagged;
        x.second += !said && flagged;
        x.neither += !said && !flagged;
    }
    p->kappa_judge = stats_cohen_kappa(&x);
    p->sensitivity = x.both + x.first ? (double)x.both / (double)(x.both + x.first) : NAN;
    p->specificity = x.second + x.neither ? (double)x.neither / (double)(x.second + x.neither) : NAN;
}

static void fill_arm(const struct sheet *s, int k, struct report_run *r)
{
    struct report_people *p = &r->people;
    const struct report_arm *arm = &r->arms[k ? r->n_arm - 1 : 0];
    struct report_labelled *x = &p->arms[p->n_arm++];
    *x = (struct report_labelled){.arm = arm->name, .judged = arm->n_judged ? arm->rate : NAN};
    for (int i = 0; i < s->n; i++) {
        int said = s->rows[i].arm == k ? majority(s, i) : -1;
        x->n += said >= 0;
        x->n_yes += said > 0;
    }
    struct stats_interval w = stats_wilson(x->n_yes, x->n, 0.95);
    x->rate = x->n ? (double)x->n_yes / x->n : NAN;
    x->low = w.low;
    x->high = w.high;
    x->corrected = stats_rogan_gladen(x->judged, p->sensitivity, p->specificity);
}

int sheet_people(const struct sheet *s, struct report_run *r)
{
    struct report_people *p = &r->people;
    *p = (struct report_people){.n_sheet = s->n, .n_rater = s->n_rater};
    for (int i = 0; i < s->n; i++) {
        int said = 0;
        for (int k = 0; k < s->n_rater; k++)
            said |= s->labels[i * s->n_rater + k] >= 0;
        p->n_labelled += said;
    }
    if (!p->n_labelled)
        return 0;
    p->alpha = s->n_rater > 1 ? stats_krippendorff_alpha(s->labels, s->n, s->n_rater) : NAN;
    p->kappa_raters = kappa_of_raters(s);
    fill_judge(s, p);
    fill_arm(s, 0, r);
    fill_arm(s, 1, r);
    return p->n_labelled;
}

int method_labels_in(struct report_run *r, const char *path, struct error *err)
{
    struct sheet s;
    int rc = sheet_open(&s, r->output, err);
    rc = rc ? rc : read_labels(&s, path, err);
    if (!rc && !sheet_people(&s, r))
        rc = error_set(err, ERROR_DATA, "%s: nobody has labelled anything in it", path);
    sheet_close(&s);
    return rc;
}
