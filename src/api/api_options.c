/* SPDX-License-Identifier: Apache-2.0 */
/* Options from a JSON object, by the field tables of the floors below. */
#include "api/parts.h"

#include "api/rows.h"
#include "base/names.h"
#include "io/jsontext.h"

#include <stdio.h>
#include <string.h>

enum { MOST_NAMES = 512 };

static const struct field rows[] = {ROW_DTYPE(struct api_common), ROW_THREADS(struct api_common),
                                    ROW_ISA(struct api_common), ROW_SEED(struct api_common)};
const struct field_table api_common_fields = {rows, sizeof rows / sizeof *rows};

void api_common_default(struct api_common *c)
{
    memset(c, 0, sizeof *c);
    fields_default(&api_common_fields, FIELD_PLAIN, c);
}

enum dtype api_dtype(const struct api_common *c)
{
    return c->dtype ? dtype_of_name(c->dtype, DTYPE_BF16) : DTYPE_BF16;
}

int api_device(struct device **out, const struct api_common *c, struct error *err)
{
    return device_open(out, DEVICE_CPU, &(struct device_options){.n_thread = c->threads, .isa = c->isa}, err);
}

/* Is it one phase's? Those are set last: they go over what holds for all. */
static int is_prefixed(const char *name, const struct api_table *tables, int n)
{
    int plain = 0;
    for (int i = 0; i < n; i++)
        plain |= !tables[i].prefix && field_find(tables[i].table, name);
    return !plain;
}

/* The names of the tables with this prefix, or of those without one. */
static struct names names_of(const struct api_table *tables, int n, const char *prefix, const char *list[MOST_NAMES])
{
    int found = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < tables[i].table->n && found < MOST_NAMES; k++)
            if (prefix ? tables[i].prefix && !strcmp(tables[i].prefix, prefix) : !tables[i].prefix)
                list[found++] = tables[i].table->rows[k].name;
    return (struct names){list, found};
}

/* Names the option that was meant, as it is written in JSON. */
static int refuse(const char *name, const struct api_table *tables, int n, struct error *err)
{
    const char *list[MOST_NAMES], *prefix = NULL;
    struct names names = names_of(tables, n, NULL, list);
    const char *ours = names_elsewhere(&names, name, strlen(name));
    for (int i = 0; i < n && !ours; i++) {
        size_t length = tables[i].prefix ? strlen(tables[i].prefix) : 0;
        if (!length || strncmp(name, tables[i].prefix, length))
            continue;
        names = names_of(tables, n, prefix = tables[i].prefix, list);
        ours = names_meant(&names, name + length, strlen(name + length));
    }
    if (!ours) {
        names = names_of(tables, n, prefix = NULL, list);
        ours = names_meant(&names, name, strlen(name));
    }
    if (!ours)
        return error_set(err, ERROR_USAGE, "options: \"%s\" is no option of this call", name);
    char written[96];
    snprintf(written, sizeof written, "%s%s", prefix ? prefix : "", ours);
    for (char *c = written; *c; c++)
        *c = *c == '-' ? '_' : *c;
    return error_set(err, ERROR_USAGE, "options: \"%s\" is no option of this call; did you mean \"%s\"?", name,
                     written);
}

/* Every table without a prefix that has the name takes it (both phases of a run), else the one whose prefix it begins
 * with. */
static int set_one(const char *name, const json_t *value, const struct api_table *tables, int n, struct error *err)
{
    int found = 0, rc = 0;
    for (int prefixed = 0; prefixed < 2 && !found; prefixed++)
        for (int i = 0; i < n && !rc; i++) {
            size_t len = tables[i].prefix ? strlen(tables[i].prefix) : 0;
            if ((tables[i].prefix != NULL) != prefixed || strncmp(name, prefixed ? tables[i].prefix : "", len))
                continue;
            const struct field *f = field_find(tables[i].table, name + len);
            if (!f)
                continue;
            found = 1;
            rc = field_set_json(f, value, tables[i].object, err);
        }
    return found ? rc : refuse(name, tables, n, err);
}

int api_options(const char *json, const struct api_table *tables, int n, json_t **keep, struct error *err)
{
    const char *name;
    json_t *value;
    int rc = 0;
    *keep = NULL;
    if (!json)
        return 0;
    rc = jsontext_parse(keep, jsontext_whole(json, strlen(json), "options"), NULL, err);
    if (!rc && !json_is_object(*keep))
        rc = error_set(err, ERROR_USAGE, "options: wanted a JSON object as {\"name\": value}");
    for (int last = 0; last < 2 && !rc; last++)
        json_object_foreach(*keep, name, value)
        {
            rc = is_prefixed(name, tables, n) == last ? set_one(name, value, tables, n, err) : 0;
            if (rc)
                break;
        }
    if (rc) {
        json_decref(*keep);
        *keep = NULL;
    }
    return rc;
}
