/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build.h"

#include "commit.h" /* made by tools/version */

#define VERSION "0.1.0"

const char *build_version(void)
{
    return VERSION;
}

const char *build_commit(void)
{
    return ISARA_COMMIT;
}

const char *build_name(void)
{
    return VERSION " (" ISARA_COMMIT ")";
}
