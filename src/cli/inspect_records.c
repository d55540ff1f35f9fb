/* SPDX-License-Identifier: Apache-2.0 */
/* isara inspect FILE: what a file of records is taken for, by the reader of all verbs (io/record_reader.h). */
#include "cli/parts.h"

#include "answer/seeds.h"
#include "base/log.h"
#include "base/printable.h"
#include "io/record.h"
#include "method/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 3, MOST_LINTED = 500 /* pairs, each of which is compared with each */ };

struct found {
    const char *format; /* of the first record */
    int mixed;          /* records of another format */
    int pairs, questions, texts, others, turns, system;
    json_t *fields, *rows, *warnings; /* name: in how many records */
};

static void count_fields(struct found *f, const json_t *record)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, name, value)
    {
        if (json_is_null(value) || (json_object_size(f->fields) >= 64 && !json_object_get(f->fields, name)))
            continue;
        json_int_t n = json_integer_value(json_object_get(f->fields, name));
        json_object_set_new(f->fields, name, json_integer(n + 1));
    }
}

static void warn(struct found *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct found *f, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(f->warnings, json_string(text));
}

/* What is taken as it stands, where it is no question; NULL: it is one. */
static const char *plain_format(const json_t *record)
{
    if (record_has(record, "prompt_token_ids") || record_has(record, "completion_token_ids") ||
        record_has(record, "token_ids"))
        return "token ids";
    return record_has(record, "text") && !record_shape(record, 0) ? "text" : NULL;
}

static void show_row(struct found *f, long line, const char *one, const char *first, const char *other,
                     const char *second)
{
    if (json_array_size(f->rows) < SHOWN)
        json_array_append_new(f->rows,
                              second ? json_pack("{s:I, s:s, s:s}", "line", (json_int_t)line, one, first, other, second)
                                     : json_pack("{s:I, s:s}", "line", (json_int_t)line, one, first));
}

static int take_pair(struct found *f, const struct record_reader *in, const json_t *record,
                     const struct record_shape *shape, struct error *err)
{
    struct record_pair pair;
    int rc = record_pair(&pair, record, shape, err);
    if (!rc && !pair.question.len)
        warn(f, "%s: the question is %s", record_reader_where(in), pair.has_question ? "empty" : "missing");
    f->pairs += !rc && pair.question.len && pair.answer.len;
    f->questions += !rc && pair.question.len && !pair.answer.len;
    f->turns += !rc && pair.n_more;
    f->system += !rc && pair.n_system;
    if (!rc)
        show_row(f, record_reader_line(in), "question", buf_text(&pair.question), "answer",
                 pair.answer.len ? pair.answer.data : NULL);
    record_pair_free(&pair);
    return rc;
}

static void take_record(struct found *f, const struct record_reader *in, const json_t *record)
{
    const struct record_shape *shape = record_shape(record, 0);
    const char *plain = plain_format(record), *format = shape ? shape->name : plain;
    struct error problem = {0};
    count_fields(f, record);
    if (record_reader_odd(in))
        warn(f, "%s", record_reader_odd(in));
    if (!f->format && !f->others)
        f->format = format;
    f->mixed += format && f->format && strcmp(format, f->format) != 0;
    if (plain) {
        const char *text = json_string_value(json_object_get(record, "text"));
        f->texts++;
        show_row(f, record_reader_line(in), "text", text ? text : "(token ids)", NULL, NULL);
    } else if (!shape) {
        f->others++;
    } else if (take_pair(f, in, record, shape, &problem)) {
        warn(f, "%s: %s", record_reader_where(in), problem.message);
    }
}

static void collect(void *user, const char *line)
{
    warn(user, "%s", line);
}

/* What align would say of them. */
static void lint(struct found *f, struct record_source source)
{
    source.again = 1;
    struct seeds seeds = {0};
    struct error problem = {0};
    if (f->questions || f->texts || f->others || f->pairs < 1 || f->pairs > MOST_LINTED || !strcmp(source.path, "-"))
        return;
    if (seeds_read_fields(&seeds, source, 1, &problem) || seeds_lint(&seeds, source.path, 1, collect, f, &problem))
        warn(f, "%s", problem.message);
    else if (seeds.n_unsafe)
        warn(f, "%d pairs that most call unsafe are left out of seeds", seeds.n_unsafe);
    seeds_free(&seeds);
}

