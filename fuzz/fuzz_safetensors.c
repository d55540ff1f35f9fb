/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors from untrusted bytes: whatever the parser accepts, every element can be read. */
#include "fuzz/fuzz.h"

#include "io/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *s;
    struct error err = {0};
    if (safetensors_parse(&s, data, size, "fuzz", &err)) {
        if (err.code == 0 || !err.message[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < safetensors_n_tensor(s); i++) {
        const struct tensor_info *t = safetensors_tensor(s, i);
        float y[64];
        if (safetensors_find(s, t->name) < 0)
            abort();
        for (uint64_t at = 0; storage_converts(t->storage) && at < t->n_element; at += 64)
            storage_to_f32(t->storage, safetensors_data(s, i), at, t->n_element - at < 64 ? t->n_element - at : 64, y);
    }
    safetensors_metadata(s, "format");
    safetensors_free(s);
    return 0;
}
