/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with seeds, said before hours are spent on them. */
#include "method/lint.h"

#include "base/buf.h"
#include "base/mem.h"
#include "method/sift.h"

#include <stdio.h>
#include <string.h>

/* bytes; the paper's "fewer than 100" */
enum { LONG_QUESTION = 1500, LONG_ANSWER = 4000, MANY = 100 };

struct lint {
    const struct seeds *s;
    const char *path;
    void (*say)(void *user, const char *line);
    void *user;
    const char *unit; /* "line", or "pair" where lines tell nothing: an array in one line */
    struct buf text;
};

static long place_of(const struct lint *l, int i)
{
    return *l->unit == 'l' ? l->s->items[i].line : i + 1;
}

static void say(struct lint *l)
{
    if (l->say && !l->text.failed)
        l->say(l->user, l->text.data);
    buf_reset(&l->text);
}

/* Lines of the first few of something, " 3, 8, 12 and 5 more". */
static void add_lines(struct buf *b, const long *lines, int n)
{
    buf_puts(b, n > 1 ? "s" : "");
    for (int i = 0; i < n && i < 5; i++)
        buf_printf(b, "%s %ld", i ? "," : "", lines[i]);
    if (n > 5)
        buf_printf(b, " and %d more", n - 5);
}

static void long_ones(struct lint *l, long *lines)
{
    int n = 0, breaks = 0;
    for (int i = 0; i < l->s->n; i++) {
        const struct seed *s = &l->s->items[i];
        if (strlen(s->question) > LONG_QUESTION || (s->answer && strlen(s->answer) > LONG_ANSWER))
            lines[n++] = place_of(l, i);
    }
    if (n) {
        buf_printf(&l->text, "%s: far longer than a question (%d bytes) or an answer (%d bytes) should be: %s", l->path,
                   LONG_QUESTION, LONG_ANSWER, l->unit);
        add_lines(&l->text, lines, n);
        say(l);
    }
    for (int i = 0; i < l->s->n; i++)
        if (strchr(l->s->items[i].question, '\n'))
            lines[breaks++] = place_of(l, i);
    if (breaks) {
        buf_printf(&l->text, "%s: the question holds a line break, where asked questions end: %s", l->path, l->unit);
        add_lines(&l->text, lines, breaks);
        say(l);
    }
}

static void answers_alike(struct lint *l)
{
    int most = 0, which = 0;
    for (int i = 0; i < l->s->n; i++) {
        int same = 0;
        for (int j = 0; j < l->s->n && l->s->items[i].answer; j++)
            same += l->s->items[j].answer && !strcmp(l->s->items[i].answer, l->s->items[j].answer);
        if (same > most) {
            most = same;
            which = i;
        }
    }
    if (most > 2 && most * 4 >= l->s->n) {
        buf_printf(&l->text, "%s: %d of %d answers are all alike, as on %s %ld: the model will learn to say that",
                   l->path, most, l->s->n, l->unit, place_of(l, which));
        say(l);
    }
}

/* Same question again: fatal. A similar one: said. */
static int duplicates(struct lint *l, long *lines, struct error *err)
{
    struct sift_options o;
    struct sift *sift;
    int n = 0, similar = 0, rc;
    long with = 0;
    sift_options_default(&o);
    if ((rc = sift_new(&sift, &o, err)))
        return rc;
    for (int i = 0; i < l->s->n && !rc; i++) {
        struct sift_match m;
        if ((rc = sift_nearest(sift, l->s->items[i].question, &m, err)) ||
            (rc = sift_add(sift, l->s->items[i].question, i, err)))
            break;
        int same = m.name >= 0 && !strcmp(l->s->items[m.name].question, l->s->items[i].question);
        if (same && !n)
            with = place_of(l, m.name);
        if (same)
            lines[n++] = place_of(l, i);
        else if (m.f1 > o.threshold && similar++ == 0)
            buf_printf(&l->text, "%s %ld with %s %ld", l->unit, place_of(l, i), l->unit, place_of(l, m.name));
    }
    if (similar && !rc) {
        char first[80];
        snprintf(first, sizeof first, "%s", l->text.failed ? "" : l->text.data);
        buf_reset(&l->text);
        buf_printf(&l->text, "%s: %d questions are much like another one (ROUGE-L above 0.7), first %s", l->path,
                   similar, first);
        say(l);
    }
    sift_free(sift);
    if (n && !rc) {
        buf_printf(&l->text, "%s: duplicate question: %s %ld again on %s", l->path, l->unit, with, l->unit);
        add_lines(&l->text, lines, n);
        buf_puts(&l->text, "; strike the repeats");
        rc = l->text.failed ? error_set_nomem(err, l->text.len, "message")
                            : error_set(err, ERROR_DATA, "%s", l->text.data);
        buf_reset(&l->text);
    }
    return rc;
}

