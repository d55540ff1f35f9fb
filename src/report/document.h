/* SPDX-License-Identifier: Apache-2.0 */
/* What a report says, before it has a form: sections of paragraphs, commands, tables and figures. One builder a group
 * of sections fills it from the trees of results (report.h, evaluation.h); the page, CSV, LaTeX, cards and TensorBoard
 * events are renderings of it and compute nothing.
 *
 * Builders append. Out of memory is remembered in the document and asked for once, by document_check; what is NULL for
 * want of memory may be handed on. Texts are copied; they are UTF-8 and may come from models and files, so a renderer
 * escapes them. Names of sections are unique among sections, those of tables and figures among these. */
#ifndef REPORT_DOCUMENT_H
#define REPORT_DOCUMENT_H

#include "base/arena.h"
#include "base/error.h"

#include <math.h>

/* How a column's cells read. */
enum column_kind {
    COLUMN_TEXT,
    COLUMN_COUNT,  /* a whole number */
    COLUMN_NUMBER, /* with `digits` behind the point, and its interval where a cell has one */
    COLUMN_CHANGE, /* the same with its sign */
    COLUMN_SHARE,  /* 0..1, shown in percent with `digits` behind the point, and its interval */
    COLUMN_P       /* a p-value: two significant digits, "< 0.0001" below that */
};
struct column {
    const char *name;  /* of the CSV column and its like: "p_holm" */
    const char *title; /* for people: "p, after Holm" */
    enum column_kind kind;
    int digits;
};
struct cell {
    const char *text;        /* of COLUMN_TEXT; else NULL, or instead of a number: why there is none */
    const char *link;        /* name of the section or table that it is about; NULL: none */
    double value, low, high; /* NAN: none */
};
struct table_row {
    struct cell *cells; /* [table's n_column]; those that were not appended are empty */
    int n;              /* appended so far */
    int marked;         /* to be seen first: a regression, a failed check */
    struct table *table;
    struct table_row *next;
};
struct note {
    const char *text;
    struct note *next;
};
struct table {
    const char *name, *title; /* name: of tables/NAME.csv, and an anchor: lower-case letters, digits, hyphens */
    const struct column *columns;
    int n_column;
    struct table_row *first, *last;
    int n_row;
    struct note *notes, *last_note; /* under the table, in their order */
    struct section *section;
};

/* Points of a figure: y over x, or for bars and cells over the name of x. */
struct point {
    double x, y, low, high; /* low, high: of the interval; NAN: none */
    const char *name;       /* "round-1"; NULL: x is a number */
    struct point *next;
};
struct series {
    const char *name;
    struct point *first, *last;
    int n;
    struct figure *figure;
    struct series *next;
};
enum figure_kind {
    FIGURE_LINES,  /* y over x, one line a series, with a band where points have intervals */
    FIGURE_POINTS, /* one mark a named point with its interval, beneath each other; x unused; 0 is in view for changes
                    */
    FIGURE_BARS,   /* one group a named point, one bar a series */
    FIGURE_HEAT    /* a row a series, a column a named point */
};
struct figure {
    enum figure_kind kind;
    const char *name, *title, *x_title, *y_title;
    enum column_kind y_kind; /* how values of y read */
    int digits;
    struct series *first, *last;
    struct section *section;
};

enum block_kind { BLOCK_TEXT, BLOCK_CODE, BLOCK_TABLE, BLOCK_FIGURE };
struct block {
    enum block_kind kind;
    const char *text; /* a paragraph, or lines of code (a command, a prompt, a file) */
    struct table *table;
    struct figure *figure;
    struct block *next;
};
struct section {
    const char *name, *title; /* name: an anchor, as a table's */
    struct block *first, *last;
    struct document *document;
    struct section *next;
};
struct document {
    struct arena arena;
    const char *title, *summary; /* summary: the finding in one paragraph */
    struct section *first, *last;
    int failed;
};

void document_begin(struct document *d, const char *title);
void document_summary(struct document *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
int document_check(const struct document *d, struct error *err); /* ERROR_NOMEM when anything is missing */
void document_free(struct document *d);
const struct section *document_find(const struct document *d, const char *name); /* NULL: there is none */
const struct table *document_table(const struct document *d, const char *name);  /* NULL: there is none */

struct section *document_section(struct document *d, const char *name, const char *title);
void section_text(struct section *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void section_code(struct section *s, const char *text);
/* columns outlive the document. */
struct table *section_table(struct section *s, const char *name, const char *title, const struct column *columns,
                            int n_column);
void table_note(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct table_row *table_add(struct table *t);                            /* a row, whose cells the next ones append */
void row_text(struct table_row *r, const char *text);                    /* NULL: an empty cell */
void row_link(struct table_row *r, const char *text, const char *place); /* place: a section's or table's name */
void row_number(struct table_row *r, double value);                      /* NAN: an empty cell */
void row_interval(struct table_row *r, double value, double low, double high);
struct figure *section_figure(struct section *s, const struct figure *as); /* kind, texts and format are copied */
struct series *figure_series(struct figure *f, const char *name);
void series_add(struct series *s, const struct point *p); /* copied */

/* A cell as a reader sees it, appended: "57.0 % (50.0 to 63.7)", "+0.36 (+0.27 to +0.49)", "< 0.0001"; nothing for an
 * empty one. */
struct buf;
void cell_text(struct buf *out, const struct cell *c, const struct column *column);
/* A value alone in that form, for axes and hints. */
void value_text(struct buf *out, double value, enum column_kind kind, int digits);
/* "268,098,176": a whole number within a sentence. */
void count_text(struct buf *out, double n);

#endif
