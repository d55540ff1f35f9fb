/* SPDX-License-Identifier: Apache-2.0 */
/* The table of storage types and their conversion to f32, one block at a time. A quantised value is rebuilt with the
 * same single-precision operations, in the same order, as ggml's reference (scale times integer, then plus or minus the
 * offset), so no bit differs. Files are little-endian, and so is every machine this program runs on. */
#include "io/storage.h"

#include <math.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "isara reads little-endian files on little-endian machines only"
#endif

static const struct storage_row {
    const char *name, *safetensors;
    int gguf, elements, bytes, converts;
} table[STORAGE_COUNT] = {
#define X(name, st, gguf, elements, bytes, converts) {#name, st, gguf, elements, bytes, converts},
    STORAGE_TYPES(X)
#undef X
};

const char *storage_name(enum storage t)
{
    return table[t].name;
}

int storage_block_elements(enum storage t)
{
    return table[t].elements;
}

int storage_block_bytes(enum storage t)
{
    return table[t].bytes;
}

int storage_converts(enum storage t)
{
    return table[t].converts;
}

int storage_from_safetensors(const char *name, enum storage *out)
{
    for (int i = 0; i < STORAGE_COUNT; i++)
        if (table[i].safetensors && !strcmp(table[i].safetensors, name)) {
            *out = (enum storage)i;
            return 0;
        }
    return -1;
}

int storage_from_gguf(uint32_t number, enum storage *out)
{
    for (int i = 0; i < STORAGE_COUNT; i++)
        if (table[i].gguf >= 0 && (uint32_t)table[i].gguf == number) {
            *out = (enum storage)i;
            return 0;
        }
    return -1;
}

int storage_gguf_number(enum storage t)
{
    return table[t].gguf;
}

const char *storage_gguf_unread(uint32_t number)
{
    static const struct {
        uint32_t number;
        const char *name;
    } unread[] = {
        {4, "Q4_2"},     {5, "Q4_3"},      {9, "Q8_1"},      {15, "Q8_K"},     {16, "IQ2_XXS"}, {17, "IQ2_XS"},
        {18, "IQ3_XXS"}, {19, "IQ1_S"},    {20, "IQ4_NL"},   {21, "IQ3_S"},    {22, "IQ2_S"},   {23, "IQ4_XS"},
        {29, "IQ1_M"},   {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {41, "Q1_0"},
    };
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++)
        if (unread[i].number == number)
            return unread[i].name;
    return NULL;
}

static const enum storage kept[DTYPE_COUNT] = {
    [DTYPE_F32] = STORAGE_F32,   [DTYPE_BF16] = STORAGE_BF16, [DTYPE_F16] = STORAGE_F16,   [DTYPE_I32] = STORAGE_I32,
    [DTYPE_Q8] = STORAGE_Q8_0,   [DTYPE_Q4_0] = STORAGE_Q4_0, [DTYPE_Q4_1] = STORAGE_Q4_1, [DTYPE_Q5_0] = STORAGE_Q5_0,
    [DTYPE_Q5_1] = STORAGE_Q5_1, [DTYPE_Q4_K] = STORAGE_Q4_K, [DTYPE_Q5_K] = STORAGE_Q5_K, [DTYPE_Q6_K] = STORAGE_Q6_K,
};

enum storage storage_of_dtype(enum dtype t)
{
    return kept[t];
}

enum dtype storage_dtype(enum storage t)
{
    for (int i = DTYPE_Q8; i < DTYPE_COUNT; i++)
        if (kept[i] == t)
            return (enum dtype)i;
    return DTYPE_F32;
}

static int f16_finite(const unsigned char *p)
{
    return (p[1] & 0x7c) != 0x7c;
}

int storage_block_finite(enum storage t, const void *block)
{
    const unsigned char *p = block;
    switch (t) {
    case STORAGE_Q8_0:
    case STORAGE_Q4_0:
    case STORAGE_Q5_0: return f16_finite(p);
    case STORAGE_Q4_1:
    case STORAGE_Q5_1:
    case STORAGE_Q4_K:
    case STORAGE_Q5_K: return f16_finite(p) && f16_finite(p + 2);
    case STORAGE_Q6_K: return f16_finite(p + 208);
    default: return 0;
    }
}

int storage_bytes(enum storage t, uint64_t n, uint64_t *bytes)
{
    uint64_t elements = (uint64_t)table[t].elements;
    if (n % elements)
        return -1;
    return __builtin_mul_overflow(n / elements, (uint64_t)table[t].bytes, bytes) ? -1 : 0;
}

static float half_at(const unsigned char *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return f16_to_f32(h);
}

