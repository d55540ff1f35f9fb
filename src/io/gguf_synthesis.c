/* SPDX-License-Identifier: Apache-2.0 */
#include "io/gguf_synthesis.h"

#include "io/gguf_keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double gguf_shortest(double v)
{
    char text[40];
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtof(text, NULL) == (float)v)
            return strtod(text, NULL);
    }
    return v;
}

/* key: LLaMA's. */
void gguf_put_config(struct synthesis *s, const char *key, json_t *value)
{
    for (const char *const *alias = s->arch->aliases; alias && alias[0]; alias += 2)
        if (!strcmp(alias[0], key))
            key = alias[1];
    s->bad |= json_object_set_new(s->config, key, value) != 0;
}

void gguf_key_of(const struct synthesis *s, const char *suffix, char key[96])
{
    snprintf(key, 96, "%s.%s", s->arch->name, suffix);
}

/* *out keeps its value when the key is absent and optional. */
int gguf_take_int(struct synthesis *s, const char *suffix, int optional, int64_t max, int64_t *out)
{
    char key[96];
    gguf_key_of(s, suffix, key);
    if (!gguf_has(s->g, key) && optional)
        return 0;
    if (gguf_same_int(s->g, key, out) || *out < 1 || *out > max)
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be one integer in 1..%" PRId64 ", found %s",
                         s->path, key, max, gguf_has(s->g, key) ? "something else" : "nothing");
    return 0;
}

int gguf_take_float(struct synthesis *s, const char *suffix, int optional, double *out)
{
    char key[96];
    gguf_key_of(s, suffix, key);
    if (!gguf_has(s->g, key) && optional)
        return 0;
    if (gguf_get_float(s->g, key, out) || !isfinite(*out) || *out <= 0)
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a positive number, found %s", s->path, key,
                         gguf_has(s->g, key) ? "something else" : "nothing");
    *out = gguf_shortest(*out);
    return 0;
}
