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

#define X(op)                                                           \
    static void run_##op(struct queue *q, const struct op##_args *args) \
    {                                                                   \
        double start = q->device->profile ? clock_now() : 0;            \
        q->device->ops->op(q, args);                                    \
        if (q->device->profile)                                         \
            add_time(q, TENSOR_OP_##op, start);                         \
    }
TENSOR_OPS(X)
#undef X
#define X(op)                                                       \
    void tensor_##op(struct queue *q, const struct op##_args *args) \
    {                                                               \
        run_##op(q, args);                                          \
    }
TENSOR_PLAIN_OPS(X)
#undef X

size_t linear_wide_bytes(const struct device *d, int64_t n_row, int64_t n)
{
    return d->fused & FUSED_GATE ? 0 : ((size_t)n_row * (size_t)n * 4 + 63) / 64 * 64;
}

void tensor_linear(struct queue *q, const struct linear_args *args)
{
    struct linear_args plain = *args;
    if (!(args->gate || args->activate) || q->device->fused & FUSED_GATE) {
        run_linear(q, args);
        return;
    }
    int n = (int)(args->w->n / (args->gate ? 2 : 1));
    plain.gate = plain.activate = 0;
    plain.y = args->wide;
    plain.y_dtype = DTYPE_F32;
    plain.y_stride = 0;
    run_linear(q, &plain);
    run_gate(q,
             &(struct gate_args){args->act, args->gate, args->n_row, n, args->wide, args->y, args->y_dtype, DTYPE_F32});
}

void tensor_adamw(struct queue *q, const struct adamw_args *args)
{
    struct adamw_args plain = *args;
    if (!args->w || q->device->fused & FUSED_ADAMW_PACK) {
        run_adamw(q, args);
        return;
    }
    plain.w = NULL;
    run_adamw(q, &plain);
    run_weight_pack(q, &(struct weight_pack_args){args->w, args->row, (int64_t)args->n / args->w->k, args->param,
                                                  DTYPE_F32, args->noise});
}

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
