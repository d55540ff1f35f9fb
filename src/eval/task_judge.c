/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task judge: a judge measured on rows that people have labelled. Each label on its own (area under the
 * ROC curve, accuracy at the threshold, calibration), and "flagged": any label against the judge's greatest
 * probability. */
#include "eval/parts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { LEAST_POSITIVES = 10, BINS = 10, RESAMPLES = 1000 };
struct labelled {
    json_t *rows;
    struct judge_text *texts;
    unsigned *labels; /* [n] mask over the judge's labels; bit 31: any label at all */
    int n, cap;
    const char *names[MODEL_MAX_LABEL];
    int n_label;
    struct eval_harm *harm;
    struct eval_journal *journal;
    double *p;
    unsigned char *y; /* what one metric is over */
};

static int label_at(const struct labelled *t, const char *name)
{
    for (int i = 0; i < t->n_label; i++)
        if (!strcmp(t->names[i], name))
            return i;
    return -1;
}

static int add_label(const struct labelled *t, const char *name, unsigned *labels, struct error *err)
{
    int at = name ? label_at(t, name) : -1;
    if (at < 0 && t->n_label > 1)
        return error_set(err, ERROR_DATA, "the judge has no label \"%.80s\"", name ? name : "(not a name)");
    *labels |= 1u << 31 | 1u << (at < 0 ? 0 : at); /* a judge of one label: harmful or not */
    return 0;
}

static int grow(struct labelled *t, struct error *err)
{
    if (t->n < t->cap)
        return 0;
    size_t cap = t->cap ? 2 * (size_t)t->cap : 256;
    struct judge_text *texts = mem_resize(t->texts, cap * sizeof *texts);
    t->texts = texts ? texts : t->texts;
    unsigned *labels = mem_resize(t->labels, cap * sizeof *labels);
    t->labels = labels ? labels : t->labels;
    if (!texts || !labels)
        return error_set_nomem(err, cap * sizeof *texts, "rows");
    t->cap = (int)cap;
    return 0;
}

static int take_row(void *user, json_t *row, struct error *err)
{
    struct labelled *t = user;
    const json_t *list = json_object_get(row, "labels"), *one = json_object_get(row, "label"), *v;
    json_t *category = json_object_get(row, "category"), *value;
    const char *prompt = json_string_value(json_object_get(row, "prompt")),
               *response = json_string_value(json_object_get(row, "response")), *name;
    unsigned labels = 0;
    size_t k;
    int rc = grow(t, err);
    if (!rc && (!prompt || !response || !(json_is_array(list) || json_is_string(one) || json_is_object(category))))
        rc = error_set(err, ERROR_DATA, "wanted \"prompt\", \"response\" and \"labels\", \"label\" or \"category\"");
    if (rc)
        return rc;
    json_array_foreach(list, k, v) rc = rc ? rc : add_label(t, json_string_value(v), &labels, err);
    if (!list && one)
        rc = add_label(t, json_string_value(one), &labels, err);
    if (!list && !one)
        json_object_foreach(category, name, value) if (json_is_true(value)) rc =
            rc ? rc : add_label(t, name, &labels, err);
    t->texts[t->n] = (struct judge_text){prompt, response};
    t->labels[t->n++] = labels;
    return rc;
}

static int read_rows(struct labelled *t, const struct eval_options *v, struct error *err)
{
    int rc = record_load(&t->rows, (struct record_source){.path = v->test}, v->limit, take_row, t, err);
    size_t n = (size_t)t->n + 1;
    t->p = mem_calloc(n, sizeof *t->p);
    t->y = mem_calloc(n, 1);
    return rc || (t->p && t->y) ? rc : error_set_nomem(err, n * sizeof *t->p, "rows");
}

/* label -1: any. Fills p and y with the rows that were judged; returns how many. */
static int gather_label(struct labelled *t, int label)
{
    int n = 0;
    for (int i = 0; i < t->n; i++) {
        const json_t *p = json_object_get(eval_journal_get(t->journal, "judge", i), "probabilities"), *value;
        const char *name;
        double most = 0;
        if (!json_is_object(p))
            continue;
        json_object_foreach((json_t *)(uintptr_t)p, name, value) if (label < 0 || !strcmp(name, t->names[label])) most =
            json_number_value(value) > most ? json_number_value(value) : most;
        t->p[n] = most;
        t->y[n++] = (unsigned char)(label < 0 ? t->labels[i] != 0 : t->labels[i] >> label & 1);
    }
    return n;
}

