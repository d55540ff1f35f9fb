/* SPDX-License-Identifier: Apache-2.0 */
/* The files that an evaluation left, as columns. */
#include "eval/measured.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"

#include <glob.h>
#include <math.h>
#include <string.h>

/* XSTest: the two kinds of prompts are two metrics. */
static int add_refusal(struct measured *m, int row, const json_t *sample, struct error *err)
{
    const json_t *safe = json_object_get(json_object_get(sample, "doc"), "safe");
    const char *name = json_is_true(safe) ? "over_refusal" : "refusal";
    return measured_set_row(m, name, row, json_is_true(json_object_get(sample, "refused")), err);
}

static int add_sample(struct measured *m, int row, const json_t *sample, struct error *err)
{
    const json_t *names = json_object_get(sample, "metrics"), *name;
    const char *text = json_string_value(json_array_get(json_object_get(sample, "filtered_resps"), 0));
    size_t i;
    int rc = measured_answer(m, row, text, json_is_true(json_object_get(sample, "ended")), err);
    if (!rc && json_object_get(sample, "refused"))
        return text ? add_refusal(m, row, sample, err) : 0;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
    {
        const json_t *value = json_object_get(sample, json_string_value(name));
        if (!rc && json_is_number(value))
            rc = measured_set_row(m, json_string_value(name), row, json_number_value(value), err);
        else if (!rc && json_is_boolean(value))
            rc = measured_set_row(m, json_string_value(name), row, json_is_true(value), err);
    }
    return rc;
}

static int add_judged(struct measured *m, int row, const json_t *record, struct error *err)
{
    const json_t *p = json_object_get(record, "probabilities"), *value;
    const char *label, *text = json_string_value(json_object_get(record, "answer"));
    char name[96];
    int any = 0, rc = measured_answer(m, row, text, json_is_true(json_object_get(record, "ended")), err);
    json_object_foreach((json_t *)(uintptr_t)p, label, value)
    {
        int flagged = json_number_value(value) > m->threshold;
        any |= flagged;
        snprintf(name, sizeof name, "label %s", label);
        if (!rc && json_object_size(p) > 1)
            rc = measured_set_row(m, name, row, flagged, err);
    }
    return rc || !json_is_object(p) ? rc : measured_set_row(m, "harmful_rate", row, any, err);
}

static int read_rows(struct measured *m, const char *path, int skip,
                     int (*add)(struct measured *m, int row, const json_t *record, struct error *err),
                     struct error *err)
{
    json_t *rows = NULL, *row;
    size_t i;
    int rc = jsonl_load(&rows, path, err);
    m->n_row = (int)json_array_size(rows) - skip;
    json_array_foreach(rows, i, row) if (!rc && (int)i >= skip) rc = add(m, (int)i - skip, row, err);
    json_decref(rows);
    return rc || !m->n_text ? rc : measured_diversity(m, err);
}

/* Paths below a directory, in order; what a person's path holds is no pattern. */
static int find_below(const char *directory, const char *pattern, glob_t *g)
{
    struct buf all = BUF_INIT;
    for (const char *c = directory; *c; c++) {
        if (strchr("*?[\\", *c))
            buf_putc(&all, '\\');
        buf_putc(&all, *c);
    }
    buf_printf(&all, "/%s", pattern);
    int found = !all.failed && !glob(all.data, 0, NULL, g) && g->gl_pathc > 0;
    buf_free(&all);
    return found;
}

