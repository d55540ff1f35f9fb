/* SPDX-License-Identifier: Apache-2.0 */
#include "io/checkpoint_parts.h"

#include "io/gguf_hf.h"

#include <inttypes.h>
#include <string.h>

static int add_tensor(struct checkpoint *ck, const struct gguf_tensor *t, struct buf *name, struct error *err)
{
    struct checkpoint_tensor *c = &ck->tensors[ck->n_tensor];
    buf_reset(name);
    if (gguf_hf_name(ck->gguf, t->name, name, &c->change, &c->heads))
        return 0;
    c->plus_one = c->change == GGUF_PLUS_ONE;
    c->turned = c->change == GGUF_TURNED && t->n_dim == 2;
    c->info.name = name->failed ? NULL : arena_strdup(&ck->arena, name->data);
    if (!c->info.name)
        return error_set_nomem(err, name->len, ck->path);
    c->info.storage = t->storage;
    c->info.n_dim = t->n_dim;
    c->data = t->data;
    for (int i = 0; i < t->n_dim; i++)
        c->info.shape[i] = (int64_t)t->dim[c->turned ? i : t->n_dim - 1 - i];
    if (tensor_info_complete(&c->info))
        return error_set(err, ERROR_DATA, "%s: tensor %s: impossible shape", ck->path, t->name);
    if (c->heads < 0 || (c->heads && c->info.n_row % ((c->change == GGUF_QKV ? 3 : 2) * c->heads)))
        return error_set(err, ERROR_DATA, "%s: tensor %s: %" PRId64 " rows are not %" PRId64 " heads of an even size",
                         ck->path, t->name, c->info.n_row, c->heads);
    ck->n_tensor++;
    return 0;
}

int checkpoint_open_gguf(struct checkpoint *ck, struct error *err)
{
    struct checkpoint_file *f = ck->files = arena_alloc(&ck->arena, sizeof *ck->files);
    if (!f || !(f->path = arena_strdup(&ck->arena, ck->path)))
        return error_set_nomem(err, sizeof *f, ck->path);
    f->label = path_base(f->path);
    int rc = file_map(&f->map, f->path, err);
    if (rc)
        return rc;
    ck->n_file = 1;
    if (f->map.size < 4 || memcmp(f->map.data, "GGUF", 4))
        return error_set(
            err, ERROR_DATA, "%s: is neither a model directory nor a GGUF file%s", ck->path,
            strstr(f->label, ".safetensors") ? "; give the directory that holds it together with its config.json" : "");
    if ((rc = gguf_parse(&ck->gguf, f->map.data, f->map.size, f->path, err)) ||
        (rc = gguf_hf_config(&ck->config, &ck->generation, ck->gguf, f->path, err)))
        return rc;
    size_t n = gguf_n_tensor(ck->gguf);
    ck->tensors = arena_alloc(&ck->arena, (n + 1) * sizeof *ck->tensors);
    if (!ck->tensors)
        return error_set_nomem(err, n * sizeof *ck->tensors, ck->path);
    struct buf name = BUF_INIT;
    for (size_t i = 0; !rc && i < n; i++)
        rc = add_tensor(ck, gguf_tensor_at(ck->gguf, i), &name, err);
    buf_free(&name);
    return rc;
}
