/* SPDX-License-Identifier: Apache-2.0 */
/* Small readers of JSON fields that say what was wanted and what was found. */
#include "text/parts.h"

#include "base/mem.h"
#include "text/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int reader_fail(const struct reader *r, const char *format, ...)
{
    char text[800];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32)
            *c = ' ';
    return error_set(r->err, ERROR_DATA, "%s: %s", r->file, text);
}

int reader_nomem(const struct reader *r)
{
    return text_nomem(r->file, r->err);
}

static const char *kind_of(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "nothing";
    default: return "a boolean";
    }
}

int reader_flag(const struct reader *r, const struct component *c, const char *key, int otherwise, int *out)
{
    const json_t *v = json_object_get(c->json, key);
    *out = otherwise;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return reader_fail(r, "%s: %s: wanted true or false, found %s", c->name, key, kind_of(v));
    *out = json_is_true(v);
    return 0;
}

int reader_count(const struct reader *r, const struct component *c, const char *key, long otherwise, long *out)
{
    const json_t *v = json_object_get(c->json, key);
    *out = otherwise;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return reader_fail(r, "%s: %s: wanted a whole number, found %s", c->name, key, kind_of(v));
    *out = (long)json_integer_value(v);
    return 0;
}

int reader_text(const struct reader *r, const struct component *c, const char *key, const char *otherwise,
                const char **out, size_t *n)
{
    const json_t *v = json_object_get(c->json, key);
    if ((!v || json_is_null(v)) && otherwise) {
        *out = otherwise;
        if (n)
            *n = strlen(otherwise);
        return 0;
    }
    if (!json_is_string(v))
        return reader_fail(r, "%s: %s: wanted a string, found %s", c->name, key, kind_of(v));
    size_t length = json_string_length(v);
    *out = arena_strndup(r->arena, json_string_value(v), length);
    if (!*out)
        return reader_nomem(r);
    if (n)
        *n = length;
    return 0;
}

int reader_type(const struct reader *r, const json_t *o, const char *name, const char **out)
{
    if (!json_is_object(o))
        return reader_fail(r, "%s: wanted an object, found %s", name, kind_of(o));
    const json_t *v = json_object_get(o, "type");
    if (!json_is_string(v))
        return reader_fail(r, "%s: type: wanted a string, found %s", name, kind_of(v));
    *out = json_string_value(v);
    return 0;
}

static int keep_regex(const struct reader *r, struct regex *re)
{
    struct regex_list *item = mem_calloc(1, sizeof *item);
    if (!item) {
        regex_free(re);
        return reader_nomem(r);
    }
    item->re = re;
    item->next = r->regexes->next;
    r->regexes->next = item;
    return 0;
}

int reader_regex(const struct reader *r, const char *name, const char *text, size_t n, int literal,
                 const struct regex **out)
{
    struct regex *re = NULL;
    int rc = literal ? regex_new_literal(&re, text, n, r->err) : regex_new(&re, text, n, r->err);
    if (rc)
        return error_prefix(r->err, "%s: %s", r->file, name);
    *out = re;
    return keep_regex(r, re);
}

int reader_pattern(const struct reader *r, const struct component *c, const char *key, const struct regex **out)
{
    const json_t *v = json_object_get(c->json, key), *regex = json_object_get(v, "Regex"),
                 *string = json_object_get(v, "String");
    if (json_is_string(v))
        string = v;
    if (json_is_string(regex))
        return reader_regex(r, c->name, json_string_value(regex), json_string_length(regex), 0, out);
    if (json_is_string(string) && json_string_length(string))
        return reader_regex(r, c->name, json_string_value(string), json_string_length(string), 1, out);
    return reader_fail(r, "%s: %s: wanted {\"Regex\": ...} or {\"String\": ...} that is not empty", c->name, key);
}
