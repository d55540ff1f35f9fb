/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of struct train_options (base/fields.h). */
#ifndef TRAIN_FIELDS_H
#define TRAIN_FIELDS_H

#include "base/fields.h"
#include "train/train.h"

extern const struct field_table train_fields;

#endif
