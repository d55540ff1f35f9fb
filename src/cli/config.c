/* SPDX-License-Identifier: Apache-2.0 */
/* --config FILE.yaml: one flat mapping of option names to scalars (or lists of scalars for options that may be given several times). */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* "a\0b" is no name and no value that ends at the zero. */
static int whole_text(const yaml_node_t *node, const char **text, struct error *err)
{
    *text = (const char *)node->data.scalar.value;
    return strlen(*text) == node->data.scalar.length ? 0 : error_set(err, ERROR_CONFIG, "a NUL byte; this is no text");
}

static int set(struct options *o, const char *name, const yaml_node_t *value, unsigned groups, struct error *err)
{
    const char *text;
    int rc = whole_text(value, &text, err);
    return rc ? rc : options_set_text(o, name, text, groups, err);
}

/* The pair before p that has its key, or NULL. */
static const yaml_node_t *same_key(yaml_document_t *doc, const yaml_node_t *root, const yaml_node_pair_t *p)
{
    const char *name = (const char *)yaml_document_get_node(doc, p->key)->data.scalar.value;
    for (const yaml_node_pair_t *q = root->data.mapping.pairs.start; q < p; q++) {
        const yaml_node_t *key = yaml_document_get_node(doc, q->key);
        if (!strcmp((const char *)key->data.scalar.value, name))
            return key;
    }
    return NULL;
}

static int pair(struct options *o, const char *path, yaml_document_t *doc, yaml_node_pair_t *p, unsigned groups, struct error *err)
{
    yaml_node_t *key = yaml_document_get_node(doc, p->key), *value = yaml_document_get_node(doc, p->value);
    const yaml_node_t *before;
    if (key->type != YAML_SCALAR_NODE)
        return error_set(err, ERROR_CONFIG, "%s:%zu: wanted an option name", path, key->start_mark.line + 1);
    const char *name;
    int rc = whole_text(key, &name, err);
    if (!rc && (before = same_key(doc, yaml_document_get_root_node(doc), p)))
        rc = error_set(err, ERROR_CONFIG, "%s stands on line %zu already; give it once (several values as a list)", name, before->start_mark.line + 1);
    if (rc)
        return error_prefix(err, "%s:%zu", path, key->start_mark.line + 1);
    if (value->type == YAML_SCALAR_NODE) {
        rc = set(o, name, value, groups, err);
    } else if (value->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top && !rc; i++) {
            yaml_node_t *item = yaml_document_get_node(doc, *i);
            rc = item->type == YAML_SCALAR_NODE ? set(o, name, item, groups, err)
                                                : error_set(err, ERROR_CONFIG, "%s: wanted scalars in the list", name);
        }
    } else {
        rc = error_set(err, ERROR_CONFIG, "%s: wanted a value, found a mapping", name);
    }
    return rc ? error_prefix(err, "%s:%zu", path, key->start_mark.line + 1) : 0;
}

int options_read_config(struct options *o, const char *path, unsigned groups, struct error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set_errno(err, "%s", path);
    yaml_parser_t parser;
    yaml_document_t doc;
    int rc = 0, loaded = 0;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return error_set_nomem(err, sizeof parser, "reading a configuration");
    }
    yaml_parser_set_input_file(&parser, f);
    loaded = yaml_parser_load(&parser, &doc);
    if (!loaded) {
        rc = error_set(err, ERROR_CONFIG, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1, parser.problem ? parser.problem : "?");
        goto out;
    }
    yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (!root)
        goto out;
    if (root->type != YAML_MAPPING_NODE) {
        rc = error_set(err, ERROR_CONFIG, "%s: wanted \"option: value\" lines", path);
        goto out;
    }
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top && !rc; p++)
        rc = pair(o, path, &doc, p, groups, err);
out:
    if (loaded)
        yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    fclose(f);
    return rc;
}