/* The three numbers of one label; *area for the mean over labels. */
static void measure_label(struct labelled *t, struct eval_report *r, int label, const struct eval_options *v,
                          double *area)
{
    const char *name = label < 0 ? "flagged" : t->names[label];
    char key[96];
    struct stats_interval i;
    double ece;
    long right = 0, positive = 0;
    int n = gather_label(t, label);
    for (int k = 0; k < n; k++) {
        right += (t->p[k] > v->threshold) == t->y[k];
        positive += t->y[k];
    }
    *area = NAN;
    if (r->rc || (r->rc = stats_auroc(&(struct stats_classified){t->p, t->y, n},
                                      &(struct stats_bootstrap){RESAMPLES, 0.95, v->seed}, area, &i, r->err)))
        return;
    snprintf(key, sizeof key, "%s positives", name);
    eval_report_fact(r, key, json_integer(positive));
    snprintf(key, sizeof key, "%s AUROC", name);
    if (!isnan(*area))
        eval_report_value(r, key, *area, n, i);
    snprintf(key, sizeof key, "%s accuracy", name);
    eval_report_value(r, key, n ? (double)right / n : NAN, n, stats_wilson(right, n, 0.95));
    snprintf(key, sizeof key, "%s majority accuracy", name);
    int majority = 2 * positive > n ? positive : n - positive;
    eval_report_value(r, key, n ? (double)majority / n : NAN, n, EVAL_NO_INTERVAL);
    if (!r->rc &&
        !(r->rc = stats_calibration_error(&(struct stats_classified){t->p, t->y, n}, BINS,
                                          &(struct stats_bootstrap){RESAMPLES, 0.95, v->seed}, &ece, &i, r->err))) {
        snprintf(key, sizeof key, "%s ECE", name);
        eval_report_value(r, key, ece, n, i);
    }
    if (positive < LEAST_POSITIVES)
        *area = NAN;
}

static int fill_report(struct labelled *t, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct report_basis f = {.task = "judge",
                             .n_row = t->n,
                             .threshold = v->threshold,
                             .judge = eval_harm_name(t->harm),
                             .judge_sha256 = eval_harm_sha256(t->harm)};
    struct eval_report r;
    double area, sum = 0;
    int n = 0;
    for (int i = 0; i < t->n; i++) {
        const json_t *row = eval_journal_get(t->journal, "judge", i);
        f.n_truncated += json_is_true(json_object_get(row, "truncated"));
        f.n_unparsed += !json_is_object(json_object_get(row, "probabilities"));
    }
    eval_report_begin(&r, &f, err);
    measure_label(t, &r, -1, v, &area);
    for (int k = 0; k < t->n_label && t->n_label > 1; k++) {
        measure_label(t, &r, k, v, &area);
        if (!isnan(area)) {
            sum += area;
            n++;
        }
    }
    if (n) {
        eval_report_fact(&r, "labels in macro_auroc", json_integer(n));
        eval_report_value(&r, "macro_auroc", sum / n, r.n_row - f.n_unparsed, EVAL_NO_INTERVAL);
    }
    eval_report_note(&r,
                     "AUROC: area under the receiver operating characteristic, bootstrap BCa 95 %% interval over rows\n"
                     "accuracy: at the threshold (strict), Wilson's 95 %% interval\n"
                     "majority accuracy: what always saying the commoner answer gives\n"
                     "ECE: expected calibration error (%d equal bins), interval as AUROC's\n"
                     "macro_auroc: mean over labels with at least %d positives",
                     BINS, LEAST_POSITIVES);
    return eval_report_finish(&r, w);
}

static int run_judge(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct labelled t = {0};
    json_t *settings = NULL;
    int rc = eval_require(v->test, "test",
                          "rows with \"prompt\", \"response\" and \"labels\" or BeaverTails' \"category\"", err);
    rc = rc ? rc : eval_harm_open(&t.harm, w->device, v, err);
    if (!rc) {
        t.n_label = eval_harm_labels(t.harm, t.names);
        settings = json_pack("{s:s, s:s, s:s, s:s, s:i}", "task", w->task->name, "judge", eval_harm_name(t.harm),
                             "judge-sha256", eval_harm_sha256(t.harm), "test", v->test, "limit", v->limit);
        rc = settings ? eval_journal_file(settings, "test-sha256", v->test, err) : error_set_nomem(err, 64, "settings");
    }
    rc = rc ? rc : read_rows(&t, v, err);
    rc = rc ? rc : eval_journal_open(&t.journal, v->output, settings, err);
    rc = rc ? rc : eval_harm_judge(t.harm, "judge", t.journal, t.texts, t.n, err);
    rc = rc ? rc : fill_report(&t, w, err);
    eval_journal_close(t.journal);
    eval_harm_close(t.harm);
    json_decref(settings);
    json_decref(t.rows);
    mem_free(t.texts);
    mem_free(t.labels);
    mem_free(t.p);
    mem_free(t.y);
    return rc;
}

const struct eval_task eval_judge = {"judge", "a judge against labelled rows: AUROC, accuracy, calibration", run_judge};
