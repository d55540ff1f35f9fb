/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient's norm, in blocks of 4096 elements whose sums are added in order by one thread; and AdamW, which packs a
 * weight's rows while they are in the cache. */
#include "cpu/kernels.h"
#include "cpu/linear.h"

enum { BLOCK = 4096, BLOCKS_A_PIECE = 8 };

struct squares_work {
    const struct kernels *k;
    const float *x;
    size_t n;
    double *sums;
};

static int n_block(size_t n)
{
    return (int)((n + BLOCK - 1) / BLOCK);
}
static size_t block_size(size_t n, int block)
{
    size_t left = n - (size_t)block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

static void squares_blocks(void *context, int piece, int worker)
{
    (void)worker;
    const struct squares_work *w = context;
    for (int i = piece * BLOCKS_A_PIECE; i < (piece + 1) * BLOCKS_A_PIECE && i < n_block(w->n); i++)
        w->sums[i] = w->k->squares(w->x + (size_t)i * BLOCK, block_size(w->n, i));
}

static void all_squares(struct queue *q, const struct squares_work *w)
{
    pool_run(cpu_pool(q), (n_block(w->n) + BLOCKS_A_PIECE - 1) / BLOCKS_A_PIECE, squares_blocks, (void *)w);
}

void cpu_sum_squares(struct queue *q, const struct sum_squares_args *a)
{
    enum { MOST = CPU_SHARED / sizeof(double) };
    double *out = cpu_ptr(a->out), total = a->accumulate && !a->apart ? *out : 0;
    if (a->apart) {
        all_squares(q, &(struct squares_work){cpu_kernels(q), cpu_ptr(a->x), a->n, out});
        return;
    }
    for (size_t done = 0; done < a->n; done += (size_t)MOST * BLOCK) {
        size_t n = a->n - done < (size_t)MOST * BLOCK ? a->n - done : (size_t)MOST * BLOCK;
        struct squares_work w = {
            .k = cpu_kernels(q), .x = (const float *)cpu_ptr(a->x) + done, .n = n, .sums = cpu_shared(q)};
        all_squares(q, &w);
        for (int i = 0; i < n_block(n); i++)
            total += w.sums[i];
    }
    *out = total;
}

struct adamw_work {
    const struct adamw_args *a;
    const struct kernels *k;
    struct packing packing; /* of a weight */
};

static void adamw_bf16(const struct adamw_work *w, float *param, const float *grad, size_t at, size_t n)
{
    float m[BLOCK], v[BLOCK];
    uint16_t *m_kept = (uint16_t *)cpu_ptr(w->a->m) + at, *v_kept = (uint16_t *)cpu_ptr(w->a->v) + at;
    uint64_t first = w->a->first + at, key = w->a->key ^ (first >> 32) * 0x9e3779b97f4a7c15u;
    w->k->cast(m, DTYPE_F32, m_kept, DTYPE_BF16, n);
    w->k->cast(v, DTYPE_F32, v_kept, DTYPE_BF16, n);
    w->k->adamw(w->a, param, grad, m, v, n);
    w->k->round_moments(&(struct moments){m, v, m_kept, v_kept}, n, (uint32_t)(key ^ key >> 32), (uint32_t)first);
}

/* Elements from `at` on that are taken at once: the random numbers of one call have one key, which their places' high
 * halves decide, so that none goes beyond a multiple of 2^32. */
static size_t adamw_chunk(const struct adamw_args *a, size_t at, size_t end)
{
    size_t n = end - at < BLOCK ? end - at : BLOCK, left = (size_t)(UINT32_MAX - (uint32_t)(a->first + at)) + 1;
    return n < left ? n : left;
}

static void adamw_range(const struct adamw_work *w, size_t at, size_t end)
{
    const struct adamw_args *a = w->a;
    for (size_t n; at < end; at += n) {
        n = adamw_chunk(a, at, end);
        float *param = (float *)cpu_ptr(a->param) + at;
        const float *grad = (const float *)cpu_ptr(a->grad) + at;
        if (a->moments == DTYPE_BF16)
            adamw_bf16(w, param, grad, at, n);
        else
            w->k->adamw(a, param, grad, (float *)cpu_ptr(a->m) + at, (float *)cpu_ptr(a->v) + at, n);
    }
}

static void adamw_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct adamw_work *w = context;
    size_t step = BLOCK * BLOCKS_A_PIECE, at = (size_t)piece * step, left = w->a->n - at;
    adamw_range(w, at, at + (left < step ? left : step));
}

/* The rows of one panel, and their packing from the cache. */
static void adamw_panel(void *context, int piece, int worker)
{
    (void)worker;
    const struct adamw_work *w = context;
    int64_t row = w->packing.a.row, end = row + w->packing.a.n_row, panel = row / PANEL + piece, k = w->a->w->k;
    int64_t from = panel * PANEL < row ? row : panel * PANEL,
            until = (panel + 1) * PANEL < end ? (panel + 1) * PANEL : end;
    adamw_range(w, (size_t)((from - row) * k), (size_t)((until - row) * k));
    pack_panel(&w->packing, panel);
}

void cpu_adamw(struct queue *q, const struct adamw_args *a)
{
    struct adamw_work w = {.a = a, .k = cpu_kernels(q)};
    if (!a->n)
        return;
    if (a->w) {
        w.packing = packing_of(
            q, &(struct weight_pack_args){a->w, a->row, (int64_t)a->n / a->w->k, a->param, DTYPE_F32, a->noise});
        pool_run(cpu_pool(q), (int)((a->row + w.packing.a.n_row - 1) / PANEL - a->row / PANEL + 1), adamw_panel, &w);
    } else {
        pool_run(cpu_pool(q), (n_block(a->n) + BLOCKS_A_PIECE - 1) / BLOCKS_A_PIECE, adamw_piece, &w);
    }
}
