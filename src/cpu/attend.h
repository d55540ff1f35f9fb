/* SPDX-License-Identifier: Apache-2.0 */
/* A tile of attention: some rows times the query heads that share one key head ("query rows"), taken through the keys
 * in chunks of 256 absolute positions. Paged and bordered attention differ only in where a chunk's keys lie, which they
 * say as runs. */
#ifndef CPU_ATTEND_H
#define CPU_ATTEND_H

#include "cpu/kernels.h"

/* the stride keeps rows off each other's cache sets */
enum { CHUNK = 256, CHUNK_STRIDE = CHUNK + 16, TILE_ROWS = 16, TILE_QUERIES = 48 };

struct attend_tile {
    const struct kernels *k;
    int n_query, head_dim, q_stride;
    int flush; /* products of pairs take numbers below the normal ones for zeros */
    /* [n_query][head_dim]; q is already scaled, its rows are q_stride apart, and with a cache in bf16 a row of it is
     * rounded, of words if the kernels have pair_words, with a zero behind an odd head_dim */
    float *q, *o, *part;
    float *s; /* [n_query][CHUNK_STRIDE] */
    struct softmax_state *state, *part_state;
    int *from, *n_key; /* [n_query] of the chunk's keys each query row sees those from `from` to n_key (not included) */
    float soft_cap;    /* scores become soft_cap * tanh(score / soft_cap); 0: as they are */
    const float *bias; /* added to scores before that, or NULL: query row i has those of the chunk's keys ... */
    int bias_stride, group; /* ... from bias + (i % group) bias_stride - i / group on */
    int started;            /* a chunk has been seen: set to 0 when a tile begins */
};
struct
    /* query rows first..first+n see keys key..key+n_key of the chunk at k and v; key is even; strides as in
     * score_tile and value_tile */
    key_run {
    int first, n_query, key, n_key;
    const void *k, *v;
    size_t k_stride, v_stride, k_bytes, v_bytes; /* bytes: to be fetched ahead, or 0 */
};

/* Places for n_query query rows in `memory`; returns the bytes used. A tile that is only in use between others' uses
 * may borrow the chunk's places (part, s, part_state, n_key) from `lender`, which must be at least as large. */
size_t attend_tile_place(struct attend_tile *t, char *memory, int n_query, int head_dim,
                         const struct attend_tile *lender);
/* One chunk: every query row's softmax state and output move on. The first one starts them. `next` is what will be
 * wanted after it. */
void attend_chunk(struct attend_tile *t, const struct key_run *runs, int n_run, enum dtype dtype, struct ahead next);
/* out [head_dim, CHUNK_STRIDE] f32 := rows x[i][0..head_dim), i < n, turned so that keys lie across; the last lanes of
 * a vector are zeros. */
void attend_turn(float *out, const float *x, size_t stride, int n, int head_dim);

#endif
