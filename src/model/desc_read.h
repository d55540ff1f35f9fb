/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read config.json share (model/desc*.c). */
#ifndef MODEL_DESC_READ_H
#define MODEL_DESC_READ_H

#include "model/families.h"

struct config_reader {
    const json_t *config;
    const char *where; /* names the file in messages */
    struct error *err;
    const struct family *family;
};

/* ERROR_CONFIG with the key, what was wanted and what was found (NULL: nothing). */
int config_refuse(const struct config_reader *r, const char *key, const char *wanted, const json_t *found);
/* NULL where the key is absent or null. */
const json_t *config_value(const json_t *object, const char *key);
/* What the family calls a key that LLaMA's config.json calls so. The functions below do it by themselves. */
const char *config_key(const struct config_reader *r, const char *key);
/* The family's default of a key (as it calls it) that is absent, not null. */
int config_default(const struct config_reader *r, const char *key, double *value);
int config_has(const struct config_reader *r, const char *key); /* a value, or a default */
/* A whole number in [low, high]; absent: the family's default, else `missing`, or an error when missing < 0. */
int config_int(const struct config_reader *r, const char *key, int low, int high, int missing, int *out);
/* A positive finite number from `object` (the config or one of its parts); absent: the family's default (in the
 * config), else `missing`, or an error when missing <= 0. */
int config_positive(const struct config_reader *r, const json_t *object, const char *key, double missing, double *out);
int config_bool(const struct config_reader *r, const char *key, int missing, int *out);

/* desc_rope.c: rope_theta and rotations, and which layers rotate by others or not at all. Sizes and d->layers must
 * be there. */
int config_rope_share(const struct config_reader *r,
                      double *share); /* of a head that rotates, for families that have a key for it */
int config_rope(struct model_desc *d, const struct config_reader *r);
/* desc_window.c: d->window and which of d->layers have it. Sizes must be there. */
int config_windows(struct model_desc *d, const struct config_reader *r);
/* desc_keys.c: refuses by name every key that would change the numbers and is not computed with. */
int config_check_keys(const struct config_reader *r);

#endif
