/* SPDX-License-Identifier: Apache-2.0 */
/* A byte-level language model of a few thousand parameters in a Hugging Face directory, trained for a moment on
 * question-answer pairs, so that the loop can be run for real within a second; and the seeds that go with it. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include "tensor/tensor.h"

/* Writes DIR/model, DIR/seeds.jsonl (24 pairs) and DIR/test.jsonl (6 other pairs). Fails the test when it cannot. */
void tiny_model_make(struct device *device, const char *dir);
/* DIR/judge: a classifier of two labels ("long", "short"), untrained. */
void tiny_judge_make(struct device *device, const char *dir);
/* DIR/reward: a classifier of one label, untrained, which serves as a reward model. */
void tiny_reward_make(struct device *device, const char *dir);

#endif
