/* SPDX-License-Identifier: Apache-2.0 */
/* Deals a product to the threads: pieces are (group of rows) x (group of parts). A group's rows fit a core's
 * second-level cache and are read again for each of the piece's panels; a panel is read once a piece. */
#include "cpu/linear_q8.h"

#include "base/clamp.h"

#include <string.h>
#include <unistd.h>

enum {
    GROUP_BYTES = 256 << 10,
    ONE_GROUP_BYTES = 384 << 10,
    FAR_PANELS_BYTES = 8 << 20,
    FEW_PANELS_BYTES = 64 << 10,
    ROOM_BYTES = 3 << 20,
    PANELS_BYTES = 12 << 20,
    A_BYTES = CPU_SHARED - PANELS_BYTES
};
_Static_assert((int64_t)N_MOST * 2 * 32 <= A_BYTES && ((int64_t)N_MOST * 4 + 128) * 12 <= A_BYTES,
               "a block of rows of dx, tiles of bf16 or floats");
/* the most pieces; the fewest multiplications of one; rows a thread, from which on it keeps to its own */
enum { PIECES_PER_THREAD = 16, PIECE_PRODUCTS = 1 << 18, ROWS_APART = 48, AHEAD_BLOCKS = 12 };
/* Tiles multiply a byte from memory with more rows and columns than the second cache holds of so great a K: LONG_STEP
 * of it at a time, and LONG_PARTS panels side by side. */
enum { LONG_K = 4096, LONG_STEP = 2 * STRETCH, LONG_PARTS = MAX_PANELS };

static const struct product_kernel *quantised_kernel(enum cpu_isa isa)
{
#if defined(__x86_64__)
    if (isa >= ISA_AVX512BF16)
        return &kernel_q8_vnni;
    if (isa >= ISA_AVX2)
        return &kernel_q8_avx2;
    if (isa_has_fma())
        return &kernel_q8_fma;
#endif
    (void)isa;
    return &kernel_q8_generic;
}

#if defined(__x86_64__)
/* One row waits for memory, whatever multiplies. */
static const struct product_kernel *pairs_kernel(const struct queue *q, int rows)
{
    return cpu_pairs(q) == PAIRS_FMA && rows > 1 ? &kernel_halves_avx512 : &kernel_avx512bf16;
}
#endif

const struct product_kernel *product_kernel(const struct queue *q, enum dtype t, int rows, int streaming)
{
    enum cpu_isa isa = cpu_isa(q);
    (void)streaming; /* only some instruction sets have a kernel of their own for it, or for rows */
    (void)rows;
    if (dtype_is_quantised(t))
        return quantised_kernel(isa);
    switch (isa) {
#if defined(__x86_64__)
    case ISA_AMX: return t == DTYPE_BF16 && !streaming ? &kernel_amx : &kernel_avx512;
    case ISA_AVX512BF16: return t == DTYPE_BF16 ? pairs_kernel(q, rows) : &kernel_avx512;
    case ISA_AVX512: return &kernel_avx512;
    case ISA_AVX2: return &kernel_avx2;
    default: return isa_has_fma() ? &kernel_generic_fma : &kernel_generic;
#elif defined(__aarch64__)
    case ISA_NEON: return &kernel_neon;
    default: return &kernel_generic;
#else
    default: return &kernel_generic;
#endif
    }
}

static void put_f32(const struct product *p, float *to, const float *row, int64_t n, int round)
{
    if (round)
        p->kernel->lanes->round(row, n, to);
    else
        memcpy(to, row, (size_t)n * sizeof *to);
    memset(to + n, 0, (size_t)(p->k - n) * sizeof *to);
}

static void put_tiles(const struct product *p, uint16_t *tiles, int r, const uint16_t *row, int64_t n)
{
    for (int64_t k = 0; k < p->k; k += 32) {
        uint16_t *to = tiles + tile_at(p->k, r, k);
        int64_t count = n - k < 32 ? n - k : 32;
        if (count < 32)
            memset(to, 0, 64);
        if (count > 0)
            memcpy(to, row + k, (size_t)count * 2);
    }
}

void product_put_row_bf16(const struct product *p, char *to, int r, const uint16_t *row, int64_t n)
{
    uint32_t *words = (uint32_t *)row_at(p, to, r);
    switch (p->kernel->form) {
    case FORM_F32:
    case FORM_HALVES:
        p->kernel->lanes->from_bf16(row, n, (float *)words);
        memset(words + n, 0, (size_t)(p->k - n) * 4);
        break;
    case FORM_PAIRS:
        memcpy(words, row, (size_t)n * 2);
        memset((uint16_t *)words + n, 0, (size_t)(p->k - n) * 2);
        break;
    case FORM_TILES: put_tiles(p, (uint16_t *)to, r, row, n); break;
    case FORM_BYTES: /* kernel->quantise */ break;
    }
}

