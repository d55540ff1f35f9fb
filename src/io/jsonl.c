/* SPDX-License-Identifier: Apache-2.0 */
/* An array is not parsed whole: a scanner that knows only strings and brackets cuts out one element's text at a time,
 * and that is parsed. What a person's record may be is decided once, here: a limit for each record keeps a hostile one
 * from the memory (16 MiB of "{}," are 1.4 GB of objects). */
#include "io/jsonl.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/csv.h"
#include "io/input.h"
#include "io/jsontext.h"
#include "io/record.h"

#include <string.h>
#include <strings.h>

enum mode { UNKNOWN, LINES, ARRAY_FIRST, ARRAY_NEXT, TABLE, AT_END };

struct jsonl {
    struct input *in;
    struct csv *table;
    struct buf text, odd;
    enum mode mode;
    int forgiving, too_long, hushed;
    int named, unnamed, is_array; /* a table's first row: has to be one of names, is none */
    char delimiter;
    long line, column, record_line,
        repaired; /* line, column: of the next byte (arrays), of the last line read (lines) */
};

static int open_records(struct jsonl **out, struct jsonl *r, int rc)
{
    if (rc) {
        jsonl_close(r);
        return rc;
    }
    r->line = r->column = 1;
    *out = r;
    return 0;
}

int jsonl_open(struct jsonl **out, const char *path, struct error *err)
{
    *out = NULL;
    struct jsonl *r = mem_calloc(1, sizeof *r);
    return r ? open_records(out, r, input_open(&r->in, path, err)) : error_set_nomem(err, sizeof *r, path);
}

int jsonl_open_bytes(struct jsonl **out, const void *bytes, size_t n, const char *name, struct error *err)
{
    *out = NULL;
    struct jsonl *r = mem_calloc(1, sizeof *r);
    return r ? open_records(out, r, input_open_bytes(&r->in, bytes, n, name, err))
             : error_set_nomem(err, sizeof *r, name);
}

void jsonl_close(struct jsonl *r)
{
    if (!r)
        return;
    if (r->repaired && !r->hushed)
        log_line(LOG_WARNING,
                 "%s: %ld records hold lone surrogate escapes (\\ud83d without its half), which are read as U+FFFD",
                 input_name(r->in), r->repaired);
    csv_close(r->table);
    input_close(r->in);
    buf_free(&r->text);
    buf_free(&r->odd);
    mem_free(r);
}

int jsonl_is_lines(const struct jsonl *r)
{
    return r->mode == LINES;
}

void jsonl_hush(struct jsonl *r)
{
    r->hushed = 1;
}

void jsonl_expect_names(struct jsonl *r)
{
    r->named = 1;
}

const char *jsonl_form(const struct jsonl *r)
{
    if (!r->table)
        return r->is_array ? "a JSON array" : "JSON Lines";
    if (r->delimiter == '\t')
        return "a table with tabs between its fields";
    return r->delimiter == ';' ? "a table with semicolons between its fields"
                               : "a table with commas between its fields";
}

int jsonl_is_packed(const struct jsonl *r)
{
    return input_is_packed(r->in);
}

int jsonl_is_unnamed(const struct jsonl *r)
{
    return r->unnamed;
}

long jsonl_line(const struct jsonl *r)
{
    return r->record_line;
}

const char *jsonl_name(const struct jsonl *r)
{
    return input_name(r->in);
}

static int is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int long_record(struct jsonl *r, json_t **record, struct error *err)
{
    if (!r->forgiving)
        return error_set(err, ERROR_DATA, "%s:%ld: a record is longer than the %d bytes allowed", input_name(r->in),
                         r->record_line, JSONL_MAX_RECORD);
    buf_printf(&r->odd, "%s:%ld: the record is longer than the %d bytes allowed", input_name(r->in), r->record_line,
               JSONL_MAX_RECORD);
    *record = json_object();
    return *record ? 1 : error_set_nomem(err, 64, input_name(r->in));
}

/* What is beyond the limit is passed over and only noted. */
static int keep_text(struct jsonl *r, const char *bytes, size_t n, struct error *err)
{
    if (n > JSONL_MAX_RECORD - r->text.len)
        r->too_long = 1;
    if (!r->too_long)
        buf_append(&r->text, bytes, n);
    return r->text.failed ? error_set_nomem(err, r->text.len, input_name(r->in)) : 0;
}

/* 1 with a line in r->text, without its end, 0 at the end of the input, or an error code. */
static int read_line(struct jsonl *r, struct error *err)
{
    buf_reset(&r->text);
    r->too_long = 0;
    for (int begun = 0;; begun = 1) {
        const char *bytes = NULL;
        size_t n = 0;
        int rc = input_peek(r->in, &bytes, &n, err);
        if (rc <= 0)
            return rc < 0 ? input_place(r->in, r->line, rc, err) : begun;
        const char *end = memchr(bytes, '\n', n);
        size_t take = end ? (size_t)(end - bytes) : n;
        if ((rc = keep_text(r, bytes, take, err)))
            return rc;
        input_skip(r->in, take + (end != NULL));
        if (end)
            return 1;
    }
}

