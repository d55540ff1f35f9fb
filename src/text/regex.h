/* SPDX-License-Identifier: Apache-2.0 */
/* The regular expressions of tokenizer files, run by Oniguruma with its default (Ruby's) syntax over UTF-8: the engine
 * that the tokenizers library itself uses. Two exceptions give the same matches faster: plain strings are looked for
 * with memmem, and the patterns that most published tokenizers share are matched by hand (regex_known.c) with
 * Oniguruma's own classes.
 *
 *     struct regex_scan scan = {.re = re, .match = match, .text = text, .n = n};
 *     while ((found = regex_next(&scan, &start, &end, err)) > 0) ... */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "base/error.h"

#include <stddef.h>

struct regex;
struct regex_match; /* where a match is put; one per thread */

/* ERROR_DATA when the pattern does not compile. */
int regex_new(struct regex **out, const char *pattern, size_t n, struct error *err);
void regex_free(struct regex *re);
/* The same for a plain string, which is not empty. */
int regex_new_literal(struct regex **out, const char *text, size_t n, struct error *err);
/* The same without what regex_known.c knows: for tests. */
int regex_new_plain(struct regex **out, const char *pattern, size_t n, struct error *err);

struct regex_match *regex_match_new(void); /* NULL: out of memory */
void regex_match_free(struct regex_match *m);

/* The matches in text[0..n), valid UTF-8, from left to right, as the onig crate's find_iter gives them: an empty match
 * right after a match is none. The last members are the scan's own and begin as zero. */
struct regex_scan {
    const struct regex *re;
    struct regex_match *match;
    const char *text;
    size_t n;
    size_t at, last;
    int any;
};
/* 1: *start and *end set; 0: no more; negative: error (out of memory, or the pattern backtracks beyond all measure). */
int regex_next(struct regex_scan *scan, size_t *start, size_t *end, struct error *err);

/* A pattern that is known: the end of the match that begins at `at`. Every position before the end of a text begins a
 * match. */
typedef size_t (*regex_known)(const char *text, size_t n, size_t at);
regex_known regex_known_find(const char *pattern, size_t n); /* NULL: not known */
void regex_known_prepare(void);                              /* once, after Oniguruma's own start */

#endif
