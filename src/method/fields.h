/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of struct align_options and of the struct sift_options in it (base/fields.h). */
#ifndef METHOD_FIELDS_H
#define METHOD_FIELDS_H

#include "base/fields.h"
#include "method/method.h"

/* recipes.c has them; a test holds both together. */
#define ALIGN_RECIPES \
    "isara|self-instruct|self-align|rest|self-guide|i-sheep|lima|distill|self-training|born-again|sampled"

#define ALIGN_SCORES "none|reward|self|logprob|context-gain" /* in their order */

extern const struct field_table align_fields, sift_fields;

#endif
