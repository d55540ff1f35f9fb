/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation left in its directory, as columns of one value a question (samples_*.jsonl, judged.jsonl, the
 * journal of texts), and values of the whole set. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "io/jsonl.h"
#include "measure/overlap.h"

#include <glob.h>
#include <math.h>
#include <string.h>

enum { MOST_COLUMN = 64 };

static double *add_column(struct measured *m, const char *name, struct error *err)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->columns[i].name, name))
            return m->columns[i].rows;
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

static int set_row(struct measured *m, const char *name, int row, double value, struct error *err)
{
    double *rows = add_column(m, name, err);
    if (!rows)
        return ERROR_NOMEM;
    rows[row] = value;
    return 0;
}

static int set_whole(struct measured *m, const char *name, double value, struct error *err)
{
    if (!add_column(m, name, err))
        return ERROR_NOMEM;
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->columns[i].name, name)) {
            m->columns[i].rows = NULL;
            m->columns[i].whole = value;
        }
    return 0;
}

static int count_words(const char *text)
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

/* How long answers are, and whether they end and say anything: what alignment may cost. */
static int add_answer(struct measured *m, int row, const char *text, int ended, struct error *err)
{
    if (!text)
        return 0;
    int words = count_words(text);
    m->texts[m->n_text++] = arena_strdup(&m->arena, text);
    int rc = set_row(m, "answers.words", row, words, err);
    rc = rc ? rc : set_row(m, "answers.empty", row, words == 0, err);
    return rc ? rc : set_row(m, "answers.cut", row, !ended, err);
}

static int add_diversity(struct measured *m, struct error *err)
{
    static const char *const names[] = {"answers.distinct_1", "answers.distinct_2", "answers.distinct_3"};
    struct diversity d;
    int rc = diversity_of(m->texts, m->n_text, &d, err);
    for (int i = 0; i < 3 && !rc; i++)
        if (isfinite(d.distinct[i]))
            rc = set_whole(m, names[i], d.distinct[i], err);
    return rc;
}

/* XSTest: the two kinds of prompts are two metrics. */
static int add_refusal(struct measured *m, int row, const json_t *sample, struct error *err)
{
    const char *name = json_is_true(json_object_get(sample, "safe")) ? "over_refusal" : "refusal";
    return set_row(m, name, row, json_is_true(json_object_get(sample, "refused")), err);
}

static int add_sample(struct measured *m, int row, const json_t *sample, struct error *err)
{
    const json_t *names = json_object_get(sample, "metrics"), *name;
    const char *text = json_string_value(json_array_get(json_object_get(sample, "filtered_resps"), 0));
    size_t i;
    int rc = add_answer(m, row, text, json_is_true(json_object_get(sample, "ended")), err);
    if (!rc && json_object_get(sample, "refused"))
        return text ? add_refusal(m, row, sample, err) : 0;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
    {
        const json_t *value = json_object_get(sample, json_string_value(name));
        if (!rc && json_is_number(value))
            rc = set_row(m, json_string_value(name), row, json_number_value(value), err);
        else if (!rc && json_is_boolean(value))
            rc = set_row(m, json_string_value(name), row, json_is_true(value), err);
    }
    return rc;
}

static int add_judged(struct measured *m, int row, const json_t *record, struct error *err)
{
    const json_t *p = json_object_get(record, "probabilities"), *value;
    const char *label, *text = json_string_value(json_object_get(record, "answer"));
    char name[96];
    int any = 0, rc = add_answer(m, row, text, json_is_true(json_object_get(record, "ended")), err);
    json_object_foreach((json_t *)(uintptr_t)p, label, value)
    {
        int flagged = json_number_value(value) > m->threshold;
        any |= flagged;
        snprintf(name, sizeof name, "label %s", label);
        if (!rc && json_object_size(p) > 1)
            rc = set_row(m, name, row, flagged, err);
    }
    return rc || !json_is_object(p) ? rc : set_row(m, "harmful_rate", row, any, err);
}

