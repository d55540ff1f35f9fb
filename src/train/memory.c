/* SPDX-License-Identifier: Apache-2.0 */
/* What tuning will take, from the descriptor alone: the same carving that pass.c does, with every size at its bound or
 * at that of given rows. */
#include "train/parts.h"

#include "base/arena.h"

/* the operators' shared scratch, the tokenizer, the program */
enum { PROCESS_BYTES = 48 << 20 };
/* Quantised weights and activations beside them: who keeps a model in 4 bits is short of memory, a third more time buys
 * 4 GB of it at LLaMA 7B's 4 x 256 tokens. */
#define KEPT_BESIDE_BLOCKS ((size_t)5 << 30)

size_t train_state_bytes(const struct train_options *o, size_t n)
{
    return n * (8 + 4 * (size_t)leaves_levels(o->gradient_leaves) + 2 * dtype_size(moment_dtype(o)));
}

size_t share_state_bytes(const struct cut *c, const struct train_options *o)
{
    size_t own = (size_t)c->n, bytes = (size_t)c->n_rank * (size_t)c->widest * 4,
           waiting = (size_t)(leaves_levels(o->gradient_leaves) - share_inner_levels(c->n_rank, o->gradient_leaves));
    for (int i = 0; i < CUT_WINDOWS; i++)
        bytes += (size_t)c->windows[i] * 4;
    return bytes + own * (8 + 4 * waiting + 2 * dtype_size(moment_dtype(o)));
}

/* What is trained and what that adds to each layer. */
struct adapter {
    int64_t n; /* elements, 0: there is none */
    int widest;
};

static struct adapter adapter_of(const struct model_desc *d, const struct train_options *o)
{
    struct adapter a = {0, 0};
    if (o->lora_r)
        lora_sizes(d, &(struct lora_options){o->lora_r, o->lora_alpha, o->lora_targets}, &a.n, &a.widest, NULL);
    return a;
}

/* Packed: of the model, and of an adapter beside it. */
static size_t packed_bytes(const struct train_base *b, const struct train_options *o)
{
    size_t weights = b->weights ? b->weights : (size_t)b->desc->n_param * dtype_size(o->dtype);
    return weights + (size_t)adapter_of(b->desc, o).n * dtype_size(o->dtype);
}

int train_recomputes(const struct train_base *b, const struct train_options *o, size_t kept)
{
    return o->recompute == 1 || (o->recompute < 0 && b->keeps_blocks && b->weights + kept > KEPT_BESIDE_BLOCKS);
}

static size_t activation_bytes(const struct train_base *b, const struct train_options *o, const struct order_sizes *s)
{
    int widest = adapter_of(b->desc, o).widest;
    size_t kept = pass_bytes(b->desc, o->dtype, 0, widest, s);
    return train_recomputes(b, o, kept) ? pass_bytes(b->desc, o->dtype, 1, widest, s) : kept;
}

static size_t bytes_of(const struct train_base *b, const struct train_options *o, const struct order_sizes *s)
{
    const struct model_desc *d = b->desc;
    struct adapter a = adapter_of(d, o);
    size_t n = a.n ? (size_t)a.n : (size_t)d->n_param;
    return train_state_bytes(o, n) + packed_bytes(b, o) + activation_bytes(b, o, s);
}

int train_keeps_blocks(const struct train_options *o, const struct checkpoint *source)
{
    return o->lora_r && source && checkpoint_any_blocks(source);
}

