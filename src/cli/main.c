/* SPDX-License-Identifier: Apache-2.0 */
/* isara VERB [options]: finds the verb, parses its options, runs it, turns the error into a line and an exit code. */
#include "cli/parts.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/printable.h"
#include "crew/crew.h"
#include "dist/dist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside whatever the main thread writes. */
static void speak(const char *line)
{
    char text[1400];
    int n = snprintf(text, sizeof text, "%s%s\n", isatty(2) ? "\r\033[K" : "", line);
    (void)!write(2, text, n < (int)sizeof text ? (size_t)n : sizeof text);
}

/* What all ranks know is told once, and so is what one of them knows. */
static int fail(const struct verb *verb, const struct error *err, int rc)
{
    terminal_end();
    char text[sizeof err->message + 1], who[128] = "", line[sizeof text + sizeof who + 64];
    int code = error_exit_code(rc);
    snprintf(text, sizeof text, "%s", err->message[0] ? err->message : error_name(rc));
    printable(text);
    if (*dist_host() && strncmp(text, "rank ", 5)) /* unless it says which */
        snprintf(who, sizeof who, "rank %d on %s: ", dist_number(dist_rank()), dist_host());
    snprintf(line, sizeof line, "isara%s%s: %s%s", verb ? " " : "", verb ? verb->name : "", who, text);
    if (!dist_agreed()) {
        fflush(stdout);
        dist_last_word(line, code);
    }
    if (dist_rank() == 0 || !dist_agreed())
        fprintf(stderr, "%s\n", line);
    return code;
}

static int check_ranks(const struct verb *verb, struct error *err)
{
    static int (*const sharing[])(const struct verb *, struct options *, const struct cli_values *, struct error *) = {
        verb_train, verb_align, verb_generate, verb_score, verb_embed, verb_eval, verb_experiment};
    int shares = dist_size() == 1;
    for (size_t i = 0; i < sizeof sharing / sizeof *sharing; i++)
        shares |= verb->run == sharing[i];
    return shares ? 0
                  : error_set(err, ERROR_USAGE,
                              "%d processes were started, and isara %s does not share its work among them; start one, "
                              "without mpirun or srun",
                              dist_size(), verb->name);
}

/* But for a training, which all enter, rank 0 alone runs the verb. */
static int serves(const struct verb *verb)
{
    return dist_rank() > 0 && verb->run != verb_train;
}

static int serve(const struct verb *verb, const struct cli_values *v)
{
    struct error err = {0};
    int code = 0, rc = crew_serve(&(struct device_options){.n_thread = v->threads, .isa = v->isa}, &code, &err);
    return rc ? fail(verb, &err, rc) : code;
}

static int begin_ranks(const struct verb *verb, const struct cli_values *v, struct error *err)
{
    int rc = check_ranks(verb, err);
    if (!rc && dist_size() > 1 && verb->run != verb_train)
        rc = crew_start(v->ranks_per_arm, err);
    return rc;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct error err = {0};
    struct options options = {.arena = ARENA_INIT};
    struct cli_values values;
    double started = clock_now();
    cli_values_default(&values);
    int rc = options_parse(&options, argc, argv, verb->groups | GROUP_COMMON | GROUP_SEED, &err);
    if (!rc)
        rc = options_apply(&options, SCOPE_PLAIN, ~(unsigned)GROUP_OWNERS, &values, &err);
    rc = dist_agree(rc, &err);
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
    if (dist_rank() == 0)
        terminal_start(&values);
    rc = dist_agree(begin_ranks(verb, &values, &err), &err);
    if (!rc && serves(verb)) {
        options_free(&options);
        return serve(verb, &values);
    }
    rc = rc ? rc : cli_check_output(&options, &values, &err);
    log_line(LOG_DEBUG, "isara %s, %s", build_name, verb->name);
    rc = rc ? rc : verb->run(verb, &options, &values, &err);
    terminal_end();
    int code = rc < 0 ? error_exit_code(rc) : rc; /* CLI_SOME_FAILED, CLI_DIFFERENT */
    crew_end(code);
    if (rc < 0)
        fail(verb, &err, rc);
    log_line(LOG_DEBUG, "%.2f s, %.2f s of processor time, peak %zu MiB resident; exit code %d", clock_now() - started,
             clock_cpu(), clock_rss_peak() >> 20, code);
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

static int no_such_verb(const char *word)
{
    char name[80];
    const char *near = verb_meant(word);
    printable_copy(name, sizeof name, word);
    if (*word == '-')
        fprintf(stderr, "isara: %s: a verb comes first, its options behind it; isara --help lists them\n", name);
    else if (near)
        fprintf(stderr, "isara: %s: no such verb; did you mean %s?\n", name, near);
    else
        fprintf(stderr, "isara: %s: no such verb; isara --help lists them\n", name);
    return 2;
}

static int help(const char *word)
{
    const struct verb *verb = word ? verb_find(word) : NULL;
    if (word && !verb)
        return no_such_verb(word);
    if (verb)
        help_verb(verb);
    else
        help_main();
    return 0;
}

static int start(int argc, char **argv)
{
    if (argc < 2) {
        help_main();
        return 2;
    }
    const char *first = argv[1];
    options_elsewhere = verbs_with;
    if (!strcmp(first, "--help") || !strcmp(first, "-h") || !strcmp(first, "help"))
        return help(argv[2]);
    if (!strcmp(first, "--version"))
        return printf("isara %s\n", build_name) < 0;
    if (!strcmp(first, "--man")) {
        help_man();
        return 0;
    }
    if (!strcmp(first, "--completion"))
        return complete_script(argv[2]);
    if (!strcmp(first, "--complete")) {
        complete_words(argc - 2, argv + 2);
        return 0;
    }
    const struct verb *verb = verb_find(first);
    return verb ? run_verb(verb, argc - 2, argv + 2) : no_such_verb(first);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    dist_speak_by(speak);
    int rc = dist_start(&argc, &argv, &err);
    int code = finish(rc ? fail(NULL, &err, rc) : start(argc, argv));
    dist_end(code);
    return code;
}
