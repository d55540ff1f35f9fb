/* SPDX-License-Identifier: Apache-2.0 */
#include "text/vocab.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

static size_t probe(const struct vocab *v, const char *text, size_t n)
{
    size_t at = hash64(text, n) & (v->n_slot - 1);
    while (v->slot[at]) {
        const struct vocab_entry *e = v->entry + v->slot[at] - 1;
        if (e->n == n && !memcmp(e->text, text, n))
            break;
        at = (at + 1) & (v->n_slot - 1);
    }
    return at;
}

static int grow_slots(struct vocab *v)
{
    size_t n = v->n_slot ? v->n_slot * 2 : 1024;
    uint32_t *slot = mem_calloc(n, sizeof *slot);
    if (!slot)
        return -1;
    mem_free(v->slot);
    v->slot = slot;
    v->n_slot = n;
    for (int32_t id = 0; id < v->size; id++)
        if (v->entry[id].text)
            slot[probe(v, v->entry[id].text, v->entry[id].n)] = (uint32_t)id + 1;
    return 0;
}

static int grow_entries(struct vocab *v, int32_t id)
{
    int32_t cap = v->cap ? v->cap : 1024;
    while (cap <= id)
        cap *= 2;
    struct vocab_entry *entry = mem_resize(v->entry, (size_t)cap * sizeof *entry);
    if (!entry)
        return -1;
    memset(entry + v->cap, 0, (size_t)(cap - v->cap) * sizeof *entry);
    v->entry = entry;
    v->cap = cap;
    return 0;
}

int vocab_add(struct vocab *v, const char *text, size_t n, int32_t id)
{
    if (v->n_used * 2 >= v->n_slot && grow_slots(v))
        return -1;
    if (id >= v->cap && grow_entries(v, id))
        return -1;
    if (v->entry[id].text)
        return -2;
    size_t at = probe(v, text, n);
    if (v->slot[at])
        return -3;
    v->slot[at] = (uint32_t)id + 1;
    v->n_used++;
    v->entry[id].text = text;
    v->entry[id].n = (uint32_t)n;
    if (id >= v->size)
        v->size = id + 1;
    return 0;
}

int32_t vocab_find(const struct vocab *v, const char *text, size_t n)
{
    return v->n_slot ? (int32_t)v->slot[probe(v, text, n)] - 1 : -1;
}

int32_t vocab_find_model(const struct vocab *v, const char *text, size_t n)
{
    int32_t id = vocab_find(v, text, n);
    return id >= 0 && v->entry[id].flags & VOCAB_OUTSIDE ? -1 : id;
}

const struct vocab_entry *vocab_at(const struct vocab *v, int32_t id)
{
    return id >= 0 && id < v->size && v->entry[id].text ? v->entry + id : NULL;
}

void vocab_deinit(struct vocab *v)
{
    mem_free(v->entry);
    mem_free(v->slot);
    *v = (struct vocab){0};
}