/* 32 values: scale f16, [offset f16], [32 high bits], 16 bytes of low nibbles first, then high ones. */
static void block_q4_0(const unsigned char *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b[2 + i] & 15) - 8);
        y[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void block_q4_1(const unsigned char *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)(b[4 + i] & 15) + m;
        y[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

static void block_q5_0(const unsigned char *b, float *y)
{
    float d = half_at(b);
    uint32_t high;
    memcpy(&high, b + 2, 4);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((int)((b[6 + i] & 15) | (high >> i & 1) << 4) - 16);
        y[i + 16] = d * (float)((int)((b[6 + i] >> 4) | (high >> (i + 16) & 1) << 4) - 16);
    }
}

static void block_q5_1(const unsigned char *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    uint32_t high;
    memcpy(&high, b + 4, 4);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b[8 + i] & 15) | (high >> i & 1) << 4) + m;
        y[i + 16] = d * (float)((b[8 + i] >> 4) | (high >> (i + 16) & 1) << 4) + m;
    }
}

static void block_q8_0(const unsigned char *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(signed char)b[2 + i];
}

/* Eight 6-bit scales and minima of the K types, packed into 12 bytes. */
static void k_scale_min(const unsigned char *s, int j, float *scale, float *min)
{
    if (j < 4) {
        *scale = (float)(s[j] & 63);
        *min = (float)(s[j + 4] & 63);
    } else {
        *scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (float)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

/* 256 values in eight groups of 32; q5 adds bit g of qh[i] as the fifth bit of group g. */
static void block_q45_k(const unsigned char *b, float *y, int five)
{
    float d = half_at(b), dmin = half_at(b + 2);
    const unsigned char *qh = b + 16, *qs = b + 16 + (five ? 32 : 0);
    for (int g = 0; g < 8; g++) {
        float scale, min;
        k_scale_min(b + 4, g, &scale, &min);
        scale = d * scale;
        min = dmin * min;
        for (int i = 0; i < 32; i++) {
            int q = qs[g / 2 * 32 + i] >> (g & 1) * 4 & 15;
            if (five)
                q |= (qh[i] >> g & 1) << 4;
            y[g * 32 + i] = scale * (float)q - min;
        }
    }
}

/* 256 values: 128 bytes of low nibbles, 64 of two high bits, 16 int8 scales, f16 scale. */
static void block_q6_k(const unsigned char *b, float *y)
{
    float d = half_at(b + 208);
    for (int n = 0; n < 256; n++) {
        int half = n / 128, r = n % 128, i = r % 32, part = r / 32;
        int low = b[half * 64 + (part & 1) * 32 + i] >> (part >> 1) * 4 & 15;
        int high = b[128 + half * 32 + i] >> part * 2 & 3;
        float scale = d * (float)(signed char)b[192 + n / 16];
        y[n] = scale * (float)((low | high << 4) - 32);
    }
}

/* 256 values of two bits: 16 bytes of a 4-bit scale and minimum for 16 values each, 64 bytes, scale and minimum of
 * these f16. */
static void block_q2_k(const unsigned char *b, float *y)
{
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int n = 0; n < 256; n++) {
        int q = b[16 + n / 128 * 32 + n % 32] >> n % 128 / 32 * 2 & 3;
        float scale = d * (float)(b[n / 16] & 15), min = dmin * (float)(b[n / 16] >> 4);
        y[n] = scale * (float)q - min;
    }
}

/* 256 values of three bits: 32 bytes of high bits, 64 of two low ones, 16 scales of six bits in 12 bytes, f16 scale. */
static void block_q3_k(const unsigned char *b, float *y)
{
    float d = half_at(b + 108);
    const unsigned char *scales = b + 96;
    for (int n = 0; n < 256; n++) {
        int group = n / 16, low = b[32 + n / 128 * 32 + n % 32] >> n % 128 / 32 * 2 & 3, high = b[n % 32] >> n / 32 & 1;
        int scale = (scales[group % 8] >> group / 8 * 4 & 15) | (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
        y[n] = d * (float)(scale - 32) * (float)(low - (high ? 0 : 4));
    }
}

/* One of a byte's base-3 digits, which stand in it as a fraction of 256. */
static float trit(unsigned char byte, int digit)
{
    static const unsigned char powers[5] = {1, 3, 9, 27, 81};
    unsigned char q = (unsigned char)(byte * powers[digit]);
    return (float)((q * 3 >> 8) - 1);
}

/* 256 values of -1, 0 and 1: 48 bytes of five each (in runs of 32 and of 16 bytes), 4 bytes of four, f16 scale. */
static void block_tq1_0(const unsigned char *b, float *y)
{
    float d = half_at(b + 52);
    for (int n = 0; n < 160; n++)
        y[n] = d * trit(b[n % 32], n / 32);
    for (int n = 0; n < 80; n++)
        y[160 + n] = d * trit(b[32 + n % 16], n / 16);
    for (int n = 0; n < 16; n++)
        y[240 + n] = d * trit(b[48 + n % 4], n / 4);
}

static void block_tq2_0(const unsigned char *b, float *y)
{
    float d = half_at(b + 64);
    for (int n = 0; n < 256; n++)
        y[n] = d * (float)((b[n / 128 * 32 + n % 32] >> n % 128 / 32 * 2 & 3) - 1);
}

/* Twice the values of four bits: sign, two of exponent, one of mantissa. */
static const signed char e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 32 values: half of a power of two (its exponent, as in a float, in one byte), 16 bytes of low nibbles first. */
static void block_mxfp4(const unsigned char *b, float *y)
{
    uint32_t bits = b[0] < 2 ? (uint32_t)0x00200000 << b[0] : (uint32_t)(b[0] - 1) << 23;
    float d;
    memcpy(&d, &bits, 4);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)e2m1[b[1 + i] & 15];
        y[i + 16] = d * (float)e2m1[b[1 + i] >> 4];
    }
}

