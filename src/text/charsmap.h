/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece's precompiled_charsmap: a double-array trie (darts-clone) from strings to the strings that take their
 * place. */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

struct charsmap {
    const uint32_t *unit; /* [n_unit] */
    size_t n_unit;
    const char *text; /* the replacements, each with a NUL after it */
    size_t n_text;
};
/* The map that lies in bytes[0..n), which must stay; units is room for n / 4 numbers. NULL when all is well, else what
 * is wrong. */
const char *charsmap_read(struct charsmap *out, const void *bytes, size_t n, uint32_t *units);
/* The longest or shortest beginning of text[0..n) that has a replacement: its length, 0 for none. */
enum charsmap_want { CHARSMAP_LONGEST, CHARSMAP_SHORTEST };
size_t charsmap_find(const struct charsmap *m, const char *text, size_t n, enum charsmap_want want,
                     const char **replacement);

#endif