void product_put_row(const struct product *p, char *to, int r, const float *row, int64_t n, int round)
{
    switch (p->kernel->form) {
    case FORM_F32:
    case FORM_HALVES: put_f32(p, (float *)row_at(p, to, r), row, n, round); break;
    case FORM_PAIRS:
        p->kernel->lanes->to_bf16(row, n, (uint16_t *)row_at(p, to, r));
        memset((uint16_t *)row_at(p, to, r) + n, 0, (size_t)(p->k - n) * 2);
        break;
    case FORM_TILES: p->kernel->put(row, n, p->k, (uint16_t *)to + tile_at(p->k, r, 0)); break;
    case FORM_BYTES: break;
    }
}

static int64_t row_bytes(const struct product *p)
{
    switch (p->kernel->form) {
    case FORM_BYTES: return (int64_t)q8_row_bytes(p->k);
    case FORM_F32:
    case FORM_HALVES: return p->k * 4;
    default: return p->k * 2;
    }
}

/* Whether sums of a stretch of K at a time are put down in between, of several panels side by side. */
static int is_long(const struct product *p)
{
    return p->kernel->form == FORM_TILES && p->part_panels == 1 && p->k > LONG_K &&
           p->last_row - p->first_row > 2 * p->kernel->rows;
}

/* Work in order: group by group of rows, in each part by part; pieces are equal stretches of that line. */
struct deal {
    struct queue *q;
    const struct product *p;
    char *ready; /* panels built for all threads, or NULL */
    int64_t group_rows, n_group, n_piece;
    int block_rows; /* of a call */
};

static const char *rows_from(const struct product *p, int64_t row)
{
    if (!p->prepare)
        return p->a + row * p->a_row;
    if (p->kernel->form == FORM_TILES)
        return p->a + (row - p->first_row) / p->kernel->rows * (p->kernel->rows * p->k * 2);
    return p->a + (row - p->first_row) * p->a_row;
}

/* A thread at one piece. With tiles a block's sums are finished after the next block's have been started on their way,
 * which hides their latency. */
struct visit {
    const struct deal *d;
    const struct product *p;
    struct product_call c;
    char *room;
    float *acc;
    int slot, n_part; /* parts at once, from part on */
    int64_t part;
    /* m 0: none */
    struct {
        int64_t part, row;
        int m, n_part;
        const float *acc;
    } pending;
};

static void finish_parts(const struct product *p, int64_t part, int n_part, int64_t row, int m, const float *acc)
{
    for (int i = 0; i < n_part; i++)
        p->finish(p, part + i, row, m, acc + i * PANEL);
}

static void finish_pending(struct visit *v)
{
    if (v->pending.m)
        finish_parts(v->p, v->pending.part, v->pending.n_part, v->pending.row, v->pending.m, v->pending.acc);
    v->pending.m = 0;
}

static void start_parts(const struct product *p, int64_t part, int n_part, int64_t row, int m, float *acc)
{
    for (int i = 0; p->start && i < n_part; i++)
        p->start(p, part + i, row, m, acc + i * PANEL);
}

static void enter(struct visit *v, int64_t row, int64_t end)
{
    int m = end - row < v->d->block_rows ? (int)(end - row) : v->d->block_rows;
    if (v->p->kernel->enter && v->c.m != m)
        v->p->kernel->enter(m);
    v->c.m = m;
    v->c.a = rows_from(v->p, row);
}

/* All of K at once. */
static void whole_block(struct visit *v, int64_t row, int64_t end)
{
    const struct product *p = v->p;
    int64_t part = v->part;
    int n_part = v->n_part;
    enter(v, row, end);
    v->c.acc = p->place && p->place(p, part + n_part - 1, row, &v->c.acc_stride)
                   ? p->place(p, part, row, &v->c.acc_stride)
                   : NULL;
    if (v->c.acc) {
        v->c.first = !p->adds;
        v->c.past_caches = p->past_caches;
        p->kernel->run(&v->c);
        v->c.past_caches = 0;
        return;
    }
    v->c.acc = v->acc + (v->slot ^= 1) * p->kernel->rows * ACC_STRIDE;
    v->c.acc_stride = ACC_STRIDE;
    v->c.first = !p->start;
    start_parts(p, part, n_part, row, v->c.m, v->c.acc);
    for (int i = 0; p->fetch && i < n_part; i++)
        p->fetch(p, part + i, row, v->c.m);
    p->kernel->run(&v->c);
    finish_pending(v);
    v->pending.part = part;
    v->pending.n_part = n_part;
    v->pending.row = row;
    v->pending.m = v->c.m;
    v->pending.acc = v->c.acc;
    if (p->kernel->form != FORM_TILES)
        finish_pending(v);
}

