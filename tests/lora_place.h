/* SPDX-License-Identifier: Apache-2.0 */
/* A model for adapters to be tried on, and the gradients that they have by factors which PEFT wrote. */
#ifndef TESTS_LORA_PLACE_H
#define TESTS_LORA_PLACE_H

#include "train/parts.h"

struct lora_place {
    struct device *device;
    struct checkpoint *source;
    struct model *model;
};
void lora_place_open(struct lora_place *p, const char *path, int n_thread, const struct model_options *o);
void lora_place_close(struct lora_place *p);

/* Of the mean loss, which is written, by the factors in the adapter's directory: the first row by itself, then the
 * others. The model has adapters of the same shapes. The caller's (free). */
float *lora_place_gradients(struct lora_place *p, const char *adapter, const struct train_data *data, double *loss);
/* Gives the model adapters; their names, the loss and the gradients' norms must be those of `wanted` (loss,
 * gradient_norms), which PEFT has with its own factors. */
void lora_place_expect(struct lora_place *p, const struct lora_options *o, const char *adapter,
                       const struct train_data *data, const json_t *wanted);

#endif
