/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows make step s is a function of (seed, epoch) alone: a permutation of the data per epoch (or the data's own
 * order), cut into steps of batch x accumulation rows, the last one of an epoch shorter. How a step is cut into
 * micro-batches changes no result: plainly, rows in order, batch_size at a time; packed, rows by best fit into bins of
 * max_length tokens, batch_size bins at a time. */
#include "train/parts.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { STREAM_ORDER = 0x6f72646572 & 0x7fffffff };

int row_targets(const struct train_row *r, int task)
{
    int n = 0;
    if (task != MODEL_LM)
        return 1;
    for (int i = 1; i < r->n; i++)
        n += r->target[i] != 0;
    return n;
}

int row_tokens(const struct train_row *r, int task)
{
    int last = r->n - 1;
    if (task != MODEL_LM)
        return r->n_rejected ? rows_even(r->n) + r->n_rejected : r->n;
    while (last > 0 && !r->target[last])
        last--;
    return last;
}

int order_init(struct order *o, const struct train_data *data, const struct train_options *options, int task,
               struct error *err)
{
    int64_t batch = (int64_t)options->batch_size * options->accumulation;
    int n = data->n, capacity = batch < n ? (int)batch : n;
    *o = (struct order){.data = data, .options = options, .task = task, .epoch = -1, .capacity = capacity};
    o->per_epoch = (n + batch - 1) / batch;
    o->total =
        options->max_steps > 0 ? options->max_steps : (long)ceil(options->num_train_epochs * (double)o->per_epoch);
    size_t c = (size_t)capacity;
    o->permutation = mem_alloc((size_t)n * sizeof *o->permutation);
    o->rows = mem_alloc(c * sizeof *o->rows);
    o->ends = mem_alloc(c * sizeof *o->ends);
    o->fill = mem_alloc(c * sizeof *o->fill);
    o->bin = mem_alloc(c * sizeof *o->bin);
    o->sorted = mem_alloc(c * sizeof *o->sorted);
    if (!o->permutation || !o->rows || !o->ends || !o->fill || !o->bin || !o->sorted)
        return error_set_nomem(err, (size_t)n * 4, "the order of rows");
    return 0;
}

void order_deinit(struct order *o)
{
    mem_free(o->permutation);
    mem_free(o->rows);
    mem_free(o->ends);
    mem_free(o->fill);
    mem_free(o->bin);
    mem_free(o->sorted);
    *o = (struct order){0};
}

static void shuffle_rows(struct order *o, long epoch)
{
    struct rng_stream stream = {o->options->seed, STREAM_ORDER, (uint64_t)epoch};
    if (o->epoch == epoch)
        return;
    if (o->options->shuffle)
        rng_permutation(&stream, o->permutation, (uint32_t)o->data->n);
    else
        for (int i = 0; i < o->data->n; i++)
            o->permutation[i] = (uint32_t)i;
    o->epoch = epoch;
}

static const struct train_row *row_at(const struct order *o, int first, int i)
{
    return &o->data->rows[o->permutation[first + i]];
}

static int row_room(const struct order *o, int first, int i)
{
    return rows_even(row_tokens(row_at(o, first, i), o->task));
}

/* The bin with the least room that still holds `tokens`, or a new one. */
static int best_bin(const struct order *o, int n_bin, int tokens, int room)
{
    int best = n_bin;
    for (int b = 0; b < n_bin; b++)
        if (o->fill[b] + tokens <= room && (best == n_bin || o->fill[b] > o->fill[best]))
            best = b;
    return best;
}

/* Rows by decreasing length (equal ones in order) into bins; then rows bin by bin. */
static void pack_rows(struct order *o, int first, int n)
{
    int n_bin = 0, room = rows_even(o->options->max_length), at = 0;
    for (int i = 0; i < n; i++) {
        int j = i, tokens = row_room(o, first, i);
        for (; j > 0 && row_room(o, first, o->sorted[j - 1]) < tokens; j--)
            o->sorted[j] = o->sorted[j - 1];
        o->sorted[j] = i;
    }
    for (int i = 0; i < n; i++) {
        int tokens = row_room(o, first, o->sorted[i]), b = best_bin(o, n_bin, tokens, room);
        if (b == n_bin)
            o->fill[n_bin++] = 0;
        o->fill[b] += tokens;
        o->bin[i] = b;
    }
    o->n_micro = 0;
    for (int b = 0; b < n_bin; b++) {
        for (int i = 0; i < n; i++)
            if (o->bin[i] == b)
                o->rows[at++] = row_at(o, first, o->sorted[i]);
        if ((b + 1) % o->options->batch_size == 0 || b + 1 == n_bin)
            o->ends[o->n_micro++] = at;
    }
}

