/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF from untrusted bytes: metadata arrays, names, configuration, and every element of what the parser accepts. */
#include "fuzz/fuzz.h"

#include "base/mem.h"
#include "io/gguf.h"
#include "io/gguf_hf.h"

#include <stdlib.h>

static void read_arrays(const struct gguf *g)
{
    static const char *const keys[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores",
                                       "general.alignment"};
    for (int i = 0; i < 4; i++) {
        enum gguf_type element;
        int64_t n = gguf_array_length(g, keys[i], &element);
        if (n < 0 || n > 1 << 16)
            continue;
        struct gguf_string *strings = mem_calloc((size_t)n, sizeof *strings);
        if (!gguf_array_strings(g, keys[i], strings))
            for (int64_t k = 0; k < n; k++)
                if (strings[k].len && strings[k].data[strings[k].len - 1] == 1)
                    strings[k].len = 0;
        mem_free(strings);
        int64_t *ints = mem_calloc((size_t)n, sizeof *ints);
        gguf_array_ints(g, keys[i], ints);
        gguf_array_floats(g, keys[i], (double *)ints);
        mem_free(ints);
    }
}

static void read_tensors(const struct gguf *g)
{
    struct buf name = BUF_INIT;
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        enum gguf_change change;
        int64_t heads;
        float y[64];
        if (gguf_find(g, t->name) == NULL)
            abort();
        buf_reset(&name);
        gguf_hf_name(g, t->name, &name, &change, &heads);
        for (uint64_t at = 0; at < t->n_element; at += 64)
            storage_to_f32(t->storage, t->data, at, t->n_element - at < 64 ? t->n_element - at : 64, y);
    }
    buf_free(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct error err = {0};
    json_t *config, *generation;
    if (gguf_parse(&g, data, size, "fuzz", &err)) {
        if (err.code == 0 || !err.message[0])
            abort();
        return 0;
    }
    read_arrays(g);
    read_tensors(g);
    if (!gguf_hf_config(&config, &generation, g, "fuzz", &err)) {
        json_decref(config);
        json_decref(generation);
    }
    gguf_free(g);
    return 0;
}
