/* SPDX-License-Identifier: Apache-2.0 */
#include "io/record_reader.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/jsonl.h"
#include "io/record.h"

#include <stdio.h>
#include <string.h>

struct record_reader {
    struct jsonl *in;
    char *question, *answer; /* fields, as folded names */
    const char *odd;
    struct record_count count;
    int begun, all, again;
    char where[300];
};

static int take_field(char **out, const char *name, struct error *err)
{
    json_t *alone = name ? json_pack("{s:n}", name) : NULL;
    if (!name)
        return 0;
    if (alone && !record_fold_names(alone))
        *out = mem_strdup(json_object_iter_key(json_object_iter(alone)));
    json_decref(alone);
    return *out ? 0 : error_set_nomem(err, strlen(name), "the name of a field");
}

int record_reader_open(struct record_reader **out, struct record_source source, struct error *err)
{
    *out = NULL;
    struct record_reader *r = mem_calloc(1, sizeof *r);
    int rc = r ? jsonl_open(&r->in, source.path, err) : error_set_nomem(err, sizeof *r, source.path);
    rc = rc ? rc : take_field(&r->question, source.question_field, err);
    rc = rc ? rc : take_field(&r->answer, source.answer_field, err);
    if (rc) {
        record_reader_close(r);
        return rc;
    }
    if (r->question || r->answer)
        jsonl_expect_names(r->in);
    if (source.again)
        jsonl_hush(r->in);
    r->again = source.again;
    *out = r;
    return 0;
}

void record_reader_take_all(struct record_reader *r)
{
    r->all = 1;
}

void record_reader_close(struct record_reader *r)
{
    if (!r)
        return;
    if (!r->again && r->in && jsonl_is_unnamed(r->in))
        log_line(LOG_WARNING,
                 "%s: no row of names: the first column is taken as questions, the second as answers, from the first "
                 "row on; put \"question\" and \"answer\" there if it is one, or say --question-field",
                 jsonl_name(r->in));
    jsonl_close(r->in);
    mem_free(r->question);
    mem_free(r->answer);
    mem_free(r);
}

/* The first field of these that the record has. */
static json_t *first_of(const json_t *record, const char *const *names)
{
    for (; *names; names++)
        if (record_has(record, *names))
            return json_object_get(record, *names);
    return NULL;
}

static int keep_only(json_t *record, json_t *question, json_t *answer)
{
    static const char *const others[] = {"id", "kept", "is_safe", "finish_reason", NULL};
    json_t *kept = json_object();
    int rc = !kept;
    for (int i = 0; others[i] && !rc; i++)
        if (json_object_get(record, others[i]))
            rc = json_object_set(kept, others[i], json_object_get(record, others[i]));
    if (question)
        rc = rc || json_object_set(kept, "question", question);
    if (answer)
        rc = rc || json_object_set(kept, "answer", answer);
    rc = rc || json_object_clear(record) || json_object_update(record, kept);
    json_decref(kept);
    return rc;
}

static int lacks_field(const struct record_reader *r, const json_t *record, struct error *err)
{
    const char *option = "question-field", *name = r->question;
    if (!r->question || record_has(record, r->question)) {
        option = "answer-field";
        name = r->answer;
    }
    struct buf keys = BUF_INIT;
    record_keys(record, &keys);
    int rc = error_set(err, ERROR_DATA, "%s: wanted a field \"%.80s\" (--%s), found %.300s", r->where, name, option,
                       buf_text(&keys));
    buf_free(&keys);
    return rc;
}

/* Question and answer by the fields that were named. A file that has none of them is read by the names it has. */
static int choose_fields(struct record_reader *r, json_t *record, struct error *err)
{
    static const char *const questions[] = {"question", "prompt", "instruction", "query", "input", "user", NULL};
    static const char *const answers[] = {"answer", "best_answer", "response", "completion",
                                          "output", "target",      "chosen",   NULL};
    int first = !r->begun;
    json_t *question = r->question ? json_object_get(record, r->question) : first_of(record, questions),
           *answer = r->answer ? json_object_get(record, r->answer) : first_of(record, answers);
    if (first && ((r->question && !question) || (r->answer && !answer))) {
        if (!record_shape(record, 0) && !record_has(record, "text"))
            return lacks_field(r, record, err);
        if (!r->again)
            log_line(LOG_WARNING, "%s: no field \"%s\" in this file, which is read by the names that it has", r->where,
                     r->question && !question ? r->question : r->answer);
        mem_free(r->question);
        mem_free(r->answer);
        r->question = r->answer = NULL;
        return 0;
    }
    return keep_only(record, question, answer) ? error_set_nomem(err, 64, "a record") : 0;
}

