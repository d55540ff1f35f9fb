/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody meant by a name that is none of a list: one known from another program, a slip of the pen, or a part of
 * a name. Names are written with '-', in small letters; what is asked for may have '_' and capitals. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <stddef.h>

struct names {
    const char *const *list;
    int n;
};
/* All of these return one of the names, or NULL. The one that options of other programs are called by that name: */
const char *names_elsewhere(const struct names *names, const char *name, size_t length);
/* the one with the fewest slips, most at most; */
const char *names_nearest(const struct names *names, const char *name, size_t length, int most);
/* whichever of these or the shortest that the name is a part of. */
const char *names_meant(const struct names *names, const char *name, size_t length);
/* How many slips are believed of a name of that length. */
int names_slips(size_t length);

#endif
