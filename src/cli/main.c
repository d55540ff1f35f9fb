/* SPDX-License-Identifier: Apache-2.0 */
/* isara VERB [options]: finds the verb, parses its options, runs it, turns the error into a line and an exit code. */
#include "cli/parts.h"

#include "base/build.h"
#include "base/interrupt.h"
#include "base/printable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct verb *find_verb(const char *name)
{
    for (int i = 0; i < cli_n_verb; i++)
        if (!strcmp(cli_verbs[i].name, name))
            return &cli_verbs[i];
    return NULL;
}

static int fail(const struct verb *verb, const struct error *err, int rc)
{
    terminal_end();
    char text[sizeof err->message + 1];
    snprintf(text, sizeof text, "%s", err->message[0] ? err->message : error_name(rc));
    printable(text);
    fprintf(stderr, "isara%s%s: %s\n", verb ? " " : "", verb ? verb->name : "", text);
    return error_exit_code(rc);
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct error err = {0};
    struct options options = {.arena = ARENA_INIT};
    struct cli_values values;
    cli_values_default(&values);
    int rc = options_parse(&options, argc, argv, verb->groups | GROUP_COMMON | GROUP_SEED, &err);
    if (!rc)
        rc = options_apply(&options, SCOPE_PLAIN, ~(unsigned)GROUP_OWNERS, &values, &err);
    if (rc) {
        int code = fail(verb, &err, rc);
        options_free(&options);
        return code;
    }
    if (values.help) {
        help_verb(verb);
        options_free(&options);
        return 0;
    }
    interrupt_install();
    terminal_start(&values);
    rc = cli_check_output(&options, &values, &err);
    rc = rc ? rc : verb->run(verb, &options, &values, &err);
    terminal_end();
    int code = rc > 0 ? rc : 0; /* CLI_SOME_FAILED, CLI_DIFFERENT */
    if (rc < 0)
        code = fail(verb, &err, rc);
    options_free(&options);
    return code;
}

/* What was printed has arrived, or the exit code says that it has not. */
static int finish(int code)
{
    int lost = fflush(stdout) != 0, why = errno;
    lost |= ferror(stdout);
    if (fclose(stdout)) {
        why = lost ? why : errno;
        lost = why != EBADF;
    }
    if (!lost || code != 0)
        return code;
    fprintf(stderr, "isara: standard output: %s\n", strerror(why ? why : EIO));
    return error_exit_code(ERROR_IO);
}

static int start(int argc, char **argv)
{
    if (argc < 2) {
        help_main();
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        const struct verb *verb = argc > 2 ? find_verb(argv[2]) : NULL;
        if (verb)
            help_verb(verb);
        else
            help_main();
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("isara %s\n", build_name);
        return 0;
    }
    if (!strcmp(argv[1], "--man")) {
        help_man();
        return 0;
    }
    const struct verb *verb = find_verb(argv[1]);
    if (!verb) {
        char name[80];
        snprintf(name, sizeof name, "%s", argv[1]);
        printable(name);
        fprintf(stderr, "isara: %s: no such verb; isara --help lists them\n", name);
        return 2;
    }
    return run_verb(verb, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    return finish(start(argc, argv));
}
