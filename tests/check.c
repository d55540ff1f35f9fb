/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *check_data(const char *name)
{
    static char path[4096];
    const char *root = getenv("ISARA_DATA");
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : "../shared/data", name);
    return access(path, R_OK) ? NULL : path;
}

const char *check_smollm2(void)
{
    const char *path = getenv("ISARA_SMOLLM2");
    if (!path || !*path)
        path = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    static char inside[1024]; /* its directory will do */
    snprintf(inside, sizeof inside, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", path);
    path = access(inside, R_OK) ? path : inside;
    return access(path, R_OK) ? NULL : path;
}

const char *check_tmpdir(const char *name)
{
    static char path[1024], command[2200];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/tmp/%s", build && *build ? build : "build", name);
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir -p '%s'", path, path);
    return system(command) ? NULL : path;
}
