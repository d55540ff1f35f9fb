/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes share a step: each computes some leaves of the gradient and keeps, as ZeRO's second stage does, its
 * own part of the flat order: masters, moments, and the sum of that part over all leaves. Leaves are dealt round by
 * round, rank r taking the r-th of each round, so that those of a round arrive in their order and are added into the
 * tree of leaves.c, whatever the number of ranks. Bytes travel in pieces through staging memory on the host. */
#include "train/parts.h"

#include "base/mem.h"
#include "dist/dist.h"

#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 18 }; /* elements of one rank's part in one exchange */

static int64_t part_first(const struct share *s, int rank)
{
    int64_t blocks = (s->n_element + SHARE_BLOCK - 1) / SHARE_BLOCK, first = blocks * rank / dist_size() * SHARE_BLOCK;
    return first < s->n_element ? first : s->n_element;
}

/* Elements of a rank's part in the piece that begins `at` elements into every part. */
static int64_t piece_size(const struct share *s, int rank, int64_t at)
{
    int64_t left = part_first(s, rank + 1) - part_first(s, rank) - at;
    if (left < 0)
        return 0;
    return left < PIECE ? left : PIECE;
}

static int64_t largest_part(const struct share *s)
{
    int64_t most = 0;
    for (int r = 0; r < dist_size(); r++) {
        int64_t n = part_first(s, r + 1) - part_first(s, r);
        most = n > most ? n : most;
    }
    return most;
}

static char *staged(char *room, int rank)
{
    return room + (size_t)rank * PIECE * sizeof(float);
}

int share_init(struct share *s, struct device *d, int64_t n_element, int n_leaf, struct error *err)
{
    int size = dist_size();
    *s = (struct share){.n_leaf = n_leaf, .n_element = n_element, .n = n_element};
    if (size == 1)
        return 0;
    if (n_leaf < size)
        return error_set(err, ERROR_USAGE,
                         "%d processes share the %d leaves of a step's gradient; give --gradient-leaves %d or more (a "
                         "power of two; the bits depend on it), or start fewer",
                         size, n_leaf, 1 << leaves_levels(size));
    s->first = part_first(s, dist_rank());
    s->n = part_first(s, dist_rank() + 1) - s->first;
    size_t room = (size_t)size * PIECE * sizeof(float), bytes = (size_t)s->n * sizeof(float);
    s->out = mem_alloc(room);
    s->in = mem_alloc(room);
    s->pieces = mem_alloc(2 * (size_t)size * sizeof *s->pieces);
    s->gathered = mem_alloc((size_t)size * sizeof *s->gathered);
    if (!s->out || !s->in || !s->pieces || !s->gathered)
        return error_set_nomem(err, 2 * room, "what ranks exchange");
    int rc = buffer_new(&s->sum, d, bytes, "this rank's part of the gradient", err);
    rc = rc ? rc : buffer_new(&s->arriving, d, PIECE * sizeof(float), "a piece of a gradient", err);
    for (int i = 0; !rc && i < leaves_levels(n_leaf); i++)
        rc = buffer_new(&s->waiting[i], d, bytes, "gradients of leaves", err);
    return rc;
}

void share_deinit(struct share *s)
{
    mem_free(s->out);
    mem_free(s->in);
    mem_free(s->pieces);
    mem_free(s->gathered);
    buffer_free(s->sum);
    buffer_free(s->arriving);
    for (int i = 0; i < MAX_LEAF_LEVELS; i++)
        buffer_free(s->waiting[i]);
}

/* A leaf's piece, which has arrived, into the tree at its place. */
static void add_leaf(struct share *s, struct queue *q, int leaf, int64_t at, int64_t n)
{
    size_t offset = (size_t)at * sizeof(float), bytes = (size_t)n * sizeof(float);
    struct span newest = {s->arriving, 0};
    int level = 0;
    for (; leaf >> level & 1; level++) {
        struct span left = {s->waiting[level], offset};
        tensor_add(q, &(struct add_args){(size_t)n, newest, left});
        newest = left;
    }
    struct buffer *to = leaf + 1 == s->n_leaf ? s->sum : s->waiting[level];
    tensor_copy(q, &(struct copy_args){bytes, newest, {to, offset}});
}

