/* SPDX-License-Identifier: Apache-2.0 */
/* Transposing 16 x 16 words in registers: four rounds of exchanging halves (1, 2, 4, 8 words wide). */

static inline __attribute__((always_inline)) void transpose_registers(__m512i r[16])
{
    __m512i t[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) { /* r[i + j]: column j of each 4 x 4 block */
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        __m512i a = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
        __m512i c = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88),
                d = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
        t[j] = _mm512_shuffle_i32x4(a, c, 0x88);
        t[8 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
        t[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88);
        t[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
    UNROLL
    for (int i = 0; i < 16; i++)
        r[i] = t[i];
}

static void transpose(const float *x, int64_t stride, int n_row, int n_col, float *out, int64_t out_stride)
{
    __m512i r[16];
    __mmask16 columns = (__mmask16)((1u << n_col) - 1);
    UNROLL
    for (int i = 0; i < 16; i++)
        r[i] = i < n_row ? _mm512_maskz_loadu_epi32(columns, x + i * stride) : _mm512_setzero_si512();
    transpose_registers(r);
    UNROLL
    for (int i = 0; i < 16; i++)
        if (i < n_col)
            _mm512_storeu_si512(out + i * out_stride, r[i]);
}

static inline __attribute__((always_inline)) void transpose_half(const uint32_t *x, uint32_t *out)
{
    __m512i r[16], first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
                   second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    UNROLL
    for (int k = 0; k < 16; k++)
        r[k] = _mm512_loadu_si512(x + k * PANEL);
    transpose_registers(r);
    UNROLL
    for (int n = 0; n < 16; n += 2) {
        __m512i even = _mm512_mask_blend_epi16(0xaaaaaaaa, r[n], _mm512_slli_epi32(r[n + 1], 16));
        __m512i odd = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(r[n], 16), r[n + 1]);
        _mm512_storeu_si512(out + n / 2 * PANEL, _mm512_permutex2var_epi32(even, first, odd));
        _mm512_storeu_si512(out + n / 2 * PANEL + 16, _mm512_permutex2var_epi32(even, second, odd));
    }
}

static void transpose_pairs(const uint32_t *x, uint32_t *out)
{
    transpose_half(x, out);
    transpose_half(x + 16, out + 8 * PANEL);
}

static inline __attribute__((always_inline)) __m512i bf16_words(const float *x, __mmask16 lanes)
{
    __m512i bits = _mm512_maskz_loadu_epi32(lanes, x),
            odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(_mm512_castsi512_ps(bits), _mm512_castsi512_ps(bits), _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000)); /* the upper half is the value */
}

/* noise_of 16 indices from `first` on. */
static inline __attribute__((always_inline)) __m512i noise_words(uint32_t key, uint32_t first)
{
    __m512i i = _mm512_add_epi32(_mm512_set1_epi32((int)first),
                                 _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m512i x =
        _mm512_xor_si512(_mm512_mullo_epi32(i, _mm512_set1_epi32((int)0x9e3779b9u)), _mm512_set1_epi32((int)key));
    x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_set1_epi32((int)0x85ebca6bu));
    x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 13)), _mm512_set1_epi32((int)0xc2b2ae35u));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

/* The 16 halves of eight words from `word` on, each in a word of its own. */
static inline __attribute__((always_inline)) __m512i halves_apart(__m512i words, int word)
{
    return _mm512_cvtepu16_epi32(word ? _mm512_extracti64x4_epi64(words, 1) : _mm512_castsi512_si256(words));
}

/* Past the caches: whole lines that nobody reads soon, so none has to be read from memory first. The pool's locked
 * instructions make them seen by other threads. */
static void pack(const float *x, int64_t stride, int n_k, uint32_t *out, const struct pack_noise *noise)
{
    __m512i r[16], upper;
    uint16_t index[32];
    UNROLL
    for (int i = 0; i < 32; i++)
        index[i] = (uint16_t)(2 * i + 1); /* the upper halves of both registers */
    memcpy(&upper, index, sizeof upper);
    __mmask32 k = (__mmask32)((1ull << n_k) - 1);
    __mmask16 low = (__mmask16)k, high = (__mmask16)(k >> 16);
    if (noise)
        UNROLL
    for (int i = 0; i < 16; i++) {
        __m512i bits = noise_words(noise->key, noise->first + (uint32_t)i * noise->apart);
        __m512i a = _mm512_maskz_loadu_epi32(low, x + i * stride),
                b = _mm512_maskz_loadu_epi32(high, x + i * stride + 16);
        r[i] = _mm512_permutex2var_epi16(_mm512_add_epi32(a, halves_apart(bits, 0)), upper,
                                         _mm512_add_epi32(b, halves_apart(bits, 8)));
    }
    else UNROLL
    for (int i = 0; i < 16; i++)
        r[i] = _mm512_permutex2var_epi16(bf16_words(x + i * stride, low), upper, bf16_words(x + i * stride + 16, high));
    transpose_registers(r);
    UNROLL
    for (int i = 0; i < 16; i++)
        _mm512_stream_si512((void *)(out + i * PANEL), r[i]);
}

static void pair_columns(const float *x, int64_t stride, int n_row, int n_col, uint32_t *out, int64_t out_stride)
{
    __m512i r[16], zero = _mm512_setzero_si512();
    __mmask16 columns = (__mmask16)((1u << n_col) - 1);
    UNROLL
    for (int i = 0; i < 16; i++) {
        __m512i low = 2 * i < n_row ? _mm512_srli_epi32(bf16_words(x + 2 * i * stride, columns), 16) : zero;
        __m512i high = 2 * i + 1 < n_row ? bf16_words(x + (2 * i + 1) * stride, columns) : zero;
        r[i] = _mm512_mask_blend_epi16(0xaaaaaaaa, low, high);
    }
    transpose_registers(r);
    UNROLL
    for (int i = 0; i < 16; i++)
        if (i < n_col)
            _mm512_storeu_si512(out + i * out_stride, r[i]);
}

static void pair(const float *low, const float *high, int n, uint32_t *out)
{
    __mmask16 lanes = (__mmask16)((1u << n) - 1);
    __m512i a = low ? _mm512_srli_epi32(bf16_words(low, lanes), 16) : _mm512_setzero_si512(),
            b = high ? bf16_words(high, lanes) : _mm512_setzero_si512();
    _mm512_storeu_si512(out, _mm512_mask_blend_epi16(0xaaaaaaaa, a, b));
}
