/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (libcrypto) for files and models; a 64-bit FNV-1a with a finisher for tables and record keys. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/error.h"

#include <stdint.h>

struct sha256;
struct sha256 *sha256_new(void); /* NULL when out of memory */
void sha256_add(struct sha256 *h, const void *bytes, size_t n);
void sha256_finish(struct sha256 *h, char hex[65]); /* frees h; 64 lower-case digits and NUL */
int sha256_file(const char *path, char hex[65], struct error *err);
/* The name that git gives a file's content: SHA-1 of "blob SIZE\0" and the bytes. */
int git_sha1_file(const char *path, char hex[41], struct error *err);
void sha256_bytes(const void *bytes, size_t n, char hex[65]);
uint64_t hash64(const void *bytes, size_t n);

#endif
