/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator every floor uses. A test can make the n-th allocation fail, and a step that must not allocate
 * (decoding, an optimizer step) is bracketed by a guard that counts what it did allocate. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* All return NULL when out of memory. Zero bytes gives a unique pointer. count*size is checked for overflow. */
void *mem_alloc(size_t bytes);
void *mem_calloc(size_t count, size_t size);
void *mem_resize(void *old, size_t bytes);
void mem_free(void *p);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
/* Zeroed and aligned to 64 bytes, for slabs (weights, activations, KV pages); large ones are mapped, so untouched pages
 * cost nothing. Free with mem_slab_free and the same size. */
void *mem_slab(size_t bytes);
void mem_slab_free(void *p, size_t bytes);

/* a*b and a+b in 64 bits; 0 on success, -1 on overflow (result untouched). For sizes read from files. */
int size_mul(size_t a, size_t b, size_t *result);
int size_add(size_t a, size_t b, size_t *result);

/* Tests: allocation number n from now (0 = the next) and only it returns NULL; n < 0 switches it off.
 * mem_fail_pending says whether it is still to come. Process-wide. */
void mem_fail_at(long n);
int mem_fail_pending(void);
/* Guard: between enter and leave every mem_* allocation of this thread is counted; leave returns the count. */
void mem_guard_enter(void);
long mem_guard_leave(void);
size_t mem_slab_bytes(void); /* now held by mem_slab */
size_t mem_total(void);      /* of the machine */
/* Memory that a new process could take here without pushing others out, within the control group's limit. */
size_t mem_available(void);

#endif