/* Half of a float of four exponent and three mantissa bits without a sign; 0x7f, which is no number, counts as 0. */
static float half_of_e4m3(unsigned char x)
{
    int exponent = x >> 3 & 15;
    float mantissa = (float)(x & 7);
    if (x == 0x7f)
        return 0;
    return (exponent ? ldexpf(1 + mantissa / 8, exponent - 7) : ldexpf(mantissa, -9)) * 0.5f;
}

/* 64 values in four groups of 16: their scales in a byte each, then 8 bytes a group of low nibbles first. */
static void block_nvfp4(const unsigned char *b, float *y)
{
    for (int g = 0; g < 4; g++) {
        float d = half_of_e4m3(b[g]);
        for (int i = 0; i < 8; i++) {
            y[g * 16 + i] = d * (float)e2m1[b[4 + g * 8 + i] & 15];
            y[g * 16 + 8 + i] = d * (float)e2m1[b[4 + g * 8 + i] >> 4];
        }
    }
}

static void block_to_f32(enum storage t, const unsigned char *b, float *y)
{
    switch (t) {
    case STORAGE_Q4_0: block_q4_0(b, y); break;
    case STORAGE_Q4_1: block_q4_1(b, y); break;
    case STORAGE_Q5_0: block_q5_0(b, y); break;
    case STORAGE_Q5_1: block_q5_1(b, y); break;
    case STORAGE_Q8_0: block_q8_0(b, y); break;
    case STORAGE_Q4_K: block_q45_k(b, y, 0); break;
    case STORAGE_Q5_K: block_q45_k(b, y, 1); break;
    case STORAGE_Q6_K: block_q6_k(b, y); break;
    case STORAGE_Q2_K: block_q2_k(b, y); break;
    case STORAGE_Q3_K: block_q3_k(b, y); break;
    case STORAGE_TQ1_0: block_tq1_0(b, y); break;
    case STORAGE_TQ2_0: block_tq2_0(b, y); break;
    case STORAGE_MXFP4: block_mxfp4(b, y); break;
    case STORAGE_NVFP4: block_nvfp4(b, y); break;
    default: break;
    }
}

/* Plain types: n elements at p. */
#define EACH(type, expression)                  \
    for (uint64_t i = 0; i < n; i++) {          \
        type v;                                 \
        memcpy(&v, p + i * sizeof v, sizeof v); \
        dst[i] = (expression);                  \
    }                                           \
    break
static void plain_to_f32(enum storage t, const unsigned char *p, uint64_t n, float *dst)
{
    switch (t) {
    case STORAGE_F32: memcpy(dst, p, n * 4); break;
    case STORAGE_BF16: EACH(uint16_t, bf16_to_f32(v));
    case STORAGE_F16: EACH(uint16_t, f16_to_f32(v));
    case STORAGE_F64: EACH(double, (float)v);
    case STORAGE_I8: EACH(int8_t, (float)v);
    case STORAGE_U8: EACH(uint8_t, (float)v);
    case STORAGE_I16: EACH(int16_t, (float)v);
    case STORAGE_U16: EACH(uint16_t, (float)v);
    case STORAGE_I32: EACH(int32_t, (float)v);
    case STORAGE_U32: EACH(uint32_t, (float)v);
    case STORAGE_I64: EACH(int64_t, (float)v);
    case STORAGE_U64: EACH(uint64_t, (float)v);
    default: break;
    }
}
#undef EACH

void storage_to_f32(enum storage t, const void *src, uint64_t first, uint64_t n, float *dst)
{
    const unsigned char *p = src;
    uint64_t block = (uint64_t)table[t].elements, size = (uint64_t)table[t].bytes;
    if (!n)
        return;
    if (block == 1) {
        plain_to_f32(t, p + first * size, n, dst);
        return;
    }
    float y[256];
    while (n) {
        uint64_t skip = first % block, take = block - skip < n ? block - skip : n;
        if (take == block) {
            block_to_f32(t, p + first / block * size, dst);
        } else {
            block_to_f32(t, p + first / block * size, y);
            memcpy(dst, y + skip, take * sizeof *dst);
        }
        first += take;
        dst += take;
        n -= take;
    }
}
