/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fields.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 96 };

static void *member_at(void *object, size_t offset)
{
    return (char *)object + offset;
}

static const void *member_in(const void *object, size_t offset)
{
    return (const char *)object + offset;
}

/* Equal names, '_' and '-' alike. */
static int same_name(const char *a, const char *b)
{
    for (; *a; a++, b++)
        if ((*a == '_' ? '-' : *a) != *b)
            return 0;
    return *b == 0;
}

const struct field *field_find(const struct field_table *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (same_name(name, t->rows[i].name))
            return &t->rows[i];
    return NULL;
}

/* ---- choices: "a|b|c" */
int field_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (int index = 0;; index++) {
        size_t n = strcspn(choices, "|");
        if (n == length && !strncmp(choices, text, n))
            return index;
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

const char *field_choice_text(const char *choices, int index, size_t *n)
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (!choices)
            return NULL;
        choices++;
    }
    *n = strcspn(choices, "|");
    return index < 0 ? NULL : choices;
}

/* ---- from text */
static int wanted(const struct field *f, const char *what, const char *found, struct error *err)
{
    return error_set(err, ERROR_USAGE, "--%s: wanted %s, found \"%s\"", f->name, what, found);
}

static int set_flag(const struct field *f, const char *text, void *object, struct error *err)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (int i = 0; i < 4; i++) {
        int is = !strcmp(text, yes[i]);
        if (!is && strcmp(text, no[i]))
            continue;
        if (object)
            *(int *)member_at(object, f->offset) = is;
        return 0;
    }
    return wanted(f, "true or false", text, err);
}

static int set_choice(const struct field *f, const char *text, void *object, struct error *err)
{
    int index = field_choice(f->argument, text);
    if (index < 0)
        return wanted(f, f->argument, text, err);
    if (object)
        *(int *)member_at(object, f->offset) = index;
    return 0;
}

static int set_string(const struct field *f, const char *text, void *object, struct error *err)
{
    if (f->argument && strchr(f->argument, '|') && field_choice(f->argument, text) < 0)
        return wanted(f, f->argument, text, err);
    if (object)
        *(const char **)member_at(object, f->offset) = text;
    return 0;
}

static int set_u64(const struct field *f, const char *text, void *object, struct error *err)
{
    char *end;
    errno = 0;
    unsigned long long u = strtoull(text, &end, 10);
    if (end == text || *end || errno || *text == '-')
        return wanted(f, "a whole number from 0 to 2^64-1", text, err);
    if (object)
        *(unsigned long long *)member_at(object, f->offset) = u;
    return 0;
}

static void put_number(const struct field *f, double value, void *object)
{
    if (f->type == FIELD_INT)
        *(int *)member_at(object, f->offset) = (int)value;
    else if (f->type == FIELD_FLOAT)
        *(float *)member_at(object, f->offset) = (float)value;
    else
        *(double *)member_at(object, f->offset) = value;
}

static int set_number(const struct field *f, const char *text, int ranged, void *object, struct error *err)
{
    char *end;
    if (f->argument && strchr(f->argument, '|') && field_choice(f->argument, text) < 0)
        return wanted(f, f->argument, text, err);
    errno = 0;
    double value = strtod(text, &end);
    int whole = f->type == FIELD_INT;
    if (end == text || *end || errno == ERANGE || value != value ||
        (whole && !(value >= INT_MIN && value <= INT_MAX && value == (double)(int)value)))
        return wanted(f, whole ? "a whole number" : "a number", text, err);
    if (ranged && (value < f->low || value > f->high))
        return error_set(err, ERROR_USAGE, "--%s: wanted %.10g to %.10g, found %s", f->name, f->low, f->high, text);
    if (object)
        put_number(f, value, object);
    return 0;
}

static int set_ids(const struct field *f, const char *text, void *object, struct error *err)
{
    int n = 0;
    for (const char *p = text; *p; n++) {
        char *end;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || id > INT_MAX || (*end && *end != ','))
            return wanted(f, "token ids with commas between", text, err);
        if (n == f->capacity)
            return error_set(err, ERROR_USAGE, "--%s: at most %d ids", f->name, f->capacity);
        if (object)
            ((int *)member_at(object, f->offset))[n] = (int)id;
        p = *end ? end + 1 : end;
    }
    if (object)
        *(int *)member_at(object, f->count) = n;
    return 0;
}

