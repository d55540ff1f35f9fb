/* SPDX-License-Identifier: Apache-2.0 */
/* The part of devices, buffers and weights that is the same on every backend. */
#include "base/mem.h"
#include "tensor/backend.h"

int device_open(struct device **out, enum device_kind kind, const struct device_options *options, struct error *err)
{
    static int (*const open[])(struct device **, const struct device_options *, struct error *) = {
        [DEVICE_CPU] = device_open_cpu,
        [DEVICE_REMOTE] = device_open_remote,
    };
    return open[kind](out, options, err);
}

struct device_memory device_memory(const struct device *d)
{
    return d->backend->memory(d);
}

int device_reserve(struct device *d, const struct op_widths *widths, struct error *err)
{
    return d->backend->reserve(d, widths, err);
}

size_t kv_page_bytes(const struct device *d, const struct kv_layout *layout)
{
    return d->backend->kv_page_bytes(d, layout);
}

void device_close(struct device *d)
{
    if (d)
        d->backend->close(d);
}

const char *device_isa(const struct device *d)
{
    return d->isa;
}

const char *device_pairs(const struct device *d)
{
    return d->pairs;
}

int device_n_thread(const struct device *d)
{
    return d->n_thread;
}

struct queue *device_queue(struct device *d)
{
    return d->queue;
}

int buffer_new(struct buffer **out, struct device *d, size_t bytes, const char *what, struct error *err)
{
    *out = NULL;
    return d->backend->buffer_new(out, d, bytes, what, err);
}

void buffer_free(struct buffer *b)
{
    if (b)
        b->device->backend->buffer_free(b);
}

size_t buffer_size(const struct buffer *b)
{
    return b->bytes;
}

void *buffer_host(const struct buffer *b)
{
    return b->device->backend->is_host ? b->data : NULL;
}

void queue_upload(struct queue *q, struct span dst, const void *src, size_t bytes)
{
    if (bytes)
        q->device->backend->upload(q, dst, src, bytes);
}

void queue_download(struct queue *q, void *dst, struct span src, size_t bytes)
{
    if (bytes)
        q->device->backend->download(q, dst, src, bytes);
}

int queue_wait(struct queue *q, struct error *err)
{
    return q->device->backend->wait(q, err);
}

int queue_finish(struct queue *q, int rc, struct error *err)
{
    int waited = queue_wait(q, rc ? NULL : err);
    return rc ? rc : waited;
}

void queue_drain(struct queue *q)
{
    q->device->backend->wait(q, NULL);
}

int weight_supported(const struct device *d, enum dtype t)
{
    return d->backend->weight_supported(d, t);
}

size_t weight_bytes(const struct device *d, struct weight_shape shape)
{
    size_t bytes = 0;
    return d->backend->weight_bytes(d, shape, &bytes) ? SIZE_MAX : bytes;
}

static struct weight_ranges one_range(struct weight_shape shape)
{
    return (struct weight_ranges){.k = shape.k, .n = 1, .ranges = {{shape.n, shape.dtype}}};
}

/* Fills in w and counts its bytes; -1: too large. */
static int lay_ranges(struct weight *w, struct device *d, const struct weight_ranges *r, size_t *bytes)
{
    *w = (struct weight){.k = r->k, .dtype = r->ranges[0].dtype, .n_range = r->n};
    *bytes = 0;
    for (int i = 0; i < r->n; i++) {
        size_t some = 0;
        struct weight_shape shape = {r->ranges[i].n, r->k, r->ranges[i].dtype};
        if (d->backend->weight_bytes(d, shape, &some))
            return -1;
        w->n += shape.n;
        w->ranges[i].end = w->n;
        w->ranges[i].dtype = shape.dtype;
        w->ranges[i].at = *bytes;
        *bytes += some;
    }
    return 0;
}

size_t weight_ranges_bytes(const struct device *d, const struct weight_ranges *r)
{
    size_t bytes = 0;
    for (int i = 0; i < r->n; i++) {
        size_t some = weight_bytes(d, (struct weight_shape){r->ranges[i].n, r->k, r->ranges[i].dtype});
        bytes = some == SIZE_MAX ? some : bytes + some;
        if (some == SIZE_MAX)
            break;
    }
    return bytes;
}

int weight_new(struct weight **out, struct device *d, struct weight_shape shape, const char *what, struct error *err)
{
    struct weight_ranges r = one_range(shape);
    return weight_new_ranges(out, d, &r, what, err);
}

int weight_new_ranges(struct weight **out, struct device *d, const struct weight_ranges *r, const char *what,
                      struct error *err)
{
    *out = NULL;
    struct weight laid;
    size_t bytes;
    for (int i = 0; i < r->n; i++)
        if (!weight_supported(d, r->ranges[i].dtype))
            return error_set(err, ERROR_UNAVAILABLE, "%s: weights of type %s are not available on this device (%s)",
                             what, dtype_name(r->ranges[i].dtype), d->isa);
    if (lay_ranges(&laid, d, r, &bytes))
        return error_set(err, ERROR_DATA, "%s: a weight of %lld x %lld is too large", what, (long long)r->ranges[0].n,
                         (long long)r->k);
    struct weight *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, what);
    *w = laid;
    int code = buffer_new(&w->panels, d, bytes, what, err);
    if (code) {
        mem_free(w);
        return code;
    }
    *out = w;
    return 0;
}

void weight_free(struct weight *w)
{
    if (!w)
        return;
    buffer_free(w->panels);
    mem_free(w);
}

int64_t weight_k(const struct weight *w)
{
    return w->k;
}

enum dtype weight_dtype(const struct weight *w)
{
    return w->dtype;
}

enum dtype weight_row_dtype(const struct weight *w, int64_t row)
{
    int i = 0;
    while (i + 1 < w->n_range && row >= w->ranges[i].end)
        i++;
    return w->ranges[i].dtype;
}

size_t weight_size(const struct weight *w)
{
    return buffer_size(w->panels);
}
