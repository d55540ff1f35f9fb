/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of quantised weights: made from floats (int8), taken from a GGUF file's blocks as they are, and given back. A
 * panel's blocks are the file's numbers with outputs side by side: words of four bytes are moved, and where GGUF deals
 * the bits of 64 or 128 k to a byte they are dealt anew to those of 32. */
#include "cpu/weight.h"

#include "base/clamp.h"

#include <string.h>

/* One block of 32 k (fewer at the end) of one output. The nearest integer, ties to even, by adding 1.5 * 2^23. */
static void quantise(const float *src, int64_t n, int64_t lane, char *block)
{
    uint8_t *body = (uint8_t *)block + quantised_head(DTYPE_Q8);
    float largest = 0;
    for (int64_t i = 0; i < n; i++) {
        float size = src[i] < 0 ? -src[i] : src[i];
        largest = size > largest ? size : largest;
    }
    uint16_t scale = f32_to_f16(largest / 127);
    float unit = f16_to_f32(scale);
    memcpy(block + 2 * lane, &scale, 2);
    for (int64_t i = 0; i < n; i++) {
        float q = clamp_f32(unit > 0 ? src[i] / unit : 0, -127, 127);
        body[i / 4 * (4 * PANEL) + 4 * lane + i % 4] = (uint8_t)(128 + (int)(q + 0x1.8p23f - 0x1.8p23f));
    }
}

void quantised_pack(const struct weight *w, int64_t n, const void *src, enum dtype from)
{
    float part[K_STEP];
    for (int64_t k = 0; k < w->k; k += K_STEP) {
        int64_t count = w->k - k < K_STEP ? w->k - k : K_STEP;
        for (int64_t i = 0; i < count; i++)
            part[i] = from == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)src)[k + i]) : ((const float *)src)[k + i];
        quantise(part, count, n % PANEL, panel_quantised(w, n / PANEL, k));
    }
}

/* The blocks of a panel's outputs at one k, turned: word i of all outputs side by side. A word of an output that is not
 * given is zero. */
struct turned {
    uint32_t words[53][PANEL];
    const unsigned char *src; /* the block of output `first` */
    size_t row_bytes;
    int first, n;
};
enum { LOW_HALVES = 0x0f0f0f0f, ONES = 0x01010101, THREES = 0x03030303 };

/* n words of each, from byte `at` of its block on. */
static void turn(struct turned *t, size_t at, int n)
{
    for (int row = 0; row < t->n; row++) {
        const unsigned char *from = t->src + (size_t)row * t->row_bytes + at;
        for (int i = 0; i < n; i++)
            memcpy(&t->words[i][t->first + row], from + 4 * i, 4);
    }
}

/* The f16 at byte `at` of each. */
static void take_halves(const struct turned *t, size_t at, char *to)
{
    for (int row = 0; row < t->n; row++)
        memcpy(to + 2 * (t->first + row), t->src + (size_t)row * t->row_bytes + at, 2);
}

/* The low four bits of 32 k, from the low (shift 0) or high (4) halves of eight words. */
static void take_nibbles(uint32_t (*restrict words)[PANEL], int shift, uint32_t *restrict to)
{
    for (int i = 0; i < 4; i++, to += PANEL)
        for (int j = 0; j < PANEL; j++)
            to[j] = (words[i][j] >> shift & LOW_HALVES) | (words[i + 4][j] >> shift & LOW_HALVES) << 4;
}

static void take_32(enum dtype type, struct turned *t, char *block)
{
    uint32_t *restrict to = (uint32_t *)(block + quantised_head(type));
    size_t halves = quantised_has_min(type) ? 4 : 2;
    int five = quantised_bits(type) == 5, n = type == DTYPE_Q8 ? 8 : 4;
    uint32_t zero = type == DTYPE_Q8 ? 0x80808080u : 0;
    take_halves(t, 0, block);
    if (halves == 4)
        take_halves(t, 2, block + 2 * PANEL);
    turn(t, halves, n + five);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < PANEL; j++)
            to[i * PANEL + j] = t->words[five + i][j] ^ zero;
    to += NIBBLES / 4;
    for (int j = 0; five && j < PANEL; j++)
        to[j] = 0;
    for (int i = 0; five && i < 32; i++)
        for (int j = 0; j < PANEL; j++)
            to[j] |= (t->words[0][j] >> i & 1) << (i % 4 * 8 + i / 4);
}

