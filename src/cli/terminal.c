/* SPDX-License-Identifier: Apache-2.0 */
/* What the user sees while work goes on, all on standard error: a progress line redrawn on a terminal, else one line
 * every 30 seconds. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    int tty, color, level, drawn;
    double last;
    char stage[64];
} terminal;

static void clear_line(void)
{
    if (terminal.drawn)
        fputs("\r\033[K", stderr);
    terminal.drawn = 0;
}

static void show_line(void *user, enum log_level level, const char *text)
{
    (void)user;
    char safe[2048];
    if ((int)level < terminal.level)
        return;
    snprintf(safe, sizeof safe, "%s", text);
    printable(safe);
    text = safe;
    clear_line();
    if (level == LOG_WARNING)
        fprintf(stderr, "%swarning:%s %s\n", terminal.color ? "\033[33m" : "", terminal.color ? "\033[0m" : "", text);
    else
        fprintf(stderr, "%s\n", text);
}

static void clock_text(char *out, size_t size, double seconds)
{
    long s = seconds < 0 || seconds > 359999 ? 359999 : (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%02ld:%02ld", s / 60, s % 60);
}

static void show_progress(void *user, const struct progress *p)
{
    (void)user;
    if (terminal.level > LOG_INFO)
        return;
    double now = clock_now(), spent = now - p->started;
    int ended = p->total && p->done >= p->total, other = strcmp(terminal.stage, p->stage ? p->stage : "") != 0;
    if (!ended && !other && now - terminal.last < (terminal.tty ? 0.2 : 30))
        return;
    if (!terminal.tty && other && !ended) { /* a new stage is counted from its first report */
        snprintf(terminal.stage, sizeof terminal.stage, "%s", p->stage ? p->stage : "");
        terminal.last = now;
        return;
    }
    char elapsed[32], left[32] = "?", tokens[48] = "";
    clock_text(elapsed, sizeof elapsed, spent);
    if (p->total && p->done > 0)
        clock_text(left, sizeof left, spent * (double)(p->total - p->done) / (double)p->done);
    if (p->tokens > 0 && spent > 0)
        snprintf(tokens, sizeof tokens, ", %.0f tokens/s", p->tokens / spent);
    char note[256];
    snprintf(note, sizeof note, "%s", p->note ? p->note : "");
    printable(note);
    clear_line();
    fprintf(stderr, "%s %ld/%ld [%s<%s, %.2f %s/s%s]%s%s", p->stage ? p->stage : "", p->done, p->total, elapsed, left,
            spent > 0 ? (double)p->done / spent : 0.0, p->unit ? p->unit : "", tokens, *note ? " " : "", note);
    if (terminal.tty && !ended) {
        terminal.drawn = 1;
        fflush(stderr);
    } else {
        fputc('\n', stderr);
    }
    terminal.last = now;
    snprintf(terminal.stage, sizeof terminal.stage, "%s", !ended && p->stage ? p->stage : "");
}

static int wants_color(void)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *color = getenv("CLICOLOR"),
               *term = getenv("TERM");
    if (no && *no)
        return 0;
    if (force && *force && strcmp(force, "0"))
        return 1;
    return terminal.tty && !(color && !strcmp(color, "0")) && !(term && !strcmp(term, "dumb"));
}

static int level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warning", "quiet"};
    static const int levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_WARNING + 1};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i]))
            return levels[i];
    return LOG_INFO;
}

void terminal_start(const struct cli_values *v)
{
    const char *term = getenv("TERM");
    terminal.tty = isatty(2) && !(term && !strcmp(term, "dumb"));
    terminal.color = wants_color();
    terminal.level = level_of(v->log_level);
    log_set_sink(&(struct log_sink){.line = show_line, .progress = show_progress});
}

void terminal_end(void)
{
    clear_line();
}
