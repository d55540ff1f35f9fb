/* SPDX-License-Identifier: Apache-2.0 */
/* What the user sees while work goes on, all on standard error: a progress line redrawn on a terminal, else one line
 * every 10 seconds. A redrawn line is never wider than the terminal is at that moment. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIPE_SECONDS = 10, DEFAULT_COLUMNS = 80 };
static struct {
    int tty, color, level, drawn; /* drawn: characters of the line that stands there */
    double last;
    char stage[64];
} terminal;

static int columns(void)
{
    struct winsize w = {0};
    const char *told = getenv("COLUMNS");
    if (!ioctl(2, TIOCGWINSZ, &w) && w.ws_col > 0)
        return w.ws_col;
    return told && atoi(told) > 0 ? atoi(told) : DEFAULT_COLUMNS;
}

/* A terminal that has become narrower since shows the line on several rows. */
static void clear_line(void)
{
    for (int rows = terminal.drawn ? (terminal.drawn - 1) / columns() : 0; rows > 0; rows--)
        fputs("\r\033[K\033[A", stderr);
    if (terminal.drawn)
        fputs("\r\033[K", stderr);
    terminal.drawn = 0;
}

/* Cuts valid UTF-8 to so many columns; returns how many it takes. */
static int cut_line(char *line, int most)
{
    int width = 0;
    uint32_t cp;
    for (size_t at = 0, n; (n = utf8_decode(line + at, strlen(line + at), &cp)); at += n) {
        int more = utf8_width(cp);
        if (width + more > most) {
            line[at] = 0;
            break;
        }
        width += more;
    }
    return width;
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

/* drawn_over: by what comes next. */
static void draw_line(char *line, int drawn_over)
{
    clear_line();
    int width = terminal.tty ? cut_line(line, columns() - 1) : 0;
    fputs(line, stderr);
    if (drawn_over) {
        terminal.drawn = width;
        fflush(stderr);
    } else {
        fputc('\n', stderr);
    }
}

static void show_progress(void *user, const struct progress *p)
{
    (void)user;
    if (terminal.level > LOG_INFO)
        return;
    double now = clock_now(), spent = now - p->started;
    int ended = p->total && p->done >= p->total, other = strcmp(terminal.stage, p->stage ? p->stage : "") != 0;
    if (!ended && !other && now - terminal.last < (terminal.tty ? 0.2 : PIPE_SECONDS))
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
    char line[512];
    snprintf(line, sizeof line, "%s %ld/%ld [%s<%s, %.2f %s/s%s]%s%s", p->stage ? p->stage : "", p->done, p->total,
             elapsed, left, spent > 0 ? (double)p->done / spent : 0.0, p->unit ? p->unit : "", tokens,
             p->note && *p->note ? " " : "", p->note ? p->note : "");
    printable(line);
    draw_line(line, terminal.tty && !ended);
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