static int add_piece(struct share *s, struct queue *q, struct span gradients, int first_leaf, int64_t at,
                     struct error *err)
{
    int size = dist_size(), mine = first_leaf + dist_rank() < s->n_leaf, n_send = 0, n_receive = 0;
    int64_t n = piece_size(s, dist_rank(), at);
    struct dist_piece *sends = s->pieces, *receives = s->pieces + size;
    for (int r = 0; r < size; r++) {
        size_t bytes = (size_t)piece_size(s, r, at) * sizeof(float);
        if (mine && bytes) {
            queue_download(q, staged(s->out, r), span_at(gradients, (size_t)(part_first(s, r) + at) * 4), bytes);
            sends[n_send++] = (struct dist_piece){staged(s->out, r), bytes, r};
        }
        if (n && first_leaf + r < s->n_leaf)
            receives[n_receive++] = (struct dist_piece){staged(s->in, r), (size_t)n * sizeof(float), r};
    }
    int rc = queue_wait(q, err);
    rc = dist_agree(rc, err);
    rc = rc ? rc : dist_exchange(sends, n_send, receives, n_receive, err);
    for (int i = 0; !rc && i < n_receive; i++) {
        queue_upload(q, (struct span){s->arriving, 0}, receives[i].data, receives[i].bytes);
        add_leaf(s, q, first_leaf + receives[i].rank, at, n);
    }
    return rc;
}

int share_add(struct share *s, struct queue *q, struct span gradients, int first_leaf, struct error *err)
{
    int rc = 0;
    for (int64_t at = 0, end = largest_part(s); !rc && at < end; at += PIECE)
        rc = add_piece(s, q, gradients, first_leaf, at, err);
    return rc;
}

int share_losses(struct share *s, int first_leaf, double mine, double *sum, struct error *err)
{
    int rc = dist_gather_all(&mine, sizeof mine, s->gathered, err);
    for (int r = 0; !rc && r < dist_size() && first_leaf + r < s->n_leaf; r++)
        *sum += s->gathered[r];
    return rc;
}

int share_signal(struct share *s, int *number, struct error *err)
{
    double mine = *number;
    int rc = dist_gather_all(&mine, sizeof mine, s->gathered, err);
    for (int r = 0; r < dist_size() && !rc && !*number; r++)
        *number = (int)s->gathered[r];
    return rc;
}

/* One rank after the other goes on with the sum, as one process does along the blocks. */
int share_squares(struct share *s, struct queue *q, struct span out, double *squares, struct error *err)
{
    int rank = dist_rank(), last = dist_size() - 1, rc = 0;
    *squares = 0;
    if (rank > 0)
        rc = dist_exchange(NULL, 0, &(struct dist_piece){squares, sizeof *squares, rank - 1}, 1, err);
    queue_upload(q, out, squares, sizeof *squares);
    tensor_sum_squares(q, &(struct sum_squares_args){(size_t)s->n, {s->sum, 0}, out, 1});
    queue_download(q, squares, out, sizeof *squares);
    rc = queue_finish(q, rc, err);
    if (!rc && rank < last)
        rc = dist_exchange(&(struct dist_piece){squares, sizeof *squares, rank + 1}, 1, NULL, 0, err);
    return rc ? rc : dist_broadcast(squares, sizeof *squares, last, err);
}

static int gather_piece(struct share *s, struct queue *q, const struct share_part *mine, struct span all, int64_t at,
                        struct error *err)
{
    int size = dist_size(), n_send = 0, n_receive = 0;
    size_t bytes = (size_t)piece_size(s, dist_rank(), at) * mine->size;
    struct dist_piece *sends = s->pieces, *receives = s->pieces + size;
    queue_download(q, s->out, (struct span){mine->buffer, (size_t)at * mine->size}, bytes);
    for (int r = 0; r < size; r++) {
        size_t theirs = (size_t)piece_size(s, r, at) * mine->size;
        if (bytes)
            sends[n_send++] = (struct dist_piece){s->out, bytes, r};
        if (theirs)
            receives[n_receive++] = (struct dist_piece){staged(s->in, r), theirs, r};
    }
    int rc = queue_wait(q, err);
    rc = dist_agree(rc, err);
    rc = rc ? rc : dist_exchange(sends, n_send, receives, n_receive, err);
    for (int i = 0; !rc && i < n_receive; i++)
        queue_upload(q, span_at(all, (size_t)(part_first(s, receives[i].rank) + at) * mine->size), receives[i].data,
                     receives[i].bytes);
    return rc;
}

int share_gather(struct share *s, struct queue *q, const struct share_part *mine, struct span all, struct error *err)
{
    int rc = 0;
    for (int64_t at = 0, end = largest_part(s); dist_size() > 1 && !rc && at < end; at += PIECE)
        rc = gather_piece(s, q, mine, all, at, err);
    return rc;
}

/* Who reads other data, another model, other options or computes with other instructions would make another sum. */
int share_check_settings(const char *digest, struct error *err)
{
    char first[65] = "";
    snprintf(first, sizeof first, "%s", digest);
    int rc = dist_broadcast(first, sizeof first, 0, err);
    if (!rc && strcmp(first, digest))
        rc =
            error_set(err, ERROR_CONFIG,
                      "data, model, options, build or instruction set are not those of rank 0; give all ranks the same "
                      "files and the same isara (in f32 any instruction set)");
    return dist_agree(rc, err);
}
