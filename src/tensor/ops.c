/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_<op>: through the table of the queue's device. */
#include "tensor/backend.h"

#define X(op)                                                   \
    void tensor_##op(struct queue *q, const struct op##_args *args) \
    {                                                           \
        q->device->ops->op(q, args);                            \
    }
TENSOR_OPS(X)
#undef X