/* The newest of them. */
static int find_samples(const char *directory, char path[4096])
{
    glob_t g = {0};
    int found = find_below(directory, "*/samples_*.jsonl", &g);
    if (found)
        snprintf(path, 4096, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    return found;
}

int measured_list(const char *directory, struct arena *arena, const char ***list, int *n, struct error *err)
{
    static const char end[] = "/journal.jsonl";
    glob_t g = {0};
    int rc = 0;
    *n = 0;
    *list = NULL;
    if (find_below(directory, "*/journal.jsonl", &g))
        *list = arena_alloc(arena, g.gl_pathc * sizeof **list);
    for (size_t i = 0; *list && i < g.gl_pathc && !rc; i++) {
        const char *path = g.gl_pathv[i];
        (*list)[*n] = arena_strndup(arena, path, strlen(path) - strlen(end));
        rc = (*list)[*n] ? 0 : ERROR_NOMEM;
        *n += !rc;
    }
    rc = rc || (g.gl_pathc && !*list) ? error_set_nomem(err, g.gl_pathc * sizeof **list, "evaluations") : 0;
    globfree(&g);
    return rc;
}

int measured_settings(const char *directory, json_t **settings, struct error *err)
{
    struct jsonl *r = NULL;
    json_t *line = NULL;
    char *path = path_join(directory, "journal.jsonl");
    int rc = path ? jsonl_open(&r, path, err) : error_set_nomem(err, 64, "a path");
    int more = rc ? 0 : jsonl_next(r, &line, err);
    *settings = json_incref(json_object_get(line, "settings"));
    if (!rc && more < 0)
        rc = more;
    if (!rc && !json_is_object(*settings))
        rc = error_set(err, ERROR_DATA, "%s: is not a journal of isara eval; delete it or move it away", path);
    json_decref(line);
    jsonl_close(r);
    mem_free(path);
    return rc;
}

/* --- comparisons with reference answers, of which the journal has all: stages answer, score, judge0 and judge1 --- */

static int is_stage(const json_t *line, const char *stage)
{
    const char *name = json_string_value(json_object_get(line, "stage"));
    return name && !strncmp(name, stage, strlen(stage));
}

static int index_of(const json_t *line)
{
    return (int)json_integer_value(json_object_get(line, "index"));
}

/* What a reward model gave the answer and the reference; a tie is half a win. */
static int add_score(struct measured *m, int row, const json_t *value, struct error *err)
{
    double d = json_number_value(json_object_get(value, "score")) -
               json_number_value(json_object_get(value, "reference_score"));
    int rc = measured_set_row(m, "win_rate", row, 50 * ((d > 0) - (d < 0)) + 50, err);
    return rc ? rc : measured_set_row(m, "mean_difference", row, d, err);
}

/* A pairwise judge's preference, 1 to 2, as the mean of its orders. Equal answers were not asked about; one that could
 * not be read in some order has no value. */
static int add_preferences(struct measured *m, const json_t *lines, struct error *err)
{
    double *sum = arena_alloc(&m->arena, ((size_t)m->n_row + 1) * sizeof *sum);
    int *n = arena_alloc(&m->arena, ((size_t)m->n_row + 1) * sizeof *n), rc = 0;
    const json_t *line;
    size_t i;
    if (!sum || !n)
        return error_set_nomem(err, (size_t)m->n_row * sizeof *sum, "preferences");
    json_array_foreach((json_t *)(uintptr_t)lines, i, line)
    {
        const json_t *value = json_object_get(json_object_get(line, "row"), "preference");
        int row = index_of(line);
        if (!is_stage(line, "judge") || row < 0 || row >= m->n_row)
            continue;
        sum[row] += json_is_number(value) ? json_number_value(value) : NAN;
        n[row]++;
    }
    const struct measured_column *answered = measured_find(m, "answers.words");
    for (int row = 0; row < m->n_row && answered && !rc; row++)
        if (!isnan(answered->rows[row]))
            rc = measured_set_row(m, "win_rate", row, n[row] ? 100 * (sum[row] / n[row] - 1) : 50, err);
    return rc;
}

static int read_comparisons(struct measured *m, const char *path, struct error *err)
{
    json_t *lines = NULL, *line;
    size_t i;
    int rc = jsonl_load(&lines, path, err), judged = 0;
    json_array_foreach(lines, i, line) if (is_stage(line, "answer") && index_of(line) >= m->n_row) m->n_row =
        index_of(line) + 1;
    json_array_foreach(lines, i, line)
    {
        const json_t *row = json_object_get(line, "row");
        int at = index_of(line), is_in = at >= 0 && at < m->n_row;
        judged |= is_stage(line, "judge");
        if (!rc && is_in && is_stage(line, "answer"))
            rc = measured_answer(m, at, json_string_value(json_object_get(row, "text")),
                                 json_is_true(json_object_get(row, "ended")), err);
        else if (!rc && is_in && is_stage(line, "score"))
            rc = add_score(m, at, row, err);
    }
    rc = rc || !judged ? rc : add_preferences(m, lines, err);
    json_decref(lines);
    return rc || !m->n_text ? rc : measured_diversity(m, err);
}

/* {"stage": "text", "index", "row": {"logprob", "n_token"}} */
static int add_text(struct measured *m, int row, const json_t *line, struct error *err)
{
    const json_t *text = json_object_get(line, "row");
    const char *stage = json_string_value(json_object_get(line, "stage"));
    int index = (int)json_integer_value(json_object_get(line, "index"));
    double n = json_number_value(json_object_get(text, "n_token"));
    (void)row;
    if (!stage || strcmp(stage, "text") || n <= 0 || index < 0 || index >= m->n_row)
        return 0;
    m->logprob += json_number_value(json_object_get(text, "logprob"));
    m->n_token += n;
    return measured_set_row(m, "nll", index, -json_number_value(json_object_get(text, "logprob")) / n, err);
}

static int is_basis(const char *name)
{
    static const char *const names[] = {"n", "missing", "truncated", "unparsed", "threshold", "standard_error"};
    static const char *const tails[] = {"_low", "_high", "_n", "_p"};
    if (!strncmp(name, "n_", 2))
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return 1;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (strlen(name) > strlen(tails[i]) && !strcmp(name + strlen(name) - strlen(tails[i]), tails[i]))
            return 1;
    return 0;
}

/* What the report says of the whole set and no question has a value of. */
static int add_report(struct measured *m, const json_t *report, struct error *err)
{
    const json_t *value;
    const char *name;
    int rc = 0;
    json_object_foreach((json_t *)(uintptr_t)report, name, value) if (!rc && json_is_number(value) && !is_basis(name))
    {
        rc = measured_find(m, name) ? 0 : measured_set_whole(m, name, json_number_value(value), err);
    }
    return rc;
}

int measured_read(struct measured *m, const struct measured_from *from, struct error *err)
{
    char samples[4096];
    char *judged = path_join(from->directory, "judged.jsonl"), *journal = path_join(from->directory, "journal.jsonl");
    int rc = judged && journal ? 0 : error_set_nomem(err, 64, "a path"), whole = 1;
    m->threshold = from->threshold;
    if (!rc && !strcmp(from->task, "beavertails")) {
        rc = read_rows(m, judged, 1, add_judged, err);
        whole = 0;
    } else if (!rc && !strcmp(from->task, "perplexity")) {
        rc = read_rows(m, journal, 1, add_text, err);
    } else if (!rc && (!strcmp(from->task, "utility") || !strcmp(from->task, "alpaca-eval"))) {
        rc = read_comparisons(m, journal, err);
    } else if (!rc && find_samples(from->directory, samples)) {
        rc = read_rows(m, samples, 0, add_sample, err);
        whole = 0;
    }
    if (!rc && whole)
        rc = add_report(m, from->report, err);
    if (!rc && whole && !from->report && m->n_token > 0)
        rc = measured_set_whole(m, "perplexity", exp(-m->logprob / m->n_token), err);
    mem_free(judged);
    mem_free(journal);
    return rc;
}
