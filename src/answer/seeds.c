/* SPDX-License-Identifier: Apache-2.0 */
/* Reading pairs. io/record.h knows the fields that hold question and answer; a record is one object whether it came
 * from JSON or from a table, so there is one way from a record to a pair. */
#include "answer/seeds.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/record.h"

#include <stdio.h>
#include <string.h>

static const char common_fields[] = " id category source dataset kept ";

struct seed_reader {
    struct seeds *out;
    struct record_reader *in;
    const struct record_shape *format;
    int need_answer, cap;
    /* SAFETY: one a record, gathered afterwards */
    struct vote {
        uint64_t pair;
        int safe, unsafe, first;
    } * votes;
    struct error *err;
};

static int keep_text(struct seed_reader *r, const struct buf *text, const char **out)
{
    *out = arena_strndup(&r->out->arena, buf_text(text), text->len);
    return *out ? 0 : error_set_nomem(r->err, text->len, "seeds");
}

static int pair_of(struct seed_reader *r, const json_t *record, struct seed *s)
{
    struct record_pair pair;
    int rc = record_pair(&pair, record, r->format, r->err);
    if (!rc && pair.has_question)
        rc = keep_text(r, &pair.question, &s->question);
    if (!rc && pair.answer.len)
        rc = keep_text(r, &pair.answer, &s->answer);
    r->out->n_turns += pair.n_more > 0;
    r->out->n_system += pair.n_system > 0;
    record_pair_free(&pair);
    return rc;
}

static int id_of(struct seed_reader *r, const json_t *record, const char **out)
{
    char room[24];
    *out = arena_strdup(&r->out->arena, record_id(record, record_reader_count(r->in).n - 1, room));
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

static int count_vote(struct seed_reader *r, const json_t *record, const struct seed *s)
{
    int yes = record_flag(json_object_get(record, "is_safe"));
    if (yes < 0)
        return error_set(r->err, ERROR_DATA, "%s: \"is_safe\": wanted true or false", record_reader_where(r->in));
    uint64_t parts[2] = {hash64(s->question, strlen(s->question)),
                         s->answer ? hash64(s->answer, strlen(s->answer)) : 0};
    r->votes[r->out->n] = (struct vote){hash64(parts, sizeof parts), yes, !yes, 1};
    return 0;
}

static int add_record(struct seed_reader *r, const json_t *record)
{
    struct seeds *out = r->out;
    struct seed s = {.line = record_reader_line(r->in)};
    int rc;
    if (!r->format && !(r->format = record_shape(record, r->need_answer)))
        return record_refuse(record, r->err);
    if ((rc = grow(r)) || (rc = id_of(r, record, &s.id)) || (rc = pair_of(r, record, &s)))
        return rc;
    note_unknown(r, record);
    if (!s.question || !*s.question)
        return error_set(r->err, ERROR_DATA, "%s: the question is %s; wanted some text", record_reader_where(r->in),
                         s.question ? "empty" : "missing");
    if (!s.answer && r->need_answer)
        return error_set(r->err, ERROR_DATA, "%s: the answer is empty or missing; a seed needs one",
                         record_reader_where(r->in));
    if (r->format->kind == RECORD_SAFETY && (rc = count_vote(r, record, &s)))
        return rc;
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

static int read_records(struct seed_reader *r, struct record_source source)
{
    json_t *record;
    int more, rc = record_reader_open(&r->in, source, r->err);
    if (rc)
        return rc;
    while (!rc && (more = record_reader_next(r->in, &record, r->err)) != 0) {
        rc = more < 0 ? more : record_reader_explain(r->in, add_record(r, record), r->err);
        if (more > 0)
            json_decref(record);
    }
    const struct record_count count = record_reader_count(r->in);
    r->out->n_record = (int)count.n;
    r->out->n_left_out = (int)count.n_left_out;
    record_reader_close(r->in);
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
    return seeds_read_fields(out, (struct record_source){.path = path}, need_answer, err);
}

int seeds_read_fields(struct seeds *out, struct record_source source, int need_answer, struct error *err)
{
    *out = (struct seeds){.format = "none"};
    struct seed_reader r = {.out = out, .need_answer = need_answer, .err = err};
    int rc = read_records(&r, source);
    if (!rc && r.format && r.format->kind == RECORD_SAFETY)
        settle_votes(&r);
    if (!rc && !out->n)
        rc = error_set(err, ERROR_DATA, "%s: no %s found in %d records%s", source.path,
                       need_answer ? "question-answer pair" : "question", out->n_record,
                       out->n_left_out ? ", all with \"kept\": false" : "");
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
