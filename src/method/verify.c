/* SPDX-License-Identifier: Apache-2.0 */
/* A run's files against its journal: what was written down, every number and text of it, is made again from run.db and
 * compared; the models' weights are hashed; and some attempts are generated again. */
#include "method/parts.h"

#include "base/build.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The run's own file, when it is there: NULL when not. */
static int own_file(const char *directory, const char *name, char **path, struct error *err)
{
    *path = path_join(directory, name);
    if (!*path)
        return error_set_nomem(err, 64, "path");
    if (!file_exists(*path)) {
        mem_free(*path);
        *path = NULL;
    }
    return 0;
}

/* Another build may have written fewer keys. */
static int same_build(const struct report_run *r)
{
    const char *build = report_fact_find(&r->settings, "build");
    return build && !strcmp(build, build_name);
}

static int verify_metrics(const struct report_run *r, struct differences *x, struct error *err)
{
    json_t *wanted = NULL, *found = NULL, *read = NULL;
    struct buf text = BUF_INIT;
    char *path;
    int rc = own_file(r->output, "metrics.json", &path, err);
    if (!rc && !path)
        differences_add(x, "metrics.json: is not there");
    if (!rc && path) { /* both through the text, so that numbers have passed the same way */
        rc = report_run_json(r, &wanted, err);
        rc = rc ? rc : jsontext_dump(&text, wanted, 1, err);
        rc = rc ? rc : jsontext_parse(&read, jsontext_whole(buf_text(&text), text.len, path), NULL, err);
        rc = rc ? rc : jsontext_load(&found, path, 1 << 30, err);
    }
    if (!rc && path && same_build(r))
        differences_json(x, "metrics.json", read, found);
    else if (!rc && path)
        differences_known(x, "metrics.json", read, found);
    json_decref(wanted);
    json_decref(read);
    json_decref(found);
    buf_free(&text);
    mem_free(path);
    return rc;
}

/* Lines of a file, each beside what the journal has of it. */
struct lines {
    const char *name; /* in the run's directory */
    int n;
    json_t *(*make)(const void *of, int i); /* the members that must be there; a new object */
    const void *of;
    struct pool_names *names;
};

/* What the files call a pair of the pool. An index has one name in all of a run's rows. */
struct pool_names {
    json_t *rows; /* of all files that were read; they own the names */
    const char **items;
    int n;
};

static void verify_names(struct pool_names *names, const int *indices, int n, const json_t *found, const char *place,
                         struct differences *x)
{
    if ((size_t)n != json_array_size(found)) {
        differences_add(x, "%s: run.db gives %d contexts, the file has %zu", place, n, json_array_size(found));
        return;
    }
    for (int i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(found, (size_t)i));
        if (!name || indices[i] < 0 || indices[i] >= names->n)
            continue;
        const char **known = &names->items[indices[i]];
        if (*known && strcmp(*known, name))
            differences_add(x,
                            "%s: pair %d of the pool is called %s here, %s elsewhere: run.db or the file was changed",
                            place, indices[i], name, *known);
        *known = *known ? *known : name;
    }
}

/* "r1-a3" or "test-3" of an attempt that matched 3; what was copied is a pair of the pool. */
static void verify_match(const struct run_verdict *v, const char *found, const char *place, struct differences *x)
{
    const char *number = found ? strpbrk(found, "-") : NULL;
    if (v->match < 0 || !v->reason || !strcmp(v->reason, sift_reason_name(SIFT_ANSWER_COPIED)))
        return;
    if (!number || strtol(number + 1 + (number[1] == 'a'), NULL, 10) != v->match)
        differences_add(x, "%s.matches: run.db gives %d, the file has %.40s", place, v->match,
                        found ? found : "nothing");
}

static void verify_attempt_names(const struct lines *l, int i, const json_t *row, const char *place,
                                 struct differences *x)
{
    const struct run_attempt *t = (const struct run_attempt *)l->of + i;
    const json_t *ask = json_object_get(row, "ask"), *answer = json_object_get(row, "answer_facts");
    verify_names(l->names, t->question.contexts, t->question.n_context, json_object_get(ask, "contexts"), place, x);
    verify_match(&t->verdict, json_string_value(json_object_get(row, "matches")), place, x);
    if (answer)
        verify_names(l->names, t->answer.contexts, t->answer.n_context, json_object_get(answer, "contexts"), place, x);
}

