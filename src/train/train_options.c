/* SPDX-License-Identifier: Apache-2.0 */
/* Options of training, their limits, and the learning rate they make: transformers' schedules, in double. */
#include "train/parts.h"

#include "base/maths.h"
#include "train/fields.h"

#include <math.h>
#include <string.h>

static const struct field rows[] = {
    {FIELD("learning-rate", FIELD_DOUBLE, struct train_options, learning_rate), .argument = "X", .high = 1e3,
     .initial = "2e-5", .bits = FIELD_BITS, .help = "peak learning rate"},
    {FIELD("lr-scheduler-type", FIELD_CHOICE, struct train_options, schedule), .argument = "cosine|linear|constant",
     .initial = "cosine", .bits = FIELD_BITS, .help = "learning-rate schedule after warm-up"},
    {FIELD("min-lr-ratio", FIELD_DOUBLE, struct train_options, min_lr_ratio), .argument = "X", .high = 1,
     .initial = "0", .bits = FIELD_BITS, .help = "the schedule ends at this share of the peak"},
    {FIELD("warmup-ratio", FIELD_DOUBLE, struct train_options, warmup_ratio), .argument = "X", .high = 1,
     .initial = "0.03", .bits = FIELD_BITS, .help = "warm-up steps = ceil(ratio * steps)"},
    {FIELD("num-train-epochs", FIELD_DOUBLE, struct train_options, num_train_epochs), .argument = "N", .high = 1e6,
     .initial = "3", .bits = FIELD_BITS_MADE, .help = "passes over the data"},
    {FIELD("max-steps", FIELD_INT, struct train_options, max_steps), .argument = "N", .high = 1e9, .initial = "0",
     .bits = FIELD_BITS_MADE, .help = "optimizer steps, instead of epochs [$ = by epochs]"},
    {FIELD("per-device-train-batch-size", FIELD_INT, struct train_options, batch_size), .argument = "N", .low = 1,
     .high = 65536, .initial = "4", .bits = FIELD_BITS_MADE, .help = "rows in a micro-batch"},
    {FIELD("gradient-accumulation-steps", FIELD_INT, struct train_options, accumulation), .argument = "N", .low = 1,
     .high = 65536, .initial = "1", .bits = FIELD_BITS_MADE, .help = "micro-batches in an optimizer step"},
    {FIELD("gradient-leaves", FIELD_INT, struct train_options, gradient_leaves), .argument = "L", .low = 1,
     .high = 65536, .initial = "1", .bits = FIELD_BITS,
     .help = "sum a step's gradient over so many shares of its rows, a power of two, in a fixed tree"},
    {FIELD("weight-decay", FIELD_DOUBLE, struct train_options, weight_decay), .argument = "X", .high = 10,
     .initial = "0", .bits = FIELD_BITS, .help = "decoupled decay, not on norms and biases"},
    {FIELD("adam-beta1", FIELD_DOUBLE, struct train_options, adam_beta1), .argument = "X", .high = 0.9999999,
     .initial = "0.9", .bits = FIELD_BITS, .help = ""},
    {FIELD("adam-beta2", FIELD_DOUBLE, struct train_options, adam_beta2), .argument = "X", .high = 0.9999999,
     .initial = "0.95", .bits = FIELD_BITS, .help = ""},
    {FIELD("adam-epsilon", FIELD_DOUBLE, struct train_options, adam_epsilon), .argument = "X", .low = 1e-30, .high = 1,
     .initial = "1e-8", .bits = FIELD_BITS, .help = ""},
    {FIELD("max-grad-norm", FIELD_DOUBLE, struct train_options, max_grad_norm), .argument = "X", .high = 1e9,
     .initial = "1.0", .bits = FIELD_BITS, .help = "clip the global gradient norm to this, 0 = off"},
    {FIELD("max-length", FIELD_INT, struct train_options, max_length), .argument = "N", .low = 2, .high = 1e7,
     .initial = "512", .bits = FIELD_BITS_MADE, .help = "rows are cut to this many tokens, the start is kept"},
    {FIELD("packing", FIELD_FLAG, struct train_options, packing), .initial = "false", .bits = FIELD_BITS,
     .help = "best fit of rows into max-length"},
    {FIELD("shuffle", FIELD_FLAG, struct train_options, shuffle), .initial = "true", .bits = FIELD_BITS,
     .help = "new row order every epoch, by the seed"},
    {FIELD("save-steps", FIELD_INT, struct train_options, save_steps), .argument = "N", .high = 1e9, .initial = "0",
     .help = "checkpoint every N steps, 0 = only when interrupted"},
    {FIELD("lora-r", FIELD_INT, struct train_options, lora_r), .argument = "R", .high = 65536, .initial = "0",
     .bits = FIELD_BITS,
     .help = "train a low-rank adapter of this rank instead of the weights (and a classifier's whole head beside it), "
             "0 = the weights"},
    {FIELD("lora-alpha", FIELD_DOUBLE, struct train_options, lora_alpha), .argument = "X", .low = 1e-6, .high = 1e6,
     .initial = "32", .bits = FIELD_BITS, .with = "lora-r", .help = "the adapter counts alpha / r times"},
    {FIELD("lora-target-modules", FIELD_STRING, struct train_options, lora_targets), .argument = "NAMES",
     .bits = FIELD_BITS, .with = "lora-r",
     .help = "matrices that get an adapter, with commas between, or all-linear [as PEFT for the family: q_proj,v_proj, "
             "or what is fused of them]"},
    {FIELD("bf16-moments", FIELD_FLAG, struct train_options, bf16_moments), .initial = "false", .bits = FIELD_BITS,
     .help = "Adam's moments in bf16, rounded at random: half the memory of the optimizer state"},
    {FIELD("bf16-random", FIELD_FLAG, struct train_options, bf16_random), .initial = "false", .bits = FIELD_BITS,
     .help = "round the bf16 copy of the weights at random: steps too small for bf16 are not lost on average"},
    {FIELD("gradient-checkpointing", FIELD_FLAG, struct train_options, recompute),
     .help = "keep only each layer's input and compute the rest again [when the rest would not fit, or would "
             "take more than 5 GiB together with quantised weights]"},
};
const struct field_table train_fields = {rows, sizeof rows / sizeof *rows};

