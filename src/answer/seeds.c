/* SPDX-License-Identifier: Apache-2.0 */
/* Reading pairs. io/record.h knows the fields that hold question and answer; a record is one object whether it came
 * from JSON or from a table, so there is one way from a record to a pair. */
#include "answer/seeds.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/jsonl.h"
#include "io/record.h"

#include <stdio.h>
#include <string.h>

static const char common_fields[] = " id category source dataset kept ";

struct seed_reader {
    struct seeds *out;
    const struct record_shape *format;
    const char *odd; /* about the record at hand, or NULL */
    const char *path;
    int need_answer, cap;
    /* SAFETY: one a record, gathered afterwards */
    struct vote {
        uint64_t pair;
        int safe, unsafe, first;
    } * votes;
    struct error *err;
};

static int unknown_format(const struct seed_reader *r, const json_t *record, long line)
{
    struct buf keys = BUF_INIT;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)record, key, value) buf_printf(&keys, "%s\"%s\"", keys.len ? ", " : "", key);
    int rc =
        error_set(r->err, ERROR_DATA,
                  "%s:%ld: wanted fields such as \"question\" and \"answer\" (docs/FORMATS.md lists all), found %s",
                  r->path, line, keys.len ? keys.data : "none");
    buf_free(&keys);
    return rc;
}

/* A member that must be text; trimmed into the arena. Absent: *out NULL. */
static int text_of(struct seed_reader *r, const json_t *record, const char *key, long line, const char **out)
{
    const json_t *v = json_object_get(record, key);
    *out = NULL;
    if (!v || json_is_null(v))
        return 0;
    struct buf text = BUF_INIT;
    int rc =
        record_text(v, &text) ? error_set(r->err, ERROR_DATA, "%s:%ld: \"%s\": wanted a text", r->path, line, key) : 0;
    const char *s = text.data ? text.data : "";
    size_t n = text.len;
    while (n && (unsigned char)s[n - 1] <= ' ')
        n--;
    while (n && (unsigned char)*s <= ' ') {
        s++;
        n--;
    }
    if (!rc && (text.failed || !(*out = arena_strndup(&r->out->arena, s, n))))
        rc = error_set_nomem(r->err, n, "seeds");
    buf_free(&text);
    return rc;
}

/* Question and, after it, answer of a conversation: the first of each side. */
static int first_pair(struct seed_reader *r, const json_t *list, long line, const char **question, const char **answer)
{
    const json_t *turn;
    size_t i;
    int turns = 0, system = 0;
    json_array_foreach(list, i, turn)
    {
        const char *side = json_string_value(json_object_get(turn, "role")), *text;
        int rc = text_of(r, turn, "content", line, &text);
        if (rc)
            return rc;
        int user = !strcmp(side, "user"), other = !strcmp(side, "assistant");
        if (user && !*question)
            *question = text;
        else if (other && *question && !*answer)
            *answer = text;
        else
            turns += user || other;
        system += !strcmp(side, "system") && text && *text;
    }
    r->out->n_turns += turns > 0;
    r->out->n_system += system > 0;
    return 0;
}

static int turns_of(struct seed_reader *r, const json_t *record, long line, const char **question, const char **answer)
{
    char problem[80];
    json_t *list = record_turns(record, r->format, problem);
    if (!list)
        return error_set(r->err, ERROR_DATA, "%s:%ld: \"%s\": %s", r->path, line, r->format->question, problem);
    int before = r->out->n_system, rc = first_pair(r, list, line, question, answer);
    if (r->out->n_system == before && json_string_length(json_object_get(record, "system")))
        r->out->n_system++;
    json_decref(list);
    return rc;
}

static int question_of(struct seed_reader *r, const char **question, const char *input)
{
    if (!input || !*input || !*question)
        return 0;
    size_t n = strlen(*question) + strlen(input) + 2;
    char *both = arena_alloc(&r->out->arena, n);
    if (!both)
        return error_set_nomem(r->err, n, "seeds");
    snprintf(both, n, "%s\n%s", *question, input);
    *question = both;
    return 0;
}

