/* SPDX-License-Identifier: Apache-2.0 */
#include "io/jsontext.h"

#include "base/mem.h"
#include "io/file.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bytes_behind(unsigned first) /* of a character in UTF-8; -1: none begins so */
{
    if (first < 0x80)
        return 0;
    if (first < 0xc2 || first > 0xf4)
        return -1;
    return 1 + (first >= 0xe0) + (first >= 0xf0);
}

size_t utf8_valid_length(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    while (i < n) {
        unsigned c = s[i];
        int more = bytes_behind(c);
        if (more < 0 || n - i <= (size_t)more)
            return i;
        for (int k = 1; k <= more; k++)
            if ((s[i + (size_t)k] & 0xc0) != 0x80)
                return i;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) || (c == 0xf0 && s[i + 1] < 0x90) ||
            (c == 0xf4 && s[i + 1] > 0x8f))
            return i;
        i += (size_t)more + 1;
    }
    return n;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* Copies text, writing \ufffd for every surrogate escape without its half; same length. Returns how many. */
static long replace_lone_surrogates(const char *text, size_t n, char *copy)
{
    long count = 0;
    memcpy(copy, text, n);
    for (size_t i = 0; i + 1 < n;) {
        if (text[i] != '\\') {
            i++;
            continue;
        }
        int v = text[i + 1] == 'u' && n - i >= 6 ? hex4(text + i + 2) : -1;
        if (v < 0xd800 || v > 0xdfff) {
            i += 2;
            continue;
        }
        int low = v < 0xdc00 && n - i >= 12 && text[i + 6] == '\\' && text[i + 7] == 'u' ? hex4(text + i + 8) : -1;
        if (low >= 0xdc00 && low <= 0xdfff) {
            i += 12;
            continue;
        }
        memcpy(copy + i, "\\ufffd", 6);
        count++;
        i += 6;
    }
    return count;
}

static int bad_utf8(const char *text, size_t at, const char *name, long line, long column, struct error *err)
{
    size_t start = 0;
    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n') {
            line++;
            start = i + 1;
            column = 1;
        }
    return error_set(err, ERROR_DATA,
                     "%s:%ld: byte 0x%02x at byte %ld of the line is not valid UTF-8; save the file as UTF-8", name,
                     line, (unsigned char)text[at], (long)(at - start) + column);
}

/* jansson's lexer does not take a failed allocation: it goes on with a character missing and may run past its buffer.
 * So while it parses, a failure of mem_alloc is only noted (and the system asked once more); what was parsed is then
 * thrown away and the caller told. */
static json_malloc_t outer_malloc;
static _Thread_local int parsing, allocation_failed;

static void *noted_alloc(size_t n)
{
    void *p = outer_malloc(n);
    if (p || !parsing)
        return p;
    allocation_failed = 1;
    return outer_malloc == mem_alloc ? malloc(n) : NULL;
}

static void set_hook(void)
{
    json_free_t outer_free;
    json_get_alloc_funcs(&outer_malloc, &outer_free);
    if (outer_malloc == malloc) /* else the program around this library has its own: they are kept */
        outer_malloc = mem_alloc;
    json_set_alloc_funcs(noted_alloc, outer_free);
}

json_t *jsontext_document(const char *text, size_t n, size_t flags, json_error_t *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_hook);
    allocation_failed = 0;
    parsing = 1;
    json_t *value = json_loadb(text, n, flags, why);
    parsing = 0;
    if (allocation_failed) {
        json_decref(value);
        value = NULL;
        why->text[0] = 0;
    }
    return value;
}

/* 0, ERROR_DATA with jansson's error, or ERROR_NOMEM. */
static int load(json_t **out, const char *text, size_t n, json_error_t *e)
{
    *out = jsontext_document(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, e);
    if (*out)
        return 0;
    return e->text[0] ? ERROR_DATA : ERROR_NOMEM;
}

int jsontext_parse(json_t **out, const char *text, size_t n, const char *name, long first_line, long *repaired,
                   struct error *err)
{
    return jsontext_parse_at(out, text, n, name, first_line, 1, repaired, err);
}

