/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pickle_parts.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_VALUE = 1 << 22, MAX_NAME = 4096 };

const char *pickle_kind_name(const struct pickle_value *v)
{
    static const char *const names[PICKLE_KIND_COUNT] = {
        [PICKLE_NONE] = "None",      [PICKLE_BOOL] = "a bool",       [PICKLE_INT] = "an int",
        [PICKLE_FLOAT] = "a float",  [PICKLE_TEXT] = "a string",     [PICKLE_BYTES] = "bytes",
        [PICKLE_TUPLE] = "a tuple",  [PICKLE_LIST] = "a list",       [PICKLE_DICT] = "a dict",
        [PICKLE_GLOBAL] = "a class", [PICKLE_STORAGE] = "a storage", [PICKLE_TENSOR] = "a tensor",
    };
    return names[v->kind];
}

int pickle_wrong(struct pickle_maker *m, const char *format, ...)
{
    char text[700];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return error_set(m->err, ERROR_DATA, "%s: byte %zu of the pickle (%s): %s", m->name, m->at, m->opcode, text);
}

int pickle_nomem(struct pickle_maker *m, size_t bytes)
{
    return error_set_nomem(m->err, bytes, m->name);
}

static int count_value(struct pickle_maker *m)
{
    if (m->n_value++ < MAX_VALUE)
        return 0;
    return pickle_wrong(m, "makes more than %d objects, which no state dict does", MAX_VALUE);
}

int pickle_new(struct pickle_maker *m, enum pickle_kind kind, struct pickle_value **out)
{
    int rc = count_value(m);
    if (rc)
        return rc;
    *out = arena_alloc(&m->arena, sizeof **out);
    if (!*out)
        return pickle_nomem(m, sizeof **out);
    (*out)->kind = kind;
    return 0;
}

int pickle_put(struct pickle_maker *m, struct pickle_value *dict, struct pickle_value *key, struct pickle_value *value)
{
    int rc = count_value(m);
    struct pickle_pair *pair = rc ? NULL : arena_alloc(&m->arena, sizeof *pair);
    if (rc)
        return rc;
    if (!pair)
        return pickle_nomem(m, sizeof *pair);
    *pair = (struct pickle_pair){key, value, NULL};
    if (dict->dict.last)
        dict->dict.last->next = pair;
    else
        dict->dict.first = pair;
    dict->dict.last = pair;
    return 0;
}

int pickle_string(struct pickle_maker *m, const struct pickle_value *v, const char *what, const char **out)
{
    if (v->kind != PICKLE_TEXT)
        return pickle_wrong(m, "wanted %s, found %s", what, pickle_kind_name(v));
    if (!v->text.n || v->text.n > MAX_NAME || memchr(v->text.bytes, 0, v->text.n) ||
        utf8_valid(v->text.bytes, v->text.n) != v->text.n)
        return pickle_wrong(m, "%s has %zu bytes, a NUL or no UTF-8; at most %d are allowed", what, v->text.n,
                            MAX_NAME);
    *out = arena_strndup(&m->arena, v->text.bytes, v->text.n);
    return *out ? 0 : pickle_nomem(m, v->text.n);
}
