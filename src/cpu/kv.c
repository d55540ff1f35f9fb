/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the KV cache. A piece of storing is a slice of one key head's elements in a block of rows, so that threads
 * keep to their rows; within it rows keep their order. */
#include "cpu/kv.h"

#include "cpu/kernels.h"

#include <string.h>

/* of a head in a slice; of a block; whose places are asked for before they are written */
enum { ELEMENTS = 16, ROWS = 32, AHEAD = 4 };
struct store_work {
    const struct kv_store_args *a;
    const struct kernels *k;
    int n_slice, n_part; /* of a head; slices of all heads */
};

/* A position of a page: where its head's keys and values begin. */
struct place {
    char *k, *v;
    size_t slot;
};

/* Keys lie across: element d of a page's position `slot` is d * page + slot. */
static void store_f32(const struct kv_layout *l, const struct place *to, const float *k, const float *v, size_t d,
                      size_t n)
{
    float *to_k = (float *)(void *)to->k, *to_v = (float *)(void *)to->v;
    for (size_t i = d; i < d + n; i++)
        to_k[i * (size_t)l->page + to->slot] = k[i];
    memcpy(to_v + to->slot * (size_t)l->head_dim + d, v + d, n * sizeof *v);
}

/* Words of two elements of a key, words of two positions of a value: the first writes a zero for the second. */
static void store_pairs(const struct store_work *w, const struct place *to, const float *k, const float *v, size_t d,
                        size_t n)
{
    size_t page = (size_t)w->a->layout.page, slot = to->slot;
    uint32_t *to_k = (uint32_t *)(void *)to->k, *to_v = (uint32_t *)(void *)to->v;
    uint16_t half[ELEMENTS + 1] = {0};
    uint32_t *words = to_v + slot / 2 * (size_t)w->a->layout.head_dim + d, keep = slot % 2 ? 0xffffu : 0;
    int shift = slot % 2 ? 16 : 0;
    w->k->cast(half, DTYPE_BF16, k + d, DTYPE_F32, n);
    half[n] = 0;
    for (size_t i = 0; i < n; i += 2)
        to_k[(d + i) / 2 * page + slot] = half[i] | (uint32_t)half[i + 1] << 16;
    w->k->cast(half, DTYPE_BF16, v + d, DTYPE_F32, n);
    for (size_t i = 0; i < n; i++)
        words[i] = (words[i] & keep) | (uint32_t)half[i] << shift;
}

/* Where row t's keys of a head lie, NULL for none; its values are kv_head_bytes() for each head behind. */
static char *page_of(const struct kv_store_args *a, int t, size_t head)
{
    const int32_t *row_seq = cpu_ptr(a->row_seq), *positions = cpu_ptr(a->positions), *table = cpu_ptr(a->block_table);
    if (t >= a->n_row || row_seq[t] < 0 || positions[t] < 0)
        return NULL;
    int64_t id = table[(int64_t)row_seq[t] * a->table_stride + positions[t] / a->layout.page];
    return (char *)cpu_ptr(a->pages) + (size_t)id * kv_bytes(&a->layout) + head * kv_head_bytes(&a->layout);
}

/* Asks for the lines that a later row will write, one for each element or two of its key, unless the row before it
 * writes them too. */
static void ask_for(const struct kv_store_args *a, int t, size_t head, size_t d, size_t n)
{
    const struct kv_layout *l = &a->layout;
    size_t step = (size_t)l->page * 4, each = 4 / dtype_size(l->dtype);
    const int32_t *row_seq = cpu_ptr(a->row_seq);
    char *to = t && t < a->n_row && row_seq[t] == row_seq[t - 1] ? NULL : page_of(a, t, head);
    if (!to)
        return;
    size_t slot = (size_t)(((const int32_t *)cpu_ptr(a->positions))[t] % l->page);
    for (size_t i = d / each; i < (d + n) / each; i++)
        __builtin_prefetch(to + i * step + slot * 4, 1);
    __builtin_prefetch(to + (size_t)l->n_kv_head * kv_head_bytes(l) + (slot / each * (size_t)l->head_dim + d) * 4, 1);
}

