/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of weights in blocks of 32 whole numbers with a scale: made from floats (int8), or taken from a GGUF file's
 * blocks as they are. */
#include "cpu/weight.h"

#include "base/clamp.h"

#include <string.h>

static uint8_t *byte_of(const struct weight *w, char *block, int64_t i, int64_t lane)
{
    return (uint8_t *)block + quantised_head(w->dtype) + i / 4 * (4 * PANEL) + lane * 4 + i % 4;
}

/* The low halves of 16 bytes are values 0 to 15, the high ones 16 to 31. */
static int nibble_of(const struct weight *w, char *block, int64_t i, int64_t lane)
{
    return *byte_of(w, block, i % 16, lane) >> (i < 16 ? 0 : 4) & 15;
}

/* One block of 32 k (fewer at the end) of one output. The nearest integer, ties to even, by adding 1.5 * 2^23. */
static void quantise(const struct weight *w, const float *src, int64_t n, int64_t lane, char *block)
{
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
        *byte_of(w, block, i, lane) = (uint8_t)(128 + (int)(q + 0x1.8p23f - 0x1.8p23f));
    }
}

/* GGUF's block has its integers in the order of k (Q8_0), or byte i holds k = i and k = i + 16: a byte stays a byte. */
static void take_block(const struct weight *w, const unsigned char *src, int64_t lane, char *block)
{
    size_t head = quantised_head(w->dtype) / PANEL, count = quantised_file_block(w->dtype) - head;
    for (size_t i = 0; i < head; i += 2)
        memcpy(block + i * PANEL + 2 * (size_t)lane, src + i, 2);
    for (size_t i = 0; i < count; i++)
        *byte_of(w, block, (int64_t)i, lane) = (uint8_t)(src[head + i] + (w->dtype == DTYPE_Q8 ? 128 : 0));
}

void quantised_pack(const struct weight *w, int64_t n, const void *src, enum dtype from)
{
    float part[K_STEP];
    for (int64_t k = 0; k < w->k; k += K_STEP) {
        char *block = panel_quantised(w, n / PANEL, k);
        int64_t count = w->k - k < K_STEP ? w->k - k : K_STEP;
        if (dtype_is_quantised(from)) {
            take_block(w, (const unsigned char *)src + (size_t)(k / K_STEP) * quantised_file_block(from), n % PANEL,
                       block);
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            part[i] = from == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)src)[k + i]) : ((const float *)src)[k + i];
        quantise(w, part, count, n % PANEL, block);
    }
}

/* d q + m in two roundings, as GGUF's own conversion. */
void quantised_row(const struct weight *w, int64_t n, float *out)
{
    int64_t lane = n % PANEL;
    int zero = quantised_zero(w->dtype);
    for (int64_t k = 0; k < w->k; k++) {
        char *block = panel_quantised(w, n / PANEL, k / K_STEP * K_STEP);
        int64_t i = k % K_STEP;
        uint16_t d, m = 0;
        memcpy(&d, block + 2 * lane, 2);
        if (w->dtype == DTYPE_Q4_1)
            memcpy(&m, block + 2 * PANEL + 2 * lane, 2);
        int q = w->dtype == DTYPE_Q8 ? *byte_of(w, block, i, lane) : nibble_of(w, block, i, lane);
        out[k] = (float)(q - zero) * f16_to_f32(d);
        if (w->dtype == DTYPE_Q4_1)
            out[k] += f16_to_f32(m);
    }
}
