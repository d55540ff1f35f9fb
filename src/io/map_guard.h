/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a mapped file after the place where another process has cut it raises SIGBUS. Here such pages of registered
 * mappings become zeros and the mapping is marked; any other SIGBUS does what it did before. Used by io/file.c only. */
#ifndef IO_MAP_GUARD_H
#define IO_MAP_GUARD_H

#include <stddef.h>

int map_guard_add(const void *start, size_t size); /* -1: the table is full, the mapping is not guarded */
void map_guard_remove(int guard);                  /* before it is unmapped; -1 is fine */
int map_guard_is_cut(int guard);

#endif