static int parse_record(struct jsonl *r, long column, json_t **record, struct error *err)
{
    static const char *const types[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    long changed = 0;
    if (r->too_long)
        return long_record(r, record, err);
    const struct jsontext text = {r->text.data, r->text.len, input_name(r->in), r->record_line, column};
    int rc = r->forgiving ? jsontext_parse_record(record, text, &changed, &r->odd, err)
                          : jsontext_parse(record, text, &changed, err);
    if (rc) {
        if (err && r->mode == LINES && strstr(err->message, "near end of file") &&
            strlen(err->message) + 60 < sizeof err->message)
            strcat(err->message, "; every line must hold one whole JSON object");
        return rc;
    }
    if (!json_is_object(*record)) {
        rc = error_set(err, ERROR_DATA, "%s:%ld: wanted a JSON object, found %s", input_name(r->in), r->record_line,
                       types[json_typeof(*record)]);
        json_decref(*record);
        *record = NULL;
        return rc;
    }
    r->repaired += changed > 0;
    return 1;
}

static int next_line(struct jsonl *r, json_t **record, struct error *err)
{
    for (;; r->line++) {
        int rc = read_line(r, err);
        if (rc <= 0)
            return rc;
        size_t i = 0;
        while (i < r->text.len && is_space(r->text.data[i]))
            i++;
        if (i < r->text.len || r->too_long)
            break;
    }
    r->record_line = r->line++;
    return parse_record(r, 1, record, err);
}

/* The next byte that is no space, not taken: its value, -1 at the end, or -2 with an error. */
static int peek_byte(struct jsonl *r, struct error *err)
{
    const char *bytes = NULL;
    size_t n = 0;
    for (;;) {
        int rc = input_peek(r->in, &bytes, &n, err);
        if (rc <= 0)
            return rc < 0 && input_place(r->in, r->line, rc, err) ? -2 : -1;
        for (size_t i = 0; i < n; i++) {
            if (!is_space(bytes[i])) {
                input_skip(r->in, i);
                return (unsigned char)bytes[i];
            }
            r->column = bytes[i] == '\n' ? 1 : r->column + 1;
            r->line += bytes[i] == '\n';
        }
        input_skip(r->in, n);
    }
}

static void take_byte(struct jsonl *r)
{
    input_skip(r->in, 1);
    r->column++;
}

/* Text of the element that begins here into r->text: up to the bracket that closes the first one. */
static int cut_element(struct jsonl *r, struct error *err)
{
    int in_string = 0, escaped = 0;
    long depth = 0;
    const char *bytes = NULL;
    size_t n = 0;
    buf_reset(&r->text);
    r->too_long = 0;
    for (;;) {
        int rc = input_peek(r->in, &bytes, &n, err);
        if (rc < 0)
            return input_place(r->in, r->line, rc, err);
        if (!rc)
            return error_set(err, ERROR_DATA, "%s:%ld: the file ends inside the record that begins here; it is cut off",
                             input_name(r->in), r->record_line);
        size_t i = 0;
        int closed = 0;
        while (i < n && !closed) {
            char c = bytes[i++];
            r->column = c == '\n' ? 1 : r->column + 1;
            r->line += c == '\n';
            if (in_string) {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
            } else if (c == '"') {
                in_string = 1;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if (c == '}' || c == ']') {
                closed = --depth == 0;
            }
        }
        if ((rc = keep_text(r, bytes, i, err)))
            return rc;
        input_skip(r->in, i);
        if (closed)
            return 0;
    }
}

static int unexpected(struct jsonl *r, int c, const char *wanted, struct error *err)
{
    if (c == -1)
        return error_set(err, ERROR_DATA, "%s:%ld:%ld: wanted %s, found the end of the file; it is cut off",
                         input_name(r->in), r->line, r->column, wanted);
    return error_set(err, ERROR_DATA, "%s:%ld:%ld: wanted %s, found '%c' (0x%02x)", input_name(r->in), r->line,
                     r->column, wanted, c >= 32 && c < 127 ? c : '?', (unsigned)c);
}

/* After "]": nothing but space. */
static int end_array(struct jsonl *r, struct error *err)
{
    take_byte(r);
    int c = peek_byte(r, err);
    r->mode = AT_END;
    if (c == -1)
        return 0;
    if (c == -2)
        return err ? err->code : ERROR_IO;
    return unexpected(r, c, "the end of the file", err);
}

static int next_element(struct jsonl *r, json_t **record, struct error *err)
{
    int c = peek_byte(r, err);
    if (c == -2)
        return err ? err->code : ERROR_IO;
    if (c == ']')
        return end_array(r, err);
    if (r->mode == ARRAY_NEXT) {
        if (c != ',')
            return unexpected(r, c, "',' or ']'", err);
        take_byte(r);
        if ((c = peek_byte(r, err)) == -2)
            return err ? err->code : ERROR_IO;
        if (c == ']')
            return error_set(err, ERROR_DATA,
                             "%s:%ld:%ld: a trailing comma before ']'; strike the comma after the last record",
                             input_name(r->in), r->line, r->column);
    }
    if (c != '{')
        return unexpected(r, c, "'{' of a record", err);
    r->mode = ARRAY_NEXT;
    r->record_line = r->line;
    long column = r->column;
    int rc = cut_element(r, err);
    return rc ? rc : parse_record(r, column, record, err);
}

static int ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end), z = n > 3 && !strcasecmp(name + n - 3, ".gz") ? 3 : 0;
    return n > k + z && !strncasecmp(name + n - z - k, end, k);
}