/* A stretch of K: the sums of a group's rows are kept between stretches. */
static void stretch_of_block(struct visit *v, int64_t row, int64_t end, int64_t at, int last)
{
    const struct product *p = v->p;
    enter(v, row, end);
    v->c.acc = v->acc + at * ACC_STRIDE;
    v->c.acc_stride = ACC_STRIDE;
    v->c.first = v->c.begin == 0 && !p->start;
    if (v->c.begin == 0)
        start_parts(p, v->part, v->n_part, row, v->c.m, v->c.acc);
    p->kernel->run(&v->c);
    if (last)
        finish_parts(p, v->part, v->n_part, row, v->c.m, v->c.acc);
}

static size_t panel_bytes(const struct product *p, int64_t n)
{
    return (size_t)n * PANEL * (p->kernel->form == FORM_F32 ? 4 : 2);
}

/* Panels of k in [begin, begin + n) of n_part parts: built before by build_part, or now, or as they lie. */
static void panels_of(struct visit *v, int64_t begin, int64_t n)
{
    const struct product *p = v->p;
    int64_t part = v->part;
    int n_part = v->n_part;
    const void **panels = v->c.panels;
    v->c.begin = begin;
    v->c.n = n;
    v->c.n_panel = n_part * p->part_panels;
    for (int i = 0; i < v->c.n_panel && v->d->ready; i++)
        panels[i] = v->d->ready + (size_t)((part - p->first_part) * p->part_panels + i) * panel_bytes(p, p->k) +
                    panel_bytes(p, begin);
    for (int i = 0; i < n_part && !v->d->ready; i++)
        p->panels(p, part + i, begin, n, v->room + (size_t)i * panel_bytes(p, n), panels + i * p->part_panels);
    for (int i = 0; i < n_part && p->types; i++)
        p->types(p, part + i, v->c.types + i * p->part_panels);
}

/* The most that a panel of these parts takes. */
static int64_t ahead_of(const struct product *p, int64_t next, int n_next)
{
    enum dtype types[MAX_PANELS];
    size_t most = 0;
    if (!p->types)
        return (int64_t)panel_bytes(p, p->k);
    for (int i = 0; i < n_next; i++) {
        p->types(p, next + i, types);
        for (int j = 0; j < p->part_panels; j++) {
            size_t bytes = (size_t)(p->k / quantised_span(types[j])) * quantised_block(types[j]);
            most = bytes > most ? bytes : most;
        }
    }
    return (int64_t)most;
}

/* The parts that come next, to be fetched from memory while n_block blocks are computed. One block is bound by memory
 * anyway; many leave time enough. */
static void look_ahead(struct visit *v, int64_t next, int n_next, int64_t n_block)
{
    const struct product *p = v->p;
    const void *panels[MAX_PANELS];
    v->c.ahead_bytes = 0;
    for (int i = 0; i < MAX_PANELS; i++)
        v->c.ahead[i] = v->c.panels[0];
    if ((p->built && !v->d->ready) || n_next < 1 || v->c.n < p->k || n_block < p->kernel->ahead_least ||
        n_block > AHEAD_BLOCKS)
        return;
    for (int i = 0; i < n_next && v->d->ready; i++)
        for (int j = 0; j < p->part_panels; j++)
            v->c.ahead[i * p->part_panels + j] =
                v->d->ready + (size_t)((next + i - p->first_part) * p->part_panels + j) * panel_bytes(p, p->k);
    for (int i = 0; i < n_next && !v->d->ready; i++) {
        int count = p->panels(p, next + i, 0, p->k, NULL, panels);
        for (int j = 0; j < count; j++)
            v->c.ahead[i * p->part_panels + j] = panels[j];
    }
    v->c.ahead_bytes = (ahead_of(p, next, n_next) + n_block - 1) / n_block;
}

