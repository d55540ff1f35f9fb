/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend fills in, for backends only: the code above tensor/ sees these structs as opaque. A backend embeds
 * `struct device` and `struct queue` as first members of its own. `data` is the backend's business: the CPU's address,
 * the GPU's address. */
#ifndef TENSOR_BACKEND_H
#define TENSOR_BACKEND_H

#include "tensor/ops.h"

struct backend {
    int is_host; /* buffers are the host's memory, and operators run at once (buffer_host) */
    void (*close)(struct device *d);
    int (*buffer_new)(struct buffer **out, struct device *d, size_t bytes, const char *what, struct error *err);
    void (*buffer_free)(struct buffer *b);
    void (*upload)(struct queue *q, struct span dst, const void *src, size_t bytes);
    void (*download)(struct queue *q, void *dst, struct span src, size_t bytes);
    int (*wait)(struct queue *q, struct error *err);                                 /* as queue_wait */
    size_t (*kv_page_bytes)(const struct device *d, const struct kv_layout *layout); /* as kv_page_bytes */
    int (*reserve)(struct device *d, const struct op_widths *widths, struct error *err);
    struct device_memory (*memory)(const struct device *d);
    int (*weight_supported)(const struct device *d, enum dtype t);
    /* Bytes of a packed [n,k]; -1 when they overflow or the shape is beyond what the kernels take. */
    int (*weight_bytes)(const struct device *d, struct weight_shape shape, size_t *bytes);
};

/* What device_open(kind) calls. */
int device_open_cpu(struct device **out, const struct device_options *options, struct error *err);
int device_open_remote(struct device **out, const struct device_options *options, struct error *err);

struct queue {
    struct device *device;
};

struct device {
    const struct backend *backend;
    const struct backend_ops *ops;
    unsigned fused; /* enum tensor_fused */
    struct queue *queue;
    const char *isa, *pairs;
    int n_thread;
    struct op_profile *profile; /* or NULL */
};

struct buffer {
    struct device *device;
    void *data;
    size_t bytes;
};

struct weight {
    int64_t n, k;
    enum dtype dtype; /* of the first range; where there is another it is quantised, as all are */
    int n_range;
    struct {
        int64_t end; /* rows */
        enum dtype dtype;
        size_t at; /* bytes of panels before it */
    } ranges[WEIGHT_RANGES];
    struct buffer *panels;
};

#endif
