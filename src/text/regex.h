/* SPDX-License-Identifier: Apache-2.0 */
/* The regular expressions of tokenizer files (written for Oniguruma and Rust), run by PCRE2 with Unicode classes. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "base/error.h"

#include <stddef.h>

struct regex;
struct regex_match; /* where a match is put; one per thread */

/* ERROR_DATA when the pattern does not compile or uses what PCRE2 would read differently. */
int regex_new(struct regex **out, const char *pattern, struct error *err);
void regex_free(struct regex *re);
/* The same for a plain string. */
int regex_new_literal(struct regex **out, const char *text, size_t n, struct error *err);

struct regex_match *regex_match_new(void); /* NULL: out of memory */
void regex_match_free(struct regex_match *m);
/* The first match in text[from..n), valid UTF-8; it may be empty. 1: *start and *end set; 0: none;
 * negative: error (out of memory, or the pattern backtracks beyond all measure). */
int regex_find(const struct regex *re, struct regex_match *m, const char *text, size_t n, size_t from, size_t *start, size_t *end,
               struct error *err);

#endif
