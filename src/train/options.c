/* SPDX-License-Identifier: Apache-2.0 */
/* Options of training, their limits, and the learning rate they make: transformers' schedules, in double. */
#include "train/parts.h"

#include "base/maths.h"

#include <math.h>
#include <string.h>

void train_options_default(struct train_options *o)
{
    *o = (struct train_options){
        .learning_rate = 2e-5, .warmup_ratio = 0.03, .num_train_epochs = 3, .adam_beta1 = 0.9, .adam_beta2 = 0.95, .adam_epsilon = 1e-8,
        .max_grad_norm = 1, .schedule = LR_COSINE, .batch_size = 4, .accumulation = 1, .max_length = 512, .shuffle = 1, .dtype = DTYPE_BF16,
        .recompute = -1, .lora_alpha = 32, .lora_targets = "q_proj,v_proj",
    };
}

int train_options_check(const struct train_options *o, struct error *err)
{
    const struct { const char *name; double value, low, high; } ranges[] = {
        {"learning_rate", o->learning_rate, 0, 1e3},
        {"warmup_ratio", o->warmup_ratio, 0, 1},
        {"num_train_epochs", o->num_train_epochs, 0, 1e6},
        {"weight_decay", o->weight_decay, 0, 1e3},
        {"adam_beta1", o->adam_beta1, 0, 0.9999999},
        {"adam_beta2", o->adam_beta2, 0, 0.9999999},
        {"adam_epsilon", o->adam_epsilon, 1e-30, 1},
        {"max_grad_norm", o->max_grad_norm, 0, 1e30},
        {"min_lr_ratio", o->min_lr_ratio, 0, 1},
        {"max_steps", o->max_steps, 0, 2147483647},
        {"per_device_train_batch_size", o->batch_size, 1, 65536},
        {"gradient_accumulation_steps", o->accumulation, 1, 65536},
        {"max_length", o->max_length, 2, 1 << 24},
        {"lora_r", o->lora_r, 0, 65536},
        {"lora_alpha", o->lora_alpha, 1e-6, 1e6},
        {"save_steps", o->save_steps, 0, 2147483647},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return error_set(err, ERROR_USAGE, "%s: wanted %g to %g, found %g", ranges[i].name, ranges[i].low, ranges[i].high, ranges[i].value);
    if (o->max_steps == 0 && o->num_train_epochs == 0)
        return error_set(err, ERROR_USAGE, "num_train_epochs: 0 epochs and no max_steps leave nothing to do");
    if (o->dtype != DTYPE_F32 && o->dtype != DTYPE_BF16)
        return error_set(err, ERROR_USAGE, "dtype: training computes in f32 or bf16, not in %s", dtype_name(o->dtype));
    return 0;
}

double train_clip(double max_norm, double norm)
{
    double scale = max_norm > 0 ? max_norm / (norm + 1e-6) : 1;
    return scale < 1 ? scale : 1;
}

/* Step s of T (from 0), w = ceil(ratio T): lr s/w while s < w, then the schedule over (s-w)/(T-w); transformers' get_*_schedule_with_warmup. */
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
