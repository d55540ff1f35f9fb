/* SPDX-License-Identifier: Apache-2.0 */
#include "io/jsontext.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int bad_utf8(const struct jsontext *text, size_t at, struct error *err)
{
    size_t start = 0;
    long line = text->line, column = text->column;
    for (size_t i = 0; i < at; i++)
        if (text->bytes[i] == '\n') {
            line++;
            start = i + 1;
            column = 1;
        }
    return error_set(err, ERROR_DATA,
                     "%s:%ld: byte 0x%02x at byte %ld of the line is not valid UTF-8; save the file as UTF-8",
                     text->name, line, (unsigned char)text->bytes[at], (long)(at - start) + column);
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
static int parse_strictly(json_t **out, const char *text, size_t n, json_error_t *e)
{
    *out = jsontext_document(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, e);
    if (*out)
        return 0;
    return e->text[0] ? ERROR_DATA : ERROR_NOMEM;
}

int jsontext_parse(json_t **out, struct jsontext text, long *repaired, struct error *err)
{
    *out = NULL;
    if (text.n >= 3 && !memcmp(text.bytes, "\xef\xbb\xbf", 3)) {
        text.bytes += 3;
        text.n -= 3;
    }
    size_t n = text.n, valid = utf8_valid(text.bytes, n);
    if (valid < n)
        return bad_utf8(&text, valid, err);
    json_error_t je, again;
    int rc = parse_strictly(out, text.bytes, n, &je);
    if (rc == ERROR_DATA && repaired) {
        char *copy = mem_alloc(n);
        if (!copy)
            return error_set_nomem(err, n, text.name);
        long count = replace_lone_surrogates(text.bytes, n, copy);
        int repaired_rc = count ? parse_strictly(out, copy, n, &again) : rc;
        mem_free(copy);
        if (!repaired_rc)
            *repaired += count;
        rc = repaired_rc;
    }
    if (rc == ERROR_NOMEM)
        return error_set_nomem(err, n, text.name);
    if (!rc)
        return 0;
    return error_set(err, ERROR_DATA, "%s:%ld:%ld: not valid JSON: %s", text.name, text.line + je.line - 1,
                     je.line == 1 ? je.column + text.column - 1 : je.column, je.text);
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
        rc = jsontext_parse(out, jsontext_whole(text.data, text.len, path), NULL, err);
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