int seeds_lint(const struct seeds *s, const char *path, int need_pairs, void (*say_line)(void *user, const char *line),
               void *user, struct error *err)
{
    const int one_line = s->n > 1 && s->items[0].line == s->items[s->n - 1].line;
    struct lint l = {s, path, say_line, user, one_line ? "pair" : "line", BUF_INIT};
    long *lines = mem_alloc(((size_t)s->n + 1) * sizeof *lines);
    if (!lines)
        return error_set_nomem(err, (size_t)s->n * sizeof *lines, "lint");
    int rc = 0;
    if (s->unknown[0]) {
        buf_printf(&l.text, "%s: read as %s; not used: %s", path, s->format, s->unknown);
        say(&l);
    }
    if (s->n_unsafe || s->n_contradictory) {
        buf_printf(&l.text,
                   "%s: %d pairs are not safe and were left out; %d had contradictory annotations, settled by majority",
                   path, s->n_unsafe, s->n_contradictory);
        say(&l);
    }
    if (s->n_turns) {
        buf_printf(&l.text,
                   "%s: of %d records with more turns or instances only the first question and answer were taken", path,
                   s->n_turns);
        say(&l);
    }
    if (s->n_system) {
        buf_printf(&l.text,
                   "%s: the system messages of %d records are not used; --template chat --system TEXT gives one to all",
                   path, s->n_system);
        say(&l);
    }
    if (s->n_left_out) {
        buf_printf(&l.text, "%s: %d records with \"kept\": false are left out", path, s->n_left_out);
        say(&l);
    }
    if (s->n >= MANY) {
        buf_printf(&l.text, "%s: %d pairs; the method is made for fewer than %d", path, s->n, MANY);
        say(&l);
    }
    long_ones(&l, lines);
    answers_alike(&l);
    rc = duplicates(&l, lines, err);
    if (!rc && s->n < need_pairs)
        rc = error_set(
            err, ERROR_DATA,
            "%s: %d pairs; wanted at least %d (k pairs in a prompt and one more); give more seeds or a smaller --k",
            path, s->n, need_pairs);
    buf_free(&l.text);
    mem_free(lines);
    return rc;
}

int seeds_overlap(const struct seeds *seeds, const struct seeds *test, int *n_same, int *n_similar, long *first_line,
                  struct error *err)
{
    struct sift_options o;
    struct sift *sift;
    sift_options_default(&o);
    *n_same = *n_similar = 0;
    *first_line = 0;
    int rc = sift_new(&sift, &o, err);
    if (rc)
        return rc;
    for (int i = 0; i < seeds->n && !rc; i++)
        rc = sift_add(sift, seeds->items[i].question, i, err);
    for (int i = 0; i < test->n && !rc; i++) {
        struct sift_match m;
        if ((rc = sift_nearest(sift, test->items[i].question, &m, err)))
            break;
        int same = m.name >= 0 && !strcmp(seeds->items[m.name].question, test->items[i].question);
        *n_same += same;
        *n_similar += !same && m.f1 > o.threshold;
        if ((same || m.f1 > o.threshold) && !*first_line)
            *first_line = test->items[i].line;
    }
    sift_free(sift);
    return rc;
}
