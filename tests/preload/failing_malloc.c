/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: one in MALLOC_FAIL_ONE_IN allocations of the whole process fails, chosen by MALLOC_FAIL_SEED and the
 * allocation's number, those before MALLOC_FAIL_AFTER excepted; each of more than MALLOC_FAIL_ABOVE bytes fails. At its
 * end the process says on descriptor MALLOC_FAIL_SAY how many it made. glibc only. */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* glibc's own, behind the names */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static uint64_t one_in, seed, after, above = UINT64_MAX;
static atomic_ullong number;

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("MALLOC_FAIL_ONE_IN"), *s = getenv("MALLOC_FAIL_SEED");
    const char *a = getenv("MALLOC_FAIL_AFTER"), *most = getenv("MALLOC_FAIL_ABOVE");
    above = most ? strtoull(most, NULL, 10) : UINT64_MAX;
    after = a ? strtoull(a, NULL, 10) : 0;
    seed = s ? strtoull(s, NULL, 10) : 0;
    one_in = n ? strtoull(n, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *say = getenv("MALLOC_FAIL_SAY");
    if (say)
        dprintf(atoi(say), "%llu\n", (unsigned long long)number);
}

static int fails(size_t n)
{
    uint64_t i = atomic_fetch_add(&number, 1) + 1;
    if (n <= above && (!one_in || i < after))
        return 0;
    uint64_t x = i * 0x9e3779b97f4a7c15u ^ (seed + 1) * 0xd1b54a32d192ed03u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    if (n <= above && (x ^ x >> 31) % one_in)
        return 0;
    errno = ENOMEM;
    return 1;
}

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    return fails(n) ? NULL : __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    return fails(n) ? NULL : __libc_realloc(p, n);
}
