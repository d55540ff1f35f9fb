/* SPDX-License-Identifier: Apache-2.0 */
/* Tables. One whose rows are long texts becomes samples: each row a block that opens, its texts side by side. */
#include "report/html_parts.h"
#include "report/html_text.h"

#include <math.h>
#include <string.h>

enum {
    LONG = 60,    /* bytes of a text that needs a line of its own */
    SOME = 20,    /* bytes of a text whose column must not become narrow */
    TITLE = 16,   /* bytes of a column's title that is broken into lines */
    OPEN = 3,     /* samples that are open at first */
    SUMMARY = 110 /* characters of a sample's question in its first line */
};

/* Bytes of the longest text of a column. */
static size_t longest(const struct table *t, int column)
{
    size_t most = 0;
    for (const struct table_row *r = t->first; r; r = r->next)
        if (r->cells[column].text && strlen(r->cells[column].text) > most)
            most = strlen(r->cells[column].text);
    return most;
}

static int is_words(const struct table *t, int column)
{
    return longest(t, column) > LONG;
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
        buf_puts(
            out,
            "<span class=\"flag\"><span aria-hidden=\"true\">▲</span><span class=\"ear\">note: </span></span>&nbsp;");
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
        buf_puts(out,
                 "<li><span class=\"flag\">▲</span> speaks against the method, failed a check, or is missing</li>\n");
    for (const struct note *n = t->notes; n; n = n->next) {
        buf_puts(out, "<li>");
        html_prose(out, n->text);
        buf_puts(out, "</li>\n");
    }
    buf_puts(out, "</ul>\n");
}

static void put_head(struct buf *out, const struct table *t)
{
    buf_puts(out, "<thead><tr>");
    for (int i = 0; i < t->n_column; i++) {
        buf_printf(out, "<th scope=\"col\" class=\"%s%s\">", is_numeric(t->columns + i) ? "n" : "t",
                   strlen(t->columns[i].title) > TITLE ? " wide" : "");
        html_text(out, t->columns[i].title);
        buf_puts(out, "</th>");
    }
    buf_puts(out, "</tr></thead>\n");
}

static const char *class_of(const struct table *t, int column)
{
    size_t most = longest(t, column);
    if (is_numeric(t->columns + column))
        return " class=\"n\"";
    if (most > LONG)
        return " class=\"words\"";
    return most > SOME ? " class=\"some\"" : "";
}

static int same_group(const struct table_row *a, const struct table_row *b)
{
    const struct cell *one = a->cells;
    const struct cell *other = b->cells;
    if (one->text || other->text)
        return one->text && other->text && *one->text && !strcmp(one->text, other->text);
    return one->value == other->value;
}

/* The rows from r on whose first cell says the same. */
static int group_of(const struct table_row *r)
{
    int n = 1;
    for (const struct table_row *next = r->next; next && same_group(r, next); next = next->next)
        n++;
    return n;
}

static int has_groups(const struct table *t)
{
    for (const struct table_row *r = t->first; r && t->n_column > 2; r = r->next)
        if (r->next && same_group(r, r->next))
            return 1;
    return 0;
}

/* The cells from column `from` on, the first of them the head of the row. */
static void put_cells(struct buf *out, const struct document *d, const struct table_row *r, int from)
{
    const struct table *t = r->table;
    for (int i = from; i < t->n_column; i++) {
        const char *tag = i > from ? "td" : "th";
        buf_printf(out, "<%s%s%s%s>", tag, i > from ? "" : " scope=\"row\"", class_of(t, i),
                   is_words(t, i) ? " dir=\"auto\"" : "");
        if (i == from)
            put_flag(out, r);
        put_cell(out, d, r->cells + i, t->columns + i);
        buf_printf(out, "</%s>", tag);
    }
    buf_puts(out, "</tr>\n");
}

static const char *row_tag(const struct table_row *r)
{
    return r->marked ? "<tr class=\"marked\">" : "<tr>";
}

/* Rows whose first cell is the same become a group, which says it once. Returns the row after it. */
static const struct table_row *put_group(struct buf *out, const struct document *d, const struct table_row *r)
{
    int n = group_of(r);
    const struct column *first = r->table->columns;
    buf_printf(out, "<tbody>\n%s<th scope=\"rowgroup\" rowspan=\"%d\"%s>", row_tag(r), n, class_of(r->table, 0));
    put_cell(out, d, r->cells, first);
    buf_puts(out, "</th>");
    put_cells(out, d, r, 1);
    for (r = r->next; --n; r = r->next) {
        buf_puts(out, row_tag(r));
        put_cells(out, d, r, 1);
    }
    buf_puts(out, "</tbody>\n");
    return r;
}