/* A field that records commonly have. */
static int is_common(const char *name, size_t n)
{
    static const char *const common[] = {"question",   "prompt",   "text",   "instruction", "input", "query",
                                         "completion", "response", "answer", "output",      NULL};
    for (int k = 0; common[k]; k++)
        if (strlen(common[k]) == n && !strncasecmp(common[k], name, n))
            return 1;
    return 0;
}

/* Whether a first row names one. */
static int names_fields(const char *row, size_t n, char delimiter)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && row[end] != delimiter)
            end++;
        size_t from = i, to = end;
        while (from < to && (is_space(row[from]) || row[from] == '"'))
            from++;
        while (to > from && (is_space(row[to - 1]) || row[to - 1] == '"'))
            to--;
        if (is_common(row + from, to - from))
            return 1;
        i = end + (end < n && row[end] == delimiter);
    }
    return 0;
}

/* Two columns between tabs. */
static int is_tabbed(const char *row, size_t n)
{
    const char *tab = memchr(row, '\t', n);
    return tab && tab > row && !memchr(tab + 1, '\t', (size_t)(row + n - tab - 1));
}

/* The delimiter of a table, or 0: JSON. */
static char find_table(const struct jsonl *r, const char *bytes, size_t n)
{
    const char *name = input_name(r->in);
    int named = ends_with(name, ".csv") || ends_with(name, ".tsv");
    char delimiter = csv_delimiter(bytes, n);
    size_t row = 0;
    while (row < n && bytes[row] != '\n' && bytes[row] != '\r')
        row++;
    if (!n || *bytes == '{' || *bytes == '[')
        return 0;
    if (!delimiter)
        delimiter = ends_with(name, ".tsv") ? '\t' : ',';
    if (!ends_with(name, ".csv") && is_tabbed(bytes, row) && !ends_with(name, ".json") && !ends_with(name, ".jsonl"))
        return '\t';
    if (named)
        return delimiter;
    if (ends_with(name, ".json") || ends_with(name, ".jsonl"))
        return 0;
    return names_fields(bytes, row, delimiter) ? delimiter : 0;
}

/* Excel's first line "sep=;". */
static size_t sep_line(const char *bytes, size_t n, char *delimiter)
{
    if (n < 6 || strncasecmp(bytes, "sep=", 4))
        return 0;
    *delimiter = bytes[4];
    size_t end = bytes[5] == '\r' ? 6 : 5;
    return end < n && bytes[end] == '\n' ? end + 1 : 0;
}

/* Three words, or the end of a sentence: more than a name of a column. */
static int reads_as_text(const char *s)
{
    size_t n = strlen(s);
    int words = 0;
    for (size_t i = 0; i < n; i++)
        words += !is_space(s[i]) && (!i || is_space(s[i - 1]));
    return words >= 3 || (n && strchr(".?!", s[n - 1]));
}

static int lacks_names(const struct jsonl *r)
{
    if (r->named || csv_n_column(r->table) != 2)
        return 0;
    const char *first = csv_column_name(r->table, 0), *second = csv_column_name(r->table, 1);
    return !is_common(first, strlen(first)) && !is_common(second, strlen(second)) &&
           (reads_as_text(first) || reads_as_text(second));
}

/* Two columns of one name: only one of them would be read, in silence. Columns without a name are not read at all. */
static int refuse_twins(const struct csv *table, const char *file, json_t *seen, struct error *err)
{
    for (size_t i = 0; i < csv_n_column(table); i++) {
        const char *name = csv_column_name(table, i), *key = name;
        char spelled[RECORD_MAX_NAME];
        if (record_fold_name(name, spelled, sizeof spelled))
            key = spelled;
        const json_t *twin = json_object_get(seen, key);
        size_t k = twin ? (size_t)json_integer_value(twin) : 0;
        if (twin)
            return error_set(err, ERROR_DATA,
                             "%s:%ld: columns %zu and %zu have one name, \"%.80s\" and \"%.80s\"; wanted every name "
                             "once (in any case and spacing); rename one of them or take it out",
                             file, csv_line(table), k + 1, i + 1, csv_column_name(table, k), name);
        if (name[strspn(name, " ")] && json_object_set_new(seen, key, json_integer((json_int_t)i)))
            return error_set_nomem(err, 64, file);
    }
    return 0;
}

