/* SPDX-License-Identifier: Apache-2.0 */
/* The same prompt before many completions, as in multiple choice, is most of the work when it is computed for each. */
#include "model/shared_rows.h"

#include "base/clamp.h"
#include "base/mem.h"
#include "model/parts.h"

#include <limits.h>
#include <string.h>

/* positions of a page; sharing fewer rows is not worth a sequence; pages beyond what the rows fill, two a sequence */
enum { PAGE = 32, SHORTEST = 8, SPARE_PAGES = 256 };

static int pages_of(int n_row)
{
    return (n_row + PAGE - 1) / PAGE;
}

/* Tokens in which both begin alike, at most so many, and neither's row before its completion among them. */
static int alike(const struct model_text *a, const struct model_text *b, int most)
{
    int n = 0;
    most = most < a->n_prompt - 1 ? most : a->n_prompt - 1;
    most = most < b->n_prompt - 1 ? most : b->n_prompt - 1;
    while (n < most && a->ids[n] == b->ids[n])
        n++;
    return n;
}

/* Takes texts in as long as more rows are saved by each, and it does not share much more with the one behind it. */
static struct shared_prefix find_prefix(const struct model_text *texts, int n, int limit)
{
    struct shared_prefix p = {1, 0};
    int most = INT_MAX;
    if (texts[0].n > limit)
        return p;
    for (int k = 1; k < n && texts[k].n <= limit; k++) {
        int row = alike(&texts[0], &texts[k], most);
        if (row < SHORTEST || (int64_t)row * k < (int64_t)p.n_row * (p.n_text - 1))
            break;
        if (k + 1 < n && alike(&texts[k], &texts[k + 1], 2 * row + 1) > 2 * row)
            break;
        p = (struct shared_prefix){k + 1, row};
        most = row;
    }
    return p;
}

/* Rows see only what comes before them, and where they stand does not depend on what else there is. */
static int can_share(const struct model *m)
{
    return !m->desc.bidirectional && !m->desc.pad_position && !m->distances;
}

int64_t shared_saving(const struct model *m, const struct model_text *texts, int n)
{
    int64_t saved = 0;
    struct shared_prefix p;
    for (int i = 0; can_share(m) && i < n; i += p.n_text) {
        p = find_prefix(texts + i, n - i, model_turn_limit(&m->desc));
        saved += (int64_t)p.n_row * (p.n_text - 1);
    }
    return saved;
}