static int add_text(const struct field *f, const char *text, void *object, struct error *err)
{
    size_t length = strlen(text);
    if (!length || length >= (size_t)f->size)
        return error_set(err, ERROR_USAGE, "--%s: wanted 1 to %d bytes, found %zu", f->name, f->size - 1, length);
    if (!object)
        return 0;
    int *n = member_at(object, f->count);
    if (*n == f->capacity)
        return error_set(err, ERROR_USAGE, "--%s: at most %d texts", f->name, f->capacity);
    memcpy((char *)member_at(object, f->offset) + (size_t)(*n)++ * (size_t)f->size, text, length + 1);
    return 0;
}

static int set_text(const struct field *f, const char *text, int ranged, void *object, struct error *err)
{
    switch (f->type) {
    case FIELD_FLAG: return set_flag(f, text, object, err);
    case FIELD_CHOICE: return set_choice(f, text, object, err);
    case FIELD_STRING: return set_string(f, text, object, err);
    case FIELD_U64: return set_u64(f, text, object, err);
    case FIELD_IDS: return set_ids(f, text, object, err);
    case FIELD_TEXTS: return add_text(f, text, object, err);
    case FIELD_INT:
    case FIELD_FLOAT:
    case FIELD_DOUBLE: return set_number(f, text, ranged, object, err);
    }
    return error_set(err, ERROR_INTERNAL, "--%s: a row of an unknown type", f->name);
}

int field_set(const struct field *f, const char *text, void *object, struct error *err)
{
    return set_text(f, text, 1, object, err);
}

void field_clear(const struct field *f, void *object)
{
    if (f->type == FIELD_IDS || f->type == FIELD_TEXTS)
        *(int *)member_at(object, f->count) = 0;
}

/* ---- JSON */
static int set_list(const struct field *f, const json_t *value, void *object, struct error *err)
{
    size_t i;
    json_t *item;
    int *n = member_at(object, f->count), rc = 0;
    *n = 0;
    json_array_foreach(value, i, item)
    {
        if (f->type == FIELD_TEXTS)
            rc = json_is_string(item) ? add_text(f, json_string_value(item), object, err)
                                      : error_set(err, ERROR_DATA, "\"%s\": wanted strings", f->name);
        else if (!json_is_integer(item) || *n == f->capacity || json_integer_value(item) < 0 ||
                 json_integer_value(item) > INT_MAX)
            rc = error_set(err, ERROR_DATA, "\"%s\": wanted at most %d token ids", f->name, f->capacity);
        else
            ((int *)member_at(object, f->offset))[(*n)++] = (int)json_integer_value(item);
        if (rc)
            return rc;
    }
    return 0;
}

static int is_number(const struct field *f)
{
    return f->type == FIELD_INT || f->type == FIELD_FLOAT || f->type == FIELD_DOUBLE;
}

static int from_json(const struct field *f, const json_t *value, int ranged, void *object, struct error *err)
{
    char text[64];
    const char *given = text;
    if (json_is_array(value) && (f->type == FIELD_TEXTS || f->type == FIELD_IDS))
        return set_list(f, value, object, err);
    if (json_is_string(value) && !is_number(f))
        given = json_string_value(value);
    else if (json_is_boolean(value) && (f->type == FIELD_FLAG || f->type == FIELD_CHOICE))
        given = json_is_true(value) ? "true" : "false";
    else if (json_is_integer(value) && f->type != FIELD_FLAG)
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value) && f->type != FIELD_FLAG)
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else
        return error_set(err, ERROR_DATA, "\"%s\": wanted %s, found another type of value", f->name,
                         f->argument ? f->argument : "true or false");
    field_clear(f, object);
    return set_text(f, given, ranged, object, err);
}

int field_set_json(const struct field *f, const json_t *value, void *object, struct error *err)
{
    return from_json(f, value, 1, object, err) ? ERROR_DATA : 0;
}

static json_t *list_json(const struct field *f, const void *object)
{
    json_t *list = json_array();
    int n = *(const int *)member_in(object, f->count), rc = !list;
    for (int i = 0; i < n && !rc; i++)
        rc = json_array_append_new(
            list, f->type == FIELD_IDS
                      ? json_integer(((const int *)member_in(object, f->offset))[i])
                      : json_string((const char *)member_in(object, f->offset) + (size_t)i * (size_t)f->size));
    if (!rc)
        return list;
    json_decref(list);
    return NULL;
}

