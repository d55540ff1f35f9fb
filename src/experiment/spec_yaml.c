/* SPDX-License-Identifier: Apache-2.0 */
/* The experiment's file through libyaml: nodes with their lines, texts in the spec's arena. */
#include "experiment/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/yaml_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 22, MOST_DEPTH = 32, MOST_NODES = 10000 };
struct spec_yaml {
    struct spec *spec;
    yaml_document_t doc;
    int parsed;
};

static const yaml_node_t *node_of(const struct spec_node *n)
{
    return (const yaml_node_t *)(const void *)n;
}

static const struct spec_node *node_at(struct spec_yaml *y, int index)
{
    return (const struct spec_node *)(const void *)yaml_document_get_node(&y->doc, index);
}

static int load(struct spec_yaml *y, struct error *err)
{
    struct spec *s = y->spec;
    struct buf text = BUF_INIT;
    int rc = file_read(&text, s->path, MOST_BYTES, err);
    if (!rc)
        sha256_bytes(buf_text(&text), text.len, s->sha256);
    rc = rc ? rc : yaml_text_load(&y->doc, buf_text(&text), text.len, s->path, err);
    buf_free(&text);
    if (rc)
        return rc;
    y->parsed = 1;
    return yaml_document_get_root_node(&y->doc)
               ? 0
               : spec_fail(s, 1, err, "wanted an experiment (model, seeds, test, arms), found nothing");
}

int spec_yaml_open(struct spec_yaml **out, struct spec *s, struct error *err)
{
    struct spec_yaml *y = *out = mem_calloc(1, sizeof *y);
    if (!y)
        return error_set_nomem(err, sizeof *y, "reading an experiment");
    y->spec = s;
    int rc = load(y, err);
    if (rc) {
        spec_yaml_close(y);
        *out = NULL;
    }
    return rc;
}

void spec_yaml_close(struct spec_yaml *y)
{
    if (!y)
        return;
    if (y->parsed)
        yaml_document_delete(&y->doc);
    mem_free(y);
}

const struct spec_node *spec_yaml_root(struct spec_yaml *y)
{
    return (const struct spec_node *)(const void *)yaml_document_get_root_node(&y->doc);
}

long spec_line(const struct spec_node *n)
{
    return (long)node_of(n)->start_mark.line + 1;
}

int spec_is_mapping(const struct spec_node *n)
{
    return node_of(n)->type == YAML_MAPPING_NODE;
}

int spec_is_list(const struct spec_node *n)
{
    return node_of(n)->type == YAML_SEQUENCE_NODE;
}

static const char *kind_of(const struct spec_node *n)
{
    if (spec_is_mapping(n))
        return "a mapping";
    return spec_is_list(n) ? "a list" : "a value";
}

int spec_text(struct spec_yaml *y, const struct spec_node *n, const char *wanted, const char **out, struct error *err)
{
    const yaml_node_t *node = node_of(n);
    if (node->type != YAML_SCALAR_NODE)
        return spec_fail(y->spec, spec_line(n), err, "wanted %s, found %s", wanted, kind_of(n));
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length)
        return spec_fail(y->spec, spec_line(n), err, "wanted %s, found a NUL byte", wanted);
    *out = arena_strdup(&y->spec->arena, text);
    return *out ? 0 : error_set_nomem(err, node->data.scalar.length, "a text");
}

int spec_int(struct spec_yaml *y, const struct spec_node *n, const char *wanted, unsigned long long *out,
             struct error *err)
{
    const char *text;
    char *end;
    int rc = spec_text(y, n, wanted, &text, err);
    if (rc)
        return rc;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return spec_fail(y->spec, spec_line(n), err, "wanted %s, found \"%.60s\"", wanted, text);
    return 0;
}

int spec_texts(struct spec_yaml *y, const struct spec_node *n, const char *wanted, struct spec_list *out,
               struct error *err)
{
    int count = 0, rc = 0;
    while (spec_is_list(n) && spec_item(y, n, count))
        count++;
    count = spec_is_list(n) ? count : 1;
    out->items = arena_alloc(&y->spec->arena, ((size_t)count + 1) * sizeof *out->items);
    if (!out->items)
        return error_set_nomem(err, (size_t)count * sizeof *out->items, "a list");
    for (out->n = 0; out->n < count && !rc; out->n++)
        rc = spec_text(y, spec_is_list(n) ? spec_item(y, n, out->n) : n, wanted, &out->items[out->n], err);
    return rc || count ? rc : spec_fail(y->spec, spec_line(n), err, "wanted %s, found an empty list", wanted);
}

const struct spec_node *spec_item(struct spec_yaml *y, const struct spec_node *list, int i)
{
    const yaml_node_t *n = node_of(list);
    const yaml_node_item_t *at = n->data.sequence.items.start + i;
    return at < n->data.sequence.items.top ? node_at(y, *at) : NULL;
}

const struct spec_node *spec_pair(struct spec_yaml *y, const struct spec_node *mapping, int i,
                                  const struct spec_node **value)
{
    const yaml_node_t *n = node_of(mapping);
    const yaml_node_pair_t *at = n->data.mapping.pairs.start + i;
    if (at >= n->data.mapping.pairs.top)
        return NULL;
    *value = node_at(y, at->value);
    return node_at(y, at->key);
}