static void some_parts(struct visit *v, int64_t row, int64_t end, int n_next)
{
    const struct product *p = v->p;
    int64_t step = is_long(p) ? LONG_STEP : p->k;
    if (p->built && !v->d->ready)
        step = ROOM_BYTES / (int64_t)panel_bytes(p, v->n_part * p->part_panels) / STRETCH * STRETCH;
    if (step < p->k)
        finish_pending(v);
    for (int64_t begin = 0; begin < p->k || begin == 0; begin += step) {
        int last = begin + step >= p->k;
        panels_of(v, begin, last ? p->k - begin : step);
        look_ahead(v, v->part + v->n_part, n_next, (end - row + v->d->block_rows - 1) / v->d->block_rows);
        for (int64_t r = row; r < end; r += v->d->block_rows) {
            if (begin == 0 && last)
                whole_block(v, r, end);
            else
                stretch_of_block(v, r, end, r - row, last);
            for (int i = 0; i < MAX_PANELS; i++)
                v->c.ahead[i] += v->c.ahead_bytes;
        }
        if (last)
            break;
    }
}

/* Parts [part, end) of a group: several at once where rows are few, in equal shares. `later`: parts behind them that
 * the same thread is likely to come to next. */
static void some_of_group(struct visit *v, int64_t group, int64_t part, int64_t end, int64_t later)
{
    const struct product *p = v->p;
    int64_t row = p->first_row + group * v->d->group_rows,
            last = row + v->d->group_rows < p->last_row ? row + v->d->group_rows : p->last_row;
    int m = last - row < v->d->block_rows ? (int)(last - row) : v->d->block_rows,
        most = p->part_panels > 1 || !p->kernel->at_once ? 1 : p->kernel->at_once(m);
    most = is_long(p) ? LONG_PARTS : most;
    for (int64_t left = (end - part + most - 1) / most; left > 0; left--) {
        int n = (int)((end - part + left - 1) / left), after = (int)clamp_int64(end - part - n + later, 0, n);
        v->part = p->first_part + part;
        v->n_part = n;
        some_parts(v, row, last, after);
        part += n;
    }
}

static void piece_run(void *context, int piece, int worker)
{
    const struct deal *d = context;
    const struct product *p = d->p;
    struct visit v = {.d = d,
                      .p = p,
                      .c = {.a_row = p->a_row, .a_step = p->a_step, .a_half = p->a_half},
                      .room = cpu_scratch(d->q, worker)};
    v.acc = (float *)(v.room + ROOM_BYTES);
    int64_t n_part = p->last_part - p->first_part, all = n_part * d->n_group, at = piece * all / d->n_piece,
            end = (piece + 1) * all / d->n_piece,
            stretch = pool_stretch_end(cpu_pool(d->q), (int)d->n_piece, piece) * all / d->n_piece;
    while (at < end) {
        int64_t group = at / n_part, group_end = (group + 1) * n_part, until = end < group_end ? end : group_end,
                goes_on = stretch < group_end ? stretch : group_end;
        some_of_group(&v, group, at - group * n_part, until - group * n_part, goes_on - until);
        at = until;
    }
    finish_pending(&v);
    if (p->kernel->leave)
        p->kernel->leave();
}

static int rows_to_prepare(const struct product *p)
{
    return p->prepare_rows && p->kernel->form != FORM_TILES ? p->prepare_rows : p->kernel->rows;
}

static void prepare_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct product *p = context;
    int rows = rows_to_prepare(p);
    int64_t row = p->first_row + (int64_t)piece * rows, left = p->last_row - row;
    p->prepare(p, row, left < rows ? (int)left : rows, (char *)rows_from(p, row));
}

static void build_part(void *context, int piece, int worker)
{
    (void)worker;
    const struct deal *d = context;
    const void *panels[MAX_PANELS];
    d->p->panels(d->p, d->p->first_part + piece, 0, d->p->k,
                 d->ready + (size_t)(piece * d->p->part_panels) * panel_bytes(d->p, d->p->k), panels);
}

static void prepare_rows(struct queue *q, struct product *p)
{
    int64_t m = p->last_row - p->first_row, n_block = (m + rows_to_prepare(p) - 1) / rows_to_prepare(p);
    if (m * p->k >= 1 << 15)
        pool_run(cpu_pool(q), (int)n_block, prepare_block, p);
    else
        for (int i = 0; i < n_block; i++)
            prepare_block(p, i, 0);
}

/* What a group's rows may take. Panels that come from memory for every group are worth half a second-level cache, and
 * any that tiles wait for. */
static int64_t group_bytes(const struct product *p, int64_t panels)
{
    int64_t half = sysconf(_SC_LEVEL2_CACHE_SIZE) / 2;
    int far = panels > FAR_PANELS_BYTES || p->kernel->form == FORM_TILES;
    return far && half > ONE_GROUP_BYTES ? half : GROUP_BYTES;
}

