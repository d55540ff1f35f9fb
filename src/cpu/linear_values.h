/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a quantised panel, 32 k at a time: what GGUF's own conversion gives, in its order of roundings. Loops
 * over the panel's outputs are of 32-bit words, which compilers make vectors of. Included by linear_lanes.h. */

static inline void halves(const char *p, float out[PANEL])
{
    uint16_t h[PANEL];
    memcpy(h, p, sizeof h);
#if defined(__F16C__)
    for (int j = 0; j < PANEL; j += 8)
        _mm256_storeu_ps(out + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(h + j))));
#else
    for (int j = 0; j < PANEL; j++)
        out[j] = f16_to_f32(h[j]);
#endif
}

/* Scales of k < 16 and of the others, and what is added. */
static inline __attribute__((always_inline)) void scales_of(enum dtype t, const char *block, int part,
                                                            float scale[2][PANEL], float min[PANEL])
{
    float d[PANEL];
    halves(block, d);
    for (int j = 0; j < PANEL; j++)
        scale[0][j] = scale[1][j] = d[j];
    const int8_t *of_16 = (const int8_t *)block + 2 * PANEL + 2 * part * PANEL;
    for (int j = 0; t == DTYPE_Q6_K && j < PANEL; j++) {
        scale[0][j] = d[j] * (float)of_16[j];
        scale[1][j] = d[j] * (float)of_16[PANEL + j];
    }
    if (!quantised_has_min(t))
        return;
    halves(block + 2 * PANEL, min);
    const uint8_t *s = (const uint8_t *)block + 4 * PANEL + part * SUB_SCALES;
    for (int j = 0; quantised_is_k(t) && j < PANEL; j++) {
        scale[0][j] = scale[1][j] = d[j] * (float)(s[j] & 63);
        min[j] = -(min[j] * (float)((s[j] >> 6) << 4 | (s[PANEL + j / 2] >> j % 2 * 4 & 15)));
    }
}

static inline __attribute__((always_inline)) void values_of(enum dtype t, const char *block, int part, float *out)
{
    const char *body = block + quantised_head(t) + (size_t)part * quantised_body(t);
    const int bits = quantised_bits(t);
    float scale[2][PANEL], min[PANEL] = {0};
    uint32_t words[PANEL], rest[PANEL] = {0};
    scales_of(t, block, part, scale, min);
    for (int g = 0; g < K_STEP / 4; g++) {
        memcpy(words, body + (bits == 8 ? g : g % 4) * (4 * PANEL), sizeof words);
        if (bits == 5 || bits == 6)
            memcpy(rest, body + NIBBLES + (bits == 6 ? g / 4 * (4 * PANEL) : 0), sizeof rest);
        for (int i = 0; i < 4; i++) {
            int low = 8 * i + (bits < 8 && g >= 4 ? 4 : 0), high = 8 * i + (bits == 5 ? g : g % 4 * 2);
            uint32_t mask = bits == 8 ? 255 : 15, more = bits == 5 ? 1 : 3;
            const float *by = scale[g / 4];
            float *to = out + (4 * g + i) * PANEL;
            for (int j = 0; j < PANEL; j++) {
                uint32_t q = words[j] >> low & mask;
                if (bits == 5 || bits == 6)
                    q |= (rest[j] >> high & more) << 4;
                float value = by[j] * (float)((int32_t)q - quantised_zero(t));
                to[j] = quantised_has_min(t) ? value + min[j] : value;
            }
        }
    }
}

static void values(enum dtype t, const char *block, int part, float *out)
{
    switch (t) {
#define X(name, TYPE) \
    case TYPE: values_of(TYPE, block, part, out); break;
        QUANTISED_TYPES(X)
#undef X
    default: break;
    }
}