/* The key's text, borrowed from the document; NULL: it is none. */
static const char *key_text(const struct spec_node *key)
{
    const yaml_node_t *n = node_of(key);
    int is = n->type == YAML_SCALAR_NODE && strlen((const char *)n->data.scalar.value) == n->data.scalar.length;
    return is ? (const char *)n->data.scalar.value : NULL;
}

int spec_check_mapping(struct spec_yaml *y, const struct spec_node *n, const char *wanted, struct error *err)
{
    const struct spec_node *key, *before, *value;
    if (!spec_is_mapping(n))
        return spec_fail(y->spec, spec_line(n), err, "wanted %s, found %s", wanted, kind_of(n));
    for (int i = 0; (key = spec_pair(y, n, i, &value)) != NULL; i++) {
        if (!key_text(key))
            return spec_fail(y->spec, spec_line(key), err, "wanted a name, found %s", kind_of(key));
        for (int k = 0; k < i; k++) {
            before = spec_pair(y, n, k, &value);
            if (!strcmp(key_text(before), key_text(key)))
                return spec_fail(y->spec, spec_line(key), err, "%.60s stands on line %ld already; give it once",
                                 key_text(key), spec_line(before));
        }
    }
    return 0;
}

/* As options are written in tables. */
static const char *hyphened(struct spec_yaml *y, const char *name)
{
    char *copy = arena_strdup(&y->spec->arena, name);
    for (char *c = copy; c && *c; c++)
        if (*c == '_')
            *c = '-';
    return copy;
}

/* Numbers are one value with commas between. */
static int joined(struct spec_yaml *y, struct spec_list *list, struct error *err)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < list->n; i++)
        buf_printf(&b, "%s%s", i ? "," : "", list->items[i]);
    list->items[0] = b.failed ? NULL : arena_strdup(&y->spec->arena, buf_text(&b));
    list->n = 1;
    buf_free(&b);
    return list->items[0] ? 0 : error_set_nomem(err, 64, "a list");
}

int spec_option(struct spec_yaml *y, const struct spec_node *key, const char **out, struct error *err)
{
    const char *name;
    int rc = spec_text(y, key, "an option's name", &name, err);
    *out = rc ? NULL : hyphened(y, name);
    rc = rc || *out ? rc : error_set_nomem(err, 64, "a name");
    if (rc || switch_users(*out))
        return rc;
    return spec_fail(y->spec, spec_line(key), err,
                     "\"%.60s\": no such key and no option of align, train or eval here; wanted a name that "
                     "isara align --help or docs/FORMATS.md has (an evaluation's own: eval-NAME)",
                     *out);
}

int spec_values(struct spec_yaml *y, const struct setting *option, const struct spec_node *value, struct settings *to,
                struct error *err)
{
    struct spec_list texts = {NULL, 0};
    const struct setting *before = settings_find(to, option->name);
    if (before)
        return spec_fail(y->spec, option->line, err, "%.60s stands on line %ld already; give it once", option->name,
                         before->line);
    int rc = spec_texts(y, value, "a value", &texts, err);
    enum switch_list list = switch_list(option->name);
    if (!rc && texts.n > 1 && list == SWITCH_ONE)
        return spec_fail(y->spec, option->line, err,
                         "%.60s: wanted one value, found a list of %d; for one arm a value write ablate, or arms of "
                         "their own",
                         option->name, texts.n);
    if (!rc && texts.n > 1 && list == SWITCH_COMMAS)
        rc = joined(y, &texts, err);
    for (int i = 0; i < texts.n && !rc; i++) {
        const struct setting one = {option->name, spec_value(y->spec, option->name, texts.items[i]), option->line};
        rc = settings_put(to, &one, &y->spec->arena, err);
    }
    return rc;
}

int spec_setting(struct spec_yaml *y, const struct spec_node *key, const struct spec_node *value, struct settings *to,
                 struct error *err)
{
    struct setting option = {.line = spec_line(key)};
    int rc = spec_option(y, key, &option.name, err);
    return rc ? rc : spec_values(y, &option, value, to, err);
}

/* *left: nodes that may still come, as an alias may stand for what holds it. */
static json_t *json_of(struct spec_yaml *y, const struct spec_node *n, int depth, int *left)
{
    const struct spec_node *key, *value, *item;
    if (depth > MOST_DEPTH)
        *left = 0;
    if (--*left < 0)
        return NULL;
    if (spec_is_mapping(n)) {
        json_t *o = json_object();
        for (int i = 0; *left >= 0 && (key = spec_pair(y, n, i, &value)) != NULL && key_text(key); i++)
            json_object_set_new(o, key_text(key), json_of(y, value, depth + 1, left));
        return o;
    }
    if (spec_is_list(n)) {
        json_t *list = json_array();
        for (int i = 0; *left >= 0 && (item = spec_item(y, n, i)) != NULL; i++)
            json_array_append_new(list, json_of(y, item, depth + 1, left));
        return list;
    }
    return json_string((const char *)node_of(n)->data.scalar.value);
}

int spec_json(struct spec_yaml *y, const struct spec_node *n, json_t **out, struct error *err)
{
    int left = MOST_NODES;
    *out = json_of(y, n, 0, &left);
    if (left >= 0 && *out)
        return 0;
    json_decref(*out);
    *out = NULL;
    return spec_fail(y->spec, spec_line(n), err, "wanted at most %d texts, lists and mappings here", MOST_NODES);
}
