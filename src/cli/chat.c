/* SPDX-License-Identifier: Apache-2.0 */
/* isara chat: each line of standard input is a message or a command. Answers go to standard output as they are written,
 * everything else to standard error. */
#include "cli/parts.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/utf8.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NARROW = 60 };

struct conversation {
    struct options *options;
    struct device *device;
    struct talk talk;
    struct talk_options how;
    struct talker *talker, *before; /* before: the pretrained one, opened when it is wanted */
    const char *pretrained;         /* its path, or NULL */
    int compares, typed, failed, ended;
};

static int decoding(void *options, struct generate_options *o, struct error *err)
{
    return options_apply(options, SCOPE_PLAIN, GROUP_DECODE, o, err);
}

/* --- what is shown --- */

/* A terminal gets no control characters; a file or a pipe the very bytes. */
static int show_piece(void *user, const char *text, size_t n)
{
    struct conversation *c = user;
    (void)c;
    if (!isatty(1)) {
        fwrite(text, 1, n, stdout);
    } else {
        char *copy = mem_strndup(text, n);
        if (!copy)
            return ERROR_NOMEM;
        printable(copy);
        fputs(copy, stdout);
        mem_free(copy);
    }
    return fflush(stdout) ? ERROR_IO : 0;
}

static int show_nothing(void *user, const char *text, size_t n)
{
    (void)user;
    (void)text;
    (void)n;
    return 0;
}

static void say_how(const struct talk_answer *a, const char *who)
{
    if (a->interrupted)
        log_line(LOG_INFO, "%s(stopped)", who);
    else if (a->cut)
        log_line(LOG_INFO, "%s(cut after %d tokens; --max-new-tokens, or /reset when the context is full)", who,
                 a->n_token);
    else if (!a->text.len)
        log_line(LOG_INFO, "%s(no words)", who);
}

/* --- answers --- */

/* An interruption ends the answer and nothing else; another signal ends it all. */
static void take_signal(struct conversation *c)
{
    if (interrupt_requested() != SIGTERM && interrupt_requested() != SIGUSR1)
        interrupt_clear();
    else
        c->ended = 1;
}

static int drop_oldest(struct conversation *c, const struct talk_answer *a)
{
    if (a->dropped)
        log_line(LOG_INFO, "(the context is full: the oldest %d of %d turns are left out from here on)", a->dropped,
                 c->talk.n);
    talk_drop(&c->talk, a->dropped);
    return 0;
}

/* The message stands without an answer: nothing is kept of it. */
static int fail(struct conversation *c, int rc, const struct error *why, struct error *err)
{
    if (rc != ERROR_DATA)
        return error_set(err, rc, "%s", why->message);
    log_line(LOG_WARNING, "not answered: %s", why->message);
    c->failed = 1;
    return 0;
}

static int keep(struct conversation *c, const char *message, const struct talk_answer *a, struct error *err)
{
    drop_oldest(c, a);
    if (a->interrupted)
        take_signal(c);
    return a->interrupted && !a->text.len ? 0 : talk_add(&c->talk, message, a, err);
}

static int answer(struct conversation *c, const char *message, struct error *err)
{
    struct talk_answer a;
    struct error why = {0};
    int rc = talker_answer(c->talker, &c->talk, message, &(struct talk_sink){show_piece, c}, &a, &why);
    if (a.text.len || !rc)
        fputs("\n", stdout);
    if (!rc && fflush(stdout))
        rc = error_set(&why, ERROR_IO, "standard output cannot be written");
    if (!rc) {
        say_how(&a, "");
        rc = keep(c, message, &a, err);
    } else {
        rc = fail(c, rc, &why, err);
    }
    talk_answer_free(&a);
    return rc;
}

/* --- both models --- */

static int open_before(struct conversation *c, struct error *err)
{
    struct talk_options o = c->how;
    o.model = c->pretrained;
    return c->before ? 0 : talker_open(&c->before, c->device, &o, err);
}

static void show_columns(const struct talk_answer both[2], int width)
{
    struct buf out = BUF_INIT, texts[2] = {BUF_INIT, BUF_INIT};
    for (int i = 0; i < 2; i++) {
        buf_puts(&texts[i], buf_text(&both[i].text));
        if (texts[i].data)
            printable(texts[i].data);
    }
    const struct side pair[2] = {{"pretrained", buf_text(&texts[0])}, {"aligned", buf_text(&texts[1])}};
    columns_write(&out, pair, width);
    fputs(buf_text(&out), stdout);
    buf_free(&out);
    buf_free(&texts[0]);
    buf_free(&texts[1]);
}

