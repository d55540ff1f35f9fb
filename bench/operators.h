/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as JSON: operator -> seconds. */
#ifndef BENCH_OPERATORS_H
#define BENCH_OPERATORS_H

#include "tensor/profile.h"

#include <jansson.h>

static inline json_t *profile_json(const struct op_profile *p)
{
    json_t *o = json_object();
    for (int i = 0; i < TENSOR_N_OP; i++)
        if (p->calls[i])
            json_object_set_new(o, tensor_op_name(i), json_real(p->seconds[i]));
    return o;
}

#endif