void order_step(struct order *o, long step)
{
    long in_epoch = step % o->per_epoch;
    shuffle_rows(o, step / o->per_epoch);
    int64_t batch = (int64_t)o->options->batch_size * o->options->accumulation, first = in_epoch * batch;
    int n = o->data->n - first < batch ? (int)(o->data->n - first) : (int)batch;
    o->n_row = n;
    if (o->options->packing) {
        pack_rows(o, (int)first, n);
        return;
    }
    o->n_micro = 0;
    for (int i = 0; i < n; i++) {
        o->rows[i] = row_at(o, (int)first, i);
        if ((i + 1) % o->options->batch_size == 0 || i + 1 == n)
            o->ends[o->n_micro++] = i + 1;
    }
}

static void raise_to(int *greatest, int value)
{
    *greatest = value > *greatest ? value : *greatest;
}

/* Adds one micro-batch to the greatest sizes, and to the step's sums. */
static void measure_micro(const struct train_row *const *rows, int n, int task, struct order_sizes *s, int *step_tokens,
                          int *step_targets)
{
    int tokens = 0, targets = 0;
    for (int i = 0; i < n; i++) {
        tokens += rows_even(row_tokens(rows[i], task));
        targets += rows_even(row_targets(rows[i], task));
        raise_to(&s->n_top, rows[i]->soft.n_top);
    }
    raise_to(&s->rows, n);
    raise_to(&s->sequences, task == MODEL_REWARD ? 2 * n : n);
    raise_to(&s->tokens, tokens);
    raise_to(&s->targets, targets);
    *step_tokens += tokens;
    *step_targets += targets;
}

/* A leaf's rows in the micro-batches that the step is cut into, as the trainer runs them. */
static void measure_leaf(const struct order *o, int first, int end, struct order_sizes *s)
{
    int tokens = 0, targets = 0, n = 0;
    for (int i = 0, begin = 0; i < o->n_micro && begin < end; begin = o->ends[i++]) {
        int from = begin > first ? begin : first, to = o->ends[i] < end ? o->ends[i] : end;
        if (from >= to)
            continue;
        measure_micro(o->rows + from, to - from, o->task, s, &tokens, &targets);
        n++;
    }
    raise_to(&s->micro, n);
    raise_to(&s->step_tokens, tokens);
    raise_to(&s->step_targets, targets);
}

void order_measure(struct order *o, struct order_sizes *s)
{
    long n = o->options->shuffle || o->total < o->per_epoch ? o->total : o->per_epoch;
    int n_leaf = o->options->gradient_leaves;
    for (long step = 0; step < n; step++) {
        order_step(o, step);
        for (int leaf = 0; leaf < n_leaf; leaf++)
            measure_leaf(o, leaf_first(leaf, n_leaf, o->n_row), leaf_first(leaf + 1, n_leaf, o->n_row), s);
    }
}

void rows_measure(const struct train_data *data, int batch_size, int task, struct order_sizes *s)
{
    const struct train_row *row;
    for (int first = 0; first < data->n; first += batch_size) {
        int n = data->n - first < batch_size ? data->n - first : batch_size;
        struct order_sizes one = {0};
        int tokens = 0, targets = 0;
        for (int i = 0; i < n; i++) {
            row = &data->rows[first + i];
            measure_micro(&row, 1, task, &one, &tokens, &targets);
        }
        raise_to(&s->rows, n);
        raise_to(&s->n_top, one.n_top);
        raise_to(&s->sequences, task == MODEL_REWARD ? 2 * n : n);
        raise_to(&s->tokens, tokens);
        raise_to(&s->targets, targets);
        raise_to(&s->step_tokens, tokens);
        raise_to(&s->step_targets, targets);
    }
}
