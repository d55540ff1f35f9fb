/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_<op>: through the table of the queue's device; timed when it has a profile. */
#include "base/clock.h"
#include "tensor/backend.h"
#include "tensor/profile.h"

static void add_time(struct queue *q, int op, double start)
{
    queue_drain(q);
    q->device->profile->seconds[op] += clock_now() - start;
    q->device->profile->calls[op]++;
}

#define X(op)                                                        \
    void tensor_##op(struct queue *q, const struct op##_args *args)  \
    {                                                                \
        double start = q->device->profile ? clock_now() : 0;         \
        q->device->ops->op(q, args);                                 \
        if (q->device->profile)                                      \
            add_time(q, TENSOR_OP_##op, start);                      \
    }
TENSOR_OPS(X)
#undef X

void device_set_profile(struct device *d, struct op_profile *profile)
{
    d->profile = profile;
}

const char *tensor_op_name(int op)
{
    static const char *const names[] = {
#define X(op) #op,
        TENSOR_OPS(X)
#undef X
    };
    return names[op];
}