int jsontext_parse_at(json_t **out, const char *text, size_t n, const char *name, long first_line, long first_column,
                      long *repaired, struct error *err)
{
    *out = NULL;
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        n -= 3;
    }
    size_t valid = utf8_valid_length(text, n);
    if (valid < n)
        return bad_utf8(text, valid, name, first_line, first_column, err);
    json_error_t je, again;
    int rc = load(out, text, n, &je);
    if (rc == ERROR_DATA && repaired) {
        char *copy = mem_alloc(n);
        if (!copy)
            return error_set_nomem(err, n, name);
        long count = replace_lone_surrogates(text, n, copy);
        int repaired_rc = count ? load(out, copy, n, &again) : rc;
        mem_free(copy);
        if (!repaired_rc)
            *repaired += count;
        rc = repaired_rc;
    }
    if (rc == ERROR_NOMEM)
        return error_set_nomem(err, n, name);
    if (!rc)
        return 0;
    return error_set(err, ERROR_DATA, "%s:%ld:%ld: not valid JSON: %s", name, first_line + je.line - 1,
                     je.line == 1 ? je.column + first_column - 1 : je.column, je.text);
}

/* Bytes that jansson takes for a value of each kind, its table of eight and malloc's rounding counted. */
enum { COST_OBJECT = 288, COST_ARRAY = 128, COST_QUOTE = 48, COST_ITEM = 56 };
static const uint64_t MOST_TREE = (uint64_t)1 << 30;

int jsontext_check_tree(const char *text, size_t n, const char *name, struct error *err)
{
    uint64_t cost = n;
    int inside = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"')
            cost += COST_QUOTE;
        inside ^= c == '"';
        if (inside) {
            i += c == '\\';
            continue;
        }
        if (c == '{')
            cost += COST_OBJECT;
        else if (c == '[')
            cost += COST_ARRAY;
        else if (c == ',' || c == ':')
            cost += COST_ITEM;
    }
    if (cost <= MOST_TREE)
        return 0;
    return error_set(err, ERROR_DATA,
                     "%s: %zu bytes of JSON with so many values that reading them takes about %llu MiB, wanted at most "
                     "%llu; no model's file is like that",
                     name, n, (unsigned long long)(cost >> 20), (unsigned long long)(MOST_TREE >> 20));
}

int jsontext_load(json_t **out, const char *path, size_t max_bytes, struct error *err)
{
    struct buf text = BUF_INIT;
    *out = NULL;
    int rc = file_read_regular(&text, path, max_bytes, err);
    if (!rc)
        rc = jsontext_check_tree(text.data, text.len, path, err);
    if (!rc)
        rc = jsontext_parse(out, text.data, text.len, path, 1, NULL, err);
    buf_free(&text);
    return rc;
}

/* The shortest form that reads back as the same double, always with a mark of being real. */
static void dump_real(struct buf *out, double v)
{
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_puts(out, text);
    if (!strpbrk(text, ".en"))
        buf_puts(out, ".0");
}

static void dump_string(struct buf *out, const char *s, size_t n)
{
    static const char names[] = "btn\0fr"; /* of 8..13 */
    buf_putc(out, '"');
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && (unsigned char)s[run] >= 0x20 && s[run] != '"' && s[run] != '\\')
            run++;
        buf_append(out, s + i, run - i);
        if (run < n) {
            unsigned char c = (unsigned char)s[run];
            if (c == '"' || c == '\\')
                buf_printf(out, "\\%c", c);
            else if (c >= 8 && c <= 13 && names[c - 8])
                buf_printf(out, "\\%c", names[c - 8]);
            else
                buf_printf(out, "\\u%04x", c);
            run++;
        }
        i = run;
    }
    buf_putc(out, '"');
}

static void new_line(struct buf *out, int depth)
{
    if (depth < 0)
        return;
    buf_putc(out, '\n');
    for (int i = 0; i < depth; i++)
        buf_puts(out, "  ");
}

