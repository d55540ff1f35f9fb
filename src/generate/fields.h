/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of struct generate_options (base/fields.h). */
#ifndef GENERATE_FIELDS_H
#define GENERATE_FIELDS_H

#include "base/fields.h"
#include "generate/generate.h"

extern const struct field_table generate_fields;

#endif
