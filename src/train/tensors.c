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
static int write_reordered(struct tensors *f, const struct trainer *t, int i, struct span masters, struct error *err)
{
    const struct model_param *p = &t->trained.params[i];
    float *whole = mem_alloc((size_t)p->count * sizeof *whole);
    if (!whole)
        return error_set_nomem(err, (size_t)p->count * sizeof *whole, "a reordered matrix");
    queue_download(t->q, whole, span_at(masters, (size_t)p->offset * 4), (size_t)p->count * 4);
    int rc = queue_wait(t->q, err);
    for (int64_t first = 0; !rc && first < p->count; first += PIECE) {
        int64_t some = p->count - first < PIECE ? p->count - first : PIECE;
        for (int64_t j = 0; j < some; j++)
            f->piece[j] = whole[own_element(p, first + j)];
        rc = safetensors_write_f32(f->w, (size_t)i, (uint64_t)first, f->piece, (uint64_t)some, err);
    }
    mem_free(whole);
    return rc;
}

static int write_param(struct tensors *f, const struct trainer *t, int i, struct span masters, struct error *err)
{
    const struct model_param *p = &t->trained.params[i];
    int rc = 0;
    if (p->transposed || p->heads)
        return write_reordered(f, t, i, masters, err);
    for (int64_t first = 0; !rc && first < p->count; first += PIECE) {
        int64_t n = p->count - first < PIECE ? p->count - first : PIECE;
        queue_download(t->q, f->piece, span_at(masters, (size_t)(p->offset + first) * 4), (size_t)n * 4);
        rc = queue_wait(t->q, err);
        if (!rc)
            rc = safetensors_write_f32(f->w, (size_t)i, (uint64_t)first, f->piece, (uint64_t)n, err);
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

int tensors_begin(struct tensors *f, const struct trainer *t, const char *path, enum dtype dtype, struct error *err)
{
    const struct tensor_info *extra[3];
    size_t n = (size_t)t->trained.n_param, n_extra = (size_t)list_extra(t, extra);
    struct tensor_info *info = mem_calloc(n + n_extra, sizeof *info);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    *f = (struct tensors){.piece = mem_alloc(PIECE * sizeof *f->piece)};
    int rc = info && f->piece && metadata ? 0 : error_set_nomem(err, PIECE * 4, "writing weights");
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
        rc = safetensors_create(&f->w, path, info, n + n_extra, metadata, err);
    json_decref(metadata);
    mem_free(info);
    return rc;
}

int tensors_put(struct tensors *f, const struct trainer *t, int stage, struct span masters, struct error *err)
{
    const struct stage *s = &t->share.cut.stages[stage];
    int rc = 0;
    for (int i = 0; !rc && i < t->trained.n_param; i++)
        if (t->trained.params[i].offset >= s->first && t->trained.params[i].offset < s->last)
            rc = write_param(f, t, i, masters, err);
    return rc;
}

int tensors_end(struct tensors *f, const struct trainer *t, int rc, struct error *err)
{
    const struct tensor_info *extra[3];
    int n = list_extra(t, extra);
    for (int i = 0; !rc && i < n; i++)
        rc = safetensors_write_bytes(f->w, (size_t)(t->trained.n_param + i), 0,
                                     checkpoint_raw(t->job->source, extra[i]), (size_t)extra[i]->n_byte, err);
    if (n) {
        int cut = checkpoint_check_whole(t->job->source, err);
        rc = cut ? cut : rc;
    }
    mem_free(f->piece);
    return safetensors_end(f->w, rc, err);
}
