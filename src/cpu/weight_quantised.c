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

/* Where one output's words of four bytes stand: at `to`, a panel's width apart. */
static inline uint32_t word_at(const unsigned char *p, int i)
{
    uint32_t word;
    memcpy(&word, p + 4 * i, 4);
    return word;
}
static inline void put_word(char *to, int i, uint32_t word)
{
    memcpy(to + i * (4 * PANEL), &word, 4);
}

enum { LOW_HALVES = 0x0f0f0f0f, ONES = 0x01010101, THREES = 0x03030303 };

/* d and m at src to their places; returns the bytes they take there. */
static size_t take_halves(enum dtype t, const unsigned char *src, int lane, char *block)
{
    memcpy(block + 2 * lane, src, 2);
    if (!quantised_has_min(t))
        return 2;
    memcpy(block + 2 * PANEL + 2 * lane, src + 2, 2);
    return 4;
}

/* The low four bits of 32 k, from the low (shift 0) or high halves of 32 bytes. */
static void take_nibbles(const unsigned char *src, int shift, char *to)
{
    for (int i = 0; i < 4; i++)
        put_word(to, i, (word_at(src, i) >> shift & LOW_HALVES) | (word_at(src, i + 4) >> shift & LOW_HALVES) << 4);
}

static void take_32(enum dtype t, const unsigned char *src, int lane, char *block)
{
    char *to = block + quantised_head(t) + 4 * lane;
    src += take_halves(t, src, lane, block);
    if (t == DTYPE_Q8) {
        for (int i = 0; i < 8; i++)
            put_word(to, i, word_at(src, i) ^ 0x80808080u);
        return;
    }
    if (quantised_bits(t) == 5) {
        uint32_t bits = word_at(src, 0), word = 0;
        for (int i = 0; i < 32; i++)
            word |= (bits >> i & 1) << (i % 4 * 8 + i / 4);
        put_word(to + NIBBLES, 0, word);
        src += 4;
    }
    for (int i = 0; i < 4; i++)
        put_word(to, i, word_at(src, i));
}

/* Eight scales and minima of six bits, which GGUF has in 12 bytes: the first four's whole, of the others the low four
 * bits in the last four bytes and the high two over those. */
static void take_sub_scales(const unsigned char *src, int lane, char *to)
{
    for (int j = 0; j < 8; j++, to += SUB_SCALES) {
        int s = src[j & 3] & 63, m = src[4 + (j & 3)] & 63;
        if (j >= 4) {
            s = (src[4 + j] & 15) | (src[j - 4] >> 6) << 4;
            m = src[4 + j] >> 4 | (src[j] >> 6) << 4;
        }
        uint8_t *low = (uint8_t *)to + PANEL + lane / 2;
        to[lane] = (char)(s | m >> 4 << 6);
        *low = (uint8_t)(lane % 2 ? (*low & 15) | (m & 15) << 4 : (*low & 0xf0) | (m & 15));
    }
}

static void take_q45_k(enum dtype t, const unsigned char *src, int lane, char *block)
{
    const unsigned char *high = src + 16, *low = t == DTYPE_Q5_K ? high + 32 : high;
    char *to = block + quantised_head(t) + 4 * lane;
    take_halves(t, src, lane, block);
    take_sub_scales(src + 4, lane, block + 4 * PANEL);
    for (int part = 0; part < 8; part++, to += quantised_body(t)) {
        take_nibbles(low + part / 2 * 32, part % 2 * 4, to);
        uint32_t word = 0;
        for (int i = 0; t == DTYPE_Q5_K && i < 8; i++)
            word |= (word_at(high, i) >> part & ONES) << i;
        if (t == DTYPE_Q5_K)
            put_word(to + NIBBLES, 0, word);
    }
}

static void take_q6_k(const unsigned char *src, int lane, char *block)
{
    const unsigned char *high = src + 128;
    char *to = block + quantised_head(DTYPE_Q6_K) + 4 * lane;
    take_halves(DTYPE_Q6_K, src + 208, lane, block);
    for (int i = 0; i < 16; i++)
        block[2 * PANEL + i * PANEL + lane] = (char)src[192 + i];
    for (int part = 0; part < 8; part++, to += quantised_body(DTYPE_Q6_K)) {
        int quarter = part % 4;
        take_nibbles(src + part / 4 * 64 + quarter % 2 * 32, quarter / 2 * 4, to);
        for (int h = 0; h < 2; h++) {
            uint32_t word = 0;
            for (int i = 0; i < 4; i++)
                word |= (word_at(high + part / 4 * 32, 4 * h + i) >> 2 * quarter & THREES) << 2 * i;
            put_word(to + NIBBLES, h, word);
        }
    }
}

void quantised_take(const struct weight *w, int64_t row, int64_t n_row, const void *src)
{
    int64_t panel = row / PANEL;
    enum dtype t = panel_dtype(w, panel);
    size_t size = quantised_file_block(t), row_bytes = (size_t)(w->k / quantised_span(t)) * size;
    char *block = panel_quantised(w, panel, 0);
    for (int64_t b = 0; b < w->k / quantised_span(t); b++, block += quantised_block(t))
        for (int64_t i = 0; i < n_row; i++) {
            const unsigned char *from = (const unsigned char *)src + (size_t)i * row_bytes + (size_t)b * size;
            int lane = (int)((row + i) % PANEL);
            if (t == DTYPE_Q6_K)
                take_q6_k(from, lane, block);
            else if (quantised_is_k(t))
                take_q45_k(t, from, lane, block);
            else
                take_32(t, from, lane, block);
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
