/* SPDX-License-Identifier: Apache-2.0 */
/* Deals a product to the threads: pieces are (group of rows) x (group of parts). A group's rows fit a core's second-level cache and are read
 * again for each of the piece's panels; a panel is read once a piece. */
#include "cpu/linear_q8.h"

#include <string.h>

enum { GROUP_BYTES = 512 << 10, GROUP_ROWS = 256, ROOM_BYTES = 3 << 20, PIECES_PER_THREAD = 4, PANELS_BYTES = 12 << 20, A_BYTES = CPU_SHARED - PANELS_BYTES };

static const struct product_kernel *quantised_kernel(enum cpu_isa isa, enum dtype t)
{
    int i = (int)t - DTYPE_Q8;
#if defined(__x86_64__)
    if (isa >= ISA_AVX512BF16)
        return &kernels_q8_vnni[i];
    if (isa >= ISA_AVX2)
        return &kernels_q8_avx2[i];
    if (isa_has_fma())
        return &kernels_q8_fma[i];
#endif
    (void)isa;
    return &kernels_q8_generic[i];
}

const struct product_kernel *product_kernel(enum cpu_isa isa, enum dtype t, int streaming)
{
    if (dtype_is_quantised(t))
        return quantised_kernel(isa, t);
    switch (isa) {
#if defined(__x86_64__)
    case ISA_AMX:
        return t == DTYPE_BF16 && !streaming ? &kernel_amx : &kernel_avx512;
    case ISA_AVX512BF16:
        return t == DTYPE_BF16 ? &kernel_avx512bf16 : &kernel_avx512;
    case ISA_AVX512:
        return &kernel_avx512;
    case ISA_AVX2:
        return &kernel_avx2;
    default:
        return isa_has_fma() ? &kernel_generic_fma : &kernel_generic;
#elif defined(__aarch64__)
    case ISA_NEON:
        return &kernel_neon;
    default:
        return &kernel_generic;
#else
    default:
        return &kernel_generic;
#endif
    }
}

static void zero_words(uint32_t *block, int rows, int r, int64_t from, int64_t to)
{
    for (int64_t k = from; k < to; k++)
        block[chunk_at(rows, r, k)] = 0;
}

static void put_f32(const struct product *p, float *block, int r, const float *row, int64_t n, int round)
{
    for (int64_t k = 0; k < n; k += CHUNK) {
        int64_t count = n - k < CHUNK ? n - k : CHUNK;
        float *to = block + chunk_at(p->kernel->rows, r, k);
        if (!round)
            memcpy(to, row + k, (size_t)count * sizeof *to);
        else
            p->kernel->lanes->round(row + k, count, to);
    }
    zero_words((uint32_t *)block, p->kernel->rows, r, n, p->k);
}

void product_put_row_bf16(const struct product *p, char *block, int r, const uint16_t *row, int64_t n)
{
    int rows = p->kernel->rows;
    uint32_t *words = (uint32_t *)block;
    if (p->kernel->form == FORM_F32) {
        for (int64_t k = 0; k < n; k++)
            words[chunk_at(rows, r, k)] = (uint32_t)row[k] << 16;
        zero_words(words, rows, r, n, p->k);
    } else if (p->kernel->form == FORM_PAIRS) {
        for (int64_t k = 0; k < n / 2; k++)
            words[chunk_at(rows, r, k)] = row[2 * k] | (uint32_t)row[2 * k + 1] << 16;
        zero_words(words, rows, r, n / 2, p->k / 2);
        if (n % 2)
            words[chunk_at(rows, r, n / 2)] = row[n - 1];
    } else {
        uint16_t *tiles = (uint16_t *)block;
        for (int64_t k = 0; k < p->k; k += 32) {
            uint16_t *to = tiles + tile_at(p->k, r, k);
            int64_t count = n - k < 32 ? n - k : 32;
            if (count < 32)
                memset(to, 0, 64);
            if (count > 0)
                memcpy(to, row + k, (size_t)count * 2);
        }
    }
}

void product_put_row(const struct product *p, char *block, int r, const float *row, int64_t n, int round)
{
    if (p->kernel->form == FORM_F32) {
        put_f32(p, (float *)block, r, row, n, round);
        return;
    }
    if (p->kernel->form == FORM_TILES) {
        p->kernel->put(row, n, p->k, (uint16_t *)block + tile_at(p->k, r, 0));
        return;
    }
    uint32_t *words = (uint32_t *)block;
    int rows = p->kernel->rows;
    zero_words(words, rows, r, n / 2, p->k / 2);
    for (int64_t k = 0; k < n; k += 2 * CHUNK)
        p->kernel->lanes->to_bf16(row + k, n - k < 2 * CHUNK ? n - k : 2 * CHUNK, (uint16_t *)(words + chunk_at(rows, r, k / 2)));
}

/* An odd number of cache lines, so that rows begin in different sets of the first cache. */
static size_t quantised_row_bytes(const struct product *p)
{
    return (size_t)round_up((int64_t)q8_row_bytes(p->k), 64) | 64;
}

