/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_config.json as PEFT writes it: what of it decides the numbers, and a refusal by name of everything else that
 * would. */
#ifndef IO_ADAPTER_CONFIG_H
#define IO_ADAPTER_CONFIG_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct adapter_config {
    const json_t *json; /* the caller's, which must outlive this */
    const char *where;  /* names the file in messages */
    int64_t rank;
    double alpha;
    int rslora, dora, turned; /* turned: fan_in_fan_out */
};
int adapter_config_parse(struct adapter_config *out, const json_t *json, const char *where, struct error *err);
/* Rank and scale (alpha / r, or alpha / sqrt r) of one module, "model.layers.0.self_attn.q_proj", after rank_pattern
 * and alpha_pattern. */
int adapter_config_module(const struct adapter_config *c, const char *module, int64_t *rank, double *scale,
                          struct error *err);

#endif