/* Eight scales and minima of six bits, which GGUF has in 12 bytes: the first four's whole, of the others the low four
 * bits in the last four bytes and the high two over those. */
static void take_sub_scales(uint32_t (*restrict w)[PANEL], uint8_t *restrict to)
{
    for (int part = 0; part < 8; part++, to += SUB_SCALES) {
        uint32_t scales[PANEL], mins[PANEL];
        int shift = part % 4 * 8;
        for (int j = 0; part < 4 && j < PANEL; j++) {
            scales[j] = w[0][j] >> shift & 63;
            mins[j] = w[1][j] >> shift & 63;
        }
        for (int j = 0; part >= 4 && j < PANEL; j++) {
            scales[j] = (w[2][j] >> shift & 15) | (w[0][j] >> shift >> 6 & 3) << 4;
            mins[j] = (w[2][j] >> shift >> 4 & 15) | (w[1][j] >> shift >> 6 & 3) << 4;
        }
        for (int j = 0; j < PANEL; j++)
            to[j] = (uint8_t)(scales[j] | mins[j] >> 4 << 6);
        for (int j = 0; j < PANEL / 2; j++)
            to[PANEL + j] = (uint8_t)((mins[2 * j] & 15) | (mins[2 * j + 1] & 15) << 4);
    }
}

/* Bit `shift` of the bytes of eight words. */
static void take_fifths(uint32_t (*restrict words)[PANEL], int shift, uint32_t *restrict to)
{
    for (int j = 0; j < PANEL; j++)
        to[j] = words[0][j] >> shift & ONES;
    for (int i = 1; i < 8; i++)
        for (int j = 0; j < PANEL; j++)
            to[j] |= (words[i][j] >> shift & ONES) << i;
}

static void take_q45_k(enum dtype type, struct turned *t, char *block)
{
    enum { SCALES = 3, HIGH = 8, LOW = 32 };
    int five = type == DTYPE_Q5_K;
    uint32_t(*high)[PANEL] = t->words + SCALES, (*low)[PANEL] = high + (five ? HIGH : 0);
    uint32_t *restrict to = (uint32_t *)(block + quantised_head(type));
    take_halves(t, 0, block);
    take_halves(t, 2, block + 2 * PANEL);
    turn(t, 4, SCALES + (five ? HIGH : 0) + LOW);
    take_sub_scales(t->words, (uint8_t *)block + 4 * PANEL);
    for (int part = 0; part < 8; part++, to += quantised_body(type) / 4) {
        take_nibbles(low + part / 2 * 8, part % 2 * 4, to);
        if (five)
            take_fifths(high, part, to + NIBBLES / 4);
    }
}

/* Two bits each from bit `shift` of four words' bytes. */
static void take_pairs(uint32_t (*restrict words)[PANEL], int shift, uint32_t *restrict to)
{
    for (int j = 0; j < PANEL; j++)
        to[j] = (words[0][j] >> shift & THREES) | (words[1][j] >> shift & THREES) << 2 |
                (words[2][j] >> shift & THREES) << 4 | (words[3][j] >> shift & THREES) << 6;
}

static void take_q6_k(struct turned *t, char *block)
{
    enum { LOW = 32, HIGH = 16, SCALES = 4 };
    uint32_t *restrict to = (uint32_t *)(block + quantised_head(DTYPE_Q6_K));
    uint8_t *restrict scales = (uint8_t *)block + 2 * PANEL;
    take_halves(t, 208, block);
    turn(t, 0, LOW + HIGH + SCALES);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < PANEL; j++)
            scales[i * PANEL + j] = (uint8_t)(t->words[LOW + HIGH + i / 4][j] >> i % 4 * 8);
    for (int part = 0; part < 8; part++, to += quantised_body(DTYPE_Q6_K) / 4) {
        int quarter = part % 4;
        take_nibbles(t->words + part / 4 * 16 + quarter % 2 * 8, quarter / 2 * 4, to);
        for (int h = 0; h < 2; h++)
            take_pairs(t->words + LOW + part / 4 * 8 + 4 * h, 2 * quarter, to + NIBBLES / 4 + h * PANEL);
    }
}

