/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes share a step: each computes some leaves of the gradient and keeps, as ZeRO's second stage does, its
 * own part of the flat order (cut.c): masters, moments, and the sum of that part over all leaves. Leaves are dealt
 * round by round, rank r taking the r-th of each round; what of a region they have is added into the tree of leaves.c,
 * whatever the number of ranks. A region is exchanged as soon as its stage is through the backward pass, while the next
 * stages are computed: regions stand in line, one is under way. Between the ends of a round no rank asks how others are
 * doing: a device that fails goes on giving anything, and says so when the round is over. */
#include "train/parts.h"

#include "base/mem.h"
#include "dist/dist.h"

#include <string.h>

/* Where the host may read or write the device's memory itself; NULL: it may not. */
static char *host_at(struct span at)
{
    char *host = buffer_host(at.buffer);
    return host ? host + at.offset : NULL;
}

static int64_t own_size(const struct share *s, const struct region *r, int rank)
{
    return cut_slice(&s->cut, r, rank + 1) - cut_slice(&s->cut, r, rank);
}

struct span share_place(const struct share *s, int stage, size_t size)
{
    const struct stage *at = &s->cut.stages[stage];
    return (struct span){s->windows[at->window], (size_t)0 - (size_t)at->base * size};
}

static struct span slice_at(const struct share *s, const struct region *r, int rank)
{
    return span_at(share_place(s, r->stage, 4), (size_t)cut_slice(&s->cut, r, rank) * 4);
}

int share_inner_levels(int n_rank, int n_leaf)
{
    int n = 0;
    while (n_rank % (2 << n) == 0 && n < leaves_levels(n_leaf))
        n++;
    return n;
}

static int make_staging(struct share *s, const struct model *m, struct error *err)
{
    size_t vectors = 1;
    for (int i = 0; i < m->n_group; i++)
        vectors += m->groups[i].is_vector ? (size_t)m->groups[i].n : 0;
    size_t room = (size_t)s->cut.n_rank * (size_t)s->cut.widest * 4,
           blocks = (size_t)(s->cut.n_element / CUT_BLOCK + 1);
    int apart = !buffer_host(s->in);
    s->out = apart ? mem_alloc(room) : NULL;
    s->arrived = apart ? mem_alloc(room) : buffer_host(s->in);
    s->pieces = mem_alloc(2 * (size_t)s->cut.n_rank * sizeof *s->pieces);
    s->gathered = mem_alloc((size_t)s->cut.n_rank * sizeof *s->gathered);
    s->at = mem_alloc((size_t)s->cut.n_rank * sizeof *s->at);
    s->line = mem_alloc((size_t)s->cut.n_region * sizeof *s->line);
    s->sums = mem_alloc(blocks * sizeof *s->sums);
    s->vectors = mem_alloc(vectors * sizeof *s->vectors);
    int ready =
        s->arrived && s->pieces && s->gathered && s->at && s->line && s->sums && s->vectors && (!apart || s->out);
    return ready ? 0 : error_set_nomem(err, 2 * room, "what ranks exchange");
}

int share_init(struct share *s, const struct model *m, const struct share_wish *wish, struct error *err)
{
    int size = dist_size(), levels = leaves_levels(wish->n_leaf), rc;
    struct device *d = m->device;
    *s = (struct share){.n_leaf = wish->n_leaf, .inner = share_inner_levels(size, wish->n_leaf), .q = device_queue(d)};
    if (wish->n_leaf < size)
        return error_set(err, ERROR_USAGE,
                         "%d processes share the %d leaves of a step's gradient; give --gradient-leaves %d or more (a "
                         "power of two; the bits depend on it), or start fewer",
                         size, wish->n_leaf, 1 << leaves_levels(size));
    if ((rc = cut_init(&s->cut, m, &(struct cut_wish){size, dist_rank(), wish->whole}, err)) || size == 1)
        return rc;
    size_t bytes = (size_t)s->cut.n * sizeof(float);
    rc = buffer_new(&s->sum, d, bytes, "this rank's part of the gradient", err);
    for (int i = s->inner; !rc && i < levels; i++)
        rc = buffer_new(&s->waiting[i], d, bytes, "gradients of leaves", err);
    for (int i = 0; !rc && i < CUT_WINDOWS; i++)
        if (s->cut.windows[i])
            rc = buffer_new(&s->windows[i], d, (size_t)s->cut.windows[i] * 4, "gradients of a layer", err);
    rc = rc ? rc : buffer_new(&s->in, d, (size_t)size * (size_t)s->cut.widest * 4, "slices of gradients", err);
    rc = rc ? rc
            : buffer_new(&s->squares, d, ((size_t)s->cut.n / CUT_BLOCK + 1) * sizeof(double), "the gradient's norm",
                         err);
    return rc ? rc : make_staging(s, m, err);
}

