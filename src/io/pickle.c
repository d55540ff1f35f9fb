/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine left, as a list of tensors by name. */
#include "io/pickle_parts.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 32 << 20, MAX_TENSOR = 1 << 17 };

struct pickle {
    struct arena arena;
    struct pickle_tensor *tensors;
    size_t n_tensor;
};

static int name_order(const void *a, const void *b)
{
    return strcmp(((const struct pickle_tensor *)a)->info.name, ((const struct pickle_tensor *)b)->info.name);
}

static int refuse_item(struct pickle_maker *m, const char *key, const struct pickle_value *v)
{
    const struct pickle_pair *first = v->kind == PICKLE_DICT ? v->dict.first : NULL;
    const char *hint = first ? "; of a training checkpoint save the state dict in it alone" : "";
    return error_set(m->err, ERROR_DATA, "%s: key \"%.200s\" holds %s, wanted a tensor: this is no state dict%s",
                     m->name, key, pickle_kind_name(v), hint);
}

/* The dictionary's items by name. */
static int list_tensors(struct pickle_maker *m, const struct pickle_value *root, struct pickle *p)
{
    size_t n = 0;
    if (root->kind != PICKLE_DICT)
        return error_set(m->err, ERROR_DATA, "%s: holds %s, wanted a dict of tensors", m->name, pickle_kind_name(root));
    for (const struct pickle_pair *pair = root->dict.first; pair; pair = pair->next)
        n++;
    if (n > MAX_TENSOR)
        return error_set(m->err, ERROR_DATA, "%s: %zu tensors, more than the %d allowed", m->name, n, MAX_TENSOR);
    p->tensors = arena_alloc(&m->arena, (n + 1) * sizeof *p->tensors);
    if (!p->tensors)
        return pickle_nomem(m, n * sizeof *p->tensors);
    for (const struct pickle_pair *pair = root->dict.first; pair; pair = pair->next) {
        const char *name;
        int rc = pickle_string(m, pair->key, "a key of the dict of tensors", &name);
        if (rc)
            return rc;
        if (pair->value->kind != PICKLE_TENSOR)
            return refuse_item(m, name, pair->value);
        p->tensors[p->n_tensor] = *pair->value->tensor;
        p->tensors[p->n_tensor++].info.name = name;
    }
    qsort(p->tensors, p->n_tensor, sizeof *p->tensors, name_order);
    for (size_t i = 1; i < p->n_tensor; i++)
        if (!strcmp(p->tensors[i - 1].info.name, p->tensors[i].info.name))
            return error_set(m->err, ERROR_DATA, "%s: tensor %s is given twice", m->name, p->tensors[i].info.name);
    return 0;
}

int pickle_parse(struct pickle **out, const void *bytes, size_t size, const char *name, struct error *err)
{
    struct pickle_maker m = {.arena = ARENA_INIT, .name = name, .err = err, .opcode = "start"};
    struct pickle_value *root = NULL;
    *out = NULL;
    if (size > MAX_SIZE)
        return error_set(err, ERROR_DATA, "%s: a pickle of %zu bytes, more than the %d allowed", name, size, MAX_SIZE);
    struct pickle *p = mem_calloc(1, sizeof *p);
    int rc = p ? pickle_run(&m, bytes, size, &root) : error_set_nomem(err, sizeof *p, name);
    if (!rc)
        rc = list_tensors(&m, root, p);
    if (rc) {
        arena_free(&m.arena);
        mem_free(p);
        return rc;
    }
    p->arena = m.arena;
    *out = p;
    return 0;
}

void pickle_free(struct pickle *p)
{
    if (!p)
        return;
    arena_free(&p->arena);
    mem_free(p);
}

size_t pickle_n_tensor(const struct pickle *p)
{
    return p->n_tensor;
}

const struct pickle_tensor *pickle_tensor(const struct pickle *p, size_t i)
{
    return &p->tensors[i];
}
