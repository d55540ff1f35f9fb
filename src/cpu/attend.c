/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over the paged KV cache. Rows are cut into tiles: neighbours of one sequence, or of sequences that share
 * their first page. A piece of work is a tile and a key head. Within a chunk, wherever neighbouring rows have the same
 * page, one run reads it for all of them; so whatever is shared is read once, and nothing else depends on sharing. */
#include "cpu/attend.h"

#include "base/clamp.h"
#include "cpu/kv.h"

#include <string.h>

struct paged {
    struct queue *q;
    const struct attend_args *a;
    const struct kernels *k;
    const int32_t *row_seq, *positions, *table;
    int group; /* query heads of a key head */
    int n_tile;
    int32_t *tiles; /* [n_tile + 1] first rows */
};

static const int32_t *pages_of(const struct paged *p, int row)
{
    return p->table + (int64_t)p->row_seq[row] * p->a->table_stride;
}
static int is_padding(const struct paged *p, int row)
{
    return p->row_seq[row] < 0 || p->positions[row] < 0;
}

static void cut_tiles(struct paged *p)
{
    int most = clamp_int(TILE_QUERIES / p->group, 1, TILE_ROWS), first = 0;
    p->n_tile = 0;
    for (int t = 0; t < p->a->n_row; t++) {
        int joins = t > first && t - first < most && !is_padding(p, t) && !is_padding(p, t - 1) &&
                    (p->row_seq[t] == p->row_seq[t - 1] || pages_of(p, t)[0] == pages_of(p, t - 1)[0]);
        if (t && joins)
            continue;
        p->tiles[p->n_tile++] = first = t;
    }
    p->tiles[p->n_tile] = p->a->n_row;
}

/* Keys of positions from..from+width that lie before the row's window. */
static int keys_before(const struct paged *p, int row, int from, int width)
{
    return p->a->window > 0 ? clamp_int(p->positions[row] + 1 - p->a->window - from, 0, width) : 0;
}

static int keys_in(const struct paged *p, int row, int from,
                   int width) /* keys of positions from..from+width that the row sees */
{
    return clamp_int(p->positions[row] + 1 - from, 0, width);
}

/* The runs of one chunk: for each page, neighbouring rows with the same page. */
static int find_runs(const struct paged *p, int first, int n_row, int chunk, int head, struct key_run *runs)
{
    const struct kv_layout *l = &p->a->layout;
    size_t head_bytes = kv_head_bytes(l);
    int n_run = 0;
    for (int key = 0; key < CHUNK; key += l->page) {
        int position = chunk * CHUNK + key;
        for (int i = 0; i < n_row; i++) {
            int n = keys_in(p, first + i, position, l->page);
            if (n <= keys_before(p, first + i, position, l->page))
                continue;
            int32_t id = pages_of(p, first + i)[position / l->page];
            const char *k = (const char *)cpu_ptr(p->a->pages) + (size_t)id * kv_bytes(l) + (size_t)head * head_bytes;
            struct key_run *last = n_run ? &runs[n_run - 1] : NULL;
            if (last && last->key == key && last->k == k && last->first + last->n_query == i * p->group) {
                last->n_query += p->group;
                last->n_key = n > last->n_key ? n : last->n_key;
                continue;
            }
            runs[n_run++] = (struct key_run){.first = i * p->group,
                                             .n_query = p->group,
                                             .key = key,
                                             .n_key = n,
                                             .k = k,
                                             .k_stride = (size_t)l->page,
                                             .v = k + (size_t)l->n_kv_head * head_bytes,
                                             .v_stride = (size_t)l->head_dim,
                                             .k_bytes = head_bytes,
                                             .v_bytes = (size_t)n * (size_t)l->head_dim * dtype_size(l->dtype)};
        }
    }
    return n_run;
}

/* The keys that a row of this head sees from a position on. */
static struct ahead first_keys(const struct paged *p, int row, int position, int head)
{
    const struct kv_layout *l = &p->a->layout;
    if (row >= p->a->n_row || is_padding(p, row) || position > p->positions[row])
        return (struct ahead){NULL, 0};
    size_t id = (size_t)pages_of(p, row)[position / l->page];
    return (struct ahead){(const char *)cpu_ptr(p->a->pages) + id * kv_bytes(l) + (size_t)head * kv_head_bytes(l),
                          kv_head_bytes(l)};
}

