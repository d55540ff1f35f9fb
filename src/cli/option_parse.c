/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and applying options by the table. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

static int unknown(const char *name, size_t length, unsigned groups, struct error *err)
{
    struct buf suggestion = BUF_INIT;
    options_suggest(name, length, groups, &suggestion);
    int rc = error_set(err, ERROR_USAGE, "--%.*s: no such option here; %s", (int)length, name,
                       suggestion.failed ? "--help lists them" : suggestion.data);
    buf_free(&suggestion);
    return rc;
}

static int one_hyphen(const char *word, unsigned groups, struct error *err)
{
    struct buf suggestion = BUF_INIT;
    options_suggest(word + 1, strcspn(word + 1, "="), groups, &suggestion);
    int rc = error_set(err, ERROR_USAGE, "%s: wanted an option with two hyphens; %s", word,
                       suggestion.failed ? "--help lists them" : suggestion.data);
    buf_free(&suggestion);
    return rc;
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
    for (int i = 0; i < OPTION_N_PREFIX && (*groups & GROUP_ALIGN); i++) {
        const struct option_prefix *p = &option_prefixes[i];
        size_t n = strlen(p->text);
        if (*length > n && !strncmp(*name, p->text, n - 1) && ((*name)[n - 1] == '-' || (*name)[n - 1] == '_') &&
            option_find_part(*name + n, *length - n, p->group)) {
            *name += n;
            *length -= n;
            *groups = p->group;
            return p->scope;
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
    const struct option_spec *s = option_find_part(name, length, groups);
    int negated = 0;
    if (!s && length > 3 && !strncmp(name, "no", 2) && (name[2] == '-' || name[2] == '_')) {
        s = option_find_part(name + 3, length - 3, groups);
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
            rc = add_assignment(o, option_find_part("help", 4, GROUP_COMMON), SCOPE_PLAIN, "true", err);
        else if (argv[i][1] != '-')
            rc = one_hyphen(argv[i], groups, err);
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
    const struct option_spec *s = option_find_part(rest, length, wanted);
    if (!s)
        return unknown(name, strlen(name), groups, err);
    return add_assignment(o, s, scope, value, err);
}

const struct option_spec *options_named(const char *name, unsigned groups)
{
    size_t length = strlen(name);
    split_scope(&name, &length, &groups);
    return option_find_part(name, length, groups);
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
    const struct option_spec *s = option_find_part(name, strlen(name), groups);
    if (!s)
        return error_set(err, ERROR_USAGE, "%s", "");
    return field_set_json(s->field, value, (char *)target + s->base, err);
}
