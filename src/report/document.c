/* SPDX-License-Identifier: Apache-2.0 */
#include "report/document.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *make(struct document *d, size_t bytes)
{
    void *p = d && !d->failed ? arena_alloc(&d->arena, bytes) : NULL;
    if (d && !p)
        d->failed = 1;
    return p;
}

static const char *own(struct document *d, const char *text)
{
    const char *copy = text && d && !d->failed ? arena_strdup(&d->arena, text) : NULL;
    if (text && d && !copy)
        d->failed = 1;
    return copy;
}

static const char *own_printf(struct document *d, const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : make(d, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, list);
    return text;
}

void document_begin(struct document *d, const char *title)
{
    *d = (struct document){.arena = ARENA_INIT};
    d->title = own(d, title);
}

void document_summary(struct document *d, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    d->summary = own_printf(d, format, list);
    va_end(list);
}

int document_check(const struct document *d, struct error *err)
{
    return d->failed ? error_set_nomem(err, 4096, "a report") : 0;
}

void document_free(struct document *d)
{
    arena_free(&d->arena);
    *d = (struct document){.arena = ARENA_INIT};
}

const struct section *document_find(const struct document *d, const char *name)
{
    const struct section *s = d->first;
    while (s && strcmp(s->name, name))
        s = s->next;
    return s;
}

const struct table *document_table(const struct document *d, const char *name)
{
    for (const struct section *s = d->first; s; s = s->next)
        for (const struct block *b = s->first; b; b = b->next)
            if (b->kind == BLOCK_TABLE && b->table && !strcmp(b->table->name, name))
                return b->table;
    return NULL;
}

struct section *document_section(struct document *d, const char *name, const char *title)
{
    struct section *s = make(d, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct section){.name = own(d, name), .title = own(d, title), .document = d};
    if (d->last)
        d->last->next = s;
    else
        d->first = s;
    d->last = s;
    return s;
}

static struct block *add_block(struct section *s, enum block_kind kind)
{
    struct block *b = s ? make(s->document, sizeof *b) : NULL;
    if (!b)
        return NULL;
    b->kind = kind;
    if (s->last)
        s->last->next = b;
    else
        s->first = b;
    s->last = b;
    return b;
}

void section_text(struct section *s, const char *format, ...)
{
    struct block *b = add_block(s, BLOCK_TEXT);
    va_list list;
    va_start(list, format);
    if (b)
        b->text = own_printf(s->document, format, list);
    va_end(list);
}

void section_code(struct section *s, const char *text)
{
    struct block *b = add_block(s, BLOCK_CODE);
    if (b)
        b->text = own(s->document, text);
}

struct table *section_table(struct section *s, const char *name, const char *title, const struct column *columns,
                            int n_column)
{
    struct block *b = add_block(s, BLOCK_TABLE);
    struct table *t = b ? make(s->document, sizeof *t) : NULL;
    if (!t)
        return NULL;
    *t = (struct table){.name = own(s->document, name),
                        .title = own(s->document, title),
                        .columns = columns,
                        .n_column = n_column,
                        .section = s};
    b->table = t;
    return t;
}

void table_note(struct table *t, const char *format, ...)
{
    struct note *n = t ? make(t->section->document, sizeof *n) : NULL;
    if (!n)
        return;
    va_list list;
    va_start(list, format);
    n->text = own_printf(t->section->document, format, list);
    va_end(list);
    if (t->last_note)
        t->last_note->next = n;
    else
        t->notes = n;
    t->last_note = n;
}

struct table_row *table_add(struct table *t)
{
    struct document *d = t ? t->section->document : NULL;
    struct table_row *r = make(d, sizeof *r);
    struct cell *cells = make(d, ((size_t)(t ? t->n_column : 0) + 1) * sizeof *cells);
    if (!r || !cells)
        return NULL;
    for (int i = 0; i < t->n_column; i++)
        cells[i] = (struct cell){.value = NAN, .low = NAN, .high = NAN};
    *r = (struct table_row){.cells = cells, .table = t};
    if (t->last)
        t->last->next = r;
    else
        t->first = r;
    t->last = r;
    t->n_row++;
    return r;
}

