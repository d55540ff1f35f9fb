/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file does not say what the journal gives, one line each. */
#ifndef REPORT_DIFFERENCES_H
#define REPORT_DIFFERENCES_H

#include "base/buf.h"

#include <jansson.h>

enum { DIFFERENCES_SHOWN = 100 }; /* lines; the others are only counted */
struct differences {
    struct buf text;
    long n;
};
void differences_add(struct differences *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Every value of `wanted` that `found` does not have at the same place, and the other way around; places are named
 * below `where`, as "metrics.json.rounds[0].kept: run.db gives 7, the file has 8". */
void differences_json(struct differences *x, const char *where, const json_t *wanted, const json_t *found);
/* Objects may have members that `wanted` has not. */
void differences_members(struct differences *x, const char *where, const json_t *wanted, const json_t *found);
/* `wanted` may have members that `found` has not: a file of a build that knew fewer. */
void differences_known(struct differences *x, const char *where, const json_t *wanted, const json_t *found);
void differences_free(struct differences *x);

#endif