static void finish_tile(const struct paged *p, const struct attend_tile *tile, int first, int head)
{
    const struct attend_args *a = p->a;
    size_t d = (size_t)a->layout.head_dim, row = (size_t)a->n_head * d, element = dtype_size(a->out_dtype);
    for (int i = 0; i < tile->n_query; i++) {
        int t = first + i / p->group;
        char *out =
            (char *)cpu_ptr(a->out) + ((size_t)t * row + (size_t)(head * p->group + i % p->group) * d) * element;
        if (is_padding(p, t))
            memset(out, 0, d * element);
        else
            p->k->finish(out, a->out_dtype, &tile->state[i], tile->o + (size_t)i * d, (int)d, NULL);
    }
}

/* The query rows of one row: scaled, and rounded to pairs where keys are kept so. */
static void copy_queries(const struct paged *p, const struct attend_tile *tile, int query, const float *q)
{
    int d = p->a->layout.head_dim;
    float *to = tile->q + (size_t)query * (size_t)tile->q_stride;
    if (p->a->layout.dtype != DTYPE_BF16) {
        p->k->copy_scaled(to, q, p->a->scale, p->group * d);
        return;
    }
    int words = p->k->pair_words;
    for (int h = 0; h < p->group; h++) {
        float *row = to + h * tile->q_stride;
        p->k->round_scaled(row, words ? DTYPE_BF16 : DTYPE_F32, q + (size_t)h * (size_t)d, p->a->scale, d);
        if (d % 2 && words)
            ((uint16_t *)row)[d] = 0;
        else if (d % 2)
            row[d] = 0;
    }
}

static void attend_piece(void *context, int piece, int worker)
{
    const struct paged *p = context;
    const struct attend_args *a = p->a;
    int head = piece % a->layout.n_kv_head, first = p->tiles[piece / a->layout.n_kv_head],
        n_row = p->tiles[piece / a->layout.n_kv_head + 1] - first;
    size_t d = (size_t)a->layout.head_dim, stride = a->q_stride ? (size_t)a->q_stride : (size_t)a->n_head * d;
    struct attend_tile tile = {.k = p->k, .soft_cap = a->soft_cap, .flush = cpu_pairs(p->q) == PAIRS_FMA};
    struct key_run runs[TILE_ROWS * (CHUNK / 32)];
    attend_tile_place(&tile, cpu_scratch(p->q, worker), n_row * p->group, a->layout.head_dim, NULL);
    if (a->layout.dtype == DTYPE_BF16)
        tile.q_stride = (a->layout.head_dim + 1) / 2 * 2;
    int end = 0, begin = INT32_MAX;
    for (int i = 0; i < n_row; i++) {
        const float *q = (const float *)cpu_ptr(a->q) + (size_t)(first + i) * stride + (size_t)(head * p->group) * d;
        copy_queries(p, &tile, i * p->group, q);
        if (is_padding(p, first + i))
            continue;
        int position = p->positions[first + i],
            seen = a->window > 0 && position + 1 > a->window ? position + 1 - a->window : 0;
        end = position + 1 > end ? position + 1 : end;
        begin = seen < begin ? seen : begin;
    }
    for (int chunk = begin / CHUNK; chunk * CHUNK < end; chunk++) {
        for (int i = 0; i < tile.n_query; i++) {
            tile.from[i] = keys_before(p, first + i / p->group, chunk * CHUNK, CHUNK);
            tile.n_key[i] = keys_in(p, first + i / p->group, chunk * CHUNK, CHUNK);
        }
        int last = (chunk + 1) * CHUNK >= end, next_head = (piece + 1) % a->layout.n_kv_head;
        int next_first = next_head ? first : first + n_row;
        struct ahead next =
            last ? first_keys(p, next_first, 0, next_head) : first_keys(p, first, (chunk + 1) * CHUNK, head);
        attend_chunk(&tile, runs, find_runs(p, first, n_row, chunk, head, runs), a->layout.dtype, next);
    }
    finish_tile(p, &tile, first, head);
}

void cpu_attend(struct queue *q, const struct attend_args *a)
{
    if (a->n_row <= 0)
        return;
    struct paged p = {.q = q,
                      .a = a,
                      .k = cpu_kernels(q),
                      .row_seq = cpu_ptr(a->row_seq),
                      .positions = cpu_ptr(a->positions),
                      .table = cpu_ptr(a->block_table),
                      .group = a->n_head / a->layout.n_kv_head,
                      .tiles = cpu_shared(q)};
    cut_tiles(&p);
    pool_run(cpu_pool(q), p.n_tile * a->layout.n_kv_head, attend_piece, &p);
}