static size_t block_bytes(const struct product *p)
{
    int64_t elements = p->kernel->form == FORM_F32 ? p->k : p->k / 2;
    if (p->kernel->form == FORM_TILES)
        return (size_t)(p->kernel->rows * p->k * 2);
    if (p->kernel->form == FORM_BYTES)
        return (size_t)p->kernel->rows * quantised_row_bytes(p);
    return (size_t)((elements + CHUNK - 1) / CHUNK * p->kernel->rows * CHUNK_STRIDE * 4);
}

struct deal {
    struct queue *q;
    const struct product *p;
    char *ready;                          /* panels built for all threads, or NULL */
    int64_t group_rows, n_group, n_share; /* rows of a group; groups of rows; groups of parts */
};

static const char *block_of(const struct product *p, int64_t row)
{
    if (!p->prepare)
        return p->a + row * p->a_row;
    return p->a + (size_t)((row - p->first_row) / p->kernel->rows) * p->a_block;
}

/* A thread at one piece. A block's sums are finished after the next block's have been started on their way, which hides the tiles' latency. */
struct visit {
    const struct product *p;
    struct product_call c;
    const char *ready; /* panels in shared memory, or NULL */
    char *room;
    float *acc;
    int slot;
    struct { int64_t part, row; int m; const float *acc; } pending; /* m 0: none */
};

static void finish_pending(struct visit *v)
{
    if (v->pending.m)
        v->p->finish(v->p, v->pending.part, v->pending.row, v->pending.m, v->pending.acc);
    v->pending.m = 0;
}

static void enter(struct visit *v, int64_t row, int64_t end)
{
    int m = end - row < v->p->kernel->rows ? (int)(end - row) : v->p->kernel->rows;
    if (v->p->kernel->enter && v->c.m != m)
        v->p->kernel->enter(m);
    v->c.m = m;
    v->c.a = block_of(v->p, row);
}

/* All of K at once. */
static void whole_block(struct visit *v, int64_t part, int64_t row, int64_t end)
{
    const struct product *p = v->p;
    enter(v, row, end);
    v->c.acc = p->place ? p->place(p, part, row, &v->c.acc_stride) : NULL;
    if (v->c.acc) {
        v->c.first = !p->adds;
        p->kernel->run(&v->c);
        return;
    }
    v->c.acc = v->acc + (v->slot ^= 1) * p->kernel->rows * ACC_STRIDE;
    v->c.acc_stride = ACC_STRIDE;
    v->c.first = !p->start;
    if (p->start)
        p->start(p, part, row, v->c.m, v->c.acc);
    p->kernel->run(&v->c);
    finish_pending(v);
    v->pending.part = part, v->pending.row = row, v->pending.m = v->c.m, v->pending.acc = v->c.acc;
}

/* A stretch of K: the sums of a group's rows are kept between stretches. */
static void stretch_of_block(struct visit *v, int64_t part, int64_t row, int64_t end, int64_t at, int last)
{
    const struct product *p = v->p;
    enter(v, row, end);
    v->c.acc = v->acc + at * ACC_STRIDE;
    v->c.acc_stride = ACC_STRIDE;
    v->c.first = v->c.begin == 0 && !p->start;
    if (v->c.begin == 0 && p->start)
        p->start(p, part, row, v->c.m, v->c.acc);
    p->kernel->run(&v->c);
    if (last)
        p->finish(p, part, row, v->c.m, v->c.acc);
}

static size_t panel_bytes(const struct product *p, int64_t n)
{
    return (size_t)n * PANEL * (p->kernel->form == FORM_F32 ? 4 : 2);
}

/* Panels of k in [begin, begin + n): built before by build_part, or now. */
static int panels_of(const struct visit *v, int64_t part, int64_t begin, int64_t n, const void **panels)
{
    const struct product *p = v->p;
    if (!v->ready)
        return p->panels(p, part, begin, n, v->room, panels);
    for (int i = 0; i < p->built; i++)
        panels[i] = v->ready + (size_t)((part - p->first_part) * p->built + i) * panel_bytes(p, p->k);
    return p->built;
}

static void one_part(struct visit *v, int64_t part, int64_t row, int64_t end)
{
    const struct product *p = v->p;
    int64_t step = p->built && !v->ready ? ROOM_BYTES / (int64_t)panel_bytes(p, p->built) / (2 * CHUNK) * (2 * CHUNK) : p->k;
    if (step < p->k)
        finish_pending(v);
    for (int64_t begin = 0; begin < p->k || begin == 0; begin += step) {
        v->c.begin = begin;
        v->c.n = p->k - begin < step ? p->k - begin : step;
        v->c.n_panel = panels_of(v, part, begin, v->c.n, v->c.panels);
        int last = begin + v->c.n >= p->k;
        for (int64_t r = row; r < end; r += p->kernel->rows)
            if (begin == 0 && last)
                whole_block(v, part, r, end);
            else
                stretch_of_block(v, part, r, end, r - row, last);
        if (last)
            break;
    }
}

