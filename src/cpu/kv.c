/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the KV cache. Storing takes a slice of one key head's elements a piece, so that a page's zeroing and its rows keep their order; copying takes
 * slices of pages, so that pairs keep theirs. */
#include "cpu/kernels.h"

#include <string.h>

enum { ELEMENTS = 16 };
struct store_work {
    const struct kv_store_args *a;
    const struct kernels *k;
    int n_slice; /* of a head */
};

/* Elements [d, d + n) of positions 1 .. of a fresh page. */
static void zero_tail(char *k, char *v, const struct kv_layout *l, size_t d, size_t n)
{
    size_t element = dtype_size(l->dtype), page = (size_t)l->page, head_dim = (size_t)l->head_dim;
    for (size_t i = d; i < d + n; i++)
        memset(k + (i * page + 1) * element, 0, (page - 1) * element);
    for (size_t slot = 1; slot < page; slot++)
        memset(v + (slot * head_dim + d) * element, 0, n * element);
}

/* Keys lie across: element d of a page's position `slot` is d * page + slot. */
static void store_key(const struct store_work *w, char *to, const float *k, size_t slot, size_t d, size_t n)
{
    size_t page = (size_t)w->a->layout.page;
    uint16_t half[ELEMENTS];
    if (w->a->layout.dtype == DTYPE_F32) {
        for (size_t i = d; i < d + n; i++)
            ((float *)to)[i * page + slot] = k[i];
        return;
    }
    w->k->cast(half, DTYPE_BF16, k + d, DTYPE_F32, n);
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)to)[(d + i) * page + slot] = half[i];
}

static void store_slice(void *context, int piece, int worker)
{
    (void)worker;
    const struct store_work *w = context;
    const struct kv_store_args *a = w->a;
    const struct kv_layout *l = &a->layout;
    const int32_t *row_seq = cpu_ptr(a->row_seq), *positions = cpu_ptr(a->positions), *table = cpu_ptr(a->block_table);
    size_t stride = a->stride ? (size_t)a->stride : (size_t)l->n_kv_head * (size_t)l->head_dim, head_dim = (size_t)l->head_dim;
    size_t element = dtype_size(l->dtype), head_bytes = head_dim * (size_t)l->page * element;
    size_t head = (size_t)(piece / w->n_slice), d = (size_t)(piece % w->n_slice) * ELEMENTS, n = head_dim - d < ELEMENTS ? head_dim - d : ELEMENTS;
    for (int t = 0; t < a->n_row; t++) {
        if (row_seq[t] < 0 || positions[t] < 0)
            continue;
        size_t at = (size_t)t * stride + head * head_dim, slot = (size_t)(positions[t] % l->page);
        int64_t id = table[(int64_t)row_seq[t] * a->table_stride + positions[t] / l->page];
        char *to = (char *)cpu_ptr(a->pages) + (size_t)id * kv_page_bytes(l) + head * head_bytes;
        char *to_v = to + (size_t)l->n_kv_head * head_bytes;
        if (slot == 0)
            zero_tail(to, to_v, l, d, n);
        w->k->cast(to_v + (slot * head_dim + d) * element, l->dtype, (const float *)cpu_ptr(a->v) + at + d, DTYPE_F32, n);
        store_key(w, to, (const float *)cpu_ptr(a->k) + at, slot, d, n);
    }
}

void cpu_kv_store(struct queue *q, const struct kv_store_args *a)
{
    struct store_work w = {a, cpu_kernels(q), (a->layout.head_dim + ELEMENTS - 1) / ELEMENTS};
    pool_run(cpu_pool(q), a->n_row > 0 ? a->layout.n_kv_head * w.n_slice : 0, store_slice, &w);
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