static int pair_of(struct seed_reader *r, const json_t *record, long line, const char **question, const char **answer)
{
    const struct record_shape *f = r->format;
    const char *input = NULL;
    int rc;
    *question = *answer = NULL;
    if (f->kind == RECORD_TURNS)
        return turns_of(r, record, line, question, answer);
    if (f->kind == RECORD_INSTANCES) {
        const json_t *list = json_object_get(record, "instances"), *one = json_array_get(list, 0);
        r->out->n_turns += json_array_size(list) > 1;
        if ((rc = text_of(r, record, "instruction", line, question)) || (rc = text_of(r, one, "input", line, &input)) ||
            (rc = text_of(r, one, "output", line, answer)))
            return rc;
        return question_of(r, question, input);
    }
    if ((rc = text_of(r, record, f->question, line, question)) ||
        (f->answer && (rc = text_of(r, record, f->answer, line, answer))) ||
        (f->input && (rc = text_of(r, record, f->input, line, &input))))
        return rc;
    return question_of(r, question, input);
}

static int id_of(struct seed_reader *r, const json_t *record, int number, const char **out)
{
    const json_t *id = json_object_get(record, "id");
    char text[32];
    if (json_is_string(id))
        *out = arena_strdup(&r->out->arena, json_string_value(id));
    else {
        snprintf(text, sizeof text, "%lld",
                 json_is_integer(id) ? (long long)json_integer_value(id) : (long long)number);
        *out = arena_strdup(&r->out->arena, text);
    }
    return *out ? 0 : error_set_nomem(r->err, 32, "seeds");
}

static void note_unknown(struct seed_reader *r, const json_t *record)
{
    const char *key;
    json_t *value;
    const struct record_shape *f = r->format;
    json_object_foreach((json_t *)record, key, value)
    {
        char spaced[64];
        snprintf(spaced, sizeof spaced, " %s ", key);
        if (!strcmp(key, f->question) || (f->answer && !strcmp(key, f->answer)) ||
            (f->input && !strcmp(key, f->input)) || strstr(f->also, spaced) || strstr(common_fields, spaced))
            continue;
        size_t used = strlen(r->out->unknown);
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%.40s\"", key);
        if (!strstr(r->out->unknown, quoted) && used + strlen(quoted) + 3 < sizeof r->out->unknown)
            snprintf(r->out->unknown + used, sizeof r->out->unknown - used, "%s%s", used ? ", " : "", quoted);
    }
}

static int grow(struct seed_reader *r)
{
    if (r->out->n < r->cap)
        return 0;
    int cap = r->cap * 2 + 64;
    struct seed *items = mem_resize(r->out->items, (size_t)cap * sizeof *items);
    if (items)
        r->out->items = items;
    struct vote *votes = mem_resize(r->votes, (size_t)cap * sizeof *votes);
    if (votes)
        r->votes = votes;
    if (!items || !votes)
        return error_set_nomem(r->err, (size_t)cap * sizeof *items, "seeds");
    r->cap = cap;
    return 0;
}

static int add_record(struct seed_reader *r, json_t *record, long line)
{
    struct seeds *out = r->out;
    struct seed s = {.line = line};
    int rc;
    if (record_fold_names(record))
        return error_set_nomem(r->err, 64, "a record");
    if (!r->format && !(r->format = record_shape(record, r->need_answer)))
        return unknown_format(r, record, line);
    if (record_is_left_out(record)) {
        out->n_record++;
        out->n_left_out++;
        return 0;
    }
    if ((rc = grow(r)) || (rc = id_of(r, record, out->n_record, &s.id)) ||
        (rc = pair_of(r, record, line, &s.question, &s.answer)))
        return rc;
    out->n_record++;
    note_unknown(r, record);
    if (!s.question || !*s.question)
        return error_set(r->err, ERROR_DATA, "%s:%ld: the question is %s; wanted some text", r->path, line,
                         s.question ? "empty" : "missing");
    if (s.answer && !*s.answer)
        s.answer = NULL;
    if (!s.answer && r->need_answer)
        return error_set(r->err, ERROR_DATA, "%s:%ld: the answer is empty or missing; a seed needs one", r->path, line);
    const json_t *safe = json_object_get(record, "is_safe");
    if (r->format->kind == RECORD_SAFETY) {
        int yes = record_flag(safe);
        if (yes < 0)
            return error_set(r->err, ERROR_DATA, "%s:%ld: \"is_safe\": wanted true or false", r->path, line);
        uint64_t parts[2] = {hash64(s.question, strlen(s.question)), s.answer ? hash64(s.answer, strlen(s.answer)) : 0};
        r->votes[out->n] = (struct vote){hash64(parts, sizeof parts), yes, !yes, 1};
    }
    out->items[out->n++] = s;
    return 0;
}