static int read_rows(struct measured *m, const char *path, int skip,
                     int (*add)(struct measured *m, int row, const json_t *record, struct error *err),
                     struct error *err)
{
    json_t *rows = NULL, *row;
    size_t i;
    int rc = jsonl_load(&rows, path, err);
    m->n_row = (int)json_array_size(rows) - skip;
    m->texts = rc ? NULL : arena_alloc(&m->arena, (json_array_size(rows) + 1) * sizeof *m->texts);
    if (!rc && !m->texts)
        rc = error_set_nomem(err, json_array_size(rows) * sizeof *m->texts, "answers");
    json_array_foreach(rows, i, row) if (!rc && (int)i >= skip) rc = add(m, (int)i - skip, row, err);
    json_decref(rows);
    return rc || !m->n_text ? rc : add_diversity(m, err);
}

/* The newest of them. */
static int find_samples(const struct experiment *x, const struct job *j, char path[4096])
{
    glob_t g = {0};
    struct buf pattern = BUF_INIT;
    char *directory = job_file(x, j, "eval");
    for (const char *c = directory; c && *c; c++) { /* what a person's path holds is no pattern */
        if (strchr("*?[\\", *c))
            buf_putc(&pattern, '\\');
        buf_putc(&pattern, *c);
    }
    buf_puts(&pattern, "/*/samples_*.jsonl");
    int found = directory && !pattern.failed && !glob(pattern.data, 0, NULL, &g) && g.gl_pathc > 0;
    if (found)
        snprintf(path, 4096, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    buf_free(&pattern);
    mem_free(directory);
    return found;
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
    return set_row(m, "nll", index, -json_number_value(json_object_get(text, "logprob")) / n, err);
}

static int is_basis(const char *name)
{
    static const char *const names[] = {"n", "n_rows", "missing", "truncated", "unparsed", "threshold", "n_tokens"};
    static const char *const tails[] = {"_low", "_high", "_n", "_p"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return 1;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (strlen(name) > strlen(tails[i]) && !strcmp(name + strlen(name) - strlen(tails[i]), tails[i]))
            return 1;
    return 0;
}

/* What the report says of the whole set and no question has a value of. */
static int add_report(struct measured *m, const struct job *j, struct error *err)
{
    const json_t *report = json_object_get(j->result, "report"), *value;
    const char *name;
    int rc = 0;
    json_object_foreach((json_t *)(uintptr_t)report, name, value) if (!rc && json_is_number(value) && !is_basis(name))
    {
        int known = 0;
        for (int i = 0; i < m->n; i++)
            known |= !strcmp(m->columns[i].name, name);
        rc = known ? 0 : set_whole(m, name, json_number_value(value), err);
    }
    return rc;
}

int measured_read(struct measured *m, const struct experiment *x, const struct job *j, struct error *err)
{
    char samples[4096];
    char *judged = job_file(x, j, "eval/judged.jsonl"), *journal = job_file(x, j, "eval/journal.jsonl");
    int rc = judged && journal ? 0 : error_set_nomem(err, 64, "a path"), whole = 1;
    m->threshold = json_number_value(json_object_get(j->canonical, "threshold"));
    if (!rc && !strcmp(j->task, "beavertails")) {
        rc = read_rows(m, judged, 1, add_judged, err);
        whole = 0;
    } else if (!rc && !strcmp(j->task, "perplexity")) {
        rc = read_rows(m, journal, 1, add_text, err);
    } else if (!rc && find_samples(x, j, samples)) {
        rc = read_rows(m, samples, 0, add_sample, err);
        whole = 0;
    }
    if (!rc && whole)
        rc = add_report(m, j, err);
    char *directory = rc ? job_file(x, j, NULL) : NULL;
    if (directory) {
        const struct error was = *err;
        error_set(err, was.code, "%s; delete %s to have this job done anew", was.message, directory);
    }
    mem_free(directory);
    mem_free(judged);
    mem_free(journal);
    return rc;
}