/* depth < 0: all in one line. */
static void dump_value(struct buf *out, const json_t *v, int depth)
{
    int inner = depth < 0 ? depth : depth + 1;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        int first = 1;
        buf_putc(out, '{');
        json_t *object = (json_t *)v; /* jansson's iterators take no const */
        for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
            if (!first)
                buf_puts(out, depth < 0 ? ", " : ",");
            first = 0;
            new_line(out, inner);
            dump_string(out, json_object_iter_key(i), json_object_iter_key_len(i));
            buf_puts(out, ": ");
            dump_value(out, json_object_iter_value(i), inner);
        }
        if (!first)
            new_line(out, depth);
        buf_putc(out, '}');
        break;
    }
    case JSON_ARRAY:
        buf_putc(out, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                buf_puts(out, depth < 0 ? ", " : ",");
            new_line(out, inner);
            dump_value(out, json_array_get(v, i), inner);
        }
        if (json_array_size(v))
            new_line(out, depth);
        buf_putc(out, ']');
        break;
    case JSON_STRING: dump_string(out, json_string_value(v), json_string_length(v)); break;
    case JSON_INTEGER: buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v)); break;
    case JSON_REAL: dump_real(out, json_real_value(v)); break;
    case JSON_TRUE: buf_puts(out, "true"); break;
    case JSON_FALSE: buf_puts(out, "false"); break;
    case JSON_NULL: buf_puts(out, "null"); break;
    }
}

int jsontext_dump(struct buf *out, const json_t *value, int indented, struct error *err)
{
    if (!value)
        return error_set_nomem(err, 64, "a JSON value");
    dump_value(out, value, indented ? 0 : -1);
    return out->failed ? error_set_nomem(err, out->len, "JSON text") : 0;
}

int jsontext_write(const char *path, const json_t *value, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = jsontext_dump(&text, value, 1, err);
    buf_putc(&text, '\n');
    if (!rc)
        rc = text.failed ? error_set_nomem(err, text.len, path) : file_write(path, text.data, text.len, err);
    buf_free(&text);
    return rc;
}

/* *found NULL: absent and allowed to be. */
static int member(const json_t *object, const char *key, int optional, const json_t **found, const char *name,
                  struct error *err)
{
    const json_t *v = json_object_get(object, key);
    *found = v && !json_is_null(v) ? v : NULL;
    if (*found || optional)
        return 0;
    return error_set(err, ERROR_DATA, "%s: wanted \"%s\", found nothing", name, key);
}

int jsontext_int(const json_t *object, const char *key, int64_t min, int64_t max, int optional, int64_t *out,
                 const char *name, struct error *err)
{
    const json_t *v;
    int rc = member(object, key, optional, &v, name, err);
    if (rc || !v)
        return rc;
    if (!json_is_integer(v))
        return error_set(err, ERROR_DATA, "%s: wanted an integer for \"%s\"", name, key);
    if (json_integer_value(v) < min || json_integer_value(v) > max)
        return error_set(err, ERROR_DATA, "%s: wanted \"%s\" in %" PRId64 "..%" PRId64 ", found %" JSON_INTEGER_FORMAT,
                         name, key, min, max, json_integer_value(v));
    *out = json_integer_value(v);
    return 0;
}

int jsontext_number(const json_t *object, const char *key, int optional, double *out, const char *name,
                    struct error *err)
{
    const json_t *v;
    int rc = member(object, key, optional, &v, name, err);
    if (rc || !v)
        return rc;
    if (!json_is_number(v))
        return error_set(err, ERROR_DATA, "%s: wanted a number for \"%s\"", name, key);
    *out = json_number_value(v);
    return 0;
}

int jsontext_bool(const json_t *object, const char *key, int optional, int *out, const char *name, struct error *err)
{
    const json_t *v;
    int rc = member(object, key, optional, &v, name, err);
    if (rc || !v)
        return rc;
    if (!json_is_boolean(v))
        return error_set(err, ERROR_DATA, "%s: wanted true or false for \"%s\"", name, key);
    *out = json_is_true(v);
    return 0;
}

int jsontext_string(const json_t *object, const char *key, int optional, const char **out, const char *name,
                    struct error *err)
{
    const json_t *v;
    int rc = member(object, key, optional, &v, name, err);
    if (rc || !v)
        return rc;
    if (!json_is_string(v))
        return error_set(err, ERROR_DATA, "%s: wanted a string for \"%s\"", name, key);
    *out = json_string_value(v);
    return 0;
}
