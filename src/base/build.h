/* SPDX-License-Identifier: Apache-2.0 */
/* Which program this is. The definitions are made by tools/version when the library is built: the commit by git
 * describe, out of a tarball by its own mark, else "unknown". Their file is rewritten only when they change, so nothing
 * else is ever built anew for it. */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

extern const char build_version[]; /* "0.1.0" */
extern const char build_commit[];  /* "b841ffd1c2d3", with "-dirty" behind it when files differed from it; "unknown" */
extern const char build_name[];    /* both: "0.1.0 (b841ffd1c2d3)" */

#endif
