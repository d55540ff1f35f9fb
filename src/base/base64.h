/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

/* Appends the bytes that text[0..n) spells (RFC 4648, with its padding). 0; -1: it is not Base64 (out->failed says
 * whether memory ran out). */
int base64_decode(struct buf *out, const char *text, size_t n);

/* Appends the spelling of bytes[0..n); memory shows in out->failed. */
void base64_encode(struct buf *out, const void *bytes, size_t n);

#endif
