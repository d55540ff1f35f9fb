/* SPDX-License-Identifier: Apache-2.0 */
/* The masters as a safetensors file, streaming. */
#include "train/parts.h"

#include "base/mem.h"
#include "io/hf_dir.h"
#include "io/safetensors.h"

/* elements */
enum { PIECE = 1 << 20 };

/* A tensor of another type than most (norms in f32) keeps it. */
enum storage saved_storage(const struct trainer *t, const struct model_param *p, enum dtype dtype)
{
    const struct tensor_info *own =
        t->job->source && !t->m->lora ? family_find_tensor(t->m->family, t->job->source, p->name) : NULL;
    return own ? hf_dir_storage(own->storage, dtype) : storage_of_dtype(dtype);
}

/* The element of a parameter that is the file's `at`-th. */
static int64_t own_element(const struct model_param *p, int64_t at)
{
    int64_t n = p->shape[0], k = p->ndim == 2 ? p->shape[1] : 1;
    return p->transposed ? at % n * k + at / n : param_own_row(p, at / k) * k + at % k;
}

/* As [inputs, outputs], or by heads: the whole matrix comes to the host, and goes out in pieces of the file's order. */
static int write_reordered(struct trainer *t, struct safetensors_writer *w, int i, float *piece, struct error *err)
{
    const struct model_param *p = &t->trained.params[i];
    float *whole = mem_alloc((size_t)p->count * sizeof *whole);
    if (!whole)
        return error_set_nomem(err, (size_t)p->count * sizeof *whole, "a reordered matrix");
    queue_download(t->q, whole, (struct span){t->whole, (size_t)p->offset * 4}, (size_t)p->count * 4);
    int rc = queue_wait(t->q, err);
    for (int64_t first = 0; !rc && first < p->count; first += PIECE) {
        int64_t some = p->count - first < PIECE ? p->count - first : PIECE;
        for (int64_t j = 0; j < some; j++)
            piece[j] = whole[own_element(p, first + j)];
        rc = safetensors_write_f32(w, (size_t)i, (uint64_t)first, piece, (uint64_t)some, err);
    }
    mem_free(whole);
    return rc;
}

static int write_param(struct trainer *t, struct safetensors_writer *w, int i, float *piece, struct error *err)
{
    const struct model_param *p = &t->trained.params[i];
    int rc = 0;
    if (p->transposed || p->heads)
        return write_reordered(t, w, i, piece, err);
    for (int64_t first = 0; !rc && first < p->count; first += PIECE) {
        int64_t n = p->count - first < PIECE ? p->count - first : PIECE;
        queue_download(t->q, piece, (struct span){t->whole, (size_t)(p->offset + first) * 4}, (size_t)n * 4);
        rc = queue_wait(t->q, err);
        if (!rc)
            rc = safetensors_write_f32(w, (size_t)i, (uint64_t)first, piece, (uint64_t)n, err);
    }
    return rc;
}

/* What a reward model's file holds besides parameters: taken over as it is. */
static int list_extra(const struct trainer *t, const struct tensor_info *extra[3])
{
    static const char *const names[] = {"normalizer.mean", "normalizer.var", "normalizer.count"};
    int n = 0;
    for (int i = 0; i < 3 && t->job->source && t->m->desc.task == MODEL_REWARD; i++)
        if ((extra[n] = checkpoint_find(t->job->source, names[i])) && checkpoint_raw(t->job->source, extra[n]))
            n++;
    return n;
}

int write_tensors(struct trainer *t, const char *path, enum dtype dtype, struct error *err)
{
    const struct tensor_info *extra[3];
    size_t n = (size_t)t->trained.n_param, n_extra = (size_t)list_extra(t, extra);
    struct safetensors_writer *w = NULL;
    struct tensor_info *info = mem_calloc(n + n_extra, sizeof *info);
    float *piece = mem_alloc(PIECE * sizeof *piece);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    int rc = info && piece && metadata ? 0 : error_set_nomem(err, PIECE * 4, "writing weights");
    for (size_t i = 0; !rc && i < n; i++) {
        const struct model_param *p = &t->trained.params[i];
        info[i] = (struct tensor_info){.name = p->name,
                                       .storage = saved_storage(t, p, dtype),
                                       .n_dim = p->ndim,
                                       .shape = {p->shape[p->transposed], p->shape[!p->transposed]}};
    }
    for (size_t i = 0; !rc && i < n_extra; i++)
        info[n + i] = *extra[i];
    if (!rc)
        rc = safetensors_create(&w, path, info, n + n_extra, metadata, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = write_param(t, w, (int)i, piece, err);
    for (size_t i = 0; !rc && i < n_extra; i++)
        rc = safetensors_write_bytes(w, n + i, 0, checkpoint_raw(t->job->source, extra[i]), (size_t)extra[i]->n_byte,
                                     err);
    if (n_extra) {
        int cut = checkpoint_check_whole(t->job->source, err);
        rc = cut ? cut : rc;
    }
    rc = safetensors_end(w, rc, err);
    json_decref(metadata);
    mem_free(piece);
    mem_free(info);
    return rc;
}