static void take_block(enum dtype type, struct turned *t, char *block)
{
    if (type == DTYPE_Q6_K)
        take_q6_k(t, block);
    else if (quantised_is_k(type))
        take_q45_k(type, t, block);
    else
        take_32(type, t, block);
}

/* Of `n` rows of a table whose rows hold `size` bytes an output: those of the outputs that are given. Returns the
 * table's bytes. */
static size_t merge_rows(const struct turned *t, size_t size, size_t n, char *to, const char *from)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + (i * PANEL + (size_t)t->first) * size, from + (i * PANEL + (size_t)t->first) * size,
               (size_t)t->n * size);
    return n * PANEL * size;
}

/* A block of which not all outputs are given: the others stay. */
static void merge(enum dtype type, const struct turned *t, char *to, const char *from)
{
    size_t at = merge_rows(t, 2, quantised_has_min(type) ? 2 : 1, to, from);
    if (type == DTYPE_Q6_K)
        at += merge_rows(t, 1, 16, to + at, from + at);
    for (int part = 0; type != DTYPE_Q6_K && quantised_is_k(type) && part < 8; part++) {
        at += merge_rows(t, 1, 1, to + at, from + at);
        for (int lane = t->first; lane < t->first + t->n; lane++) {
            int mask = lane % 2 ? 0xf0 : 0x0f;
            to[at + (size_t)lane / 2] =
                (char)((to[at + (size_t)lane / 2] & ~mask) | (from[at + (size_t)lane / 2] & mask));
        }
        at += PANEL / 2;
    }
    merge_rows(t, 4, (quantised_block(type) - at) / (4 * PANEL), to + at, from + at);
}

void quantised_take(const struct weight *w, int64_t row, int64_t n_row, const void *src)
{
    int64_t panel = row / PANEL;
    enum dtype type = panel_dtype(w, panel);
    int64_t n_block = w->k / quantised_span(type);
    size_t size = quantised_file_block(type);
    struct turned t = {.src = src, .row_bytes = (size_t)n_block * size, .first = (int)(row % PANEL), .n = (int)n_row};
    _Alignas(64) char part[PANEL * 210];
    char *block = panel_quantised(w, panel, 0);
    for (int64_t b = 0; b < n_block; b++, block += quantised_block(type), t.src += size) {
        take_block(type, &t, n_row == PANEL ? block : part);
        if (n_row < PANEL)
            merge(type, &t, block, part);
    }
}

/* d q + m in two roundings, as GGUF's own conversion. */
void quantised_row(const struct weight *w, int64_t n, float *out)
{
    enum dtype t = panel_dtype(w, n / PANEL);
    int lane = (int)(n % PANEL), zero = quantised_zero(t), has_min = quantised_has_min(t);
    for (int64_t k = 0; k < w->k; k += 16) {
        const char *block = panel_quantised(w, n / PANEL, k / K_STEP * K_STEP);
        int part = (int)(k % quantised_span(t) / K_STEP);
        const uint8_t *body = (const uint8_t *)block + quantised_head(t) + (size_t)part * quantised_body(t);
        float scale = quantised_scale(t, block, t == DTYPE_Q6_K ? (int)(k % 256 / 16) : part, lane),
              min = has_min ? quantised_min(t, block, part, lane) : 0;
        for (int i = 0; i < 16 && k + i < w->k; i++) {
            float value = scale * (float)(quantised_at(t, body, (int)(k % K_STEP) + i, lane) - zero);
            out[k + i] = has_min ? value + min : value;
        }
    }
}