static void put_body(struct buf *out, const struct document *d, const struct table *t)
{
    const struct table_row *r = t->first;
    if (has_groups(t)) {
        while (r)
            r = put_group(out, d, r);
        return;
    }
    buf_puts(out, "<tbody>\n");
    for (; r; r = r->next) {
        buf_puts(out, row_tag(r));
        put_cells(out, d, r, 0);
    }
    buf_puts(out, "</tbody>\n");
}

/* Names and their values: a long list, set close. */
static int is_facts(const struct table *t)
{
    return t->n_column == 2 && !is_numeric(t->columns) && !is_numeric(t->columns + 1);
}

static const char *kind_of(const struct table *t)
{
    if (has_groups(t))
        return "grouped";
    return is_facts(t) ? "facts" : "plain";
}

static void put_table(struct buf *out, const struct document *d, const struct table *t)
{
    buf_puts(out, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"caption-");
    html_text(out, t->name);
    buf_printf(out, "\">\n<table class=\"%s\" id=\"table-", kind_of(t));
    html_text(out, t->name);
    buf_puts(out, "\">\n<caption id=\"caption-");
    html_text(out, t->name);
    buf_puts(out, "\"><span>");
    html_text(out, t->title);
    buf_puts(out, "</span></caption>\n");
    put_head(out, t);
    put_body(out, d, t);
    buf_puts(out, "</table></div>\n");
}

static int is_empty(const struct cell *c)
{
    return c->text ? !*c->text : !isfinite(c->value);
}

/* The column of the first long text that a row has: what tells it from the others; -1: it has none. */
static int lead_of(const struct table_row *r)
{
    int i = 0;
    while (i < r->table->n_column && (!is_words(r->table, i) || is_empty(r->cells + i)))
        i++;
    return i < r->table->n_column ? i : -1;
}

static int is_cut(const char *text)
{
    return strlen(text) > SUMMARY || strchr(text, '\n');
}

/* What opens: the long texts, but for the first one where it stands in the summary whole. */
static int is_inside(const struct table_row *r, int column, int lead)
{
    const struct cell *c = r->cells + column;
    if (is_empty(c))
        return 0;
    if (column == lead)
        return is_cut(c->text);
    return is_words(r->table, column);
}

/* The first text, and below it the short cells with their names. */
static void put_summary(struct buf *out, const struct table_row *r, int lead)
{
    const struct table *t = r->table;
    put_flag(out, r);
    buf_puts(out, "<bdi class=\"lead\">");
    html_text_cut(out, lead < 0 ? "(without text)" : r->cells[lead].text, SUMMARY);
    buf_puts(out, "</bdi><span class=\"facts\">");
    for (int i = 0; i < t->n_column; i++) {
        if (is_words(t, i) || is_empty(r->cells + i))
            continue;
        buf_puts(out, " <span>");
        html_text(out, t->columns[i].title);
        buf_puts(out, " <b>");
        html_value(out, r->cells + i, t->columns + i);
        buf_puts(out, "</b></span>");
    }
    buf_puts(out, "</span>");
}

static void put_inside(struct buf *out, const struct document *d, const struct table_row *r, int lead)
{
    const struct table *t = r->table;
    buf_puts(out, "<dl>\n");
    for (int i = 0; i < t->n_column; i++) {
        if (!is_inside(r, i, lead))
            continue;
        buf_printf(out, "<div class=\"%s\"><dt>", i == lead ? "whole" : "part");
        html_text(out, t->columns[i].title);
        buf_puts(out, "</dt><dd dir=\"auto\">");
        put_cell(out, d, r->cells + i, t->columns + i);
        buf_puts(out, "</dd></div>\n");
    }
    buf_puts(out, "</dl>");
}

static void put_sample(struct buf *out, const struct document *d, const struct table_row *r, int open)
{
    int lead = lead_of(r);
    int inside = 0;
    for (int i = 0; i < r->table->n_column; i++)
        inside |= is_inside(r, i, lead);
    const char *marked = r->marked ? " marked" : "";
    if (inside)
        buf_printf(out, "<details class=\"sample%s\"%s>\n<summary>", marked, open ? " open" : "");
    else
        buf_printf(out, "<div class=\"sample%s\"><p>", marked);
    put_summary(out, r, lead);
    buf_puts(out, inside ? "</summary>\n" : "</p>");
    if (inside)
        put_inside(out, d, r, lead);
    buf_puts(out, inside ? "</details>\n" : "</div>\n");
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
