/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and applying options by the table. */
#include "cli/options.h"

#include <stdio.h>
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
        if ((table[i].group & groups) && same_name(name, length, table[i].field->name))
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

static const struct option_spec *nearest(const char *name, size_t length, unsigned groups, int *best)
{
    int n;
    const struct option_spec *table = option_table(&n), *near = NULL;
    *best = 99;
    for (int i = 0; i < n; i++) {
        int d = table[i].group & groups ? distance(name, length, table[i].field->name) : 99;
        if (d < *best) {
            *best = d;
            near = &table[i];
        }
    }
    return near;
}

const char *options_near(const char *name, unsigned groups)
{
    size_t length = strlen(name);
    int best;
    const struct option_spec *near = nearest(name, length, groups, &best);
    return near && best <= (length >= 8 ? 2 : 1) ? near->field->name : NULL;
}

static int unknown(const char *name, size_t length, unsigned groups, struct error *err)
{
    int best;
    const struct option_spec *near = nearest(name, length, groups, &best);
    if (near && best <= 3)
        return error_set(err, ERROR_USAGE, "--%.*s: no such option here; did you mean --%s?", (int)length, name,
                         near->field->name);
    return error_set(err, ERROR_USAGE, "--%.*s: no such option here; --help lists them", (int)length, name);
}

static int assign(const struct option_spec *s, const char *text, void *target, struct error *err)
{
    return field_set(s->field, text, (char *)target + s->base, err);
}

static int add_assignment(struct options *o, const struct option_spec *s, enum option_scope scope, const char *text,
                          struct error *err)
{
    int rc = field_set(s->field, text, NULL, err);
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
    static const struct {
        const char *prefix;
        enum option_scope scope;
        unsigned group;
    } scopes[] = {{"ask-", SCOPE_ASK, GROUP_DECODE},
                  {"answer-", SCOPE_ANSWER, GROUP_DECODE},
                  {"train-", SCOPE_TRAIN, GROUP_TRAIN}};
    if (*groups & GROUP_ALIGN)
        for (int i = 0; i < 3; i++) {
            size_t n = strlen(scopes[i].prefix);
            if (*length > n && !strncmp(*name, scopes[i].prefix, n - 1) &&
                ((*name)[n - 1] == '-' || (*name)[n - 1] == '_') && find(*name + n, *length - n, scopes[i].group)) {
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
        negated = s && s->field->type == FIELD_FLAG;
        s = negated ? s : NULL;
    }
    if (!s)
        return unknown(shown, shown_length, groups, err);
    if (negated)
        return add_assignment(o, s, scope, "false", err);
    if (s->field->type == FIELD_FLAG) /* a flag takes a value only after '=' */
        return add_assignment(o, s, scope, equals ? equals + 1 : "true", err);
    if (!equals && *i + 1 >= argc)
        return error_set(err, ERROR_USAGE, "--%s: wanted %s after it, found nothing", s->field->name,
                         s->field->argument);
    return add_assignment(o, s, scope, equals ? equals + 1 : argv[++*i], err);
}

int options_read_command(struct options *o, int argc, char **argv, unsigned groups, struct error *err)
{
    o->rest = arena_alloc(&o->arena, (size_t)(argc + 1) * sizeof *o->rest);
    if (!o->rest)
        return error_set_nomem(err, (size_t)argc, "options");
    int rc = 0;
    for (int i = 0, only_rest = 0; i < argc && !rc; i++) {
        if (only_rest || argv[i][0] != '-' || !argv[i][1])
            o->rest[o->n_rest++] = argv[i];
        else if (!strcmp(argv[i], "--"))
            only_rest = 1;
        else if (!strcmp(argv[i], "-h"))
            rc = add_assignment(o, find("help", 4, GROUP_COMMON), SCOPE_PLAIN, "true", err);
        else if (argv[i][1] != '-')
            rc = error_set(err, ERROR_USAGE, "%s: wanted an option with two hyphens; --help lists them", argv[i]);
        else
            rc = parse_one(o, argc, argv, &i, groups, err);
    }
    return rc;
}

int options_append(struct options *o, const struct options *more, struct error *err)
{
    size_t bytes = (size_t)(more->n_rest + 1) * sizeof *o->rest;
    int rc = 0;
    o->rest = arena_alloc(&o->arena, bytes);
    if (!o->rest)
        return error_set_nomem(err, bytes, "options");
    if (more->n_rest)
        memcpy(o->rest, more->rest, bytes - sizeof *o->rest);
    o->n_rest = more->n_rest;
    for (const struct assignment *a = more->first; a && !rc; a = a->next)
        rc = add_assignment(o, a->spec, a->scope, a->text, err);
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
    for (const struct assignment *a = o->first; a; a = a->next) /* texts given here take the place of those before */
        if (a->scope == scope && (a->spec->group & groups) && a->spec->field->type == FIELD_TEXTS)
            field_clear(a->spec->field, (char *)target + a->spec->base);
    for (const struct assignment *a = o->first; a; a = a->next) {
        int rc = a->scope == scope && (a->spec->group & groups) ? assign(a->spec, a->text, target, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int options_set_json(const char *name, const json_t *value, unsigned groups, void *target, struct error *err)
{
    const struct option_spec *s = find(name, strlen(name), groups);
    if (!s)
        return error_set(err, ERROR_USAGE, "%s", "");
    return field_set_json(s->field, value, (char *)target + s->base, err);
}
