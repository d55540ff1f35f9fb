/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the KV cache. Storing takes one key head a piece, so that a page's zeroing and its rows keep their order; copying takes slices of
 * pages, so that pairs keep theirs. */
#include "cpu/kernels.h"

#include <string.h>

struct store_work {
    const struct kv_store_args *a;
    const struct kernels *k;
};

static void zero_tail(char *k, char *v, const struct kv_layout *l)
{
    size_t element = dtype_size(l->dtype), tail = (size_t)(l->page - 1) * element, row = (size_t)l->head_dim * element;
    for (int d = 0; d < l->head_dim; d++)
        memset(k + (size_t)d * (size_t)l->page * element + element, 0, tail);
    memset(v + row, 0, (size_t)(l->page - 1) * row);
}

static void store_head(void *context, int head, int worker)
{
    (void)worker;
    const struct store_work *w = context;
    const struct kv_store_args *a = w->a;
    const struct kv_layout *l = &a->layout;
    const int32_t *row_seq = cpu_ptr(a->row_seq), *positions = cpu_ptr(a->positions), *table = cpu_ptr(a->block_table);
    size_t stride = a->stride ? (size_t)a->stride : (size_t)l->n_kv_head * (size_t)l->head_dim, d_count = (size_t)l->head_dim, page = (size_t)l->page;
    size_t element = dtype_size(l->dtype), head_bytes = d_count * page * element;
    uint16_t half[1024];
    for (int t = 0; t < a->n_row; t++) {
        if (row_seq[t] < 0 || positions[t] < 0)
            continue;
        size_t at = (size_t)t * stride + (size_t)head * d_count, slot = (size_t)positions[t] % page;
        const float *k = (const float *)cpu_ptr(a->k) + at, *v = (const float *)cpu_ptr(a->v) + at;
        int64_t id = table[(int64_t)row_seq[t] * a->table_stride + positions[t] / l->page];
        char *to = (char *)cpu_ptr(a->pages) + (size_t)id * kv_page_bytes(l) + (size_t)head * head_bytes;
        char *to_v = to + (size_t)l->n_kv_head * head_bytes;
        if (slot == 0)
            zero_tail(to, to_v, l);
        w->k->cast(to_v + slot * d_count * element, l->dtype, v, DTYPE_F32, d_count);
        if (l->dtype == DTYPE_F32) {
            for (size_t d = 0; d < d_count; d++)
                ((float *)to)[d * page + slot] = k[d];
            continue;
        }
        for (size_t d = 0; d < d_count; d += 1024) {
            size_t n = d_count - d < 1024 ? d_count - d : 1024;
            w->k->cast(half, DTYPE_BF16, k + d, DTYPE_F32, n);
            for (size_t i = 0; i < n; i++)
                ((uint16_t *)to)[(d + i) * page + slot] = half[i];
        }
    }
}

void cpu_kv_store(struct queue *q, const struct kv_store_args *a)
{
    struct store_work w = {a, cpu_kernels(q)};
    pool_run(cpu_pool(q), a->n_row > 0 ? a->layout.n_kv_head : 0, store_head, &w);
}

enum { SLICE = 8192 };

static void copy_slice(void *context, int piece, int worker)
{
    (void)worker;
    const struct kv_copy_args *a = context;
    const int32_t *pairs = cpu_ptr(a->pairs);
    size_t page = kv_page_bytes(&a->layout), begin = (size_t)piece * SLICE, n = page - begin < SLICE ? page - begin : SLICE;
    char *pages = cpu_ptr(a->pages);
    for (int i = 0; i < a->n; i++)
        memmove(pages + (size_t)pairs[2 * i + 1] * page + begin, pages + (size_t)pairs[2 * i] * page + begin, n);
}

void cpu_kv_copy(struct queue *q, const struct kv_copy_args *a)
{
    struct kv_copy_args copy = *a;
    pool_run(cpu_pool(q), a->n > 0 ? (int)((kv_page_bytes(&a->layout) + SLICE - 1) / SLICE) : 0, copy_slice, &copy);
}