json_t *field_json(const struct field *f, const void *object)
{
    const void *p = member_in(object, f->offset);
    const char *text;
    char digits[24];
    size_t n;
    switch (f->type) {
    case FIELD_FLAG:
    case FIELD_INT: return json_integer(*(const int *)p);
    case FIELD_FLOAT: return json_real((double)*(const float *)p);
    case FIELD_DOUBLE: return json_real(*(const double *)p);
    case FIELD_U64: /* JSON's whole numbers end at 2^63 */
        snprintf(digits, sizeof digits, "%llu", *(const unsigned long long *)p);
        return json_string(digits);
    case FIELD_STRING: text = *(const char *const *)p; return json_string(text ? text : "");
    case FIELD_CHOICE:
        text = field_choice_text(f->argument, *(const int *)p, &n);
        return text ? json_stringn(text, n) : NULL;
    case FIELD_IDS:
    case FIELD_TEXTS: return list_json(f, object);
    }
    return NULL;
}

/* ---- printing */
static void print_real(double value, int single, struct buf *out)
{
    char text[40];
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (single ? (float)back == (float)value : back == value)
            break;
    }
    buf_puts(out, text);
}

static int print_choice(const struct field *f, int index, struct buf *out, struct error *err)
{
    size_t n;
    const char *text = field_choice_text(f->argument, index, &n);
    if (!text)
        return error_set(err, ERROR_INTERNAL, "%s: wanted %s, found number %d", f->name, f->argument, index);
    buf_append(out, text, n);
    return 0;
}

static void print_list(const struct field *f, const void *object, struct buf *out)
{
    int n = *(const int *)member_in(object, f->count);
    for (int i = 0; i < n; i++) {
        buf_puts(out, i ? "," : "");
        if (f->type == FIELD_IDS)
            buf_printf(out, "%d", ((const int *)member_in(object, f->offset))[i]);
        else
            buf_puts(out, (const char *)member_in(object, f->offset) + (size_t)i * (size_t)f->size);
    }
}

int field_print(const struct field *f, const void *object, struct buf *out, struct error *err)
{
    const void *p = member_in(object, f->offset);
    const char *text;
    int rc = 0;
    switch (f->type) {
    case FIELD_FLAG: buf_puts(out, *(const int *)p ? "true" : "false"); break;
    case FIELD_INT: buf_printf(out, "%d", *(const int *)p); break;
    case FIELD_U64: buf_printf(out, "%llu", *(const unsigned long long *)p); break;
    case FIELD_FLOAT: print_real((double)*(const float *)p, 1, out); break;
    case FIELD_DOUBLE: print_real(*(const double *)p, 0, out); break;
    case FIELD_CHOICE: rc = print_choice(f, *(const int *)p, out, err); break;
    case FIELD_STRING:
        text = *(const char *const *)p;
        buf_puts(out, text ? text : "");
        break;
    case FIELD_IDS:
    case FIELD_TEXTS: print_list(f, object, out); break;
    }
    if (!rc && out->failed)
        rc = error_set_nomem(err, NAME, f->name);
    return rc;
}

/* "256; align: 64 ask, 256 answer": a default and what it is in the phases. */
static void print_initial(const struct field *f, struct buf *out)
{
    int flag = f->type == FIELD_FLAG, on = flag && !strcmp(f->initial, "true");
    if (on)
        buf_printf(out, "on; --no-%s", f->name);
    else
        buf_puts(out, flag ? "off" : f->initial);
    if (f->ask && f->answer && !strcmp(f->ask, f->answer))
        buf_printf(out, "; align: %s", f->ask);
    else if (f->ask || f->answer)
        buf_printf(out, "; align: %s%s%s%s%s", f->ask ? f->ask : "", f->ask ? " ask" : "",
                   f->ask && f->answer ? ", " : "", f->answer ? f->answer : "", f->answer ? " answer" : "");
}

void field_describe(const struct field *f, struct buf *out)
{
    size_t n = strlen(f->help);
    for (size_t i = 0; i < n; i++)
        if (f->help[i] == '$' && f->initial)
            print_initial(f, out);
        else
            buf_putc(out, f->help[i]);
    if (!f->initial || (n && f->help[n - 1] == ']'))
        return;
    buf_puts(out, n ? " [" : "[");
    print_initial(f, out);
    buf_putc(out, ']');
}

/* ---- tables */
void fields_default(const struct field_table *t, enum field_phase phase, void *object)
{
    for (int i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        const char *special = phase == FIELD_ASK ? f->ask : f->answer,
                   *text = phase != FIELD_PLAIN && special ? special : f->initial;
        if (!text)
            continue;
        field_clear(f, object);
        (void)field_set(f, text, object, NULL); /* a test looks at all rows */
    }
}

static double number_of(const struct field *f, const void *object)
{
    const void *p = member_in(object, f->offset);
    if (f->type == FIELD_FLOAT)
        return (double)*(const float *)p;
    return f->type == FIELD_DOUBLE ? *(const double *)p : *(const int *)p;
}

