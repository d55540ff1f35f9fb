/* SPDX-License-Identifier: Apache-2.0 */
/* How tensors lie in files: every element type of safetensors and the quantised blocks of GGUF that this program reads.
 * A storage type is a block of `elements` values in `bytes` bytes; plain types have blocks of one. The memory types
 * (base/dtype.h) are fewer; reading converts to f32 or bf16. */
#ifndef IO_STORAGE_H
#define IO_STORAGE_H

#include "base/dtype.h"
#include "base/error.h"

/* X(name, name in safetensors or NULL, number in GGUF or -1, elements a block, bytes a block, converts to f32).
 * The order is safetensors' own; its writer sorts by it, descending. */
#define STORAGE_TYPES(X)                       \
    X(BOOL, "BOOL", -1, 1, 1, 0)               \
    X(F4, "F4", -1, 2, 1, 0)                   \
    X(F6_E2M3, "F6_E2M3", -1, 4, 3, 0)         \
    X(F6_E3M2, "F6_E3M2", -1, 4, 3, 0)         \
    X(U8, "U8", -1, 1, 1, 1)                   \
    X(I8, "I8", 24, 1, 1, 1)                   \
    X(F8_E5M2, "F8_E5M2", -1, 1, 1, 0)         \
    X(F8_E4M3, "F8_E4M3", -1, 1, 1, 0)         \
    X(F8_E8M0, "F8_E8M0", -1, 1, 1, 0)         \
    X(F8_E4M3FNUZ, "F8_E4M3FNUZ", -1, 1, 1, 0) \
    X(F8_E5M2FNUZ, "F8_E5M2FNUZ", -1, 1, 1, 0) \
    X(I16, "I16", 25, 1, 2, 1)                 \
    X(U16, "U16", -1, 1, 2, 1)                 \
    X(F16, "F16", 1, 1, 2, 1)                  \
    X(BF16, "BF16", 30, 1, 2, 1)               \
    X(I32, "I32", 26, 1, 4, 1)                 \
    X(U32, "U32", -1, 1, 4, 1)                 \
    X(F32, "F32", 0, 1, 4, 1)                  \
    X(C64, "C64", -1, 1, 8, 0)                 \
    X(F64, "F64", 28, 1, 8, 1)                 \
    X(I64, "I64", 27, 1, 8, 1)                 \
    X(U64, "U64", -1, 1, 8, 1)                 \
    X(Q4_0, NULL, 2, 32, 18, 1)                \
    X(Q4_1, NULL, 3, 32, 20, 1)                \
    X(Q5_0, NULL, 6, 32, 22, 1)                \
    X(Q5_1, NULL, 7, 32, 24, 1)                \
    X(Q8_0, NULL, 8, 32, 34, 1)                \
    X(Q2_K, NULL, 10, 256, 84, 1)              \
    X(Q3_K, NULL, 11, 256, 110, 1)             \
    X(Q4_K, NULL, 12, 256, 144, 1)             \
    X(Q5_K, NULL, 13, 256, 176, 1)             \
    X(Q6_K, NULL, 14, 256, 210, 1)             \
    X(TQ1_0, NULL, 34, 256, 54, 1)             \
    X(TQ2_0, NULL, 35, 256, 66, 1)             \
    X(MXFP4, NULL, 39, 32, 17, 1)              \
    X(NVFP4, NULL, 40, 64, 36, 1)

enum storage {
#define X(name, st, gguf, elements, bytes, converts) STORAGE_##name,
    STORAGE_TYPES(X)
#undef X
        STORAGE_COUNT
};

const char *storage_name(enum storage t); /* "BF16", "Q4_1", ... */
int storage_block_elements(enum storage t);
int storage_block_bytes(enum storage t);
int storage_converts(enum storage t);                              /* 1: storage_to_f32 knows it */
int storage_from_safetensors(const char *name, enum storage *out); /* 0, or -1: no such type */
int storage_from_gguf(uint32_t number, enum storage *out);         /* 0, or -1 */
int storage_gguf_number(enum storage t);                           /* or -1 */
const char *
storage_gguf_unread(uint32_t number); /* ggml's name of a type that is not read (IQ2_XXS, ...), or NULL: no such type */
enum storage storage_of_dtype(enum dtype t);
enum dtype storage_dtype(enum storage t); /* the quantised memory type with these blocks; F32: there is none */
int storage_block_finite(enum storage t, const void *block); /* types with storage_dtype: whether scale and minimum are;
                                                                0 for other types, which must be looked at */
/* Bytes of n elements; -1 when n is no whole number of blocks or it overflows. */
int storage_bytes(enum storage t, uint64_t n, uint64_t *bytes);

/* Elements first..first+n-1 of a contiguous run that starts at src (any alignment). Quantised blocks equal the Python
 * package gguf's dequantisation bit for bit. t must convert. */
void storage_to_f32(enum storage t, const void *src, uint64_t first, uint64_t n, float *dst);

#endif
