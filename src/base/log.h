/* SPDX-License-Identifier: Apache-2.0 */
/* What the library says while it works goes through one sink that the caller sets (src/cli prints it to stderr); silent
 * by default. Progress: call progress_step as often as convenient; the sink decides how often to show it. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING };
struct progress {
    const char *stage; /* "ask", "answer", "tune", ... */
    const char *unit;  /* "attempts", "steps", ... */
    long done, total;  /* total 0: unknown */
    double started;    /* clock_now() at the stage's begin */
    double tokens;     /* tokens processed so far, 0 if not counted */
    const char *note;  /* e.g. "loss 1.234", or NULL */
};
struct log_sink {
    void (*line)(void *user, enum log_level level, const char *text);
    void (*progress)(void *user, const struct progress *p); /* p->done == p->total ends the stage */
    void *user;
};
void log_set_sink(const struct log_sink *sink); /* copied; NULL = silent */
struct log_sink log_get_sink(void);             /* whoever wraps it puts it back */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_show(const struct progress *p);

#endif