int train_base_of(struct train_base *out, const struct model_desc *d, const struct device *device,
                  const struct checkpoint *source, const struct train_options *o, struct error *err)
{
    const struct model_packing p = {.source = source, .dtype = o->dtype, .keep_blocks = 1};
    *out = (struct train_base){.desc = d, .keeps_blocks = train_keeps_blocks(o, source)};
    return out->keeps_blocks ? model_weight_bytes(&out->weights, d, device, &p, err) : 0;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

size_t train_memory_slabs(const struct train_base *b, const struct train_options *o, int micro_tokens)
{
    int64_t micro = rows_even(micro_tokens), rows = (int64_t)o->batch_size * o->accumulation,
            leaf = (rows + o->gradient_leaves - 1) / o->gradient_leaves, longest = rows_even(o->max_length),
            step = least(micro * o->accumulation, leaf * longest);
    struct order_sizes s = {.rows = (int)least(o->batch_size, leaf)};
    s.sequences = s.rows;
    s.tokens = s.targets = (int)least(micro, leaf * longest);
    s.step_tokens = s.step_targets = (int)least(step, 1 << 30);
    return bytes_of(b, o, &s);
}

size_t train_memory(const struct train_base *b, const struct train_options *o, int micro_tokens)
{
    return train_memory_slabs(b, o, micro_tokens) + PROCESS_BYTES;
}

static int measure(struct order_sizes *s, const struct train_base *b, const struct train_options *o,
                   const struct train_data *data, struct error *err)
{
    struct order order = {0};
    *s = (struct order_sizes){0};
    if (data->n < 1)
        return error_set(err, ERROR_DATA, "there are no rows to train on");
    int rc = order_init(&order, data, o, (int)b->desc->task, err);
    if (!rc)
        order_measure(&order, s);
    order_deinit(&order);
    return rc;
}

int train_memory_of(const struct train_base *b, const struct train_options *o, const struct train_data *data,
                    size_t *bytes, struct error *err)
{
    struct order_sizes s;
    int rc = measure(&s, b, o, data, err);
    *bytes = rc ? 0 : bytes_of(b, o, &s);
    return rc;
}

static void set_stages(struct train_share *out, const struct cut *c)
{
    const struct stage *first = &c->stages[0], *last = &c->stages[c->n_stage - 1];
    out->embeddings = (double)(first->last - first->first);
    out->n_embeddings = first->n_region;
    out->n_layer = c->n_stage > 2 ? c->n_stage - 2 : 0;
    if (!out->n_layer)
        return;
    out->behind = (double)(last->last - last->first);
    out->n_behind = last->n_region;
    out->n_each = c->stages[1].n_region;
    out->layer = (double)(last->first - first->last) / out->n_layer;
}

/* A process that shares nothing. */
static void set_alone(struct train_share *out, const struct train_options *o, int64_t n)
{
    out->sharded = (double)train_state_bytes(o, (size_t)n);
}

static void set_part(struct train_share *out, const struct train_options *o, const struct cut *c)
{
    double n = (double)c->n_element, others = (double)(c->n_rank - 1) / c->n_rank;
    size_t all = share_state_bytes(c, o);
    out->windows = (double)c->n_rank * (double)c->widest * 4;
    for (int i = 0; i < CUT_WINDOWS; i++)
        out->windows += (double)c->windows[i] * 4;
    out->sharded = (double)all - out->windows;
    /* leaves of the rank that has most; its masters and sums of squares to each of the others */
    out->master = o->dtype == DTYPE_BF16 && !o->bf16_random && !o->lora_r ? 2 : 4;
    out->sent = 4 * n * others * out->rounds + (out->master * n + 8 * n / CUT_BLOCK) * others;
}

int train_share_of(struct train_share *out, const struct train_base *b, const struct train_options *o,
                   const struct train_data *data, int n_rank, struct error *err)
{
    struct adapter a = adapter_of(b->desc, o);
    struct lora lora = {.n_element = a.n};
    struct model m = {.desc = *b->desc};
    struct order_sizes s;
    struct cut c = {0};
    *out = (struct train_share){
        .n_rank = n_rank, .n_leaf = o->gradient_leaves, .rounds = (o->gradient_leaves + n_rank - 1) / n_rank};
    int rc = measure(&s, b, o, data, err);
    rc = rc ? rc : model_tables(&m, err);
    m.lora = a.n ? &lora : NULL;
    if (!rc)
        rc = cut_init(&c, &m, &(struct cut_wish){n_rank > 1 ? n_rank : 2, 0, s.micro > 1}, err);
    if (!rc) {
        out->is_whole = s.micro > 1;
        out->weights = (double)packed_bytes(b, o);
        out->activations = (double)activation_bytes(b, o, &s);
        set_stages(out, &c);
        if (n_rank > 1)
            set_part(out, o, &c);
        else
            set_alone(out, o, c.n_element);
    }
    cut_deinit(&c);
    arena_free(&m.arena);
    return rc;
}
