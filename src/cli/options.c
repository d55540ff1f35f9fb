/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and applying options by the table. */
#include "cli/options.h"

#include "base/mem.h"
#include "generate/generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Equal names, '_' and '-' alike; n bytes of a. */
static int same_name(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if ((a[i] == '_' ? '-' : a[i]) != b[i])
            return 0;
    return b[n] == 0;
}

static const struct option_spec *find(const char *name, size_t length, unsigned groups)
{
    int n;
    const struct option_spec *table = option_table(&n);
    for (int i = 0; i < n; i++)
        if ((table[i].group & groups) && same_name(name, length, table[i].name))
            return &table[i];
    return NULL;
}

const struct option_spec *option_find(const char *name, unsigned groups)
{
    return find(name, strlen(name), groups);
}

/* Edit distance, for "did you mean". */
static int distance(const char *a, size_t m, const char *b)
{
    int row[64], n = (int)strlen(b);
    if (m > 60 || n > 60)
        return 99;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (int j = 1; j <= n; j++) {
            int up = row[j], best = diagonal + ((a[i - 1] == '_' ? '-' : a[i - 1]) != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[n];
}

static int unknown(const char *name, size_t length, unsigned groups, struct error *err)
{
    int n, best = 99;
    const struct option_spec *table = option_table(&n), *near = NULL;
    for (int i = 0; i < n; i++) {
        int d = table[i].group & groups ? distance(name, length, table[i].name) : 99;
        if (d < best)
            best = d, near = &table[i];
    }
    if (near && best <= 3)
        return error_set(err, ERROR_USAGE, "--%.*s: no such option here; did you mean --%s?", (int)length, name, near->name);
    return error_set(err, ERROR_USAGE, "--%.*s: no such option here; --help lists them", (int)length, name);
}

static int parse_number(const struct option_spec *s, const char *text, double *value, struct error *err)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    int whole = s->type == OPTION_INT;
    if (end == text || *end || errno == ERANGE || *value != *value || (whole && *value != (double)(long long)*value))
        return error_set(err, ERROR_USAGE, "--%s: wanted %s, found \"%s\"", s->name, whole ? "a whole number" : "a number", text);
    if (*value < s->low || *value > s->high)
        return error_set(err, ERROR_USAGE, "--%s: wanted %g to %g, found %s", s->name, s->low, s->high, text);
    return 0;
}

static int choice_index(const char *choices, const char *text)
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

static int set_flag(const struct option_spec *s, const char *text, int *target, struct error *err)
{
    if (!strcmp(text, "true") || !strcmp(text, "1") || !strcmp(text, "yes") || !strcmp(text, "on"))
        *target = 1;
    else if (!strcmp(text, "false") || !strcmp(text, "0") || !strcmp(text, "no") || !strcmp(text, "off"))
        *target = 0;
    else
        return error_set(err, ERROR_USAGE, "--%s: wanted true or false, found \"%s\"", s->name, text);
    return 0;
}

static int set_ids(const struct option_spec *s, const char *text, struct generate_options *o, struct error *err)
{
    o->n_eos = 0;
    for (const char *p = text; *p;) {
        char *end;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || id > 0x7fffffff || (*end && *end != ','))
            return error_set(err, ERROR_USAGE, "--%s: wanted token ids with commas between, found \"%s\"", s->name, text);
        if (o->n_eos == MODEL_MAX_EOS)
            return error_set(err, ERROR_USAGE, "--%s: at most %d ids", s->name, MODEL_MAX_EOS);
        o->eos_ids[o->n_eos++] = (int)id;
        p = *end ? end + 1 : end;
    }
    return 0;
}

static int add_stop(const struct option_spec *s, const char *text, struct generate_options *o, struct error *err)
{
    if (!*text || strlen(text) >= sizeof o->stop[0])
        return error_set(err, ERROR_USAGE, "--%s: wanted 1 to %zu bytes, found %zu", s->name, sizeof o->stop[0] - 1, strlen(text));
    if (o->n_stop == GENERATE_MAX_STOP)
        return error_set(err, ERROR_USAGE, "--%s: at most %d stop strings", s->name, GENERATE_MAX_STOP);
    strcpy(o->stop[o->n_stop++], text);
    return 0;
}

