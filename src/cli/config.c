/* SPDX-License-Identifier: Apache-2.0 */
/* --config FILE.yaml: one flat mapping of option names to scalars (or lists of scalars for options that may be given
 * several times). A run's own config.resolved.json is one: its template is a mapping, its empty texts mean "not given",
 * and what it says besides options (hashes, bits) is passed over. */
#include "cli/options.h"

#include "base/buf.h"
#include "base/error.h"
#include "io/yaml_text.h"

#include <stdlib.h>
#include <string.h>

struct config {
    struct options *o;
    const char *path;
    yaml_document_t doc;
    unsigned groups;
    int resolved; /* a run wrote it */
};

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* "a\0b" is no name and no value that ends at the zero. */
static int has_nul(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && strlen(scalar(node)) != node->data.scalar.length;
}

static int put_text(struct config *c, const char *name, const yaml_node_pair_t *p, json_t *object, struct error *err)
{
    const yaml_node_t *value = yaml_document_get_node(&c->doc, p->value);
    const char *key = scalar(yaml_document_get_node(&c->doc, p->key)), *text = scalar(value);
    if (!key || !text || has_nul(value))
        return error_set(err, ERROR_CONFIG, "%s: wanted a mapping of texts", name);
    if (json_object_set_new(object, key, json_string(text)))
        return error_set(err, ERROR_CONFIG, "%s: \"%.60s\" is not UTF-8 text", name, key);
    return 0;
}

/* A mapping of texts inside of another one. */
static int put_inner(struct config *c, const char *name, const yaml_node_pair_t *p, json_t *object, struct error *err)
{
    const yaml_node_t *value = yaml_document_get_node(&c->doc, p->value);
    const char *key = scalar(yaml_document_get_node(&c->doc, p->key));
    json_t *inner = json_object();
    int rc = key && !json_object_set(object, key, inner) ? 0 : error_set_nomem(err, 64, name);
    for (yaml_node_pair_t *q = value->data.mapping.pairs.start; q < value->data.mapping.pairs.top && !rc; q++)
        rc = put_text(c, name, q, inner, err);
    json_decref(inner);
    return rc;
}

/* A mapping of texts, and of mappings of texts, as one JSON object. */
static int put_mapping(struct config *c, const char *name, const yaml_node_t *value, struct error *err)
{
    json_t *object = json_object();
    int rc = object ? 0 : error_set_nomem(err, 64, name);
    for (yaml_node_pair_t *p = value->data.mapping.pairs.start; p < value->data.mapping.pairs.top && !rc; p++) {
        const yaml_node_t *item = yaml_document_get_node(&c->doc, p->value);
        int inner = item && item->type == YAML_MAPPING_NODE;
        rc = inner ? put_inner(c, name, p, object, err) : put_text(c, name, p, object, err);
    }
    char *text = rc ? NULL : json_dumps(object, JSON_COMPACT);
    if (!rc)
        rc = text ? options_set_text(c->o, name, text, c->groups, err) : error_set_nomem(err, 64, name);
    free(text);
    json_decref(object);
    return rc;
}

/* Ids are one value with commas between; of other lists each item is set by itself. */
static int put_list(struct config *c, const char *name, const yaml_node_t *value, struct error *err)
{
    struct buf ids = BUF_INIT;
    int rc = 0, together = strlen(name) >= 12 && !strcmp(name + strlen(name) - 12, "eos-token-id");
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top && !rc; i++) {
        const char *item = scalar(yaml_document_get_node(&c->doc, *i));
        if (!item)
            rc = error_set(err, ERROR_CONFIG, "%s: wanted scalars in the list", name);
        else if (together)
            buf_printf(&ids, "%s%s", ids.len ? "," : "", item);
        else
            rc = options_set_text(c->o, name, item, c->groups, err);
    }
    if (!rc && ids.failed)
        rc = error_set_nomem(err, 64, name);
    if (!rc && ids.len)
        rc = options_set_text(c->o, name, ids.data, c->groups, err);
    buf_free(&ids);
    return rc;
}