int field_read(const struct field_table *t, const struct field *f, const void *object)
{
    const struct field *with = f->with ? field_find(t, f->with) : NULL;
    return !with || number_of(with, object) != 0;
}

void field_name(const struct field *f, char *to, size_t size)
{
    snprintf(to, size, "%s", f->name);
    for (char *p = to; *p; p++)
        if (*p == '-')
            *p = '_';
}

static int check_string(const struct field *f, const char *name, const char *text, struct error *err)
{
    if (!text || !f->argument || !strchr(f->argument, '|') || field_choice(f->argument, text) >= 0)
        return 0;
    return error_set(err, ERROR_USAGE, "%s: wanted %s, found \"%.60s\"", name, f->argument, text);
}

static int check_one(const struct field *f, const void *object, struct error *err)
{
    char name[NAME];
    field_name(f, name, sizeof name);
    size_t unused;
    if (f->type == FIELD_CHOICE && !field_choice_text(f->argument, *(const int *)member_in(object, f->offset), &unused))
        return error_set(err, ERROR_USAGE, "%s: wanted %s, found the number %d, which is none of them", name,
                         f->argument, *(const int *)member_in(object, f->offset));
    if (f->type == FIELD_STRING)
        return check_string(f, name, *(const char *const *)member_in(object, f->offset), err);
    if (f->type == FIELD_IDS || f->type == FIELD_TEXTS) {
        int n = *(const int *)member_in(object, f->count);
        return n >= 0 && n <= f->capacity
                   ? 0
                   : error_set(err, ERROR_USAGE, "number of %s: wanted 0 to %d, found %d", name, f->capacity, n);
    }
    if (!is_number(f))
        return 0;
    double value = number_of(f, object), low = f->low, high = f->high;
    if (f->type == FIELD_FLOAT) { /* a bound as it is stored, so that what was read is not outside */
        low = (double)(float)low;
        high = (double)(float)high;
    }
    return value >= low && value <= high
               ? 0
               : error_set(err, ERROR_USAGE, "%s: wanted %.10g to %.10g, found %g", name, f->low, f->high, value);
}

int fields_check(const struct field_table *t, const void *object, struct error *err)
{
    for (int i = 0; i < t->n; i++) {
        int rc = field_read(t, &t->rows[i], object) ? check_one(&t->rows[i], object, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

json_t *fields_json(const struct field_table *t, const void *object, int only_read)
{
    json_t *all = json_object();
    int rc = !all;
    for (int i = 0; i < t->n && !rc; i++) {
        const struct field *f = &t->rows[i];
        char name[NAME];
        if (only_read && !field_read(t, f, object))
            continue;
        field_name(f, name, sizeof name);
        rc = json_object_set_new(all, name,
                                 f->type == FIELD_FLAG ? json_boolean(*(const int *)member_in(object, f->offset))
                                                       : field_json(f, object));
    }
    if (!rc)
        return all;
    json_decref(all);
    return NULL;
}

int fields_put(const struct field_table *t, const char *prefix, const void *object, json_t *settings)
{
    char key[NAME];
    int rc = 0;
    for (int i = 0; i < t->n && !rc; i++) {
        if (t->rows[i].bits == FIELD_FREE)
            continue;
        snprintf(key, sizeof key, "%s%s", prefix, t->rows[i].name);
        rc = json_object_set_new(settings, key, field_json(&t->rows[i], object));
    }
    return rc;
}

static int get_one(const struct field *f, const json_t *value, void *object, struct error *err)
{
    if (f->type == FIELD_FLAG && json_is_integer(value)) {
        *(int *)member_at(object, f->offset) = json_integer_value(value) != 0;
        return 0;
    }
    if (f->type == FIELD_STRING && !f->initial && json_is_string(value) && !json_string_length(value)) {
        *(const char **)member_at(object, f->offset) = NULL;
        return 0;
    }
    return from_json(f, value, 0, object, err);
}

int fields_get(const struct field_table *t, const char *prefix, const json_t *settings, void *object, const char *where,
               struct error *err)
{
    char key[NAME];
    for (int i = 0; i < t->n; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, t->rows[i].name);
        const json_t *value = t->rows[i].bits == FIELD_FREE ? NULL : json_object_get(settings, key);
        if (!value || !get_one(&t->rows[i], value, object, err))
            continue;
        error_prefix(err, *prefix ? "%s: settings of %s" : "%s: settings", where, prefix);
        if (err)
            err->code = ERROR_DATA;
        return ERROR_DATA;
    }
    return 0;
}
