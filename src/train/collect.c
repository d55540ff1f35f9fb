/* SPDX-License-Identifier: Apache-2.0 */
/* From the parts of all ranks to the whole of something in the flat order, stage by stage from the first to the last,
 * so that nobody ever holds all of it: the next stage is on its way while this one is packed or written. */
#include "train/parts.h"

#include "base/mem.h"
#include "dist/dist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *host_at(struct span at)
{
    char *host = buffer_host(at.buffer);
    return host ? host + at.offset : NULL;
}

static size_t slice_bytes(const struct share *s, const struct region *r, int rank, size_t size)
{
    return (size_t)(cut_slice(&s->cut, r, rank + 1) - cut_slice(&s->cut, r, rank)) * size;
}

static struct span place_of(const struct share *s, const struct region *r, int rank, size_t size)
{
    return span_at(share_place(s, r->stage, size), (size_t)cut_slice(&s->cut, r, rank) * size);
}

/* This rank's slice of the region, at its place; rounded on the way, or as it is. */
static void place_own(struct share *s, const struct share_part *mine, const struct region *r, struct span place)
{
    size_t n = slice_bytes(s, r, s->cut.rank, 1);
    if (mine->rounds)
        tensor_cast(s->q, &(struct cast_args){n, {mine->buffer, (size_t)r->own * 4}, DTYPE_F32, place, DTYPE_BF16});
    else
        tensor_copy(s->q, &(struct copy_args){n * mine->size, {mine->buffer, (size_t)r->own * mine->size}, place});
}

/* The region's slices are under way, each to its place. */
static int begin_region(struct share *s, const struct share_part *mine, const struct region *r, struct error *err)
{
    struct dist_piece *sends = s->pieces, *receives = s->pieces + s->cut.n_rank;
    struct dist_exchange x = {sends, receives, 0, 0};
    struct span own = place_of(s, r, s->cut.rank, mine->size);
    size_t bytes = slice_bytes(s, r, s->cut.rank, mine->size), room = (size_t)s->cut.widest * 4;
    char *out = s->out ? s->out : host_at(own);
    place_own(s, mine, r, own);
    if (s->out)
        queue_download(s->q, s->out, own, bytes);
    queue_drain(s->q); /* a failure comes back with the next wait that is looked at */
    for (int rank = 0; rank < s->cut.n_rank; rank++) {
        size_t theirs = slice_bytes(s, r, rank, mine->size);
        char *to = s->out ? s->arrived + (size_t)rank * room : host_at(place_of(s, r, rank, mine->size));
        if (rank == s->cut.rank)
            continue;
        if (bytes)
            sends[x.n_send++] = (struct dist_piece){out, bytes, rank};
        if (theirs)
            receives[x.n_receive++] = (struct dist_piece){to, theirs, rank};
    }
    return dist_begin(&x, err);
}

static int finish_region(struct share *s, const struct share_part *mine, const struct region *r, struct error *err)
{
    int rc = dist_finish(err);
    for (int rank = 0; s->out && !rc && rank < s->cut.n_rank; rank++)
        if (rank != s->cut.rank)
            queue_upload(s->q, place_of(s, r, rank, mine->size), s->arrived + (size_t)rank * (size_t)s->cut.widest * 4,
                         slice_bytes(s, r, rank, mine->size));
    return rc;
}

int share_collect(struct share *s, const struct share_part *mine, int stage, struct span *all, struct error *err)
{
    const struct cut *c = &s->cut;
    const struct stage *at = &c->stages[stage];
    int rc = 0, next = at->region;
    *all = (struct span){mine->buffer, 0};
    if (c->n_rank == 1)
        return 0;
    *all = share_place(s, stage, mine->size);
    for (int i = 0; !rc && i < at->n_region; i++, next++) {
        if (i > 0 || !s->is_begun)
            rc = begin_region(s, mine, &c->regions[next], err);
        rc = rc ? rc : finish_region(s, mine, &c->regions[next], err);
    }
    s->is_begun = 0;
    if (!rc && stage > 0)
        share_carry(s, stage - 1, stage, mine->size);
    if (!rc && stage + 1 < c->n_stage && c->stages[stage + 1].n_region) {
        s->is_begun = 1;
        rc = begin_region(s, mine, &c->regions[next], err);
    }
    return rc;
}

/* Elements of vectors in a rank's slices, one behind the other: this rank's from its masters to the host, or with
 * masters NULL a rank's from the host to where they are computed with; host NULL: they are counted. */
static int64_t move_vectors(const struct share *s, const struct model *m, int rank, struct buffer *masters, float *host)
{
    int64_t n = 0;
    for (int i = 0; i < s->cut.n_region; i++) {
        const struct region *r = &s->cut.regions[i];
        int64_t first = cut_slice(&s->cut, r, rank), end = cut_slice(&s->cut, r, rank + 1);
        for (int j = 0; j < m->n_group; j++) {
            const struct model_group *g = &m->groups[j];
            int64_t from = g->offset > first ? g->offset : first, to = g->offset + g->n < end ? g->offset + g->n : end;
            size_t bytes = (size_t)(to - from) * sizeof(float);
            if (!g->is_vector || from >= to)
                continue;
            if (masters)
                queue_download(s->q, host + n, (struct span){masters, (size_t)(r->own + from - first) * 4}, bytes);
            else if (host)
                queue_upload(s->q, span_at(g->vector, (size_t)(from - g->offset) * 4), host + n, bytes);
            n += to - from;
        }
    }
    return n;
}