/* Checks text against the row; writes it to target unless target is NULL. */
static int assign(const struct option_spec *s, const char *text, void *target, struct error *err)
{
    union { int i; unsigned long long u; double d; struct generate_options o; } scratch = {0};
    char *at = target ? (char *)target + s->offset : (char *)&scratch;
    double value = 0;
    int rc = 0, index;
    switch (s->type) {
    case OPTION_FLAG: return set_flag(s, text, (int *)at, err);
    case OPTION_STRING:
        if (s->argument && strchr(s->argument, '|') && choice_index(s->argument, text) < 0)
            return error_set(err, ERROR_USAGE, "--%s: wanted %s, found \"%s\"", s->name, s->argument, text);
        if (target)
            *(const char **)at = text;
        return 0;
    case OPTION_CHOICE:
        index = choice_index(s->argument, text);
        if (index < 0)
            return error_set(err, ERROR_USAGE, "--%s: wanted %s, found \"%s\"", s->name, s->argument, text);
        *(int *)at = index;
        return 0;
    case OPTION_U64: {
        char *end;
        errno = 0;
        unsigned long long u = strtoull(text, &end, 10);
        if (end == text || *end || errno || *text == '-')
            return error_set(err, ERROR_USAGE, "--%s: wanted a whole number from 0 to 2^64-1, found \"%s\"", s->name, text);
        *(unsigned long long *)at = u;
        return 0;
    }
    case OPTION_IDS: return set_ids(s, text, target ? target : &scratch.o, err);
    case OPTION_STOP: return add_stop(s, text, target ? target : &scratch.o, err);
    case OPTION_INT:
        if (!(rc = parse_number(s, text, &value, err)))
            *(int *)at = (int)value;
        return rc;
    case OPTION_FLOAT:
        if (!(rc = parse_number(s, text, &value, err)))
            *(float *)at = (float)value;
        return rc;
    case OPTION_DOUBLE:
        if (!(rc = parse_number(s, text, &value, err)))
            *(double *)at = value;
        return rc;
    }
    return rc;
}

static int add_assignment(struct options *o, const struct option_spec *s, enum option_scope scope, const char *text, struct error *err)
{
    int rc = assign(s, text, NULL, err);
    if (rc)
        return rc;
    struct assignment *a = arena_alloc(&o->arena, sizeof *a);
    char *copy = a ? arena_strdup(&o->arena, text) : NULL;
    if (!copy)
        return error_set_nomem(err, sizeof *a, "options");
    *a = (struct assignment){s, scope, copy, NULL};
    if (o->last)
        o->last->next = a;
    else
        o->first = a;
    o->last = a;
    return 0;
}

/* "ask-num-beams" -> scope and the rest of the name. */
static enum option_scope split_scope(const char **name, size_t *length, unsigned *groups)
{
    static const struct { const char *prefix; enum option_scope scope; unsigned group; } scopes[] = {
        {"ask-", SCOPE_ASK, GROUP_DECODE}, {"answer-", SCOPE_ANSWER, GROUP_DECODE}, {"train-", SCOPE_TRAIN, GROUP_TRAIN}};
    if (*groups & GROUP_ALIGN)
        for (int i = 0; i < 3; i++) {
            size_t n = strlen(scopes[i].prefix);
            if (*length > n && !strncmp(*name, scopes[i].prefix, n - 1) && ((*name)[n - 1] == '-' || (*name)[n - 1] == '_') &&
                find(*name + n, *length - n, scopes[i].group)) {
                *name += n;
                *length -= n;
                *groups = scopes[i].group;
                return scopes[i].scope;
            }
        }
    return SCOPE_PLAIN;
}

static int parse_one(struct options *o, int argc, char **argv, int *i, unsigned groups, struct error *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const char *shown = name;
    size_t shown_length = length;
    enum option_scope scope = split_scope(&name, &length, &groups);
    const struct option_spec *s = find(name, length, groups);
    int negated = 0;
    if (!s && length > 3 && !strncmp(name, "no", 2) && (name[2] == '-' || name[2] == '_')) {
        s = find(name + 3, length - 3, groups);
        negated = s && s->type == OPTION_FLAG;
        s = negated ? s : NULL;
    }
    if (!s)
        return unknown(shown, shown_length, groups, err);
    if (s->type == OPTION_FLAG) /* a flag takes a value only after '=' */
        return add_assignment(o, s, scope, negated ? "false" : equals ? equals + 1 : "true", err);
    if (!equals && *i + 1 >= argc)
        return error_set(err, ERROR_USAGE, "--%s: wanted %s after it, found nothing", s->name, s->argument);
    return add_assignment(o, s, scope, equals ? equals + 1 : argv[++*i], err);
}