static int value_has_nul(struct config *c, const yaml_node_t *value)
{
    if (value->type == YAML_SEQUENCE_NODE)
        for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++)
            if (has_nul(yaml_document_get_node(&c->doc, *i)))
                return 1;
    if (value->type == YAML_MAPPING_NODE)
        for (yaml_node_pair_t *p = value->data.mapping.pairs.start; p < value->data.mapping.pairs.top; p++)
            if (has_nul(yaml_document_get_node(&c->doc, p->key)) || has_nul(yaml_document_get_node(&c->doc, p->value)))
                return 1;
    return has_nul(value);
}

/* The key before p that has its name, or NULL. */
static const yaml_node_t *same_key(struct config *c, const yaml_node_pair_t *p, const char *name)
{
    const yaml_node_t *root = yaml_document_get_root_node(&c->doc);
    for (const yaml_node_pair_t *q = root->data.mapping.pairs.start; q < p; q++) {
        const yaml_node_t *key = yaml_document_get_node(&c->doc, q->key);
        if (scalar(key) && !strcmp(scalar(key), name))
            return key;
    }
    return NULL;
}

static int put_pair(struct config *c, const yaml_node_pair_t *p, struct error *err)
{
    const yaml_node_t *key = yaml_document_get_node(&c->doc, p->key),
                      *value = yaml_document_get_node(&c->doc, p->value), *before;
    const char *name = scalar(key);
    int rc = 0;
    if (!name)
        return error_set(err, ERROR_CONFIG, "%s:%zu: wanted an option name", c->path, key->start_mark.line + 1);
    if (has_nul(key) || value_has_nul(c, value))
        return error_set(err, ERROR_CONFIG, "%s:%zu: a NUL byte; this is no text", c->path, key->start_mark.line + 1);
    if ((before = same_key(c, p, name)))
        return error_set(err, ERROR_CONFIG,
                         "%s:%zu: %s stands on line %zu already; give it once (several values as a list)", c->path,
                         key->start_mark.line + 1, name, before->start_mark.line + 1);
    if (c->resolved && (!options_named(name, c->groups) || (scalar(value) && !*scalar(value))))
        return 0;
    if (value->type == YAML_SCALAR_NODE)
        rc = options_set_text(c->o, name, scalar(value), c->groups, err);
    else if (value->type == YAML_SEQUENCE_NODE)
        rc = put_list(c, name, value, err);
    else if (!strcmp(name, "template"))
        rc = put_mapping(c, name, value, err);
    else
        rc = error_set(err, ERROR_CONFIG, "%s: wanted a value, found a mapping", name);
    return rc ? error_prefix(err, "%s:%zu", c->path, key->start_mark.line + 1) : 0;
}

static int put_all(struct config *c, struct error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(&c->doc);
    int rc = 0, facts = 0;
    if (!root)
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return error_set(err, ERROR_CONFIG, "%s: wanted \"option: value\" lines", c->path);
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const char *name = scalar(yaml_document_get_node(&c->doc, p->key));
        facts += name && (!strcmp(name, "bits") || !strcmp(name, "model-sha256"));
    }
    c->resolved = facts == 2;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top && !rc; p++)
        rc = put_pair(c, p, err);
    return rc;
}

int options_read_config(struct options *o, const char *path, unsigned groups, struct error *err)
{
    struct config c = {.o = o, .path = path, .groups = groups};
    int rc = yaml_text_read(&c.doc, path, err);
    if (rc)
        return rc;
    rc = put_all(&c, err);
    yaml_document_delete(&c.doc);
    return rc;
}

int options_parse(struct options *o, int argc, char **argv, unsigned groups, struct error *err)
{
    struct options command = {.arena = ARENA_INIT};
    int rc = options_read_command(&command, argc, argv, groups, err);
    for (const struct assignment *a = command.first; a && !rc; a = a->next)
        if (!strcmp(a->spec->field->name, "config"))
            rc = options_read_config(o, a->text, groups, err);
    rc = rc ? rc : options_append(o, &command, err);
    options_free(&command);
    return rc;
}
