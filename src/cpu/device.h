/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU backend's device: one queue that executes at once, a pool of threads, scratch for the operators. */
#ifndef CPU_DEVICE_H
#define CPU_DEVICE_H

#include "cpu/cpu.h"

struct cpu_device {
    struct device base;
    struct queue queue;
    enum cpu_isa isa;
    enum cpu_pairs pairs;
    struct pool *pool;
    char *shared, *scratch; /* CPU_SHARED; scratch_bytes a worker, at least CPU_SCRATCH */
    size_t scratch_bytes;
};

#endif
