/* SPDX-License-Identifier: Apache-2.0 */
/* Tables. One whose rows are long texts becomes samples: each row a block that opens, its texts side by side. */
#include "report/html_parts.h"
#include "report/html_text.h"

#include <string.h>

enum {
    LONG = 60,    /* bytes of a text that needs a line of its own */
    OPEN = 3,     /* samples that are open at first */
    SUMMARY = 110 /* characters of a sample's question in its first line */
};

static int is_words(const struct table *t, int column)
{
    for (const struct table_row *r = t->first; r; r = r->next)
        if (r->cells[column].text && strlen(r->cells[column].text) > LONG)
            return 1;
    return 0;
}

static int is_numeric(const struct column *c)
{
    return c->kind != COLUMN_TEXT;
}

static int is_samples(const struct table *t)
{
    int n = 0;
    for (int i = 0; i < t->n_column; i++)
        n += t->columns[i].kind == COLUMN_TEXT && is_words(t, i);
    return n > 1;
}

static int has_table(const struct document *d, const char *name)
{
    for (const struct section *s = d->first; s; s = s->next)
        for (const struct block *b = s->first; b; b = b->next)
            if (b->kind == BLOCK_TABLE && b->table && !strcmp(b->table->name, name))
                return 1;
    return 0;
}

/* A cell with its link, where the place exists. */
static void put_cell(struct buf *out, const struct document *d, const struct cell *c, const struct column *column)
{
    int section = c->link && document_find(d, c->link);
    int table = c->link && !section && has_table(d, c->link);
    if (section || table) {
        buf_printf(out, "<a href=\"#%s", table ? "table-" : "");
        html_text(out, c->link);
        buf_puts(out, "\">");
    }
    html_value(out, c, column);
    if (section || table)
        buf_puts(out, "</a>");
}

static void put_flag(struct buf *out, const struct table_row *r)
{
    if (r->marked)
        buf_puts(out,
                 "<span class=\"flag\"><span aria-hidden=\"true\">▲</span><span class=\"ear\">note: </span></span> ");
}

static void put_notes(struct buf *out, const struct table *t)
{
    int marked = 0;
    for (const struct table_row *r = t->first; r; r = r->next)
        marked |= r->marked;
    if (!marked && !t->notes)
        return;
    buf_puts(out, "<ul class=\"notes\">\n");
    if (marked)
        buf_puts(out, "<li><span class=\"flag\">▲</span> speaks against the method, or a check that failed</li>\n");
    for (const struct note *n = t->notes; n; n = n->next) {
        buf_puts(out, "<li>");
        html_text(out, n->text);
        buf_puts(out, "</li>\n");
    }
    buf_puts(out, "</ul>\n");
}

static void put_head(struct buf *out, const struct table *t)
{
    buf_puts(out, "<thead><tr>");
    for (int i = 0; i < t->n_column; i++) {
        buf_printf(out, "<th scope=\"col\"%s>", is_numeric(t->columns + i) ? " class=\"n\"" : "");
        html_text(out, t->columns[i].title);
        buf_puts(out, "</th>");
    }
    buf_puts(out, "</tr></thead>\n");
}

static const char *class_of(const struct column *c, int words)
{
    if (is_numeric(c))
        return " class=\"n\"";
    return words ? " class=\"words\"" : "";
}

static void put_row(struct buf *out, const struct document *d, const struct table_row *r)
{
    const struct table *t = r->table;
    buf_puts(out, r->marked ? "<tr class=\"marked\">" : "<tr>");
    for (int i = 0; i < t->n_column; i++) {
        const char *tag = i ? "td" : "th";
        buf_printf(out, "<%s%s%s%s>", tag, i ? "" : " scope=\"row\"", class_of(t->columns + i, is_words(t, i)),
                   is_words(t, i) ? " dir=\"auto\"" : "");
        if (!i)
            put_flag(out, r);
        put_cell(out, d, r->cells + i, t->columns + i);
        buf_printf(out, "</%s>", tag);
    }
    buf_puts(out, "</tr>\n");
}

static void put_table(struct buf *out, const struct document *d, const struct table *t)
{
    buf_puts(out, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"caption-");
    html_text(out, t->name);
    buf_puts(out, "\">\n<table id=\"table-");
    html_text(out, t->name);
    buf_puts(out, "\">\n<caption id=\"caption-");
    html_text(out, t->name);
    buf_puts(out, "\">");
    html_text(out, t->title);
    buf_puts(out, "</caption>\n");
    put_head(out, t);
    buf_puts(out, "<tbody>\n");
    for (const struct table_row *r = t->first; r; r = r->next)
        put_row(out, d, r);
    buf_puts(out, "</tbody></table></div>\n");
}

/* The short cells in one line, then the first long text: what tells this sample from the others. */
static void put_summary(struct buf *out, const struct table_row *r)
{
    const struct table *t = r->table;
    int said = 0;
    buf_puts(out, "<summary>");
    put_flag(out, r);
    for (int i = 0; i < t->n_column; i++) {
        const struct cell *c = r->cells + i;
        if (t->columns[i].kind != COLUMN_TEXT || is_words(t, i) || !c->text || !*c->text)
            continue;
        buf_puts(out, "<span class=\"tag\">");
        html_text_cut(out, c->text, SUMMARY);
        buf_puts(out, "</span> ");
    }
    for (int i = 0; i < t->n_column && !said; i++)
        if (is_words(t, i) && r->cells[i].text && *r->cells[i].text) {
            buf_puts(out, "<bdi>");
            html_text_cut(out, r->cells[i].text, SUMMARY);
            buf_puts(out, "</bdi>");
            said = 1;
        }
    buf_puts(out, said ? "</summary>\n" : "(without text)</summary>\n");
}

static void put_sample(struct buf *out, const struct document *d, const struct table_row *r, int open)
{
    const struct table *t = r->table;
    buf_printf(out, "<details class=\"sample%s\"%s>\n", r->marked ? " marked" : "", open ? " open" : "");
    put_summary(out, r);
    buf_puts(out, "<dl>\n");
    for (int i = 0; i < t->n_column; i++) {
        int words = is_words(t, i);
        buf_printf(out, "<div%s><dt>", words ? " class=\"words\"" : "");
        html_text(out, t->columns[i].title);
        buf_printf(out, "</dt><dd%s>", words ? " dir=\"auto\"" : "");
        put_cell(out, d, r->cells + i, t->columns + i);
        buf_puts(out, "</dd></div>\n");
    }
    buf_puts(out, "</dl></details>\n");
}

static void put_samples(struct buf *out, const struct document *d, const struct table *t)
{
    int i = 0;
    buf_puts(out, "<h3 id=\"table-");
    html_text(out, t->name);
    buf_puts(out, "\">");
    html_text(out, t->title);
    buf_puts(out, "</h3>\n");
    for (const struct table_row *r = t->first; r; r = r->next)
        put_sample(out, d, r, i++ < OPEN);
}

void html_table(struct buf *out, const struct document *d, const struct table *t)
{
    buf_puts(out, "<div class=\"block\">\n");
    if (!t->n_row) {
        buf_puts(out, "<p>");
        html_text(out, t->title);
        buf_puts(out, ": nothing.</p>\n");
    } else if (is_samples(t)) {
        put_samples(out, d, t);
    } else {
        put_table(out, d, t);
    }
    put_notes(out, t);
    buf_puts(out, "</div>\n");
}