static struct cell *next_cell(struct table_row *r)
{
    return r && r->n < r->table->n_column ? &r->cells[r->n++] : NULL;
}

void row_link(struct table_row *r, const char *text, const char *place)
{
    struct cell *c = next_cell(r);
    if (!c)
        return;
    c->text = own(r->table->section->document, text);
    c->link = own(r->table->section->document, place);
}

void row_text(struct table_row *r, const char *text)
{
    row_link(r, text, NULL);
}

void row_interval(struct table_row *r, double value, double low, double high)
{
    struct cell *c = next_cell(r);
    if (!c)
        return;
    c->value = value;
    c->low = low;
    c->high = high;
}

void row_number(struct table_row *r, double value)
{
    row_interval(r, value, NAN, NAN);
}

struct figure *section_figure(struct section *s, const struct figure *as)
{
    struct block *b = add_block(s, BLOCK_FIGURE);
    struct figure *f = b ? make(s->document, sizeof *f) : NULL;
    if (!f)
        return NULL;
    *f = *as;
    f->name = own(s->document, as->name);
    f->title = own(s->document, as->title);
    f->x_title = own(s->document, as->x_title);
    f->y_title = own(s->document, as->y_title);
    f->first = f->last = NULL;
    f->section = s;
    b->figure = f;
    return f;
}

struct series *figure_series(struct figure *f, const char *name)
{
    struct series *s = f ? make(f->section->document, sizeof *s) : NULL;
    if (!s)
        return NULL;
    *s = (struct series){.name = own(f->section->document, name), .figure = f};
    if (f->last)
        f->last->next = s;
    else
        f->first = s;
    f->last = s;
    return s;
}

void series_add(struct series *s, const struct point *p)
{
    struct point *x = s ? make(s->figure->section->document, sizeof *x) : NULL;
    if (!x)
        return;
    *x = *p;
    x->name = own(s->figure->section->document, p->name);
    x->next = NULL;
    if (s->last)
        s->last->next = x;
    else
        s->first = x;
    s->last = x;
    s->n++;
}

void value_text(struct buf *out, double value, enum column_kind kind, int digits)
{
    if (!isfinite(value))
        return;
    switch (kind) {
    case COLUMN_TEXT:
    case COLUMN_COUNT: buf_printf(out, "%.0f", value); break;
    case COLUMN_NUMBER: buf_printf(out, "%.*f", digits, value); break;
    case COLUMN_CHANGE: buf_printf(out, "%+.*f", digits, value); break;
    case COLUMN_SHARE: buf_printf(out, "%.*f %%", digits, 100 * value); break;
    case COLUMN_P:
        if (value < 1e-4)
            buf_puts(out, "< 0.0001");
        else
            buf_printf(out, "%.2g", value);
    }
}

void cell_text(struct buf *out, const struct cell *c, const struct column *column)
{
    if (c->text) {
        buf_puts(out, c->text);
        return;
    }
    value_text(out, c->value, column->kind, column->digits);
    if (!isfinite(c->value) || !isfinite(c->low) || !isfinite(c->high))
        return;
    double scale = column->kind == COLUMN_SHARE ? 100 : 1; /* the unit stands once */
    enum column_kind kind = column->kind == COLUMN_SHARE ? COLUMN_NUMBER : column->kind;
    buf_puts(out, " (");
    value_text(out, scale * c->low, kind, column->digits);
    buf_puts(out, " to ");
    value_text(out, scale * c->high, kind, column->digits);
    buf_putc(out, ')');
}

void count_text(struct buf *out, double n)
{
    char digits[64];
    int length = snprintf(digits, sizeof digits, "%.0f", fabs(n) < 1e18 ? n : NAN);
    for (int i = 0; i < length; i++) {
        int behind = length - i;
        if (i && behind % 3 == 0 && digits[i - 1] != '-' && digits[i] != 'n')
            buf_putc(out, ',');
        buf_putc(out, digits[i]);
    }
}
