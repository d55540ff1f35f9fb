/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator asks of its queue. */
#include "cpu/device.h"

static struct cpu_device *cpu_of(const struct queue *q)
{
    return (struct cpu_device *)q->device;
}

struct pool *cpu_pool(struct queue *q)
{
    return cpu_of(q)->pool;
}

enum cpu_isa cpu_isa(const struct queue *q)
{
    return cpu_of(q)->isa;
}

enum cpu_pairs cpu_pairs(const struct queue *q)
{
    return cpu_of(q)->pairs;
}

void *cpu_scratch(struct queue *q, int worker)
{
    return cpu_of(q)->scratch + (size_t)worker * cpu_of(q)->scratch_bytes;
}

void *cpu_shared(struct queue *q)
{
    return cpu_of(q)->shared;
}
