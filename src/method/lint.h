/* SPDX-License-Identifier: Apache-2.0 */
/* What a person should look at before hours are spent on seeds. */
#ifndef METHOD_LINT_H
#define METHOD_LINT_H

#include "answer/seeds.h"

/* `say` gets one line a finding; fatal ones (duplicates, fewer pairs than need_pairs) also end with ERROR_DATA. */
int seeds_lint(const struct seeds *s, const char *path, int need_pairs, void (*say)(void *user, const char *line),
               void *user, struct error *err);
/* Test questions that a seed repeats (ROUGE-L F1 > 0.7, the sift's rule): how many, and the first one's line. */
int seeds_overlap(const struct seeds *seeds, const struct seeds *test, int *n_same, int *n_similar, long *first_line,
                  struct error *err);

#endif
