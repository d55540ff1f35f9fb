/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for things that die together: allocations are never freed singly. 16-byte aligned, zeroed. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used; /* in head */
};
#define ARENA_INIT \
    {              \
        NULL, 0    \
    }

void *arena_alloc(struct arena *a, size_t bytes); /* NULL when out of memory */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);
void arena_free(struct arena *a); /* all of it; the arena may be used again */

#endif
