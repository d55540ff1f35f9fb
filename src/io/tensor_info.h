/* SPDX-License-Identifier: Apache-2.0 */
/* What every file format says of a tensor. */
#ifndef IO_TENSOR_INFO_H
#define IO_TENSOR_INFO_H

#include "io/storage.h"

#include <stdint.h>

enum { TENSOR_MAX_DIM = 8 };
struct tensor_info {
    const char *name;
    enum storage storage;          /* as it lies in the file */
    int n_dim;                     /* 0 for a scalar */
    int64_t shape[TENSOR_MAX_DIM]; /* PyTorch's order: outermost first */
    int64_t n_row, n_col;          /* shape[0] and the product of the rest; a vector has n_col 1, a scalar 1 and 1 */
    uint64_t n_element, n_byte;
};

/* Fills n_row, n_col, n_element and n_byte from storage, n_dim and shape. 0; -1 when a dimension is negative, a product
 * leaves 63 bits, or the elements fill no whole number of bytes or blocks. */
int tensor_info_complete(struct tensor_info *t);

#endif