void share_deinit(struct share *s)
{
    if (s->out)
        mem_free(s->arrived);
    mem_free(s->out);
    mem_free(s->pieces);
    mem_free(s->gathered);
    mem_free(s->at);
    mem_free(s->line);
    mem_free(s->sums);
    mem_free(s->vectors);
    buffer_free(s->sum);
    buffer_free(s->in);
    buffer_free(s->squares);
    for (int i = 0; i < CUT_WINDOWS; i++)
        buffer_free(s->windows[i]);
    for (int i = 0; i < MAX_LEAF_LEVELS; i++)
        buffer_free(s->waiting[i]);
    cut_deinit(&s->cut);
}

/* Where a leaf's slice of this rank lies: its own where it was computed, those of others where they arrive. */
static struct span slot(const struct share *s, const struct region *r, int rank)
{
    return rank == s->cut.rank ? slice_at(s, r, rank) : (struct span){s->in, (size_t)rank * (size_t)s->cut.widest * 4};
}

/* Into the tree at its place. A subtree that lies in the round waits in the slot of its first leaf; the last sum is the
 * step's. */
static void add_leaf(struct share *s, const struct region *r, int rank)
{
    int leaf = s->first_leaf + rank, level = 0;
    size_t n = (size_t)own_size(s, r, s->cut.rank), own = (size_t)r->own * 4;
    struct span newest = slot(s, r, rank);
    for (; leaf >> level & 1; level++) {
        struct span left =
            level < s->inner ? slot(s, r, rank + 1 - (2 << level)) : (struct span){s->waiting[level], own};
        int is_last = leaf + 1 == s->n_leaf && leaf >> level == 1;
        struct span all = is_last ? (struct span){s->sum, own} : left;
        tensor_add(s->q, &(struct add_args){n, newest, left, all});
        newest = all;
    }
    if (leaf + 1 < s->n_leaf && level >= s->inner)
        tensor_copy(s->q, &(struct copy_args){n * 4, newest, {s->waiting[level], own}});
}

static int is_in_round(const struct share *s, int rank)
{
    return s->first_leaf + rank < s->n_leaf;
}

/* The first in line that is not under way yet. */
static void begin_next(struct share *s)
{
    const struct region *r = &s->cut.regions[s->line[s->n_begun++]];
    size_t room = (size_t)s->cut.widest * 4, own = (size_t)own_size(s, r, s->cut.rank) * 4;
    struct dist_exchange x = {s->pieces, s->pieces + s->cut.n_rank, 0, 0};
    struct dist_piece *receives = s->pieces + s->cut.n_rank;
    for (int rank = 0; rank < s->cut.n_rank; rank++) {
        size_t theirs = (size_t)own_size(s, r, rank) * 4;
        struct span from = slice_at(s, r, rank);
        char *out = s->out ? s->out + (size_t)rank * room : host_at(from);
        if (rank == s->cut.rank)
            continue;
        if (is_in_round(s, s->cut.rank) && theirs) {
            if (s->out)
                queue_download(s->q, out, from, theirs);
            s->pieces[x.n_send++] = (struct dist_piece){out, theirs, rank};
        }
        if (is_in_round(s, rank) && own)
            receives[x.n_receive++] = (struct dist_piece){s->arrived + (size_t)rank * room, own, rank};
    }
    queue_drain(s->q); /* a failure comes back with the losses */
    s->rc = dist_begin(&x, &s->err);
}

/* Waits for the region that is under way, adds it, and begins the next one. */
static void finish_first(struct share *s)
{
    if (s->n_begun == s->n_done)
        begin_next(s);
    const struct region *r = &s->cut.regions[s->line[s->n_done++]];
    size_t own = (size_t)own_size(s, r, s->cut.rank) * 4, room = (size_t)s->cut.widest * 4;
    s->rc = s->rc ? s->rc : dist_finish(&s->err);
    for (int rank = 0; !s->rc && own && rank < s->cut.n_rank && is_in_round(s, rank); rank++) {
        if (s->out && rank != s->cut.rank)
            queue_upload(s->q, slot(s, r, rank), s->arrived + (size_t)rank * room, own);
        add_leaf(s, r, rank);
    }
    queue_drain(s->q);
    if (!s->rc && s->n_begun < s->n_line)
        begin_next(s);
}

void share_begin_round(struct share *s, int first_leaf)
{
    s->first_leaf = first_leaf;
    s->n_line = s->n_begun = s->n_done = 0;
}

