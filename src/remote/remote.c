/* SPDX-License-Identifier: Apache-2.0 */
/* The remote test backend: what a GPU would forgive as little. It fuses nothing that may be left out, so that the
 * composed forms run too. Buffers are pages without access, so host code that touches one dies at once; operators,
 * uploads and downloads are copied into a log and run by a CPU device only when the queue is waited for (or the log is
 * full, or a buffer goes), while the pages are open. */
#include "remote/remote.h"

#include "base/mem.h"
#include "tensor/backend.h"

#include <string.h>
#include <sys/mman.h>

enum { LOG_BYTES = 32 << 20, ALIGNMENT = 16 };
enum kind {
#define X(op) KIND_##op,
    TENSOR_OPS(X)
#undef X
        KIND_UPLOAD,
    KIND_DOWNLOAD
};
struct remote_record { /* followed by the operator's arguments, or a transfer and its bytes */
    enum kind kind;
    size_t bytes; /* with this header, aligned */
};
struct remote_transfer {
    struct span span;
    void *host; /* downloads */
    size_t bytes;
};
struct remote_buffer {
    struct buffer base;
    struct remote_buffer *next, *previous;
};
struct remote_device {
    struct device base;
    struct queue queue;
    struct device *inner;
    struct remote_buffer *buffers;
    char *log;
    size_t used;
    long fail_in; /* waits until the one that fails; < 0: none */
    int failed;
    long n_wait;
};

static struct remote_device *remote_of(struct queue *q)
{
    return (struct remote_device *)q->device;
}

static void protect_buffers(struct remote_device *r, int protection)
{
    for (struct remote_buffer *b = r->buffers; b; b = b->next)
        mprotect(b->base.data, b->base.bytes ? b->base.bytes : 1, protection);
}

static void run_transfer(enum kind kind, const struct remote_transfer *t)
{
    char *device = (char *)t->span.buffer->data + t->span.offset;
    if (kind == KIND_UPLOAD)
        memcpy(device, t + 1, t->bytes);
    else
        memcpy(t->host, device, t->bytes);
}

static void run_record(struct remote_device *r, const struct remote_record *record)
{
    const void *args = record + 1;
    switch (record->kind) {
#define X(op) \
    case KIND_##op: r->inner->ops->op(r->inner->queue, args); break;
        TENSOR_OPS(X)
#undef X
    case KIND_UPLOAD:
    case KIND_DOWNLOAD: run_transfer(record->kind, args); break;
    }
}

static void run_records(struct remote_device *r)
{
    if (!r->used || r->failed) {
        r->used = 0;
        return;
    }
    protect_buffers(r, PROT_READ | PROT_WRITE);
    for (size_t at = 0; at < r->used; at += ((struct remote_record *)(r->log + at))->bytes)
        run_record(r, (struct remote_record *)(r->log + at));
    queue_drain(r->inner->queue);
    protect_buffers(r, PROT_NONE);
    r->used = 0;
}