/* BeaverTails: annotations of the same pair are counted together. Seeds: pairs that most call safe. Tests: every prompt
 * once, with its first safe answer. */
static void settle_votes(struct seed_reader *r)
{
    struct seeds *s = r->out;
    int kept = 0;
    for (int i = 0; i < s->n; i++)
        for (int j = 0; j < i; j++)
            if (r->votes[j].pair == r->votes[i].pair) {
                r->votes[j].safe += r->votes[i].safe;
                r->votes[j].unsafe += r->votes[i].unsafe;
                r->votes[i].first = 0;
                break;
            }
    for (int i = 0; i < s->n; i++) {
        struct vote *v = &r->votes[i];
        struct seed item = s->items[i];
        if (!v->first)
            continue;
        s->n_contradictory += v->safe && v->unsafe;
        int safe = v->safe > v->unsafe, known = -1;
        if (r->need_answer) {
            s->n_unsafe += !safe;
            if (safe)
                s->items[kept++] = item;
            continue;
        }
        item.answer = safe ? item.answer : NULL;
        for (int j = 0; j < kept && known < 0; j++)
            known = !strcmp(s->items[j].question, item.question) ? j : -1;
        if (known < 0)
            s->items[kept++] = item;
        else if (!s->items[known].answer)
            s->items[known].answer = item.answer;
    }
    s->n = kept;
}

static int read_records(struct seed_reader *r)
{
    struct jsonl *in;
    json_t *record;
    int rc = jsonl_open(&in, r->path, r->err), more;
    if (rc)
        return rc;
    while (!rc && (more = jsonl_next_record(in, &record, &r->odd, r->err)) != 0) {
        rc = more < 0 ? more : add_record(r, record, jsonl_line(in));
        if (more > 0)
            json_decref(record);
        if (rc && more > 0 && r->odd && r->err) {
            const struct error own = *r->err;
            error_set(r->err, rc, "%.400s (%.400s)", own.message, r->odd);
        }
    }
    jsonl_close(in);
    return rc;
}

static void hash_pairs(struct seeds *s)
{
    struct sha256 *h = sha256_new();
    for (int i = 0; h && i < s->n; i++) { /* the end of each text is marked by its NUL */
        sha256_add(h, s->items[i].question, strlen(s->items[i].question) + 1);
        sha256_add(h, s->items[i].answer ? s->items[i].answer : "",
                   s->items[i].answer ? strlen(s->items[i].answer) + 1 : 0);
    }
    if (h)
        sha256_finish(h, s->sha256);
}

int seeds_read(struct seeds *out, const char *path, int need_answer, struct error *err)
{
    *out = (struct seeds){.format = "none"};
    struct seed_reader r = {.out = out, .path = path, .need_answer = need_answer, .err = err};
    int rc = read_records(&r);
    if (!rc && r.format && r.format->kind == RECORD_SAFETY)
        settle_votes(&r);
    if (!rc && !out->n)
        rc = error_set(err, ERROR_DATA, "%s: no %s found in %d records", path,
                       need_answer ? "question-answer pair" : "question", out->n_record);
    mem_free(r.votes);
    if (rc) {
        seeds_free(out);
        return rc;
    }
    out->format = r.format->name;
    hash_pairs(out);
    return out->sha256[0] ? 0 : (seeds_free(out), error_set_nomem(err, 128, "hash"));
}

void seeds_free(struct seeds *s)
{
    mem_free(s->items);
    arena_free(&s->arena);
    *s = (struct seeds){0};
}