/* Whether a region that lies in this stage's window is still in line. */
static int is_taken(const struct share *s, int stage)
{
    int window = s->cut.stages[stage].window;
    for (int i = s->n_done; i < s->n_line && !s->cut.whole; i++)
        if (s->cut.stages[s->cut.regions[s->line[i]].stage].window == window)
            return 1;
    return 0;
}

struct span share_begin_stage(struct share *s, int stage)
{
    while (!s->rc && is_taken(s, stage))
        finish_first(s);
    return share_place(s, stage, 4);
}

void share_carry(const struct share *s, int from, int to, size_t size)
{
    const struct stage *a = &s->cut.stages[from < to ? to : from]; /* the later one, whose beginning it is */
    int64_t end = (a->first + CUT_BLOCK - 1) / CUT_BLOCK * CUT_BLOCK;
    end = end < s->cut.n_element ? end : s->cut.n_element;
    if (s->cut.whole || end == a->first)
        return;
    size_t at = (size_t)a->first * size, bytes = (size_t)(end - a->first) * size;
    tensor_copy(s->q, &(struct copy_args){bytes, span_at(share_place(s, from, size), at),
                                          span_at(share_place(s, to, size), at)});
}

void share_end_stage(struct share *s, int stage)
{
    const struct stage *at = &s->cut.stages[stage];
    if (stage + 1 < s->cut.n_stage)
        share_carry(s, stage + 1, stage, 4);
    for (int i = 0; i < at->n_region; i++)
        s->line[s->n_line++] = at->region + i;
    if (!s->rc && s->n_begun > s->n_done && dist_is_done())
        finish_first(s);
    else if (!s->rc && s->n_begun == s->n_done && s->n_begun < s->n_line)
        begin_next(s);
}

int share_end_round(struct share *s, struct error *err)
{
    while (!s->rc && s->n_done < s->n_line)
        finish_first(s);
    return s->rc ? error_set(err, s->err.code, "%s", s->err.message) : 0;
}

int share_losses(struct share *s, double mine, double *sum, struct error *err)
{
    int rc = dist_gather_all(&mine, sizeof mine, s->gathered, err);
    for (int r = 0; !rc && r < s->cut.n_rank && is_in_round(s, r); r++)
        *sum += s->gathered[r];
    return rc;
}

int share_signal(struct share *s, int *number, struct error *err)
{
    double mine = *number;
    int rc = dist_gather_all(&mine, sizeof mine, s->gathered, err);
    for (int r = 0; r < s->cut.n_rank && !rc && !*number; r++)
        *number = (int)s->gathered[r];
    return rc;
}

static int64_t blocks_of(int64_t n)
{
    return (n + CUT_BLOCK - 1) / CUT_BLOCK;
}

/* Each rank's sums of its blocks one rank after the other, where s->at says. */
static int exchange_sums(struct share *s, struct error *err)
{
    int64_t all = 0, own = 0;
    int n = 0;
    for (int rank = 0; rank < s->cut.n_rank; rank++) {
        int64_t blocks = 0;
        for (int i = 0; i < s->cut.n_region; i++)
            blocks += blocks_of(own_size(s, &s->cut.regions[i], rank));
        s->at[rank] = all;
        all += blocks;
        if (rank == s->cut.rank)
            own = blocks;
        else if (blocks)
            s->pieces[s->cut.n_rank + n++] =
                (struct dist_piece){s->sums + s->at[rank], (size_t)blocks * sizeof(double), rank};
    }
    double *mine = s->sums + s->at[s->cut.rank];
    queue_download(s->q, mine, (struct span){s->squares, 0}, (size_t)own * sizeof(double));
    queue_drain(s->q);
    int n_send = 0;
    for (int rank = 0; own && rank < s->cut.n_rank; rank++)
        if (rank != s->cut.rank)
            s->pieces[n_send++] = (struct dist_piece){mine, (size_t)own * sizeof(double), rank};
    return dist_exchange(s->pieces, n_send, s->pieces + s->cut.n_rank, n, err);
}

int share_squares(struct share *s, double *squares, struct error *err)
{
    tensor_sum_squares(
        s->q, &(struct sum_squares_args){.n = (size_t)s->cut.n, .x = {s->sum, 0}, .out = {s->squares, 0}, .apart = 1});
    int rc = exchange_sums(s, err);
    *squares = 0;
    for (int i = 0; !rc && i < s->cut.n_region; i++)
        for (int rank = 0; rank < s->cut.n_rank; rank++)
            for (int64_t n = blocks_of(own_size(s, &s->cut.regions[i], rank)); n > 0; n--)
                *squares += s->sums[s->at[rank]++];
    return rc;
}