/* Room for a record's arguments; NULL when they are larger than the whole log. */
static void *append_record(struct remote_device *r, enum kind kind, size_t bytes)
{
    size_t all = (sizeof(struct remote_record) + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (all > LOG_BYTES - r->used)
        run_records(r);
    if (all > LOG_BYTES)
        return NULL;
    struct remote_record *record = (struct remote_record *)(r->log + r->used);
    *record = (struct remote_record){kind, all};
    r->used += all;
    return record + 1;
}

#define X(op)                                                                             \
    static void remote_##op(struct queue *q, const struct op##_args *args)                \
    {                                                                                     \
        memcpy(append_record(remote_of(q), KIND_##op, sizeof *args), args, sizeof *args); \
    }
TENSOR_OPS(X)
#undef X

static const struct backend_ops remote_ops = {
#define X(op) .op = remote_##op,
    TENSOR_OPS(X)
#undef X
};

static void remote_upload(struct queue *q, struct span dst, const void *src, size_t bytes)
{
    const char *from = src;
    while (bytes) { /* pieces that fit the log */
        size_t n = bytes < LOG_BYTES / 4 ? bytes : LOG_BYTES / 4;
        struct remote_transfer *t = append_record(remote_of(q), KIND_UPLOAD, sizeof *t + n);
        *t = (struct remote_transfer){.span = dst, .bytes = n};
        memcpy(t + 1, from, n);
        dst.offset += n;
        from += n;
        bytes -= n;
    }
}

static void remote_download(struct queue *q, void *dst, struct span src, size_t bytes)
{
    struct remote_transfer *t = append_record(remote_of(q), KIND_DOWNLOAD, sizeof *t);
    *t = (struct remote_transfer){.span = src, .host = dst, .bytes = bytes};
}

static int remote_wait(struct queue *q, struct error *err)
{
    struct remote_device *r = remote_of(q);
    r->n_wait++;
    if (r->fail_in >= 0 && r->fail_in-- == 0)
        r->failed = 1;
    run_records(r);
    return r->failed ? error_set(err, ERROR_UNAVAILABLE, "the remote test device failed, as a test asked for") : 0;
}

static struct device_memory remote_memory(const struct device *d)
{
    return device_memory(((const struct remote_device *)d)->inner);
}

static int remote_reserve(struct device *d, const struct op_widths *widths, struct error *err)
{
    return device_reserve(((struct remote_device *)d)->inner, widths, err);
}

static size_t remote_kv_page_bytes(const struct device *d, const struct kv_layout *layout)
{
    return kv_page_bytes(((const struct remote_device *)d)->inner, layout);
}

void remote_fail_wait(struct device *d, long n)
{
    ((struct remote_device *)d)->fail_in = n;
}

int remote_fail_pending(const struct device *d)
{
    return ((const struct remote_device *)d)->fail_in >= 0;
}

long remote_waits(const struct device *d)
{
    return ((const struct remote_device *)d)->n_wait;
}

static int remote_buffer_new(struct buffer **out, struct device *d, size_t bytes, const char *what, struct error *err)
{
    struct remote_device *r = (struct remote_device *)d;
    struct remote_buffer *b = mem_calloc(1, sizeof *b);
    if (!b)
        return error_set_nomem(err, sizeof *b, what);
    b->base = (struct buffer){.device = d, .bytes = bytes, .data = mem_slab(bytes)};
    if (!b->base.data) {
        mem_free(b);
        return error_set_nomem(err, bytes, what);
    }
    mprotect(b->base.data, bytes ? bytes : 1, PROT_NONE);
    b->next = r->buffers;
    if (b->next)
        b->next->previous = b;
    r->buffers = b;
    *out = &b->base;
    return 0;
}

static void remote_buffer_free(struct buffer *base)
{
    struct remote_buffer *b = (struct remote_buffer *)base;
    struct remote_device *r = (struct remote_device *)base->device;
    run_records(r);
    *(b->previous ? &b->previous->next : &r->buffers) = b->next;
    if (b->next)
        b->next->previous = b->previous;
    mem_slab_free(base->data, base->bytes);
    mem_free(b);
}

static void remote_close(struct device *d)
{
    struct remote_device *r = (struct remote_device *)d;
    run_records(r);
    device_close(r->inner);
    mem_slab_free(r->log, LOG_BYTES);
    mem_free(r);
}

static int remote_weight_supported(const struct device *d, enum dtype t)
{
    return weight_supported(((const struct remote_device *)d)->inner, t);
}

static int remote_weight_bytes(const struct device *d, struct weight_shape shape, size_t *bytes)
{
    const struct device *inner = ((const struct remote_device *)d)->inner;
    return inner->backend->weight_bytes(inner, shape, bytes);
}

static const struct backend remote_backend = {
    .close = remote_close,
    .buffer_new = remote_buffer_new,
    .buffer_free = remote_buffer_free,
    .upload = remote_upload,
    .download = remote_download,
    .wait = remote_wait,
    .reserve = remote_reserve,
    .memory = remote_memory,
    .kv_page_bytes = remote_kv_page_bytes,
    .weight_supported = remote_weight_supported,
    .weight_bytes = remote_weight_bytes,
};

int device_open_remote(struct device **out, const struct device_options *options, struct error *err)
{
    *out = NULL;
    struct remote_device *r = mem_calloc(1, sizeof *r);
    if (!r)
        return error_set_nomem(err, sizeof *r, "the remote test device");
    int code = device_open(&r->inner, DEVICE_CPU, options, err);
    if (code) {
        mem_free(r);
        return code;
    }
    r->base = (struct device){.backend = &remote_backend,
                              .ops = &remote_ops,
                              .queue = &r->queue,
                              .isa = r->inner->isa,
                              .pairs = r->inner->pairs,
                              .n_thread = r->inner->n_thread};
    r->queue.device = &r->base;
    r->fail_in = -1;
    r->log = mem_slab(LOG_BYTES);
    if (!r->log) {
        device_close(r->inner);
        mem_free(r);
        return error_set_nomem(err, LOG_BYTES, "the remote test device's log");
    }
    *out = &r->base;
    return 0;
}
