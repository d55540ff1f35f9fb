/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers see only the last tokens, and how many. */
#include "model/desc_read.h"

#include <string.h>

static const char full[] = "full_attention", sliding[] = "sliding_attention";

/* A family without windows: one as wide as the context hides nothing. */
static int refuse_windows(const struct model_desc *d, const struct config_reader *r)
{
    const json_t *window = config_value(r->config, "sliding_window");
    int unused = json_is_false(config_value(r->config, "use_sliding_window"));
    if (window && !unused && !(json_is_integer(window) && json_integer_value(window) >= d->n_ctx))
        return config_refuse(r, "sliding_window", "none, or max_position_embeddings at least", window);
    return 0;
}

static int read_width(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    int used = 1, rc = 0;
    if (f->window_switch && (rc = config_bool(r, f->window_switch, 0, &used)))
        return rc;
    return used && config_has(r, f->window) ? config_int(r, f->window, 1, 1 << 28, -1, &d->window) : 0;
}

static int read_pattern(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    int from = 0, every = f->window_pattern, rc = 0;
    if (f->window_from && (rc = config_int(r, f->window_from, 0, 1 << 20, 0, &from)))
        return rc;
    if (f->window_every && (rc = config_int(r, f->window_every, 1, 1 << 20, every, &every)))
        return rc;
    for (int l = 0; l < d->n_layer; l++)
        d->layers[l] = l >= from && !(every && (l + 1) % every == 0) ? LAYER_WINDOW : 0;
    return 0;
}

/* The list goes over the pattern, where the family knows it. */
static int read_types(struct model_desc *d, const struct config_reader *r)
{
    const json_t *types = config_value(r->config, "layer_types");
    int known = r->family->layer_types, may_slide = known && (d->window || !r->family->window_switch);
    const char *wanted =
        may_slide ? "full_attention or sliding_attention for every layer" : "full_attention in every layer";
    if (!types)
        return 0;
    if (!json_is_array(types) || (known && (int)json_array_size(types) != d->n_layer))
        return config_refuse(r, "layer_types", wanted, types);
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *name = json_string_value(json_array_get(types, i));
        int slides = name && !strcmp(name, sliding);
        if (!name || (!slides && strcmp(name, full)) || (slides && !may_slide))
            return config_refuse(r, "layer_types", wanted, types);
        if (known)
            d->layers[i] = slides ? LAYER_WINDOW : 0;
    }
    return 0;
}

int config_windows(struct model_desc *d, const struct config_reader *r)
{
    int rc = r->family->window ? read_width(d, r) : refuse_windows(d, r);
    if (!rc && r->family->window)
        rc = read_pattern(d, r);
    return rc ? rc : read_types(d, r);
}