static int check_names(const struct jsonl *r, struct error *err)
{
    json_t *seen = json_object();
    int rc = seen ? refuse_twins(r->table, input_name(r->in), seen, err) : error_set_nomem(err, 64, input_name(r->in));
    json_decref(seen);
    return rc;
}

static int open_table(struct jsonl *r, const char *bytes, size_t n, char delimiter, struct error *err)
{
    static const char *const pair[] = {"question", "answer"};
    size_t sep = sep_line(bytes, n, &delimiter);
    input_skip(r->in, sep);
    r->mode = TABLE;
    r->delimiter = delimiter;
    int rc = csv_open_table(&r->table, r->in, delimiter, err);
    if (!rc && lacks_names(r)) {
        r->unnamed = 1;
        rc = csv_rename_columns(r->table, pair, err);
    }
    rc = rc ? rc : check_names(r, err);
    return rc ? rc : 1;
}

/* A BOM is skipped here for arrays; in lines the parser does. */
static int find_mode(struct jsonl *r, struct error *err)
{
    const char *bytes = NULL;
    size_t n = 0;
    int rc = input_peek_line(r->in, &bytes, &n, err);
    if (rc <= 0)
        return rc;
    size_t bom = n >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0, i = bom;
    while (i < n && is_space(bytes[i]))
        i++;
    char delimiter = find_table(r, bytes + i, n - i);
    r->mode = i < n && bytes[i] == '[' ? ARRAY_FIRST : LINES;
    if (bom)
        input_skip(r->in, bom);
    if (delimiter)
        return open_table(r, bytes + bom, n - bom, delimiter, err);
    if (r->mode == ARRAY_FIRST) {
        r->is_array = 1;
        peek_byte(r, err);
        take_byte(r);
    }
    return 1;
}

static int row_is_empty(const struct csv *c)
{
    for (size_t i = 0; i < csv_n_column(c); i++)
        if (*csv_field(c, i))
            return 0;
    return 1;
}

static int next_row(struct jsonl *r, json_t **record, struct error *err)
{
    int rc = csv_next(r->table, err);
    while (rc == 1 && !csv_is_too_long(r->table) && row_is_empty(r->table))
        rc = csv_next(r->table, err);
    if (rc != 1)
        return rc;
    r->record_line = csv_line(r->table);
    if (csv_is_too_long(r->table))
        return long_record(r, record, err);
    *record = json_object();
    for (size_t i = 0; *record && i < csv_n_column(r->table); i++)
        if (*csv_column_name(r->table, i) &&
            json_object_set_new(*record, csv_column_name(r->table, i), json_string(csv_field(r->table, i)))) {
            json_decref(*record);
            *record = NULL;
        }
    return *record ? 1 : error_set_nomem(err, 64, "a record");
}

static int next(struct jsonl *r, json_t **record, struct error *err)
{
    switch (r->mode) {
    case LINES: return next_line(r, record, err);
    case TABLE: return next_row(r, record, err);
    case ARRAY_FIRST:
    case ARRAY_NEXT: return next_element(r, record, err);
    default: return 0;
    }
}

int jsonl_next(struct jsonl *r, json_t **record, struct error *err)
{
    *record = NULL;
    int rc = r->mode == UNKNOWN ? find_mode(r, err) : 1;
    if (rc > 0)
        rc = next(r, record, err);
    if (rc < 0)
        r->mode = AT_END;
    return rc;
}

int jsonl_next_record(struct jsonl *r, json_t **record, const char **odd, struct error *err)
{
    r->forgiving = 1;
    buf_reset(&r->odd);
    int rc = jsonl_next(r, record, err);
    *odd = r->odd.len ? r->odd.data : NULL;
    return rc;
}

int jsonl_load(json_t **array, const char *path, struct error *err)
{
    struct jsonl *r;
    json_t *record = NULL;
    *array = NULL;
    int rc = jsonl_open(&r, path, err);
    if (rc)
        return rc;
    json_t *all = json_array();
    if (!all)
        rc = error_set_nomem(err, 64, path);
    while (!rc && (rc = jsonl_next(r, &record, err)) == 1)
        rc = json_array_append_new(all, record) ? error_set_nomem(err, 64, path) : 0;
    jsonl_close(r);
    if (rc)
        json_decref(all);
    else
        *array = all;
    return rc;
}