/* Where a block begins: not at the second position of two that share words. */
static int block_begin(const struct kv_store_args *a, int block)
{
    const int32_t *row_seq = cpu_ptr(a->row_seq), *positions = cpu_ptr(a->positions);
    int t = block * ROWS;
    while (t && t < a->n_row && row_seq[t] == row_seq[t - 1] && positions[t] % 2)
        t++;
    return t < a->n_row ? t : a->n_row;
}

static void store_slice(void *context, int piece, int worker)
{
    (void)worker;
    const struct store_work *w = context;
    const struct kv_store_args *a = w->a;
    const struct kv_layout *l = &a->layout;
    size_t stride = a->stride ? (size_t)a->stride : (size_t)l->n_kv_head * (size_t)l->head_dim,
           head_dim = (size_t)l->head_dim;
    int block = piece / w->n_part, part = piece % w->n_part, end = block_begin(a, block + 1);
    size_t head = (size_t)(part / w->n_slice), d = (size_t)(part % w->n_slice) * ELEMENTS,
           n = head_dim - d < ELEMENTS ? head_dim - d : ELEMENTS;
    for (int t = block_begin(a, block); t < end; t++) {
        char *to = page_of(a, t, head);
        ask_for(a, t + AHEAD, head, d, n);
        if (!to)
            continue;
        struct place place = {to, to + (size_t)l->n_kv_head * kv_head_bytes(l),
                              (size_t)(((const int32_t *)cpu_ptr(a->positions))[t] % l->page)};
        size_t at = (size_t)t * stride + head * head_dim;
        const float *k = (const float *)cpu_ptr(a->k) + at, *v = (const float *)cpu_ptr(a->v) + at;
        if (l->dtype == DTYPE_BF16)
            store_pairs(w, &place, k, v, d, n);
        else
            store_f32(l, &place, k, v, d, n);
    }
}

void cpu_kv_store(struct queue *q, const struct kv_store_args *a)
{
    struct store_work w = {.a = a, .k = cpu_kernels(q), .n_slice = (a->layout.head_dim + ELEMENTS - 1) / ELEMENTS};
    w.n_part = a->layout.n_kv_head * w.n_slice;
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS * w.n_part, store_slice, &w);
}

/* A piece is a half of one head's keys or values in all the copies, in their order. A line of keys is one element (or
 * two) of all positions, one of values all elements of a position (or two); words of 4 bytes. */
static void copy_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct kv_copy_args *a = context;
    const struct kv_layout *l = &a->layout;
    const int32_t *copies = cpu_ptr(a->copies);
    int part = piece / 2, values = part >= l->n_kv_head;
    size_t each = 4 / dtype_size(l->dtype), page = (size_t)l->page, head_dim = (size_t)l->head_dim;
    size_t n_line = values ? page / each : (head_dim + each - 1) / each, width = values ? head_dim : page,
           first = piece % 2 ? n_line / 2 : 0, end = piece % 2 ? n_line : n_line / 2;
    for (int i = 0; i < a->n; i++) {
        size_t used = (size_t)copies[3 * i + 2], last = (used + each - 1) / each;
        const char *from =
            (const char *)cpu_ptr(a->pages) + (size_t)copies[3 * i] * kv_bytes(l) + (size_t)part * kv_head_bytes(l);
        char *to =
            (char *)cpu_ptr(a->pages) + (size_t)copies[3 * i + 1] * kv_bytes(l) + (size_t)part * kv_head_bytes(l);
        if (values && first < last)
            memcpy(to + first * width * 4, from + first * width * 4, ((last < end ? last : end) - first) * width * 4);
        for (size_t line = first; !values && line < end; line++)
            memcpy(to + line * width * 4, from + line * width * 4, used * 4);
    }
}

void cpu_kv_copy(struct queue *q, const struct kv_copy_args *a)
{
    struct kv_copy_args copy = *a;
    pool_run(cpu_pool(q), a->n > 0 ? 4 * a->layout.n_kv_head : 0, copy_piece, &copy);
}