/* Groups of equal size that fit the cache beside panels and sums, in blocks of equal size; a few rows more are not
 * worth reading the panels twice. Where rows are many and the weights are of few bytes, each thread has its own groups,
 * the rows that it has in other operators too: what another wrote comes slowly where they share no cache. */
static void deal_rows(struct deal *d, int n_thread)
{
    const struct product *p = d->p;
    int rows = p->kernel->rows;
    int64_t panels = (p->last_part - p->first_part) * p->part_panels * (int64_t)panel_bytes(p, p->k),
            m = p->last_row - p->first_row, bytes = m * row_bytes(p), group = group_bytes(p, panels),
            most = bytes <= ONE_GROUP_BYTES || bytes <= group ? m + rows - 1 : group / (row_bytes(p) + 1);
    if (p->kernel->form != FORM_TILES &&
        (p->past_caches ? !d->ready || panels <= ONE_GROUP_BYTES : panels <= FEW_PANELS_BYTES))
        most = 4 * rows; /* panels are in the cache whatever the group; the output is then written nearly in order */
    most = is_long(p) ? PART_ROWS : clamp_int64(most, rows, PART_ROWS) / rows * rows;
    d->n_group = (m + most - 1) / most;
    if (m >= n_thread * ROWS_APART && p->kernel->form == FORM_BYTES)
        d->n_group = round_up(d->n_group, n_thread);
    d->block_rows = rows;
    d->group_rows = (m + d->n_group - 1) / d->n_group;
    if (p->kernel->form == FORM_TILES) {
        d->group_rows = round_up(d->group_rows, rows);
    } else {
        int64_t n_block = (d->group_rows + rows - 1) / rows;
        d->block_rows = (int)((d->group_rows + n_block - 1) / n_block);
    }
    d->n_group = (m + d->group_rows - 1) / d->group_rows;
}

static void run_parts(struct deal *d)
{
    const struct product *p = d->p;
    int n_thread = pool_size(cpu_pool(d->q));
    int64_t m = p->last_row - p->first_row, n_part = p->last_part - p->first_part;
    deal_rows(d, n_thread);
    int64_t products = (m < 4 ? 4 : m) * p->k * n_part * p->part_panels * PANEL,
            each = products / n_thread / PIECE_PRODUCTS;
    d->n_piece = n_thread == 1 ? 1 : n_thread * clamp_int64(each, 1, PIECES_PER_THREAD);
    int64_t most = (is_long(p) ? (n_part + LONG_PARTS - 1) / LONG_PARTS : n_part) * d->n_group;
    d->n_piece = d->n_piece < most ? d->n_piece : most;
    if (d->ready)
        pool_run(cpu_pool(d->q), (int)n_part, build_part, d);
    pool_run(cpu_pool(d->q), (int)d->n_piece, piece_run, d);
}

/* With many rows panels are built once for all, as many at once as there is room for. */
static void run_rows(struct queue *q, struct product *p)
{
    struct deal d = {.q = q, .p = p};
    int64_t at_once = p->n_part;
    size_t bytes = p->built ? panel_bytes(p, p->k) * (size_t)p->part_panels : 0;
    if (bytes && bytes <= PANELS_BYTES / 4 && p->last_row - p->first_row > 2 * p->kernel->rows) {
        d.ready = (char *)cpu_shared(q) + A_BYTES;
        at_once = (int64_t)(PANELS_BYTES / bytes);
    }
    for (p->first_part = 0; p->first_part < p->n_part; p->first_part = p->last_part) {
        p->last_part = p->first_part + at_once < p->n_part ? p->first_part + at_once : p->n_part;
        run_parts(&d);
    }
}

/* Bytes between prepared rows: an odd number of cache lines, so that rows begin in different sets of the first
 * cache. */
static int64_t prepared_row(const struct product *p)
{
    return round_up(row_bytes(p), 64) | 64;
}

void product_run(struct queue *q, struct product *p)
{
    if (p->m <= 0 || p->n_part <= 0)
        return;
    int64_t at_once = p->m;
    if (p->prepare) {
        int tiles = p->kernel->form == FORM_TILES;
        p->a = cpu_shared(q);
        p->a_row = tiles ? 64 : prepared_row(p);
        p->a_step = 1024;
        p->a_half = 32 * p->k;
        int64_t block = p->kernel->rows * (tiles ? p->k * 2 : p->a_row);
        if (block)
            at_once = A_BYTES / block * p->kernel->rows;
    }
    for (p->first_row = 0; p->first_row < p->m; p->first_row = p->last_row) {
        p->last_row = p->first_row + at_once < p->m ? p->first_row + at_once : p->m;
        if (p->prepare)
            prepare_rows(q, p);
        run_rows(q, p);
    }
}