/* Each after the same turns; beside each other where there is the width, else one after the other. */
static int answer_both(struct conversation *c, const char *message, struct error *err)
{
    static const char *const names[2] = {"pretrained", "aligned"};
    struct talk_answer both[2] = {{.text = BUF_INIT}, {.text = BUF_INIT}};
    struct talker *talkers[2] = {c->before, c->talker};
    struct error why = {0};
    int width = terminal_width(), rc = 0, wide = width >= NARROW;
    for (int i = 0; i < 2 && !rc && !interrupt_requested(); i++) {
        if (!wide)
            printf("%s: ", names[i]);
        rc = talker_answer(talkers[i], &c->talk, message, &(struct talk_sink){wide ? show_nothing : show_piece, c},
                           &both[i], &why);
        if (!wide)
            fputs("\n", stdout);
    }
    if (!rc && wide)
        show_columns(both, width);
    if (!rc && fflush(stdout))
        rc = error_set(&why, ERROR_IO, "standard output cannot be written");
    for (int i = 0; i < 2 && !rc; i++)
        say_how(&both[i], i ? "aligned: " : "pretrained: ");
    if (!rc && both[0].interrupted)
        take_signal(c);
    else if (!rc)
        rc = keep(c, message, &both[1], err); /* the conversation goes on with what the aligned one said */
    else
        rc = fail(c, rc, &why, err);
    talk_answer_free(&both[0]);
    talk_answer_free(&both[1]);
    return rc;
}

/* --- commands --- */

static int do_reset(struct conversation *c, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    talk_reset(&c->talk);
    log_line(LOG_INFO, "(a new conversation)");
    return 0;
}

static int do_system(struct conversation *c, const char *text, struct error *err)
{
    if (!*text) {
        log_line(LOG_INFO, "(system: %s; /system TEXT sets it, /system none takes it away)",
                 c->talk.system ? c->talk.system : "none");
        return 0;
    }
    log_line(LOG_INFO, "(from the next message on)");
    return talk_set_system(&c->talk, strcmp(text, "none") ? text : NULL, err);
}

static int do_compare(struct conversation *c, const char *text, struct error *err)
{
    struct error why = {0};
    if (!c->pretrained) {
        log_line(LOG_WARNING, "/compare: there is nothing to compare with; isara chat RUN knows both models");
        c->failed |= *text != 0;
        return 0;
    }
    int rc = open_before(c, &why);
    if (rc) {
        log_line(LOG_WARNING, "/compare: %s", why.message);
        c->failed = 1;
        return rc == ERROR_NOMEM ? error_set(err, rc, "%s", why.message) : 0;
    }
    if (*text)
        return answer_both(c, text, err);
    c->compares = !c->compares;
    log_line(LOG_INFO, c->compares ? "(both models answer; /compare again for one)" : "(one model answers)");
    return 0;
}

static int do_quit(struct conversation *c, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    c->ended = 1;
    return 0;
}

static int do_help(struct conversation *c, const char *text, struct error *err);

static const struct command {
    const char *name, *arguments, *help;
    int (*run)(struct conversation *c, const char *text, struct error *err);
} commands[] = {
    {"/reset", "", "forget what was said", do_reset},
    {"/system", " [TEXT|none]", "show, set or take away the system turn", do_system},
    {"/compare", " [TEXT]", "let the pretrained model answer beside the aligned one: this once, or from now on",
     do_compare},
    {"/help", "", "this list", do_help},
    {"/quit", "", "end, as Ctrl-D does", do_quit},
};
enum { N_COMMAND = (int)(sizeof commands / sizeof *commands) };

static int do_help(struct conversation *c, const char *text, struct error *err)
{
    (void)c;
    (void)text;
    (void)err;
    for (int i = 0; i < N_COMMAND; i++)
        fprintf(stderr, "%s%s%*s%s\n", commands[i].name, commands[i].arguments,
                24 - (int)(strlen(commands[i].name) + strlen(commands[i].arguments)), "", commands[i].help);
    fputs("A line is a message; a backslash at its end goes on with the next one, // at its beginning is a /.\n"
          "Ctrl-C stops an answer.\n",
          stderr);
    return 0;
}

