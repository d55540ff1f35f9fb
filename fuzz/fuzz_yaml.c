/* SPDX-License-Identifier: Apache-2.0 */
/* A --config file from untrusted bytes: what is accepted can be applied to every struct that it may be meant for, what
 * is refused says why. */
#include "fuzz/fuzz.h"

#include "cli/options.h"
#include "generate/generate.h"
#include "method/method.h"
#include "train/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The reader wants a path. */
static const char *in_memory(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0)
        fd = memfd_create("config", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

static void apply(const struct options *o, enum option_scope scope, unsigned groups, void *target)
{
    struct error err = {0};
    if (options_apply(o, scope, groups, target, &err) && !err.message[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options o = {0};
    struct error err = {0};
    struct generate_options decode;
    struct train_options train;
    struct align_options align;
    struct cli_values values = {0};
    generate_options_default(&decode);
    train_options_default(&train);
    align_options_default(&align);
    if (options_read_config(&o, in_memory(data, size), ~0u, &err)) {
        if (!err.message[0] || strchr(err.message, '\n'))
            abort();
    } else {
        apply(&o, SCOPE_PLAIN, GROUP_DECODE, &decode);
        apply(&o, SCOPE_ASK, GROUP_DECODE, &decode);
        apply(&o, SCOPE_ANSWER, GROUP_DECODE, &decode);
        apply(&o, SCOPE_PLAIN, GROUP_TRAIN, &train);
        apply(&o, SCOPE_TRAIN, GROUP_TRAIN, &train);
        apply(&o, SCOPE_PLAIN, GROUP_METHOD, &align);
        apply(&o, SCOPE_PLAIN, ~(unsigned)GROUP_OWNERS, &values);
        if (!generate_options_check(&decode, &err) && decode.num_beams < 1)
            abort();
        if (!train_options_check(&train, &err) && train.batch_size < 1)
            abort();
    }
    options_free(&o);
    return 0;
}
