/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences one after the other, each from an even row on. The pairs of rows that bf16 gradients are made of then never
 * span two sequences, so what a sequence contributes does not depend on its neighbours. */
#include "model/parts.h"

#include "base/mem.h"

#include <string.h>

static size_t aligned_bytes(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

int rows_new(struct rows *r, struct device *d, int max_row, int max_seq, struct error *err)
{
    size_t per_row = aligned_bytes((size_t)max_row * 4), per_seq = aligned_bytes((size_t)(max_seq + 1) * 4);
    *r = (struct rows){.max_row = max_row, .max_seq = max_seq, .slab_bytes = 3 * per_row + 2 * per_seq};
    r->slab = mem_slab(r->slab_bytes);
    if (!r->slab)
        return error_set_nomem(err, r->slab_bytes, "token rows");
    char *p = r->slab;
    r->tokens = (int32_t *)(void *)p;
    r->positions = (int32_t *)(void *)(p + per_row);
    r->lengths = (int32_t *)(void *)(p + 2 * per_row);
    r->borders = (int32_t *)(void *)(p + 3 * per_row);
    r->valid = (int32_t *)(void *)(p + 3 * per_row + per_seq);
    int rc = buffer_new(&r->device, d, r->slab_bytes, "token rows", err);
    r->d_tokens = (struct span){r->device, 0};
    r->d_positions = (struct span){r->device, per_row};
    r->d_lengths = (struct span){r->device, 2 * per_row};
    r->d_borders = (struct span){r->device, 3 * per_row};
    r->d_valid = (struct span){r->device, 3 * per_row + per_seq};
    return rc;
}

void rows_free(struct rows *r)
{
    buffer_free(r->device);
    mem_slab_free(r->slab, r->slab_bytes);
    *r = (struct rows){0};
}

void rows_reset(struct rows *r)
{
    r->n_row = r->n_seq = r->max_len = 0;
}

int rows_add(struct rows *r, const int32_t *ids, int n)
{
    int first = r->n_row, padded = rows_even(n);
    if (padded > r->max_row - first || r->n_seq == r->max_seq)
        return -1;
    for (int i = 0; i < padded; i++) {
        r->tokens[first + i] = i < n ? ids[i] : -1;
        r->positions[first + i] = i < n ? i : 0;
        r->lengths[first + i] = n;
    }
    r->borders[r->n_seq] = first;
    r->valid[r->n_seq++] = n;
    r->borders[r->n_seq] = r->n_row = first + padded;
    r->max_len = padded > r->max_len ? padded : r->max_len;
    return first;
}

void rows_begin_text(struct rows *r, int first, int n)
{
    for (int i = first; i < r->n_row; i++)
        r->lengths[i] = n;
}

void rows_skip_pads(struct rows *r, int first, int pad_id)
{
    int32_t n = 0;
    for (int i = first; i < r->n_row && r->tokens[i] >= 0; i++)
        r->positions[i] = r->tokens[i] == pad_id ? 0 : ++n;
}

void rows_upload(struct rows *r, struct queue *q)
{
    queue_upload(q, r->d_tokens, r->tokens, (size_t)r->n_row * 4);
    queue_upload(q, r->d_positions, r->positions, (size_t)r->n_row * 4);
    queue_upload(q, r->d_lengths, r->lengths, (size_t)r->n_row * 4);
    queue_upload(q, r->d_borders, r->borders, (size_t)(r->n_seq + 1) * 4);
    queue_upload(q, r->d_valid, r->valid, (size_t)r->n_seq * 4);
}

void rows_batch(const struct rows *r, struct model_batch *b)
{
    *b = (struct model_batch){.n_row = r->n_row,
                              .tokens = r->d_tokens,
                              .positions = r->d_positions,
                              .lengths = r->d_lengths,
                              .n_seq = r->n_seq,
                              .borders = r->d_borders,
                              .valid = r->d_valid,
                              .max_len = r->max_len,
                              .n_out = r->n_row};
}
