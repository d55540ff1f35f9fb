/* SPDX-License-Identifier: Apache-2.0 */
/* Attention inside bordered sequences, in the same tiles and chunks as the paged form. A piece of work is a block of
 * rows of one sequence and a key head; it turns each chunk's keys once for all its tiles. */
#include "cpu/attend.h"

#include "base/clamp.h"

#include <string.h>

enum { BLOCK_ROWS = 64, BLOCK_QUERIES = 512 };

struct bordered {
    struct queue *q;
    const struct attend_train_args *a;
    const struct kernels *k;
    const int32_t *borders, *valid;
    int group, n_block, block_rows, tile_rows;
    size_t stride, d;
};
struct block { /* rows begin..end of the sequence whose first row is `first` and which has n_key keys */
    int first, begin, end, n_key, head;
};

static const float *row_at(const struct bordered *b, struct span s, int row, int head)
{
    return (const float *)cpu_ptr(s) + (size_t)row * b->stride + (size_t)head * b->d;
}

static void zero_rows(const struct bordered *b, const struct block *k, int begin, int end)
{
    const struct attend_train_args *a = b->a;
    size_t element = dtype_size(a->out_dtype), row = (size_t)a->n_head * b->d, width = (size_t)b->group * b->d;
    float *lse = cpu_ptr(a->lse);
    for (int t = k->first + begin; t < k->first + end; t++) {
        memset((char *)cpu_ptr(a->out) + ((size_t)t * row + (size_t)k->head * width) * element, 0, width * element);
        for (int h = 0; lse && h < b->group; h++)
            lse[(size_t)t * (size_t)a->n_head + (size_t)(k->head * b->group + h)] = 0;
    }
}

static int n_tile_of(const struct bordered *b, const struct block *k)
{
    return (k->end - k->begin + b->tile_rows - 1) / b->tile_rows;
}
static int tile_begin(const struct bordered *b, const struct block *k, int i)
{
    return k->begin + i * b->tile_rows < k->end ? k->begin + i * b->tile_rows : k->end;
}

static void start_tile(const struct bordered *b, const struct block *k, struct attend_tile *tile, int begin)
{
    for (int i = 0; i * b->group < tile->n_query; i++)
        b->k->copy_scaled(tile->q + (size_t)(i * b->group) * b->d,
                          row_at(b, b->a->q, k->first + begin + i, k->head * b->group), b->a->scale,
                          (int)((size_t)b->group * b->d));
}

static void tile_chunk(const struct bordered *b, const struct block *k, struct attend_tile *tile, int begin, int chunk,
                       const float *turned)
{
    int from = chunk * CHUNK, most = 0;
    for (int i = 0; i < tile->n_query; i++) {
        int n = (b->a->causal ? begin + i / b->group + 1 : k->n_key) - from;
        int before = b->a->window > 0 ? n - b->a->window : 0;
        tile->n_key[i] = clamp_int(n, 0, CHUNK);
        tile->from[i] = clamp_int(before, 0, CHUNK);
        if (tile->n_key[i] <= tile->from[i])
            continue;
        most = tile->n_key[i] > most ? tile->n_key[i] : most;
    }
    struct key_run run = {.n_query = tile->n_query,
                          .n_key = most,
                          .k = turned,
                          .k_stride = CHUNK_STRIDE,
                          .v = row_at(b, b->a->v, k->first + from, k->head),
                          .v_stride = b->stride};
    if (b->a->bias.buffer) {
        tile->group = b->group;
        tile->bias_stride = 2 * b->a->reach + 1;
        tile->bias = (const float *)cpu_ptr(b->a->bias) + (ptrdiff_t)k->head * b->group * tile->bias_stride +
                     (b->a->reach + from - begin);
    }
    if (most)
        attend_chunk(tile, &run, 1, DTYPE_F32, (struct ahead){NULL, 0});
}

static void finish_tile(const struct bordered *b, const struct block *k, const struct attend_tile *tile, int begin)
{
    const struct attend_train_args *a = b->a;
    float *lse = cpu_ptr(a->lse);
    for (int i = 0; i < tile->n_query; i++) {
        size_t at =
            (size_t)(k->first + begin + i / b->group) * (size_t)a->n_head + (size_t)(k->head * b->group + i % b->group);
        b->k->finish((char *)cpu_ptr(a->out) + at * b->d * dtype_size(a->out_dtype), a->out_dtype, &tile->state[i],
                     tile->o + (size_t)i * b->d, (int)b->d, lse ? lse + at : NULL);
    }
}

static void attend_block(void *context, int piece, int worker)
{
    const struct bordered *b = context;
    const struct attend_train_args *a = b->a;
    int block = piece / a->n_kv_head % b->n_block, s = piece / a->n_kv_head / b->n_block,
        length = b->borders[s + 1] - b->borders[s];
    struct block k = {.first = b->borders[s],
                      .begin = block * b->block_rows,
                      .n_key = b->valid ? b->valid[s] : length,
                      .head = piece % a->n_kv_head};
    int all = length < k.begin + b->block_rows ? length : k.begin + b->block_rows;
    k.end = all < k.n_key ? all : k.n_key;
    if (all > k.begin)
        zero_rows(b, &k, k.end > k.begin ? k.end : k.begin, all);
    if (k.end <= k.begin)
        return;
    struct attend_tile tiles[BLOCK_ROWS];
    char *memory = cpu_scratch(b->q, worker);
    float *turned = (float *)memory;
    memory += CHUNK_STRIDE * b->d * sizeof *turned;
    for (int i = 0; i < n_tile_of(b, &k); i++) {
        tiles[i] = (struct attend_tile){.k = b->k, .soft_cap = a->soft_cap};
        memory += attend_tile_place(&tiles[i], memory, (tile_begin(b, &k, i + 1) - tile_begin(b, &k, i)) * b->group,
                                    a->head_dim, i ? &tiles[0] : NULL);
        start_tile(b, &k, &tiles[i], tile_begin(b, &k, i));
    }
    int n_key = a->causal ? k.end : k.n_key;
    for (int chunk = 0; chunk * CHUNK < n_key; chunk++) {
        int n = n_key - chunk * CHUNK < CHUNK ? n_key - chunk * CHUNK : CHUNK;
        attend_turn(turned, row_at(b, a->k, k.first + chunk * CHUNK, k.head), b->stride, n, a->head_dim);
        for (int i = 0; i < n_tile_of(b, &k); i++)
            tile_chunk(b, &k, &tiles[i], tile_begin(b, &k, i), chunk, turned);
    }
    for (int i = 0; i < n_tile_of(b, &k); i++)
        finish_tile(b, &k, &tiles[i], tile_begin(b, &k, i));
}

void cpu_attend_train(struct queue *q, const struct attend_train_args *a)
{
    struct bordered b = {.q = q,
                         .a = a,
                         .k = cpu_kernels(q),
                         .borders = cpu_ptr(a->borders),
                         .valid = cpu_ptr(a->valid),
                         .group = a->n_head / a->n_kv_head,
                         .d = (size_t)a->head_dim,
                         .stride = a->stride ? (size_t)a->stride : (size_t)a->n_head * (size_t)a->head_dim};
    b.block_rows = clamp_int(BLOCK_QUERIES / b.group, 1, BLOCK_ROWS);
    b.tile_rows = clamp_int(TILE_QUERIES / b.group, 1, TILE_ROWS);
    b.n_block = (a->max_len + b.block_rows - 1) / b.block_rows;
    pool_run(cpu_pool(q), a->n_seq * b.n_block * a->n_kv_head, attend_block, &b);
}
