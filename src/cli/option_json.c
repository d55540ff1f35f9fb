/* SPDX-License-Identifier: Apache-2.0 */
/* The options that were given as the JSON object that the calls of isara.h take. */
#include "cli/parts.h"

#include "base/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *ids_json(const char *text)
{
    json_t *list = json_array();
    char *end;
    for (const char *p = text; list && *p; p = *end ? end + 1 : end)
        json_array_append_new(list, json_integer(strtol(p, &end, 10)));
    return list;
}

/* Texts were checked when they were read. */
static json_t *value_json(const struct field *f, const char *text)
{
    int flag = 0;
    struct field alone = *f;
    alone.offset = 0;
    switch (f->type) {
    case FIELD_FLAG: return field_set(&alone, text, &flag, NULL) ? NULL : json_boolean(flag);
    case FIELD_INT: return json_integer((json_int_t)strtod(text, NULL));
    case FIELD_FLOAT:
    case FIELD_DOUBLE: return json_real(strtod(text, NULL));
    case FIELD_IDS: return ids_json(text);
    case FIELD_U64:
    case FIELD_STRING:
    case FIELD_CHOICE:
    case FIELD_TEXTS: return json_string(text);
    }
    return NULL;
}

static int put(json_t *all, const char *name, const struct assignment *a, struct error *err)
{
    const struct field *f = a->spec->field;
    json_t *value = value_json(f, a->text), *list = json_object_get(all, name);
    if (!value)
        return error_set(err, ERROR_USAGE, "--%s: wanted UTF-8 text", f->name);
    if (f->type == FIELD_TEXTS && !list && !json_object_set_new(all, name, json_array()))
        list = json_object_get(all, name);
    if (f->type == FIELD_TEXTS && json_array_size(list) >= (size_t)f->capacity) {
        json_decref(value);
        return error_set(err, ERROR_USAGE, "--%s: at most %d texts", f->name, f->capacity);
    }
    int rc = f->type == FIELD_TEXTS ? json_array_append_new(list, value) : json_object_set_new(all, name, value);
    return rc ? error_set_nomem(err, strlen(a->text), "options") : 0;
}

static int listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (!strcmp(*names, name))
            return 1;
    return 0;
}

int options_object(const struct options *o, unsigned groups, const char *const *own, json_t **out, struct error *err)
{
    static const char *const prefixes[] = {"", "ask_", "answer_", "train_"};
    json_t *all = *out = json_object();
    int rc = all ? 0 : error_set_nomem(err, 64, "options");
    for (const struct assignment *a = o->first; a && !rc; a = a->next) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefixes[a->scope], a->spec->field->name);
        if (a->spec->group & groups || listed(own, a->spec->field->name))
            rc = put(all, name, a, err);
    }
    return rc;
}

int options_json(const struct options *o, const char *const *own, char **out, struct error *err)
{
    json_t *all = NULL;
    int rc = options_object(o, GROUP_OWNERS | GROUP_ENGINE, own, &all, err);
    *out = rc ? NULL : json_dumps(all, JSON_REAL_PRECISION(17));
    json_decref(all);
    return rc || *out ? rc : error_set_nomem(err, 1024, "options");
}

const char *options_text(const struct options *o, const char *name)
{
    const char *text = NULL;
    for (const struct assignment *a = o->first; a; a = a->next)
        if (a->scope == SCOPE_PLAIN && !strcmp(a->spec->field->name, name))
            text = a->text;
    return text;
}

int cli_error(const struct isara_error *from, struct error *to)
{
    return from->code ? error_set(to, from->code, "%s", from->message) : 0;
}

void cli_show_report(struct isara_report *r, int as_json)
{
    if (as_json && r->json)
        puts(r->json);
    else if (!as_json && r->text) {
        terminal_end();
        printable(r->text);
        fputs(r->text, stdout);
    }
    isara_free(r->json);
    isara_free(r->text);
}
