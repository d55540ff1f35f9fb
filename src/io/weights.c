/* SPDX-License-Identifier: Apache-2.0 */
#include "io/weights.h"

#include <string.h>

int weights_parse(struct weights *w, const void *bytes, size_t size, const char *path, struct error *err)
{
    static const char tail[] = ".bin";
    size_t n = strlen(path), k = sizeof tail - 1;
    *w = (struct weights){NULL, NULL};
    if (n > k && !strcmp(path + n - k, tail))
        return torch_bin_parse(&w->torch, bytes, size, path, err);
    return safetensors_parse(&w->safetensors, bytes, size, path, err);
}

void weights_free(struct weights *w)
{
    safetensors_free(w->safetensors);
    torch_bin_free(w->torch);
    *w = (struct weights){NULL, NULL};
}

size_t weights_n_tensor(const struct weights *w)
{
    return w->torch ? torch_bin_n_tensor(w->torch) : safetensors_n_tensor(w->safetensors);
}

const struct tensor_info *weights_tensor(const struct weights *w, size_t i)
{
    return w->torch ? torch_bin_tensor(w->torch, i) : safetensors_tensor(w->safetensors, i);
}

const unsigned char *weights_data(const struct weights *w, size_t i)
{
    return w->torch ? torch_bin_data(w->torch, i) : safetensors_data(w->safetensors, i);
}

long weights_find(const struct weights *w, const char *name)
{
    return w->torch ? torch_bin_find(w->torch, name) : safetensors_find(w->safetensors, name);
}