static void summarise(struct found *f, const struct record_reader *in)
{
    const struct record_count count = record_reader_count(in);
    if (f->mixed)
        warn(f, "%d records are of another format than the first; seeds and test sets are read by the first one's",
             f->mixed);
    if (f->others)
        warn(f, "%d records have no question: name its field with --question-field", f->others);
    if (f->turns)
        warn(f, "of %d records only the first question and answer are a pair", f->turns);
    if (f->system)
        warn(f, "%d system messages are not part of a pair", f->system);
    if (count.n_left_out)
        warn(f, "%ld records with \"kept\": false are left out", count.n_left_out);
}

static const char *taken_by(const struct found *f)
{
    if (f->others || !f->format)
        return "no verb as it is";
    if (f->texts)
        return "--data, --input of embed and tokenize, --test of eval --task perplexity";
    return f->questions ? "--test, --input" : "--seeds, --test, --data, --input";
}

static void print_fields(const json_t *fields)
{
    const char *name;
    json_t *n;
    char shown[80];
    int first = 1;
    printf("fields    ");
    json_object_foreach((json_t *)(uintptr_t)fields, name, n)
    {
        printf("%s%s %lld", first ? "" : ", ", printable_copy(shown, sizeof shown, name),
               (long long)json_integer_value(n));
        first = 0;
    }
    puts("");
}

static void print_text(const char *name, const char *text)
{
    struct buf copy = BUF_INIT;
    size_t n = strlen(text), most = 600;
    while (n > most && most > 590 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    buf_append(&copy, text, n > most ? most : n);
    if (copy.data)
        printable(copy.data);
    printf("%-9s %s%s\n", name, buf_text(&copy), n > most ? " ..." : "");
    buf_free(&copy);
}

static void print_found(const struct found *f, const struct record_reader *in, const char *path)
{
    char form[80];
    json_t *row, *text;
    const char *name;
    size_t i;
    record_reader_form(in, form);
    printf("path      %s\nform      %s\nformat    %s\n", path, form, f->format ? f->format : "none that is known");
    print_fields(f->fields);
    printf("records   %ld: %d pairs, %d questions without an answer, %d texts\ntaken by  %s\n",
           record_reader_count(in).n, f->pairs, f->questions, f->texts, taken_by(f));
    json_array_foreach(f->warnings, i, text) print_text("warning", json_string_value(text));
    json_array_foreach(f->rows, i, row)
    {
        printf("--- line %lld\n", (long long)json_integer_value(json_object_get(row, "line")));
        json_object_foreach(row, name, text) if (json_is_string(text)) print_text(name, json_string_value(text));
    }
}

static int print_json(const struct found *f, const struct record_reader *in, const char *path, struct error *err)
{
    char form[80];
    record_reader_form(in, form);
    const struct record_count count = record_reader_count(in);
    json_t *all =
        json_pack("{s:s, s:s, s:s?, s:O, s:I, s:I, s:I, s:i, s:i, s:i, s:s, s:O, s:O}", "path", path, "form", form,
                  "format", f->format, "fields", f->fields, "records", (json_int_t)count.n, "left_out",
                  (json_int_t)count.n_left_out, "odd", (json_int_t)count.n_odd, "pairs", f->pairs, "questions",
                  f->questions, "texts", f->texts, "taken_by", taken_by(f), "warnings", f->warnings, "rows", f->rows);
    char *text = all ? json_dumps(all, 0) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(all);
    return text ? 0 : error_set_nomem(err, 1024, "a report");
}

int cli_inspect_records(const struct cli_values *v, const char *path, struct error *err)
{
    struct found f = {.fields = json_object(), .rows = json_array(), .warnings = json_array()};
    struct record_reader *in = NULL;
    json_t *record;
    int rc = f.fields && f.rows && f.warnings ? record_reader_open(&in, cli_source(v, path), err)
                                              : error_set_nomem(err, 64, "a report");
    while (!rc && (rc = record_reader_next(in, &record, err)) == 1) {
        take_record(&f, in, record);
        json_decref(record);
        rc = 0;
    }
    if (!rc) {
        summarise(&f, in);
        lint(&f, cli_source(v, path));
        if (v->json)
            rc = print_json(&f, in, path, err);
        else
            print_found(&f, in, path);
    }
    record_reader_close(in);
    json_decref(f.fields);
    json_decref(f.rows);
    json_decref(f.warnings);
    return rc;
}
