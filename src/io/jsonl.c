/* SPDX-License-Identifier: Apache-2.0 */
/* An array is not parsed whole: a scanner that knows only strings and brackets cuts out one element's text at a time, and that is parsed. */
#include "io/jsonl.h"

#include "base/mem.h"
#include "io/input.h"
#include "io/jsontext.h"

#include <string.h>

enum { MAX_RECORD = 1 << 28 };
enum mode { UNKNOWN, LINES, ARRAY_FIRST, ARRAY_NEXT, AT_END };

struct jsonl {
    struct input *in;
    struct buf text;
    enum mode mode;
    long line, column, record_line, repaired; /* line, column: of the next byte (arrays), of the last line read (lines) */
};

static int start(struct jsonl **out, struct jsonl *r, int rc)
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
    return r ? start(out, r, input_open(&r->in, path, err)) : error_set_nomem(err, sizeof *r, path);
}

int jsonl_open_bytes(struct jsonl **out, const void *bytes, size_t n, const char *name, struct error *err)
{
    *out = NULL;
    struct jsonl *r = mem_calloc(1, sizeof *r);
    return r ? start(out, r, input_open_bytes(&r->in, bytes, n, name, err)) : error_set_nomem(err, sizeof *r, name);
}

void jsonl_close(struct jsonl *r)
{
    if (!r)
        return;
    input_close(r->in);
    buf_free(&r->text);
    mem_free(r);
}

long jsonl_line(const struct jsonl *r)
{
    return r->record_line;
}

long jsonl_repaired(const struct jsonl *r)
{
    return r->repaired;
}

const char *jsonl_name(const struct jsonl *r)
{
    return input_name(r->in);
}

static int is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int parse(struct jsonl *r, long column, json_t **record, struct error *err)
{
    static const char *const types[] = {"an object", "an array", "a string", "an integer", "a number", "true", "false", "null"};
    long changed = 0;
    int rc = jsontext_parse_at(record, r->text.data, r->text.len, input_name(r->in), r->record_line, column, &changed, err);
    if (rc) {
        if (err && r->mode == LINES && strstr(err->message, "near end of file") && strlen(err->message) + 60 < sizeof err->message)
            strcat(err->message, "; every line must hold one whole JSON object");
        return rc;
    }
    if (!json_is_object(*record)) {
        rc = error_set(err, ERROR_DATA, "%s:%ld: wanted a JSON object, found %s", input_name(r->in), r->record_line, types[json_typeof(*record)]);
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
        int rc = input_line(r->in, &r->text, MAX_RECORD, err);
        if (rc <= 0) {
            if (rc < 0)
                error_prefix(err, "line %ld", r->line);
            return rc;
        }
        size_t i = 0;
        while (i < r->text.len && is_space(r->text.data[i]))
            i++;
        if (i < r->text.len)
            break;
    }
    r->record_line = r->line++;
    return parse(r, 1, record, err);
}

/* The next byte that is no space, not taken: its value, -1 at the end, or -2 with an error. */
static int peek_byte(struct jsonl *r, struct error *err)
{
    const char *bytes = NULL;
    size_t n = 0;
    for (;;) {
        int rc = input_peek(r->in, &bytes, &n, err);
        if (rc <= 0)
            return rc ? -2 : -1;
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
    for (;;) {
        int rc = input_peek(r->in, &bytes, &n, err);
        if (rc < 0)
            return rc;
        if (!rc)
            return error_set(err, ERROR_DATA, "%s:%ld: the file ends inside the record that begins here; it is cut off", input_name(r->in), r->record_line);
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
        buf_append(&r->text, bytes, i);
        input_skip(r->in, i);
        if (r->text.failed || r->text.len > MAX_RECORD)
            return r->text.failed ? error_set_nomem(err, r->text.len, input_name(r->in))
                                  : error_set(err, ERROR_DATA, "%s:%ld: a record is longer than %d bytes", input_name(r->in), r->record_line, MAX_RECORD);
        if (closed)
            return 0;
    }
}

static int unexpected(struct jsonl *r, int c, const char *wanted, struct error *err)
{
    if (c == -1)
        return error_set(err, ERROR_DATA, "%s:%ld:%ld: wanted %s, found the end of the file; it is cut off", input_name(r->in), r->line, r->column, wanted);
    return error_set(err, ERROR_DATA, "%s:%ld:%ld: wanted %s, found '%c' (0x%02x)", input_name(r->in), r->line, r->column, wanted, c >= 32 && c < 127 ? c : '?', (unsigned)c);
}

/* Behind "]": nothing but space. */
static int end_array(struct jsonl *r, struct error *err)
{
    take_byte(r);
    int c = peek_byte(r, err);
    r->mode = AT_END;
    return c == -1 ? 0 : c == -2 ? (err ? err->code : ERROR_IO) : unexpected(r, c, "the end of the file", err);
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
    }
    if (c != '{')
        return unexpected(r, c, "'{' of a record", err);
    r->mode = ARRAY_NEXT;
    r->record_line = r->line;
    long column = r->column;
    int rc = cut_element(r, err);
    return rc ? rc : parse(r, column, record, err);
}

/* A BOM is skipped here for arrays; in lines the parser does. */
static int find_mode(struct jsonl *r, struct error *err)
{
    const char *bytes = NULL;
    size_t n = 0;
    int rc = input_peek(r->in, &bytes, &n, err);
    if (rc <= 0)
        return rc;
    size_t bom = n >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0, i = bom;
    while (i < n && is_space(bytes[i]))
        i++;
    r->mode = i < n && bytes[i] == '[' ? ARRAY_FIRST : LINES;
    if (bom)
        input_skip(r->in, bom);
    if (r->mode == ARRAY_FIRST) {
        peek_byte(r, err);
        take_byte(r);
    }
    return 1;
}

int jsonl_next(struct jsonl *r, json_t **record, struct error *err)
{
    *record = NULL;
    int rc = 1;
    if (r->mode == UNKNOWN)
        rc = find_mode(r, err);
    if (rc > 0)
        rc = r->mode == AT_END ? 0 : r->mode == LINES ? next_line(r, record, err) : next_element(r, record, err);
    if (rc < 0)
        r->mode = AT_END;
    return rc;
}

int jsonl_load(json_t **array, const char *path, long *repaired, struct error *err)
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
    if (repaired)
        *repaired = jsonl_repaired(r);
    jsonl_close(r);
    if (rc)
        json_decref(all);
    else
        *array = all;
    return rc;
}
