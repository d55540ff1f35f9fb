/* SPDX-License-Identifier: Apache-2.0 */
/* The core of tests/outside/ in C: the method's rules written a second time from docs/METHOD.md and docs/NUMERICS.md,
 * without a line of the library's. For texts in ASCII, as the bundled miniature writes them. */
#ifndef TESTS_OUTSIDE_METHOD_H
#define TESTS_OUTSIDE_METHOD_H

#include <stdint.h>

/* min(k, n) of 0..n-1 without replacement from the stream (seed, a, b); returns how many. */
int outside_draw(uint64_t seed, uint64_t a, uint64_t b, int n, int k, int *out);
/* BM25 of a query with every text of a pool. */
void outside_bm25(const char *const *pool, int n, const char *query, double *scores);
/* Indices of the k greatest, greatest first, ties to the lower index; scores closer than 1e-9 are ties. Returns how
 * many. */
int outside_nearest(const double *scores, int n, int k, int *out);
/* rouge_score's ROUGE-L F1 over the textbook's table. */
double outside_rouge_l(const char *a, const char *b);
/* Two-sided p by going through all 2^n signs (n at most 20; no ties, no zeros). */
double outside_wilcoxon(const double *d, int n);
double outside_mcnemar(int b, int c);
void outside_holm(const double *p, int n, double *out);

#endif
