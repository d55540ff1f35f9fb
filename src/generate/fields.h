/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of struct generate_options, and those of an engine (base/fields.h). */
#ifndef GENERATE_FIELDS_H
#define GENERATE_FIELDS_H

#include "base/fields.h"
#include "generate/generate.h"

extern const struct field_table generate_fields;

/* An engine as a person asks for it. */
struct generate_engine_asked {
    int page_size, kv_dtype, prefill_chunk, prefix_cache, kv_memory;
};
extern const struct field_table generate_engine_fields;
/* kv_dtype, where nothing is said, fits a model of that dtype. */
struct generate_engine_options generate_engine_as_asked(const struct generate_engine_asked *a, enum dtype model);

#endif
