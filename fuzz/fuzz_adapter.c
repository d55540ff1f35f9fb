/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_config.json: whatever stands in it is read or refused with words, and every module gets a rank and a finite
 * scale. */
#include "fuzz/fuzz.h"

#include "io/adapter_config.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const modules[] = {"model.layers.0.self_attn.q_proj", "lm_head", "model.layers.11.mlp.down_proj",
                                          ""};
    json_t *json;
    struct adapter_config c;
    struct error err = {0};
    if (jsontext_parse(&json, jsontext_whole((const char *)data, size, "fuzz"), NULL, &err))
        return 0;
    if (adapter_config_parse(&c, json, "fuzz", &err)) {
        if (!err.message[0])
            abort();
    } else {
        for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
            int64_t rank;
            double scale;
            if (!adapter_config_module(&c, modules[i], &rank, &scale, &err) && (rank < 1 || !isfinite(scale)))
                abort();
        }
    }
    json_decref(json);
    return 0;
}
