/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes the CPU backend. Buffers are zeroed slabs, uploads and downloads are copies, waiting is nothing. */
#include "cpu/device.h"

#include "base/mem.h"
#include "cpu/attend.h"
#include "cpu/kv.h"

#include <string.h>

static void cpu_close(struct device *d)
{
    struct cpu_device *c = (struct cpu_device *)d;
    mem_slab_free(c->scratch, (size_t)d->n_thread * c->scratch_bytes);
    mem_slab_free(c->shared, CPU_SHARED);
    pool_free(c->pool);
    mem_free(c);
}

static int cpu_buffer_new(struct buffer **out, struct device *d, size_t bytes, const char *what, struct error *err)
{
    struct buffer *b = mem_calloc(1, sizeof *b);
    if (!b)
        return error_set_nomem(err, sizeof *b, what);
    *b = (struct buffer){.device = d, .bytes = bytes, .data = mem_slab(bytes)};
    if (!b->data) {
        mem_free(b);
        return error_set_nomem(err, bytes, what);
    }
    *out = b;
    return 0;
}

static void cpu_buffer_free(struct buffer *b)
{
    mem_slab_free(b->data, b->bytes);
    mem_free(b);
}

struct copying {
    char *dst;
    const char *src;
    size_t bytes;
};
enum { COPY_PIECE = 512 << 10 };

static void copy_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct copying *c = context;
    size_t at = (size_t)piece * COPY_PIECE;
    memcpy(c->dst + at, c->src + at, c->bytes - at < COPY_PIECE ? c->bytes - at : COPY_PIECE);
}

static void cpu_upload(struct queue *q, struct span dst, const void *src, size_t bytes)
{
    struct copying c = {cpu_ptr(dst), src, bytes};
    pool_run(cpu_pool(q), (int)((bytes + COPY_PIECE - 1) / COPY_PIECE), copy_piece, &c);
}

static void cpu_download(struct queue *q, void *dst, struct span src, size_t bytes)
{
    (void)q;
    memcpy(dst, cpu_ptr(src), bytes);
}

static int cpu_wait(struct queue *q, struct error *err)
{
    (void)q;
    (void)err;
    return 0;
}

/* What one worker may need: a row of logits with its order (sampling), a row of a table, or a tile of attention with
 * the gradient's chunks. */
static size_t widest_scratch(const struct op_widths *w)
{
    size_t d = (size_t)w->head_dim, queries = w->group > 512 ? (size_t)w->group : 512,
           vocab = ((size_t)w->n_vocab + 16) * 8, row = (size_t)w->n_embd * 4;
    size_t attention = ((queries + 64) * (4 * d + 2 * CHUNK_STRIDE + 64) + 2 * CHUNK_STRIDE * d) * 4;
    size_t most = vocab > row ? vocab : row;
    most = attention > most ? attention : most;
    return (most + 4095) / 4096 * 4096;
}

static int cpu_reserve(struct device *d, const struct op_widths *widths, struct error *err)
{
    struct cpu_device *c = (struct cpu_device *)d;
    size_t bytes = widest_scratch(widths);
    if (bytes <= c->scratch_bytes)
        return 0;
    char *scratch = mem_slab((size_t)d->n_thread * bytes);
    if (!scratch)
        return error_set_nomem(err, (size_t)d->n_thread * bytes, "the CPU device's scratch");
    mem_slab_free(c->scratch, (size_t)d->n_thread * c->scratch_bytes);
    c->scratch = scratch;
    c->scratch_bytes = bytes;
    return 0;
}

static size_t cpu_kv_page_bytes(const struct device *d, const struct kv_layout *layout)
{
    (void)d;
    return kv_bytes(layout);
}

static struct device_memory cpu_memory(const struct device *d)
{
    (void)d;
    return (struct device_memory){.total = mem_total(), .free = mem_available()};
}

static const struct backend cpu_backend = {
    .is_host = 1,
    .close = cpu_close,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .upload = cpu_upload,
    .download = cpu_download,
    .wait = cpu_wait,
    .reserve = cpu_reserve,
    .memory = cpu_memory,
    .kv_page_bytes = cpu_kv_page_bytes,
    .weight_supported = cpu_weight_supported,
    .weight_bytes = cpu_weight_bytes,
};

static const struct backend_ops cpu_ops = {
#define X(op) .op = cpu_##op,
    TENSOR_OPS(X)
#undef X
};

int device_open_cpu(struct device **out, const struct device_options *options, struct error *err)
{
    *out = NULL;
    enum cpu_isa isa;
    enum cpu_pairs pairs;
    int code = isa_choose(&isa, options ? options->isa : NULL, err);
    if (!code)
        code = pairs_choose(&pairs, isa, err);
    if (code)
        return code;
    struct cpu_device *c = mem_calloc(1, sizeof *c);
    if (!c)
        return error_set_nomem(err, sizeof *c, "the CPU device");
    int n = options && options->n_thread > 0 ? options->n_thread : threads_own();
    c->base = (struct device){.backend = &cpu_backend,
                              .ops = &cpu_ops,
                              .fused = FUSED_GATE | FUSED_ADAMW_PACK,
                              .queue = &c->queue,
                              .isa = isa_name(isa),
                              .pairs = pairs_name(pairs),
                              .n_thread = n};
    c->queue.device = &c->base;
    c->isa = isa;
    c->pairs = pairs;
    code = pool_new(&c->pool, n, err);
    if (code) {
        mem_free(c);
        return code;
    }
    c->shared = mem_slab(CPU_SHARED);
    c->scratch_bytes = CPU_SCRATCH;
    c->scratch = mem_slab((size_t)n * CPU_SCRATCH);
    if (!c->shared || !c->scratch) {
        cpu_close(&c->base);
        return error_set_nomem(err, CPU_SHARED + (size_t)n * CPU_SCRATCH, "the CPU device's scratch");
    }
    *out = &c->base;
    return 0;
}
