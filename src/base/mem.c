/* SPDX-License-Identifier: Apache-2.0 */
/* malloc with two test hooks, and mapped slabs. The library never calls malloc directly. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

static atomic_long fail_after = -1;
static atomic_size_t slab_now;
static _Thread_local int guard_depth;
static _Thread_local long guard_count;

static int must_fail(void)
{
    if (guard_depth)
        guard_count++;
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0)
        return 0;
    return atomic_fetch_sub(&fail_after, 1) == 0;
}

void mem_fail_at(long n)
{
    atomic_store(&fail_after, n);
}

int mem_fail_pending(void)
{
    return atomic_load(&fail_after) >= 0;
}

void mem_guard_enter(void)
{
    guard_depth++;
    guard_count = 0;
}

long mem_guard_leave(void)
{
    guard_depth--;
    return guard_count;
}

static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

void *mem_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(at_least_one(bytes));
}

void *mem_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (size_mul(count, size, &bytes))
        return NULL;
    return must_fail() ? NULL : calloc(1, at_least_one(bytes));
}

void *mem_resize(void *old, size_t bytes)
{
    return must_fail() ? NULL : realloc(old, at_least_one(bytes));
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = mem_alloc(n + 1);
    if (copy) {
        memcpy(copy, s, n);
        copy[n] = 0;
    }
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

static size_t slab_size(size_t bytes)
{
    return (bytes + 4095) / 4096 * 4096 + (bytes == 0) * 4096;
}

void *mem_slab(size_t bytes)
{
    if (bytes > SIZE_MAX / 2 || must_fail())
        return NULL;
    size_t size = slab_size(bytes);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (size >= (size_t)512 << 10)
        madvise(p, size, MADV_HUGEPAGE);
    atomic_fetch_add(&slab_now, size);
    return p;
}

void mem_slab_free(void *p, size_t bytes)
{
    if (!p)
        return;
    munmap(p, slab_size(bytes));
    atomic_fetch_sub(&slab_now, slab_size(bytes));
}

size_t mem_slab_bytes(void)
{
    return atomic_load(&slab_now);
}

int size_mul(size_t a, size_t b, size_t *result)
{
    return __builtin_mul_overflow(a, b, result) ? -1 : 0;
}

int size_add(size_t a, size_t b, size_t *result)
{
    return __builtin_add_overflow(a, b, result) ? -1 : 0;
}

/* The number behind `key` in a small file of the kernel's (key "": the first thing in it); `missing` when there is
 * none. */
static double number_in(const char *path, const char *key, double missing)
{
    char line[256];
    double value = missing, found;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), "%lf", &found) == 1) {
            value = found;
            break;
        }
    if (f)
        fclose(f);
    return value;
}

size_t mem_total(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t mem_available(void)
{
    double all = (double)mem_total(), free = 1024 * number_in("/proc/meminfo", "MemAvailable:", all / 1024);
    double group = number_in("/sys/fs/cgroup/memory.max", "", 1e18) - number_in("/sys/fs/cgroup/memory.current", "", 0);
    free = group < free ? group : free;
    return free > 0 ? (size_t)free : 0;
}
