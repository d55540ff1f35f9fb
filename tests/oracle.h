/* SPDX-License-Identifier: Apache-2.0 */
/* The model once more, in double and in plain loops: what every f32 and bf16 result is measured against. */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include "model/parts.h"
#include "train/train.h"

/* Final hidden states after the norm, [n,C], of one sequence. flat: weights in the model's flat order. */
void oracle_hidden(const struct model *m, const double *flat, const int32_t *ids, int n, double *hidden);
/* Logits [n,V] or [n,n_label] of n hidden rows. */
void oracle_logits(const struct model *m, const double *flat, const double *hidden, int n, double *logits);
/* Sum over the row's targets of the negative log-likelihood; for a classifier, over its labels; for a reward model, of
 * the pair. */
double oracle_loss(const struct model *m, const double *flat, const struct train_row *row);

/* A tiny configuration: hidden 16, 2 layers, 4 heads over 2 of size 4 (or as patched by `extra`, a JSON object),
 * vocabulary 29, tied unless patched. */
json_t *oracle_config(const char *extra);
/* The model's weights, as initialised from the seed or packed, in double. */
double *oracle_weights(const struct model *m, uint64_t seed);

#endif