static void piece_run(void *context, int piece, int worker)
{
    const struct deal *d = context;
    const struct product *p = d->p;
    int64_t group = piece / d->n_share, share = piece % d->n_share;
    int64_t row = p->first_row + group * d->group_rows, end = row + d->group_rows < p->last_row ? row + d->group_rows : p->last_row;
    struct visit v = {.p = p, .c = {.a_row = p->a_row, .a_step = p->a_step, .a_half = p->a_half}, .ready = d->ready, .room = cpu_scratch(d->q, worker)};
    v.acc = (float *)(v.room + ROOM_BYTES);
    int64_t n_part = p->last_part - p->first_part;
    for (int64_t part = share * n_part / d->n_share; part < (share + 1) * n_part / d->n_share; part++)
        one_part(&v, p->first_part + part, row, end);
    finish_pending(&v);
    if (p->kernel->leave)
        p->kernel->leave();
}

static void prepare_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct product *p = context;
    int64_t row = p->first_row + (int64_t)piece * p->kernel->rows, left = p->last_row - row;
    p->prepare(p, row, left < p->kernel->rows ? (int)left : p->kernel->rows, (char *)p->a + (size_t)piece * p->a_block);
}

static void build_part(void *context, int piece, int worker)
{
    (void)worker;
    const struct deal *d = context;
    const void *panels[MAX_PANELS];
    d->p->panels(d->p, d->p->first_part + piece, 0, d->p->k, d->ready + (size_t)(piece * d->p->built) * panel_bytes(d->p, d->p->k), panels);
}

static void prepare_rows(struct queue *q, struct product *p)
{
    int64_t m = p->last_row - p->first_row, n_block = (m + p->kernel->rows - 1) / p->kernel->rows;
    if (m * p->k >= 1 << 15)
        pool_run(cpu_pool(q), (int)n_block, prepare_block, p);
    else
        for (int i = 0; i < n_block; i++)
            prepare_block(p, i, 0);
}

static void run_parts(struct deal *d)
{
    const struct product *p = d->p;
    int rows = p->kernel->rows, n_thread = pool_size(cpu_pool(d->q));
    int64_t m = p->last_row - p->first_row, n_part = p->last_part - p->first_part, row_bytes = (int64_t)p->a_block / rows + 1;
    int64_t most = p->built && !d->ready ? PART_ROWS : GROUP_BYTES / row_bytes;
    if (most < GROUP_ROWS)
        most = 2 * GROUP_BYTES / row_bytes < GROUP_ROWS ? 2 * GROUP_BYTES / row_bytes : GROUP_ROWS;
    d->group_rows = most > PART_ROWS ? PART_ROWS / rows * rows : most < rows ? rows : most / rows * rows;
    d->n_group = (m + d->group_rows - 1) / d->group_rows;
    d->group_rows = ((m + d->n_group - 1) / d->n_group + rows - 1) / rows * rows;
    d->n_group = (m + d->group_rows - 1) / d->group_rows;
    d->n_share = (PIECES_PER_THREAD * n_thread + d->n_group - 1) / d->n_group;
    if (n_thread == 1 || d->n_share > n_part)
        d->n_share = n_thread == 1 ? 1 : n_part;
    if (d->ready)
        pool_run(cpu_pool(d->q), (int)n_part, build_part, d);
    pool_run(cpu_pool(d->q), (int)(d->n_group * d->n_share), piece_run, d);
}

/* With many rows panels are built once for all, as many at once as there is room for. */
static void run_rows(struct queue *q, struct product *p)
{
    struct deal d = {.q = q, .p = p};
    int64_t at_once = p->n_part;
    size_t bytes = p->built ? panel_bytes(p, p->k) * (size_t)p->built : 0;
    if (bytes && bytes <= PANELS_BYTES / 4 && p->last_row - p->first_row > 2 * p->kernel->rows) {
        d.ready = (char *)cpu_shared(q) + A_BYTES;
        at_once = (int64_t)(PANELS_BYTES / bytes);
    }
    for (p->first_part = 0; p->first_part < p->n_part; p->first_part = p->last_part) {
        p->last_part = p->first_part + at_once < p->n_part ? p->first_part + at_once : p->n_part;
        run_parts(&d);
    }
}

void product_run(struct queue *q, struct product *p)
{
    if (p->m <= 0 || p->n_part <= 0)
        return;
    int64_t at_once = p->m;
    p->a_block = block_bytes(p);
    if (p->prepare) {
        p->a = cpu_shared(q);
        p->a_row = 64, p->a_step = 1024, p->a_half = 32 * p->k;
        if (p->kernel->form == FORM_BYTES)
            p->a_row = (int64_t)quantised_row_bytes(p);
        if (p->a_block)
            at_once = (int64_t)(A_BYTES / p->a_block) * p->kernel->rows;
    }
    for (p->first_row = 0; p->first_row < p->m; p->first_row = p->last_row) {
        p->last_row = p->first_row + at_once < p->m ? p->first_row + at_once : p->m;
        if (p->prepare)
            prepare_rows(q, p);
        run_rows(q, p);
    }
}