static size_t aligned_bytes(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int make_arrays(struct shared_rows *s, struct device *d, struct error *err)
{
    size_t row = (size_t)s->max_row, seq = (size_t)s->max_seq, at = 0;
    const size_t counts[] = {row, row, row, row, 3 * seq, seq * (size_t)s->stride};
    int32_t **arrays[] = {&s->tokens, &s->positions, &s->lengths, &s->row_seq, &s->copies, &s->table};
    struct span *spans[] = {&s->d_tokens, &s->d_positions, &s->d_lengths, &s->d_row_seq, &s->d_copies, &s->d_table};
    for (int i = 0; i < 6; i++)
        s->slab_bytes += aligned_bytes(counts[i] * 4);
    if (!(s->slab = mem_slab(s->slab_bytes)))
        return error_set_nomem(err, s->slab_bytes, "token rows");
    int rc = buffer_new(&s->device, d, s->slab_bytes, "token rows", err);
    for (int i = 0; i < 6; at += aligned_bytes(counts[i++] * 4)) {
        *arrays[i] = (int32_t *)(void *)((char *)s->slab + at);
        *spans[i] = (struct span){s->device, at};
    }
    return rc;
}

int shared_rows_new(struct shared_rows *s, const struct model *m, int max_row, int n_text, struct error *err)
{
    const struct model_desc *d = &m->desc;
    *s = (struct shared_rows){.max_row = max_row,
                              .max_seq = 2 * n_text,
                              .max_page = pages_of(max_row) + SPARE_PAGES,
                              .stride = pages_of(max_row),
                              .limit = model_turn_limit(d),
                              .layout = {DTYPE_F32, PAGE, d->n_kv_head, d->head_dim},
                              .layer_pages = mem_calloc((size_t)d->n_layer, sizeof *s->layer_pages)};
    if (!s->layer_pages)
        return error_set_nomem(err, (size_t)d->n_layer * sizeof *s->layer_pages, "pages");
    int rc = make_arrays(s, m->device, err);
    rc = rc ? rc
            : buffer_new(&s->pages, m->device, (size_t)s->max_page * kv_page_bytes(m->device, &s->layout),
                         "keys and values", err);
    for (int l = 0; l < d->n_layer; l++)
        s->layer_pages[l] = (struct span){s->pages, 0};
    return rc;
}

void shared_rows_free(struct shared_rows *s)
{
    buffer_free(s->pages);
    buffer_free(s->device);
    mem_slab_free(s->slab, s->slab_bytes);
    mem_free(s->layer_pages);
    *s = (struct shared_rows){0};
}

void shared_rows_reset(struct shared_rows *s)
{
    s->n_row = s->n_seq = s->n_page = s->n_copy = 0;
}

static int has_room(const struct shared_rows *s, int n_row, int n_seq, int n_page)
{
    return n_row <= s->max_row - s->n_row && n_seq <= s->max_seq - s->n_seq && n_page <= s->max_page - s->n_page;
}

/* The text's rows from `from` on, as a sequence whose first `from` positions are those of sequence `parent`. */
static void add_sequence(struct shared_rows *s, const struct model_text *t, int parent, int from)
{
    int full = from / PAGE, tail = from % PAGE;
    int32_t *table = s->table + (size_t)s->n_seq * (size_t)s->stride,
            *before = s->table + (size_t)(parent < 0 ? 0 : parent) * (size_t)s->stride;
    memcpy(table, before, (size_t)full * sizeof *table);
    for (int i = full; i < pages_of(t->n); i++)
        table[i] = s->n_page++;
    if (tail) {
        int32_t *copy = s->copies + 3 * s->n_copy++;
        copy[0] = before[full];
        copy[1] = table[full];
        copy[2] = tail;
    }
    for (int i = from; i < t->n; i++, s->n_row++) {
        s->tokens[s->n_row] = t->ids[i];
        s->positions[s->n_row] = i;
        s->lengths[s->n_row] = t->n;
        s->row_seq[s->n_row] = s->n_seq;
    }
    s->n_seq++;
}

int shared_rows_add(struct shared_rows *s, const struct model_text *texts, int n, int *start)
{
    struct shared_prefix p = find_prefix(texts, n, s->limit);
    const struct model_text prefix = {texts[0].ids, p.n_row, p.n_row};
    int taken = 0, parent = p.n_row ? s->n_seq : -1, full = p.n_row / PAGE;
    int both = texts[0].n + (p.n_row && s->n_row ? texts[1].n - p.n_row : 0); /* a prefix for one text saves nothing */
    if (!has_room(s, both, 3, pages_of(both) + 3))
        return 0;
    if (p.n_row)
        add_sequence(s, &prefix, -1, 0);
    while (taken < p.n_text && has_room(s, texts[taken].n - p.n_row, 1, pages_of(texts[taken].n) - full)) {
        start[taken] = s->n_row - p.n_row;
        add_sequence(s, &texts[taken++], parent, p.n_row);
    }
    return taken;
}

void shared_rows_upload(const struct shared_rows *s, struct queue *q)
{
    size_t rows = (size_t)s->n_row * 4;
    queue_upload(q, s->d_tokens, s->tokens, rows);
    queue_upload(q, s->d_positions, s->positions, rows);
    queue_upload(q, s->d_lengths, s->lengths, rows);
    queue_upload(q, s->d_row_seq, s->row_seq, rows);
    queue_upload(q, s->d_copies, s->copies, (size_t)s->n_copy * 12);
    queue_upload(q, s->d_table, s->table, (size_t)s->n_seq * (size_t)s->stride * 4);
}

void shared_rows_batch(const struct shared_rows *s, struct model_batch *b)
{
    *b = (struct model_batch){.n_row = s->n_row,
                              .tokens = s->d_tokens,
                              .positions = s->d_positions,
                              .lengths = s->d_lengths,
                              .pages = s->layer_pages,
                              .layout = s->layout,
                              .row_seq = s->d_row_seq,
                              .block_table = s->d_table,
                              .table_stride = s->stride,
                              .n_seq = s->n_seq,
                              .copies = s->d_copies,
                              .n_copy = s->n_copy,
                              .n_out = s->n_row};
}
