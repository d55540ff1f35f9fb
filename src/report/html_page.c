/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html.h"

#include "base/build.h"
#include "report/html_parts.h"
#include "report/html_text.h"

#include <string.h>

enum { UNBROKEN = 32 }; /* bytes of a word of code that stays on one line */

static void put(struct buf *out, const char *before, const char *text, const char *after)
{
    buf_puts(out, before);
    html_text(out, text ? text : "");
    buf_puts(out, after);
}

/* Nothing is loaded and nothing runs, whatever a text might have smuggled in. */
static void put_head(struct buf *out, const struct document *d)
{
    buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  "<meta name=\"referrer\" content=\"no-referrer\">\n");
    put(out, "<meta name=\"generator\" content=\"isara ", build_name, "\">\n");
    put(out, "<title>", d->title, "</title>\n<style>\n");
    buf_puts(out, html_style);
    buf_puts(out, "</style>\n</head>\n");
}

static void put_nav(struct buf *out, const struct document *d)
{
    buf_puts(out, "<nav aria-labelledby=\"contents\">\n<h2 id=\"contents\">Contents</h2>\n<ol>\n");
    for (const struct section *s = d->first; s; s = s->next) {
        put(out, "<li><a href=\"#", s->name, "\">");
        put(out, "", s->title, "</a></li>\n");
    }
    buf_puts(out, "</ol>\n</nav>\n");
}

/* Lines of code break between words only: "--seeds" is not torn at its hyphens. */
static void put_code(struct buf *out, const char *text)
{
    struct buf word = BUF_INIT;
    buf_puts(out, "<pre><code>");
    while (*text) {
        size_t space = strspn(text, " \t\r\n");
        size_t n = space ? space : strcspn(text, " \t\r\n");
        buf_reset(&word);
        buf_append(&word, text, n);
        int whole = !space && n < UNBROKEN && memchr(text, '-', n);
        put(out, whole ? "<span class=\"word\">" : "", buf_text(&word), whole ? "</span>" : "");
        text += n;
        out->failed |= word.failed;
    }
    buf_puts(out, "</code></pre>\n");
    buf_free(&word);
}

static void put_block(struct buf *out, const struct document *d, const struct block *b)
{
    switch (b->kind) {
    case BLOCK_TEXT:
        buf_puts(out, "<p>");
        html_prose(out, b->text ? b->text : "");
        buf_puts(out, "</p>\n");
        break;
    case BLOCK_CODE: put_code(out, b->text ? b->text : ""); break;
    case BLOCK_TABLE:
        if (b->table)
            html_table(out, d, b->table);
        break;
    case BLOCK_FIGURE:
        if (b->figure)
            html_figure(out, b->figure);
        break;
    }
}

static void put_section(struct buf *out, const struct document *d, const struct section *s)
{
    put(out, "<section id=\"", s->name, "\"");
    put(out, " aria-labelledby=\"head-", s->name, "\">\n");
    put(out, "<h2 id=\"head-", s->name, "\">");
    put(out, "", s->title, "</h2>\n");
    for (const struct block *b = s->first; b; b = b->next)
        put_block(out, d, b);
    buf_puts(out, "</section>\n");
}

void report_html(const struct document *d, struct buf *out)
{
    put_head(out, d);
    buf_puts(out, "<body>\n<a class=\"skip\" href=\"#report\">To the report</a>\n<header>\n");
    put(out, "<h1>", d->title, "</h1>\n");
    if (d->summary) {
        buf_puts(out, "<p class=\"summary\">");
        html_prose(out, d->summary);
        buf_puts(out, "</p>\n");
    }
    buf_puts(out, "</header>\n<div class=\"page\">\n");
    put_nav(out, d);
    buf_puts(out, "<main id=\"report\">\n");
    for (const struct section *s = d->first; s; s = s->next)
        put_section(out, d, s);
    buf_puts(out, "</main>\n</div>\n<footer>\n");
    put(out, "<p>Written by isara ", build_name, " from the record of the run and what its authors state.</p>\n");
    buf_puts(out, "</footer>\n</body>\n</html>\n");
    if (d->failed)
        out->failed = 1;
}
