/* SPDX-License-Identifier: Apache-2.0 */
/* A round's rows as JSON Lines, and the file that a person strikes lines from. Both are written whole from the journal:
 * no times, so equal runs give equal bytes. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <math.h>
#include <string.h>

static const char *name_of(const struct align *a, int pool_index, char text[40])
{
    pool_name(&a->pool.items[pool_index], text);
    return text;
}

static json_t *names(const struct align *a, const int *indices, int n)
{
    char text[40];
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(name_of(a, indices[i], text)));
    return list;
}

static double sum(const struct run_text *t)
{
    double s = 0;
    for (int i = 0; i < t->n; i++)
        s += (double)t->logprobs[i];
    return s;
}

static json_t *text_facts(const struct align *a, const struct run_text *t)
{
    json_t *o = json_pack("{s:o, s:i, s:b, s:f}", "contexts", names(a, t->contexts, t->n_context), "n_tokens", t->n,
                          "ended", t->ended, "sum_logprob", sum(t));
    align_hide_tokens(o, t);
    if (t->dropped)
        json_object_set_new(o, "contexts_dropped", json_integer(t->dropped));
    if (t->error)
        json_object_set_new(o, "error", json_string(t->error));
    return o;
}

static json_t *row_of(const struct align *a, const struct run_attempt *t)
{
    char id[40];
    snprintf(id, sizeof id, "r%d-a%d", a->round, t->index);
    json_t *row =
        json_pack("{s:s, s:i, s:s?, s:s?, s:b, s:s?}", "id", id, "round", a->round, "question", t->question.text,
                  "answer", t->answer.text, "kept", t->verdict.kept, "reason", t->verdict.reason);
    if (t->verdict.match >= 0) {
        char match[40];
        int answer = t->verdict.reason && !strcmp(t->verdict.reason, sift_reason_name(SIFT_ANSWER_COPIED));
        int test = t->verdict.reason && !strcmp(t->verdict.reason, sift_reason_name(SIFT_TEST_OVERLAP));
        if (test)
            snprintf(match, sizeof match, "test-%d", t->verdict.match);
        else
            snprintf(match, sizeof match, "r%d-a%d", a->round, t->verdict.match);
        json_object_set_new(row, "matches", json_string(answer ? name_of(a, t->verdict.match, match) : match));
    }
    if (isfinite(t->score))
        json_object_set_new(row, "score", json_real(t->score));
    json_object_set_new(row, "nearest_f1", json_real(isnan(t->verdict.f1) ? 0 : t->verdict.f1));
    json_object_set_new(row, "ask", text_facts(a, &t->question));
    if (t->answer.text || t->answer.error) {
        json_t *facts = text_facts(a, &t->answer), *nearness = json_array();
        for (int i = t->neighbours.n; i > 0; i--)
            json_array_append_new(nearness, json_real(t->neighbours.nearness[i - 1]));
        json_object_set_new(facts, "nearness", nearness);
        json_object_set_new(row, "answer_facts", facts);
    }
    return row;
}

static int write_lines(struct align *a, const char *name,
                       json_t *(*make)(const struct align *, const struct run_attempt *), int only_kept,
                       struct error *err)
{
    char *path = align_round_file(a, a->round, name), *dir = align_round_file(a, a->round, "");
    struct buf b = BUF_INIT;
    int rc = path && dir ? dirs_make(dir, err) : error_set_nomem(err, 64, "path");
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        if (only_kept && !a->attempts[i].verdict.kept)
            continue;
        json_t *row = make(a, &a->attempts[i]);
        rc = row ? jsontext_dump(&b, row, 0, err) : error_set_nomem(err, 64, "a row");
        buf_putc(&b, '\n');
        json_decref(row);
    }
    if (!rc)
        rc = b.failed ? error_set_nomem(err, b.len, "rows") : file_write(path, buf_text(&b), b.len, err);
    buf_free(&b);
    mem_free(path);
    mem_free(dir);
    return rc;
}

int align_write_generated(struct align *a, struct error *err)
{
    return write_lines(a, "generated.jsonl", row_of, 0, err);
}

static json_t *review_row(const struct align *a, const struct run_attempt *t)
{
    char id[40];
    snprintf(id, sizeof id, "r%d-a%d", a->round, t->index);
    return json_pack("{s:s, s:s, s:s}", "id", id, "question", t->question.text, "answer", t->answer.text);
}

int align_write_review(struct align *a, struct error *err)
{
    return write_lines(a, "review.jsonl", review_row, 1, err);
}

static int attempt_named(const struct align *a, const char *id)
{
    int round, index, used = 0;
    if (!id || sscanf(id, "r%d-a%d%n", &round, &index, &used) != 2 || id[used] || round != a->round || index < 0 ||
        index >= a->n_attempt)
        return -1;
    return a->attempts[index].verdict.kept ? index : -1;
}

/* Lines may be struck, nothing else. */
static int read_lines(struct align *a, struct jsonl *in, char *left, struct error *err)
{
    json_t *row;
    int more, rc = 0;
    while (!rc && (more = jsonl_next(in, &row, err)) != 0) {
        if (more < 0)
            return more;
        const char *id = json_string_value(json_object_get(row, "id")),
                   *q = json_string_value(json_object_get(row, "question")),
                   *t = json_string_value(json_object_get(row, "answer"));
        int i = attempt_named(a, id);
        if (i < 0)
            rc =
                error_set(err, ERROR_DATA, "%s:%ld: \"%s\" is not a kept attempt of round %d; lines may only be struck",
                          jsonl_name(in), jsonl_line(in), id ? id : "", a->round);
        else if (!q || !t || strcmp(q, a->attempts[i].question.text) || strcmp(t, a->attempts[i].answer.text))
            rc = error_set(err, ERROR_DATA, "%s:%ld: the text of %s was changed; lines may only be struck",
                           jsonl_name(in), jsonl_line(in), id);
        else
            left[i] = 1;
        json_decref(row);
    }
    return rc;
}

int align_read_review(struct align *a, int *kept, struct error *err)
{
    char *path = align_round_file(a, a->round, "review.jsonl"), *left = mem_calloc((size_t)a->n_attempt + 1, 1);
    struct jsonl *in = NULL;
    int rc = path && left ? jsonl_open(&in, path, err) : error_set_nomem(err, 64, "path");
    if (!rc)
        rc = read_lines(a, in, left, err);
    jsonl_close(in);
    *kept = 0;
    if (!rc)
        rc = run_begin(a->run, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        struct run_attempt *t = &a->attempts[i];
        if (t->verdict.kept && !left[i]) {
            t->verdict.kept = 0;
            t->verdict.reason = sift_reason_name(SIFT_STRUCK);
            rc = run_put_verdict(a->run, a->round, i, &t->verdict, err);
        }
    }
    rc = rc ? rc : align_apply_review(a, err);
    for (int i = 0; i < a->n_attempt; i++)
        *kept += a->attempts[i].verdict.kept;
    if (!rc)
        rc = run_commit(a->run, err);
    else
        run_rollback(a->run);
    mem_free(path);
    mem_free(left);
    return rc;
}
