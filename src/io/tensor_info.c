/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tensor_info.h"

int tensor_info_complete(struct tensor_info *t)
{
    int64_t col = 1, all;
    for (int i = 0; i < t->n_dim; i++)
        if (t->shape[i] < 0)
            return -1;
    for (int i = 1; i < t->n_dim; i++)
        if (__builtin_mul_overflow(col, t->shape[i], &col))
            return -1;
    t->n_row = t->n_dim ? t->shape[0] : 1;
    t->n_col = col;
    if (__builtin_mul_overflow(t->n_row, col, &all))
        return -1;
    t->n_element = (uint64_t)all;
    return storage_bytes(t->storage, t->n_element, &t->n_byte) || t->n_byte > INT64_MAX ? -1 : 0;
}