int share_vectors(struct share *s, const struct model *m, struct buffer *masters, struct error *err)
{
    struct dist_piece *sends = s->pieces, *receives = s->pieces + s->cut.n_rank;
    int64_t all = 0, own = move_vectors(s, m, s->cut.rank, NULL, NULL);
    int n_send = 0, n_receive = 0;
    for (int rank = 0; rank < s->cut.n_rank; rank++) {
        int64_t n = move_vectors(s, m, rank, NULL, NULL);
        s->at[rank] = all;
        if (rank != s->cut.rank && n)
            receives[n_receive++] = (struct dist_piece){s->vectors + all, (size_t)n * sizeof(float), rank};
        all += n;
    }
    float *mine = s->vectors + s->at[s->cut.rank];
    move_vectors(s, m, s->cut.rank, masters, mine);
    queue_drain(s->q);
    for (int rank = 0; own && rank < s->cut.n_rank; rank++)
        if (rank != s->cut.rank)
            sends[n_send++] = (struct dist_piece){mine, (size_t)own * sizeof(float), rank};
    int rc = dist_exchange(sends, n_send, receives, n_receive, err);
    for (int rank = 0; !rc && rank < s->cut.n_rank; rank++)
        move_vectors(s, m, rank, NULL, s->vectors + s->at[rank]);
    return rc;
}

void share_keep(const struct share *s, int stage, struct buffer *part)
{
    const struct stage *at = &s->cut.stages[stage];
    for (int i = 0; i < s->cut.n_region && s->cut.n_rank > 1; i++) {
        const struct region *r = &s->cut.regions[i];
        int64_t first = cut_slice(&s->cut, r, s->cut.rank), end = cut_slice(&s->cut, r, s->cut.rank + 1),
                from = first > at->first ? first : at->first, to = end < at->last ? end : at->last;
        if (from < to)
            tensor_copy(s->q, &(struct copy_args){(size_t)(to - from) * 4,
                                                  span_at(share_place(s, stage, 4), (size_t)from * 4),
                                                  {part, (size_t)(r->own + from - first) * 4}});
    }
}

void share_upload(const struct share *s, const struct share_part *mine, const void *data)
{
    for (int i = 0; i < s->cut.n_region; i++) {
        const struct region *r = &s->cut.regions[i];
        queue_upload(s->q, (struct span){mine->buffer, (size_t)r->own * mine->size},
                     (const char *)data + (size_t)cut_slice(&s->cut, r, s->cut.rank) * mine->size,
                     slice_bytes(s, r, s->cut.rank, mine->size));
    }
}

/* The first of rank 0's settings that is another one here; both have the same names. */
static const char *first_other(const json_t *first, const json_t *own)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)first, name, v) if (!json_equal(v, json_object_get(own, name))) return name;
    return NULL;
}

/* Who reads other data, another model, other options or computes with other instructions would make another sum. */
int share_check_settings(const json_t *settings, struct error *err)
{
    char *own = json_dumps(settings, JSON_SORT_KEYS | JSON_COMPACT);
    size_t n = own ? strlen(own) + 1 : 0;
    int rc = own ? 0 : error_set_nomem(err, 4096, "settings");
    rc = dist_agree(rc, err);
    rc = rc ? rc : dist_broadcast(&n, sizeof n, 0, err);
    char *first = rc ? NULL : mem_calloc(1, n);
    if (!rc && !first)
        rc = error_set_nomem(err, n, "settings");
    rc = dist_agree(rc, err);
    if (!rc && dist_rank() == 0)
        memcpy(first, own, n);
    rc = rc ? rc : dist_broadcast(first, n, 0, err);
    if (!rc && strcmp(first, own)) {
        json_t *theirs = json_loads(first, 0, NULL);
        const char *name = first_other(theirs, settings);
        rc = error_set(err, ERROR_CONFIG,
                       "data, model, options, build or instruction set are not those of rank 0 (%s); give all ranks "
                       "the same files and the same isara (in f32 any instruction set)",
                       name ? name : "their number");
        json_decref(theirs);
    }
    mem_free(first);
    free(own);
    return dist_agree(rc, err);
}

int share_check_step(long step, struct error *err)
{
    long first = step;
    int rc = dist_broadcast(&first, sizeof first, 0, err);
    if (!rc && first != step)
        rc = error_set(err, ERROR_CONFIG,
                       "checkpoint.safetensors ends behind step %ld for rank 0 and step %ld here (0: there is none); "
                       "all ranks must see the same output directory",
                       first, step);
    return dist_agree(rc, err);
}