static int run_command(struct conversation *c, const char *line, struct error *err)
{
    size_t n = strcspn(line, " \t\n");
    for (int i = 0; i < N_COMMAND; i++)
        if (strlen(commands[i].name) == n && !strncmp(line, commands[i].name, n))
            return commands[i].run(c, line + n + strspn(line + n, " \t"), err);
    char name[40];
    snprintf(name, sizeof name, "%.*s", n < 30 ? (int)n : 30, line);
    log_line(LOG_WARNING, "%s: no such command; /help lists them, and // begins a message with a /", name);
    c->failed = 1;
    return 0;
}

/* --- lines --- */

static int take_message(struct conversation *c, struct buf *line, struct error *err)
{
    const char *text = buf_text(line);
    while (line->len && strchr(" \t\n", line->data[line->len - 1]))
        line->data[--line->len] = 0;
    text += strspn(text, " \t\n");
    if (memchr(text, 0, line->len - (size_t)(text - buf_text(line))) ||
        utf8_valid(text, strlen(text)) != strlen(text)) {
        log_line(LOG_WARNING, "not answered: wanted a line of UTF-8 without NUL");
        c->failed = 1;
        return 0;
    }
    if (!*text)
        return 0;
    if (*text == '/' && text[1] != '/')
        return run_command(c, text, err);
    text += *text == '/';
    return c->compares ? answer_both(c, text, err) : answer(c, text, err);
}

static int converse(struct conversation *c, struct error *err)
{
    struct lines lines = {.ahead = BUF_INIT};
    struct buf line = BUF_INIT;
    int rc = 0;
    while (!c->ended && !rc) {
        buf_reset(&line);
        if (c->typed)
            fputs("> ", stderr);
        rc = lines_next(&lines, &line, err);
        if (rc == LINES_INTERRUPTED) {
            take_signal(c);
            rc = 0;
            if (c->typed && !c->ended)
                fputs("\n(/quit or Ctrl-D ends)\n", stderr);
            c->ended |= !c->typed;
        } else if (rc == LINES_END) {
            c->ended = 1;
            rc = 0;
        } else if (rc == LINES_LINE) {
            rc = take_message(c, &line, err);
        }
    }
    if (c->typed && !rc)
        fputs("\n", stderr);
    buf_free(&lines.ahead);
    buf_free(&line);
    return rc ? rc : interrupt_check(err);
}

/* The run's own words, unless others were given. */
static int choose_words(struct conversation *c, const struct cli_found *found, char **own, struct error *err)
{
    char *system = NULL;
    int rc = found->words && !c->how.template_file ? talk_words(found->words, own, &system, err) : 0;
    if (*own)
        c->how.template_file = *own;
    const char *told = c->how.system ? c->how.system : system;
    rc = rc ? rc : talk_set_system(&c->talk, told, err);
    c->how.system = NULL; /* it goes with each message */
    mem_free(system);
    return rc;
}

static void greet(const struct conversation *c, const struct cli_values *v)
{
    static const char *const forms[2] = {"in the form of its template's questions and answers", "in its chat template"};
    int chat = talker_is_chat(c->talker);
    if (!chat && !c->how.template_file)
        log_line(LOG_INFO,
                 "%s has no chat template: messages are put as Question: ... Answer: (--template FILE for "
                 "another form)",
                 v->model);
    else
        log_line(LOG_INFO, "%s, %s", v->model, forms[chat]);
    if (c->typed)
        log_line(LOG_INFO, "/help lists commands, Ctrl-C stops an answer, Ctrl-D ends");
}

int verb_chat(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct cli_model parts = {0};
    struct cli_values with = *v;
    struct cli_found found;
    struct conversation c = {.options = options, .how = v->talk, .typed = isatty(0) && isatty(2)};
    char *own = NULL;
    int rc = cli_find_model(options, &with, &found, err);
    rc = rc ? rc : cli_dtype(v, DTYPE_BF16, &c.how.dtype, err);
    rc = rc ? rc : choose_words(&c, &found, &own, err);
    rc = rc ? rc : cli_open_device(&parts, v, err);
    c.device = parts.device;
    c.pretrained = found.pretrained;
    c.how.model = with.model;
    c.how.engine = v->engine;
    c.how.seed = v->seed;
    c.how.decoding = decoding;
    c.how.user = options;
    rc = rc ? rc : talker_open(&c.talker, c.device, &c.how, err);
    if (!rc) {
        greet(&c, &with);
        if (c.typed)
            interrupt_be_patient();
        rc = converse(&c, err);
    }
    talker_close(c.talker);
    talker_close(c.before);
    talk_free(&c.talk);
    cli_close(&parts);
    cli_found_free(&found);
    mem_free(own);
    return rc || !c.failed ? rc : CLI_SOME_FAILED;
}