static int verify_lines(const struct recorded *d, const struct lines *l, struct differences *x, struct error *err)
{
    json_t *rows = NULL;
    char *path, place[96];
    int rc = own_file(d->directory, l->name, &path, err);
    if (!rc && !path)
        differences_add(x, "%s: is not there", l->name);
    if (!rc && path)
        rc = jsonl_load(&rows, path, err);
    if (!rc && path && (int)json_array_size(rows) != l->n)
        differences_add(x, "%s: wanted %d lines, found %zu", l->name, l->n, json_array_size(rows));
    for (int i = 0; i < l->n && !rc && path; i++) {
        json_t *wanted = l->make(l->of, i);
        snprintf(place, sizeof place, "%s:%d", l->name, i + 1);
        if (wanted)
            differences_members(x, place, wanted, json_array_get(rows, (size_t)i));
        if (wanted && l->names)
            verify_attempt_names(l, i, json_array_get(rows, (size_t)i), place, x);
        if (!wanted)
            rc = error_set_nomem(err, 256, "a row");
        json_decref(wanted);
    }
    if (l->names && rows)
        json_array_append(l->names->rows, rows);
    json_decref(rows);
    mem_free(path);
    return rc;
}

static double sum_of(const struct run_text *t)
{
    double sum = 0;
    for (int i = 0; i < t->n; i++)
        sum += (double)t->logprobs[i];
    return sum;
}

static json_t *text_row(const struct run_text *t)
{
    json_t *o = json_pack("{s:i, s:b, s:f}", "n_tokens", t->n, "ended", t->ended, "sum_logprob", sum_of(t));
    align_hide_tokens(o, t);
    if (o && t->error)
        json_object_set_new(o, "error", json_string(t->error));
    return o;
}

static json_t *attempt_row(const void *of, int i)
{
    const struct run_attempt *t = (const struct run_attempt *)of + i;
    json_t *o = json_pack("{s:s?, s:s?, s:b, s:s?, s:f, s:o}", "question", t->question.text, "answer", t->answer.text,
                          "kept", t->verdict.kept, "reason", t->verdict.reason, "nearest_f1",
                          isnan(t->verdict.f1) ? 0 : t->verdict.f1, "ask", text_row(&t->question));
    if (o && isfinite(t->score))
        json_object_set_new(o, "score", json_real(t->score));
    if (!o || (!t->answer.text && !t->answer.error))
        return o;
    json_t *facts = text_row(&t->answer), *nearness = json_array();
    for (int k = t->neighbours.n; k > 0; k--)
        json_array_append_new(nearness, json_real(t->neighbours.nearness[k - 1]));
    json_object_set_new(facts, "nearness", nearness);
    json_object_set_new(o, "answer_facts", facts);
    return o;
}

struct arm_lines {
    const struct arms *arms;
    const struct arm *arm;
};

static json_t *result_row(const void *of, int i)
{
    const struct arm_lines *l = of;
    const struct run_result *r = &l->arm->results[i];
    json_t *o = json_pack("{s:s?, s:s?}", "question", l->arms->items[i].question, "answer", r->text);
    if (!isnan(r->logprob)) {
        json_object_set_new(o, "reference_logprob", json_real(r->logprob));
        json_object_set_new(o, "reference_tokens", json_integer(r->n_token));
    }
    if (r->flagged < 0)
        return o;
    json_t *p = json_object();
    for (int k = 0; k < r->n_probability && k < l->arms->n_label; k++)
        json_object_set_new(p, l->arms->labels[k], json_real((double)r->probabilities[k]));
    json_object_set_new(o, "flagged", json_boolean(r->flagged));
    json_object_set_new(o, "probabilities", p);
    return o;
}

/* The weights of a model that the run made and that is still there. */
static void verify_model(const struct recorded *d, const char *name, const char *sha256, struct differences *x)
{
    char part[80], found[65];
    snprintf(part, sizeof part, "%.40s/model", name);
    char *directory = path_join(d->directory, part);
    struct error why = {0};
    if (directory && *sha256 && file_exists(directory)) {
        if (align_model_sha256(directory, found, &why))
            differences_add(x, "%s: %s", part, why.message);
        else if (strcmp(found, sha256))
            differences_add(x, "%s: wanted SHA-256 %.16s, found %.16s", part, sha256, found);
    }
    mem_free(directory);
}

static int verify_rounds(struct recorded *d, const struct report_run *r, struct differences *x, struct error *err)
{
    struct pool_names names = {.rows = json_array(), .n = d->n_given + r->kept};
    names.items = mem_calloc((size_t)names.n + 1, sizeof *names.items);
    int rc = names.rows && names.items ? 0 : error_set_nomem(err, (size_t)names.n * sizeof *names.items, "names");
    for (int i = 0; i < r->n_round && !rc; i++) {
        char name[64];
        snprintf(name, sizeof name, "round-%d/generated.jsonl", r->rounds[i].number);
        rc = recorded_round(d, r->rounds[i].number, r->rounds[i].attempts, err);
        const struct lines l = {name, d->n_attempt, attempt_row, d->attempts, &names};
        rc = rc ? rc : verify_lines(d, &l, x, err);
        snprintf(name, sizeof name, "round-%d", r->rounds[i].number);
        verify_model(d, name, r->rounds[i].model_sha256, x);
    }
    json_decref(names.rows);
    mem_free(names.items);
    return rc;
}

