/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of struct eval_options (base/fields.h). What every verb has (model, input, output), decoding and the cache
 * are not among them. */
#ifndef EVAL_FIELDS_H
#define EVAL_FIELDS_H

#include "base/fields.h"
#include "eval/eval.h"

extern const struct field_table eval_fields;

#endif
