/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of config.json. */
#include "model/desc_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_refuse(const struct config_reader *r, const char *key, const char *wanted, const json_t *found)
{
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = error_set(r->err, ERROR_CONFIG, "%s: \"%s\": wanted %s, found %.200s", r->where, key, wanted,
                       text ? text : "nothing");
    free(text);
    return rc;
}

const json_t *config_value(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

const char *config_key(const struct config_reader *r, const char *key)
{
    for (int i = 0; r->family && i < r->family->n_alias; i++)
        if (!strcmp(r->family->aliases[i].ours, key))
            return r->family->aliases[i].theirs;
    return key;
}

int config_default(const struct config_reader *r, const char *key, double *value)
{
    return r->family && !json_object_get(r->config, key) && family_default(r->family, key, value);
}

int config_has(const struct config_reader *r, const char *key)
{
    double unused;
    return config_value(r->config, key) || config_default(r, key, &unused);
}

/* A whole number in [low, high]; absent: `missing`, or an error when missing < 0. */
int config_int(const struct config_reader *r, const char *key, int low, int high, int missing, int *out)
{
    const json_t *v = config_value(r->config, key = config_key(r, key));
    char wanted[80];
    double usual;
    snprintf(wanted, sizeof wanted, "a whole number from %d to %d", low, high);
    if (config_default(r, key, &usual)) {
        *out = (int)usual;
        return 0;
    }
    if (!v && missing >= 0) {
        *out = missing;
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return config_refuse(r, key, wanted, v);
    *out = (int)json_integer_value(v);
    return 0;
}

/* A positive finite number from `object` (the config or one of its parts). */
int config_positive(const struct config_reader *r, const json_t *object, const char *key, double missing, double *out)
{
    const json_t *v = config_value(object, key = object == r->config ? config_key(r, key) : key);
    if (object == r->config && config_default(r, key, out))
        return 0;
    if (!v && missing > 0) {
        *out = missing;
        return 0;
    }
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(x > 0) || !isfinite(x))
        return config_refuse(r, key, "a positive number", v);
    *out = x;
    return 0;
}

int config_bool(const struct config_reader *r, const char *key, int missing, int *out)
{
    const json_t *v = config_value(r->config, key = config_key(r, key));
    if (v && !json_is_boolean(v))
        return config_refuse(r, key, "true or false", v);
    double usual;
    if (config_default(r, key, &usual))
        missing = usual != 0;
    *out = v ? json_is_true(v) : missing;
    return 0;
}
