/* SPDX-License-Identifier: Apache-2.0 */
/* Which program this is. tools/version finds the commit when the library is built (git describe; a tarball's own mark, else "unknown") and rewrites its result only when
 * it has changed, so nothing but build.c is ever built anew for it. */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

const char *build_version(void); /* "0.1.0" */
const char *build_commit(void);  /* "b841ffd1c2d3", with "-dirty" behind it when files differed from it; "unknown" */
const char *build_name(void);    /* both: "0.1.0 (b841ffd1c2d3)" */

#endif