/* The flags that the journal has beside probabilities, by the threshold of now or the one that the run began with; a
 * threshold in between that explains all of an arm's was another start's. */
static int verify_flags(struct recorded *d, const struct arm *arm, struct differences *x, struct error *err)
{
    int n = d->arms.n_item, wrong[2] = {0, 0};
    const double thresholds[2] = {d->arms.threshold, d->o.threshold};
    double passed = -INFINITY, flagged = INFINITY; /* greatest and least greatest probability */
    struct arena arena = ARENA_INIT;
    struct run_result *raw = mem_calloc((size_t)n + 1, sizeof *raw);
    struct run_results stored = {arm->name, d->arms.set, raw, n, 0};
    int rc =
        raw ? run_get_results(d->run, &stored, &arena, err) : error_set_nomem(err, (size_t)n * sizeof *raw, "flags");
    for (int i = 0; i < n && !rc; i++) {
        double most = -INFINITY;
        for (int k = 0; k < raw[i].n_probability; k++)
            most = fmax(most, (double)raw[i].probabilities[k]);
        if (!raw[i].n_probability)
            continue;
        for (int k = 0; k < 2; k++)
            wrong[k] += raw[i].flagged != (most > thresholds[k]);
        if (raw[i].flagged > 0)
            flagged = fmin(flagged, most);
        else
            passed = fmax(passed, most);
    }
    if (!rc && wrong[0] && wrong[1] && passed >= flagged)
        differences_add(x, "run.db: result of %s: %d flags are not what their probabilities give", arm->name,
                        wrong[0] < wrong[1] ? wrong[0] : wrong[1]);
    mem_free(raw);
    arena_free(&arena);
    return rc;
}

static int verify_arms(struct recorded *d, struct differences *x, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < d->arms.n && !rc && d->arms.n_item && d->arms.items[0].question; i++) {
        const struct arm *arm = &d->arms.list[i];
        char name[64];
        snprintf(name, sizeof name, "arms/%.40s.jsonl", arm->name);
        const struct lines l = {name, d->arms.n_item, result_row, &(struct arm_lines){&d->arms, arm}, NULL};
        rc = verify_lines(d, &l, x, err);
        rc = rc ? rc : verify_flags(d, arm, x, err);
        snprintf(name, sizeof name, "baseline-%.40s", arm->name);
        if (!arm->round)
            verify_model(d, name, arm->sha256, x);
    }
    return rc;
}

/* `n` different attempts of finished rounds, drawn by the seed, generated again. */
static int verify_attempts(struct device *device, const struct report_run *r, const struct method_verify *how,
                           struct differences *x, struct error *err)
{
    uint32_t total = 0, *order;
    int rc = 0;
    for (int i = 0; i < r->n_round; i++)
        total += (uint32_t)r->rounds[i].attempts;
    if (!(order = mem_calloc((size_t)total + 1, sizeof *order)))
        return error_set_nomem(err, total * sizeof *order, "attempts");
    rng_permutation(&(struct rng_stream){how->seed, hash64("verify", 6), 0}, order, total);
    for (uint32_t i = 0; i < total && i < (uint32_t)how->attempts && !rc; i++) {
        struct buf text = BUF_INIT;
        struct error why = {0};
        char id[40];
        int round = 0, same = 0;
        uint32_t index = order[i];
        for (; index >= (uint32_t)r->rounds[round].attempts; round++)
            index -= (uint32_t)r->rounds[round].attempts;
        snprintf(id, sizeof id, "r%d-a%u", r->rounds[round].number, index);
        rc = method_replay(device, r->output, id, &same, &text, &why);
        if (rc == ERROR_DATA) { /* model, seeds or rows are not those of the run */
            differences_add(x, "attempt %s: %s", id, why.message);
            rc = 0;
        } else if (rc) {
            rc = error_set(err, rc, "%s", why.message);
        } else if (!same) {
            differences_add(x, "attempt %s: generated again, it is another one", id);
        }
        buf_free(&text);
    }
    mem_free(order);
    return rc;
}

int method_verify(struct device *device, const struct report_run *r, const struct method_verify *how,
                  struct differences *x, struct error *err)
{
    struct run *run = NULL;
    struct recorded d = {0};
    int rc = run_open_readonly(&run, r->output, err);
    rc = rc ? rc : recorded_read(&d, run, err);
    rc = rc ? rc : verify_metrics(r, x, err);
    rc = rc ? rc : verify_rounds(&d, r, x, err);
    rc = rc ? rc : verify_arms(&d, x, err);
    recorded_free(&d);
    run_close(run);
    rc = rc ? rc : verify_attempts(device, r, how, x, err);
    return !rc && x->text.failed ? error_set_nomem(err, x->text.len, "differences") : rc;
}