int record_reader_by_fields(const struct record_reader *r)
{
    return r->question || r->answer;
}

int record_reader_next(struct record_reader *r, json_t **record, struct error *err)
{
    for (;;) {
        int rc = jsonl_next_record(r->in, record, &r->odd, err);
        if (rc != 1)
            return rc;
        snprintf(r->where, sizeof r->where, "%s:%ld", jsonl_name(r->in), jsonl_line(r->in));
        rc = record_fold_names(*record) ? error_set_nomem(err, 64, "a record") : 0;
        if (!rc && (r->question || r->answer))
            rc = choose_fields(r, *record, err);
        r->begun = 1;
        r->count.n++;
        r->count.n_odd += r->odd != NULL;
        if (!rc && (r->all || !record_is_left_out(*record)))
            return 1;
        r->count.n_left_out += !rc;
        json_decref(*record);
        *record = NULL;
        if (rc)
            return rc;
    }
}

void record_reader_warn(const struct record_reader *r)
{
    if (r->count.n_left_out)
        log_line(LOG_WARNING, "%s: %ld records with \"kept\": false are left out", jsonl_name(r->in),
                 r->count.n_left_out);
}

int record_each(struct record_source source, int limit, record_take *take, void *user, struct error *err)
{
    struct record_reader *r = NULL;
    json_t *record;
    char first[300] = "";
    int n = 0, rc = record_reader_open(&r, source, err);
    while (!rc && (!limit || n++ < limit) && (rc = record_reader_next(r, &record, err)) == 1) {
        if (r->odd && !*first)
            snprintf(first, sizeof first, "%s", r->odd);
        rc = record_reader_explain(r, take(user, record, err), err);
        json_decref(record);
    }
    if (!rc && *first)
        log_line(LOG_WARNING, "%ld records have a field that cannot be read: %s", r->count.n_odd, first);
    if (!rc)
        record_reader_warn(r);
    record_reader_close(r);
    return rc;
}

struct loading {
    json_t *all;
    record_take *take;
    void *user;
};

static int load_one(void *user, json_t *record, struct error *err)
{
    const struct loading *to = user;
    int rc = to->take ? to->take(to->user, record, err) : 0;
    return !rc && json_array_append(to->all, record) ? error_set_nomem(err, 64, "records") : rc;
}

int record_load(json_t **array, struct record_source source, int limit, record_take *take, void *user,
                struct error *err)
{
    struct loading to = {json_array(), take, user};
    int rc = to.all ? record_each(source, limit, load_one, &to, err) : error_set_nomem(err, 64, source.path);
    *array = rc ? NULL : to.all;
    if (rc)
        json_decref(to.all);
    return rc;
}

const char *record_reader_where(const struct record_reader *r)
{
    return r->where;
}

long record_reader_line(const struct record_reader *r)
{
    return jsonl_line(r->in);
}

long record_reader_number(const struct record_reader *r)
{
    return jsonl_is_lines(r->in) ? jsonl_line(r->in) - 1 : r->count.n - 1;
}

const char *record_reader_odd(const struct record_reader *r)
{
    return r->odd;
}

int record_reader_explain(const struct record_reader *r, int rc, struct error *err)
{
    if (!rc || !err)
        return rc;
    if (!strstr(err->message, r->where))
        error_prefix(err, "%s", r->where);
    if (!r->odd)
        return rc;
    const struct error own = *err;
    return error_set(err, rc, "%.400s (%.400s)", own.message, r->odd);
}

struct record_count record_reader_count(const struct record_reader *r)
{
    return r->count;
}

void record_reader_form(const struct record_reader *r, char text[80])
{
    snprintf(text, 80, "%s%s", jsonl_form(r->in), jsonl_is_packed(r->in) ? ", gzip" : "");
}
