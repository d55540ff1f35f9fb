/* SPDX-License-Identifier: Apache-2.0 */
/* torch.save's files and bare pickles from untrusted bytes: whatever is accepted, every element can be read. */
#include "fuzz/fuzz.h"

#include "io/pickle.h"
#include "io/torch_bin.h"

#include <stdlib.h>

static void read_file(const uint8_t *data, size_t size)
{
    struct torch_bin *t;
    struct error err = {0};
    if (torch_bin_parse(&t, data, size, "fuzz", &err)) {
        if (err.code == 0 || !err.message[0])
            abort();
        return;
    }
    for (size_t i = 0; i < torch_bin_n_tensor(t); i++) {
        const struct tensor_info *info = torch_bin_tensor(t, i);
        const unsigned char *bytes = torch_bin_data(t, i);
        float y[64];
        if (torch_bin_find(t, info->name) != (long)i)
            abort();
        for (uint64_t at = 0; storage_converts(info->storage) && at < info->n_element; at += 64)
            storage_to_f32(info->storage, bytes, at, info->n_element - at < 64 ? info->n_element - at : 64, y);
    }
    torch_bin_free(t);
}

static void read_pickle(const uint8_t *data, size_t size)
{
    struct pickle *p;
    struct error err = {0};
    if (pickle_parse(&p, data, size, "fuzz", &err)) {
        if (err.code == 0 || !err.message[0])
            abort();
        return;
    }
    for (size_t i = 1; i < pickle_n_tensor(p); i++)
        if (pickle_tensor(p, i)->info.n_dim > TENSOR_MAX_DIM || !pickle_tensor(p, i)->storage)
            abort();
    pickle_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_file(data, size);
    read_pickle(data, size);
    return 0;
}
