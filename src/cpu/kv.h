/* SPDX-License-Identifier: Apache-2.0 */
/* How the CPU lays out a KV page: K [K,D,page] (keys across, so that a lane is a key), then V [K,page,D]. In BF16
 * products take pairs, so pairs lie side by side: K [K,D/2,page,2], V [K,page/2,D,2]; an odd D has a zero behind it,
 * and so has a last position that is even. */
#ifndef CPU_KV_H
#define CPU_KV_H

#include "tensor/ops.h"

static inline size_t kv_head_bytes(const struct kv_layout *l) /* of one head's K, and of its V */
{
    int wide = l->dtype == DTYPE_BF16 ? (l->head_dim + 1) / 2 * 2 : l->head_dim;
    return (size_t)wide * (size_t)l->page * dtype_size(l->dtype);
}
static inline size_t kv_bytes(const struct kv_layout *l) /* of a page */
{
    return (size_t)2 * (size_t)l->n_kv_head * kv_head_bytes(l);
}

#endif
