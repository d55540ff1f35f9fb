/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
};
enum { HEADER = (sizeof(struct arena_block) + 15) / 16 * 16, BLOCK = 64 * 1024 };

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = (bytes + 15) / 16 * 16;
    if (!a->head || a->head->size - a->used < bytes) {
        size_t size = bytes > BLOCK ? bytes : BLOCK;
        struct arena_block *block = mem_calloc(1, HEADER + size);
        if (!block)
            return NULL;
        block->next = a->head;
        block->size = size;
        a->head = block;
        a->used = 0;
    }
    void *p = (char *)a->head + HEADER + a->used;
    a->used += bytes;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

void arena_free(struct arena *a)
{
    for (struct arena_block *block = a->head, *next; block; block = next) {
        next = block->next;
        mem_free(block);
    }
    *a = (struct arena)ARENA_INIT;
}