int options_parse(struct options *o, int argc, char **argv, unsigned groups, struct error *err)
{
    o->rest = arena_alloc(&o->arena, (size_t)(argc + 1) * sizeof *o->rest);
    if (!o->rest)
        return error_set_nomem(err, (size_t)argc, "options");
    struct options command = {.rest = o->rest}; /* parsed apart, so that --config comes first */
    int rc = 0;
    for (int i = 0, only_rest = 0; i < argc && !rc; i++) {
        if (only_rest || argv[i][0] != '-' || !argv[i][1])
            o->rest[o->n_rest++] = argv[i];
        else if (!strcmp(argv[i], "--"))
            only_rest = 1;
        else if (!strcmp(argv[i], "-h"))
            rc = add_assignment(&command, find("help", 4, GROUP_COMMON), SCOPE_PLAIN, "true", err);
        else if (argv[i][1] != '-')
            rc = error_set(err, ERROR_USAGE, "%s: wanted an option with two hyphens; --help lists them", argv[i]);
        else
            rc = parse_one(&command, argc, argv, &i, groups, err);
    }
    for (struct assignment *a = command.first; a && !rc; a = a->next)
        if (!strcmp(a->spec->name, "config"))
            rc = options_read_config(o, a->text, groups, err);
    for (struct assignment *a = command.first; a && !rc; a = a->next)
        rc = add_assignment(o, a->spec, a->scope, a->text, err);
    arena_free(&command.arena);
    return rc;
}

int options_set_text(struct options *o, const char *name, const char *value, unsigned groups, struct error *err)
{
    const char *rest = name;
    size_t length = strlen(name);
    unsigned wanted = groups;
    enum option_scope scope = split_scope(&rest, &length, &wanted);
    const struct option_spec *s = find(rest, length, wanted);
    if (!s)
        return unknown(name, strlen(name), groups, err);
    return add_assignment(o, s, scope, value, err);
}

int options_knows(const char *name, unsigned groups)
{
    size_t length = strlen(name);
    split_scope(&name, &length, &groups);
    return find(name, length, groups) != NULL;
}

void options_free(struct options *o)
{
    arena_free(&o->arena);
    *o = (struct options){.arena = ARENA_INIT};
}

int options_apply(const struct options *o, enum option_scope scope, unsigned groups, void *target, struct error *err)
{
    int cleared = 0;
    for (const struct assignment *a = o->first; a; a = a->next) {
        if (a->scope != scope || !(a->spec->group & groups))
            continue;
        if (a->spec->type == OPTION_STOP && !cleared) {
            ((struct generate_options *)target)->n_stop = 0;
            cleared = 1;
        }
        int rc = assign(a->spec, a->text, target, err);
        if (rc)
            return rc;
    }
    return 0;
}

int options_given(const struct options *o, const char *name)
{
    for (const struct assignment *a = o->first; a; a = a->next)
        if (!strcmp(a->spec->name, name))
            return 1;
    return 0;
}

/* Lists (stop strings, EOS ids) arrive as arrays. */
static int set_json_list(const struct option_spec *s, const json_t *value, struct generate_options *o, struct error *err)
{
    int rc = 0;
    size_t i;
    json_t *item;
    if (s->type == OPTION_STOP) {
        o->n_stop = 0;
        json_array_foreach(value, i, item)
            if (!rc)
                rc = json_is_string(item) ? add_stop(s, json_string_value(item), o, err)
                                          : error_set(err, ERROR_DATA, "\"%s\": wanted strings", s->name);
        return rc;
    }
    o->n_eos = 0;
    json_array_foreach(value, i, item) {
        if (!json_is_integer(item) || o->n_eos == MODEL_MAX_EOS)
            return error_set(err, ERROR_DATA, "\"%s\": wanted at most %d token ids", s->name, MODEL_MAX_EOS);
        o->eos_ids[o->n_eos++] = (int)json_integer_value(item);
    }
    return 0;
}

int options_set_json(const char *name, const json_t *value, unsigned groups, void *target, struct error *err)
{
    const struct option_spec *s = find(name, strlen(name), groups);
    if (!s)
        return error_set(err, ERROR_USAGE, "%s", "");
    if (json_is_array(value) && (s->type == OPTION_STOP || s->type == OPTION_IDS))
        return set_json_list(s, value, target, err);
    char text[64];
    const char *given = text;
    if (json_is_string(value) && s->type != OPTION_INT && s->type != OPTION_FLOAT && s->type != OPTION_DOUBLE)
        given = json_string_value(value);
    else if (json_is_boolean(value) && (s->type == OPTION_FLAG || s->type == OPTION_CHOICE))
        given = json_is_true(value) ? "true" : "false";
    else if (json_is_integer(value) && s->type != OPTION_FLAG)
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value) && s->type != OPTION_FLAG)
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else
        return error_set(err, ERROR_DATA, "\"%s\": wanted %s, found another type of value", name, s->argument ? s->argument : "true or false");
    if (s->type == OPTION_STOP)
        ((struct generate_options *)target)->n_stop = 0;
    int rc = assign(s, given, target, err);
    return rc ? ERROR_DATA : 0;
}
