/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, buffers, queues and prepared weights: the memory half of what a backend provides (the operators are in
 * tensor/ops.h).
 *
 * Shapes everywhere are written with one alphabet: B batch, T token rows, C hidden, H heads, K kv heads, D head size,
 * F feed-forward, V vocabulary, L layers. Row-major; "[T,C]" means T rows of C elements.
 *
 * No code above tensor/ dereferences a buffer: it uploads, enqueues operators, downloads and waits. Operators of one
 * queue run in order. Work may be deferred until queue_wait. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "base/dtype.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct device;
struct queue;  /* in-order; owned by its device; one is enough: device_queue() */
struct buffer; /* memory of a device; zeroed when made */
struct weight; /* an [N,K] matrix prepared (packed) for products y[T,N] = x[T,K] . w[N,K]^T */

struct span { /* a place in a buffer; offset in bytes, 64-byte aligned for whole tensors */
    struct buffer *buffer;
    size_t offset;
};
#define SPAN_NONE ((struct span){NULL, 0})
static inline struct span span_at(struct span s, size_t bytes)
{
    s.offset += bytes;
    return s;
}

struct device_options {
    int n_thread;    /* 0: all available */
    const char *isa; /* NULL: $ISARA_ISA, else the best; generic, avx2, avx512, avx512bf16, amx, neon */
};
/* src/cpu; src/remote: the test backend */
enum device_kind { DEVICE_CPU, DEVICE_REMOTE };
int device_open(struct device **out, enum device_kind kind,
                const struct device_options *options /* or NULL: defaults */, struct error *err);
void device_close(struct device *d);
const char *device_isa(const struct device *d);
/* How pairs of bf16 are multiplied, which changes no bits: "dp" by one instruction, "fma" by two; NULL: not in pairs.
 */
const char *device_pairs(const struct device *d);
int device_n_thread(const struct device *d);
/* Bytes that buffers can still take (free), of all that the device has (total). */
struct device_memory {
    size_t total, free;
};
struct device_memory device_memory(const struct device *d);
/* The widest that operators will be asked for: what they need beside buffers is there before work begins. Asked again,
 * it grows. Nothing may be running. */
struct op_widths {
    int64_t n_vocab, n_embd;
    int head_dim, group; /* query heads of a key head */
};
int device_reserve(struct device *d, const struct op_widths *widths, struct error *err);
struct queue *device_queue(struct device *d);

int buffer_new(struct buffer **out, struct device *d, size_t bytes, const char *what, struct error *err);
void buffer_free(struct buffer *b);
size_t buffer_size(const struct buffer *b);
/* Where the host may write into it itself instead of uploading, when nothing that reads it is waiting to run; NULL
 * where the device's memory is elsewhere. */
void *buffer_host(const struct buffer *b);
/* Host memory is read before upload returns; download's destination is valid after a queue_wait that returned 0. */
void queue_upload(struct queue *q, struct span dst, const void *src, size_t bytes);
void queue_download(struct queue *q, void *dst, struct span src, size_t bytes);
/* Until all that was enqueued has run: 0, or what went wrong on the device. A failure lasts: every later wait of the
 * queue reports it, what is enqueued behind it is not run, and downloads since then hold anything. So one wait that is
 * looked at behind the last download is enough. */
int queue_wait(struct queue *q, struct error *err);
/* Waits behind work that may have failed by itself: rc when it is an error, else what the device says. */
int queue_finish(struct queue *q, int rc, struct error *err);
void queue_drain(struct queue *q); /* the same before memory is given back, where nothing is asked any more */

/* N outputs, K inputs. dtype F32 or BF16 (and the quantised ones, without gradients, where the device has them:
 * weight_supported). K of Q4_K, Q5_K and Q6_K is a multiple of 256. */
int weight_supported(const struct device *d, enum dtype t);
struct weight_shape {
    int64_t n, k;
    enum dtype dtype;
};
size_t weight_bytes(const struct device *d, struct weight_shape shape); /* SIZE_MAX: too large for this device */
int weight_new(struct weight **out, struct device *d, struct weight_shape shape, const char *what, struct error *err);
/* The same of rows that differ in type: ranges one after the other, all of them quantised, each but the last of whole
 * panels (a multiple of WEIGHT_ROWS rows). */
enum { WEIGHT_RANGES = 4, WEIGHT_ROWS = 32 };
struct weight_ranges {
    int64_t k;
    int n;
    struct weight_range {
        int64_t n;
        enum dtype dtype;
    } ranges[WEIGHT_RANGES];
};
size_t weight_ranges_bytes(const struct device *d, const struct weight_ranges *r);
int weight_new_ranges(struct weight **out, struct device *d, const struct weight_ranges *r, const char *what,
                      struct error *err);
void weight_free(struct weight *w);
int64_t weight_k(const struct weight *w);
enum dtype weight_dtype(const struct weight *w); /* of the first rows */
enum dtype weight_row_dtype(const struct weight *w, int64_t row);
size_t weight_size(const struct weight *w); /* bytes */
/* Whether the packed form's bytes are a device-independent function of the values is not promised; unpack gives the
 * values back (bf16-rounded when the weight is bf16). */

#endif