void train_options_default(struct train_options *o)
{
    *o = (struct train_options){.dtype = DTYPE_BF16, .recompute = -1};
    fields_default(&train_fields, FIELD_PLAIN, o);
}

int train_options_check(const struct train_options *o, struct error *err)
{
    int rc = fields_check(&train_fields, o, err);
    if (rc)
        return rc;
    if (o->max_steps == 0 && o->num_train_epochs == 0)
        return error_set(err, ERROR_USAGE, "num_train_epochs: 0 epochs and no max_steps leave nothing to do");
    if (o->gradient_leaves & (o->gradient_leaves - 1))
        return error_set(err, ERROR_USAGE, "gradient_leaves: wanted a power of two, found %d", o->gradient_leaves);
    if (o->dtype != DTYPE_F32 && o->dtype != DTYPE_BF16)
        return error_set(err, ERROR_USAGE, "dtype: training computes in f32 or bf16, not in %s", dtype_name(o->dtype));
    return 0;
}

double train_clip(double max_norm, double norm)
{
    double scale = max_norm > 0 ? max_norm / (norm + 1e-6) : 1;
    return scale < 1 ? scale : 1;
}

/* Step s of T (from 0), w = ceil(ratio T): lr s/w while s < w, then the schedule over (s-w)/(T-w); transformers'
 * get_*_schedule_with_warmup. */
double train_learning_rate(const struct train_options *o, long step, long total)
{
    const double pi = 3.141592653589793;
    long warmup = (long)ceil(o->warmup_ratio * (double)total);
    if (step < warmup)
        return o->learning_rate * (double)step / (double)warmup;
    double progress = (double)(step - warmup) / (double)(total > warmup ? total - warmup : 1), scale = 1;
    if (o->schedule == LR_COSINE)
        scale = 0.5 * (1 + maths_cos(pi * progress));
    else if (o->schedule == LR_LINEAR)
        scale = 1 - progress;
    return o->learning_rate * (o->min_lr_ratio + (1 - o->min_lr_ratio) * scale);
}
