/* SPDX-License-Identifier: Apache-2.0 */
/* What tuning will take, from the descriptor alone: the same carving that pass.c does, with every size at its bound or
 * at that of given rows. */
#include "train/parts.h"

/* the operators' shared scratch, the tokenizer, the program */
enum { PROCESS_BYTES = 48 << 20 };

size_t train_state_bytes(const struct train_options *o, size_t n)
{
    return n * (8 + 4 * (size_t)leaves_levels(o->gradient_leaves) + 2 * dtype_size(moment_dtype(o)));
}

static size_t bytes_of(const struct train_base *b, const struct train_options *o, const struct order_sizes *s)
{
    const struct model_desc *d = b->desc;
    size_t n = (size_t)d->n_param, beside = 0;
    int64_t adapter = 0;
    int widest = 0;
    if (o->lora_r &&
        !lora_sizes(d, &(struct lora_options){o->lora_r, o->lora_alpha, o->lora_targets}, &adapter, &widest, NULL)) {
        n = (size_t)adapter;
        beside = n * dtype_size(o->dtype);
    }
    size_t weights = b->weights ? b->weights : (size_t)d->n_param * dtype_size(o->dtype);
    return train_state_bytes(o, n) + weights + beside + pass_bytes(d, o->dtype, o->recompute == 1, widest, s);
}

int train_keeps_blocks(const struct train_options *o, const struct checkpoint *source)
{
    return o->lora_r && source && checkpoint_any_blocks(source);
}

int train_base_of(struct train_base *out, const struct model_desc *d, const struct device *device,
                  const struct checkpoint *source, const struct train_options *o, struct error *err)
{
    const struct model_packing p = {.source = source, .dtype = o->dtype, .keep_blocks = 1};
    *out = (struct train_base){.desc = d};
    return train_keeps_blocks(o, source) ? model_weight_bytes(&out->weights, d, device, &p, err) : 0;
}

size_t train_memory_slabs(const struct train_base *b, const struct train_options *o, int micro_tokens)
{
    int64_t step = (int64_t)rows_even(micro_tokens) * o->accumulation;
    struct order_sizes s = {.rows = o->batch_size,
                            .sequences = o->batch_size,
                            .tokens = rows_even(micro_tokens),
                            .targets = rows_even(micro_tokens)};
    s.step_tokens = s.step_targets = (int)(step < 1 << 30 ? step : 1 << 30);
    return bytes_of(b, o, &s);
}

size_t train_memory(const struct train_base *b, const struct train_options *o, int micro_tokens)
{
    return train_memory_slabs(b, o, micro_tokens) + PROCESS_BYTES;
}

int train_memory_of(const struct train_base *b, const struct train_options *o, const struct train_data *data,
                    size_t *bytes, struct error *err)
{
    struct order order = {0};
    struct order_sizes s = {0};
    if (data->n < 1)
        return error_set(err, ERROR_DATA, "there are no rows to train on");
    int rc = order_init(&order, data, o, (int)b->desc->task, err);
    if (!rc)
        order_measure(&order, &s);
    order_deinit(&order);
    *bytes = rc ? 0 : bytes_of(b, o, &s);
    return rc;
}
