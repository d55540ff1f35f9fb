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

/* A model's file: what the variable says, which may be its directory, or where the tool puts it. */
static const char *find_model(char inside[1024], const char *variable, const char *folder, const char *name)
{
    const char *path = getenv(variable);
    snprintf(inside, 1024, "%s/%s", path && *path ? path : folder, name);
    if (path && *path && access(inside, R_OK))
        snprintf(inside, 1024, "%s", path);
    return access(inside, R_OK) ? NULL : inside;
}

const char *check_smollm2(void)
{
    static char path[1024];
    return find_model(path, "ISARA_SMOLLM2", "models/smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

const char *check_gemma3(void)
{
    static char path[1024];
    return find_model(path, "ISARA_GEMMA3", "models/gemma3", "gemma-3-270m-q4_k_m.gguf");
}

const char *check_tmpdir(const char *name)
{
    static char path[1024], command[2200];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/tmp/%s", build && *build ? build : "build", name);
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir -p '%s'", path, path);
    return system(command) ? NULL : path;
}
