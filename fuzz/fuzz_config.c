/* SPDX-License-Identifier: Apache-2.0 */
/* A config.json from untrusted bytes, taken as a generation_config.json too. What is accepted has sizes that later
 * products cannot overflow, frequencies that are numbers, and decoding options in their ranges; what is refused says
 * why. */
#include "fuzz/fuzz.h"

#include "generate/generate.h"
#include "io/jsontext.h"
#include "model/parts.h"

#include <math.h>
#include <stdlib.h>

static void check_desc(const struct model_desc *d)
{
    struct model m = {.desc = *d};
    struct error err = {0};
    if (d->n_layer < 1 || d->n_embd < 1 || d->n_head < 1 || d->n_kv_head < 1 || d->n_head % d->n_kv_head ||
        d->head_dim < 2 || d->head_dim > 1024 || d->n_vocab < 1 || d->n_eos > MODEL_MAX_EOS ||
        d->bos_id >= d->n_vocab || d->pad_id >= d->n_vocab || !(d->norm_eps >= 0) || !isfinite(d->norm_eps) ||
        !(d->n_param > 0) || d->n_param > 0x1p60)
        abort();
    for (int i = 0; i < d->head_dim / 2; i++)
        if (!isfinite(d->rotations[0].inv_freq[i]) || d->rotations[0].inv_freq[i] < 0 ||
            !isfinite(d->rotations[0].long_inv_freq[i]))
            abort();
    if (model_tables(&m, &err) || m.n_element < 1 || (double)m.n_element < d->n_param)
        abort();
    arena_free(&m.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *config;
    struct model_desc d;
    struct generate_options o;
    struct error err = {0};
    if (jsontext_parse(&config, jsontext_whole((const char *)data, size, "fuzz"), NULL, &err)) {
        if (!err.message[0])
            abort();
        return 0;
    }
    generate_options_default(&o);
    if (model_desc_parse(&d, config, "fuzz", &err)) {
        if (!err.message[0])
            abort();
    } else {
        check_desc(&d);
        if (!generate_options_merge(&o, config, &d, "fuzz", &err) && generate_options_check(&o, &err) &&
            !err.message[0])
            abort();
    }
    json_decref(config);
    return 0;
}
