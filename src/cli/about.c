/* SPDX-License-Identifier: Apache-2.0 */
/* --about FILE: what only people know of a run, one flat YAML mapping of names to texts. */
#include "cli/parts.h"

#include "io/yaml_text.h"
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *scalar(yaml_document_t *doc, int node)
{
    const yaml_node_t *n = yaml_document_get_node(doc, node);
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static int put(struct report_run *r, yaml_document_t *doc, const yaml_node_pair_t *p, const char *path,
               struct error *err)
{
    size_t line = yaml_document_get_node(doc, p->key)->start_mark.line + 1;
    const char *name = scalar(doc, p->key), *text = scalar(doc, p->value);
    if (!name || !report_about_knows(name))
        return error_set(err, ERROR_CONFIG, "%s:%zu: \"%.60s\" is not asked for; docs/FORMATS.md lists what is", path,
                         line, name ? name : "(no text)");
    if (!text || !*text)
        return error_set(err, ERROR_CONFIG, "%s:%zu: %s: wanted a text; leave the line out where nothing is stated",
                         path, line, name);
    if (report_fact_find(&r->about, name))
        return error_set(err, ERROR_CONFIG, "%s:%zu: %s stands there twice", path, line, name);
    struct report_fact *x = &r->about.items[r->about.n++];
    x->name = arena_strdup(&r->arena, name);
    x->value = arena_strdup(&r->arena, text);
    return x->name && x->value ? 0 : error_set_nomem(err, strlen(text), "statements");
}

/* Grams, where the energy is known and people say what a kilowatt-hour causes. */
static int weigh(struct report_run *r, const char *path, struct error *err)
{
    const char *text = report_fact_find(&r->about, "grid_gco2_per_kwh");
    char *end = NULL;
    double grams = text ? strtod(text, &end) : NAN;
    if (text && (*end || !(grams >= 0 && grams <= 1e5)))
        return error_set(err, ERROR_CONFIG,
                         "%s: grid_gco2_per_kwh: wanted grams of CO2 as a number (230), found \"%.40s\"", path, text);
    r->co2 = grams * r->joules / 3.6e6;
    return 0;
}

static int put_all(struct report_run *r, yaml_document_t *doc, const char *path, struct error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    if (!root || root->type != YAML_MAPPING_NODE)
        return error_set(err, ERROR_CONFIG, "%s: wanted \"name: text\" lines", path);
    size_t n = (size_t)(root->data.mapping.pairs.top - root->data.mapping.pairs.start);
    r->about.items = arena_alloc(&r->arena, (n + 1) * sizeof *r->about.items);
    int rc = r->about.items ? 0 : error_set_nomem(err, n * sizeof *r->about.items, "statements");
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top && !rc; p++)
        rc = put(r, doc, p, path, err);
    return rc ? rc : weigh(r, path, err);
}

int cli_read_about(struct report_run *r, const char *path, struct error *err)
{
    yaml_document_t doc;
    int rc = yaml_text_read(&doc, path, err);
    if (rc)
        return rc;
    rc = put_all(r, &doc, path, err);
    yaml_document_delete(&doc);
    return rc;
}
