/* SPDX-License-Identifier: Apache-2.0 */
/* From a document's figure to the arrays that report/svg.h draws. Shares are drawn in per cent. */
#include "report/html_parts.h"

#include <math.h>
#include <string.h>

/* What lives as long as one drawing is made. */
struct scratch {
    struct arena arena;
    struct buf text;
    int failed;
};

static void *take(struct scratch *s, size_t n, size_t size)
{
    void *p = arena_alloc(&s->arena, (n + 1) * size);
    if (!p)
        s->failed = 1;
    return p;
}

/* What was written into text, which is empty after. */
static const char *kept(struct scratch *s)
{
    const char *copy = s->text.failed ? NULL : arena_strdup(&s->arena, buf_text(&s->text));
    buf_reset(&s->text);
    if (!copy)
        s->failed = 1;
    return copy ? copy : "";
}

static double scaled(const struct figure *f, double v)
{
    return f->y_kind == COLUMN_SHARE ? 100 * v : v;
}

static size_t n_series(const struct figure *f)
{
    size_t n = 0;
    for (const struct series *s = f->first; s; s = s->next)
        n++;
    return n;
}

static size_t n_points(const struct figure *f)
{
    size_t n = 0;
    for (const struct series *s = f->first; s; s = s->next)
        n += (size_t)s->n;
    return n;
}

static const struct point *named(const struct series *s, const char *name)
{
    const struct point *p = s->first;
    while (p && (!p->name || strcmp(p->name, name)))
        p = p->next;
    return p;
}

/* The names of the points in the order in which they first come. */
struct names {
    const char **list;
    int n;
};

static struct names names_of(struct scratch *scratch, const struct figure *f)
{
    struct names names = {take(scratch, n_points(f), sizeof *names.list), 0};
    for (const struct series *s = f->first; s && names.list; s = s->next)
        for (const struct point *p = s->first; p; p = p->next) {
            int seen = !p->name;
            for (int i = 0; i < names.n && !seen; i++)
                seen = !strcmp(names.list[i], p->name);
            if (!seen)
                names.list[names.n++] = p->name;
        }
    return names;
}

static struct svg_row row_of(struct scratch *scratch, const struct series *s, const struct point *p, int index)
{
    struct svg_row row = {.value = scaled(s->figure, p->y),
                          .low = scaled(s->figure, p->low),
                          .high = scaled(s->figure, p->high),
                          .series = index};
    html_point_name(&scratch->text, s, p);
    row.label = kept(scratch);
    html_point_text(&scratch->text, s->figure, p);
    row.text = kept(scratch);
    return row;
}

/* Points of one name beneath each other. */
static void draw_rows(struct buf *out, struct scratch *scratch, const struct figure *f, const struct svg_words *words)
{
    struct names names = names_of(scratch, f);
    struct svg_row *rows = take(scratch, n_points(f), sizeof *rows);
    enum svg_zero zero = f->y_kind == COLUMN_CHANGE ? SVG_ZERO_NULL : SVG_ZERO_NONE;
    int n = 0;
    for (int i = 0; i < names.n && rows; i++) {
        int index = 0;
        for (const struct series *s = f->first; s; s = s->next, index++) {
            const struct point *p = named(s, names.list[i]);
            if (p)
                rows[n++] = row_of(scratch, s, p, index);
        }
    }
    if (scratch->failed)
        return;
    if (f->kind == FIGURE_BARS)
        svg_bars(out, words, rows, n);
    else
        svg_intervals(out, words, rows, n, f->y_kind == COLUMN_SHARE ? SVG_ZERO_BASE : zero);
}

/* Four arrays of n: x, y, low, high. */
static struct svg_series series_of(struct scratch *scratch, const struct series *s)
{
    size_t n = (size_t)s->n;
    double *x = take(scratch, 4 * n, sizeof *x);
    struct svg_series line = {s->name ? s->name : "", x, x + n, x + 2 * n, x + 3 * n, s->n};
    const struct point *p = s->first;
    for (size_t i = 0; x && p; i++, p = p->next) {
        x[i] = p->x;
        x[n + i] = scaled(s->figure, p->y);
        x[2 * n + i] = scaled(s->figure, p->low);
        x[3 * n + i] = scaled(s->figure, p->high);
    }
    return line;
}

static int is_whole(const struct figure *f)
{
    for (const struct series *s = f->first; s; s = s->next)
        for (const struct point *p = s->first; p; p = p->next)
            if (isfinite(p->x) && p->x != floor(p->x))
                return 0;
    return 1;
}

static void draw_lines(struct buf *out, struct scratch *scratch, const struct figure *f, const struct svg_words *words)
{
    struct svg_series *list = take(scratch, n_series(f), sizeof *list);
    int n = 0;
    for (const struct series *s = f->first; s && list; s = s->next)
        list[n++] = series_of(scratch, s);
    if (!scratch->failed)
        svg_lines(out, words, list, n, is_whole(f));
}

static const char *value_of(struct scratch *scratch, const struct figure *f, double y)
{
    struct buf ascii = BUF_INIT;
    value_text(&ascii, y, f->y_kind, f->digits);
    html_minus(&scratch->text, buf_text(&ascii));
    scratch->failed |= ascii.failed;
    buf_free(&ascii);
    return kept(scratch);
}

static void draw_heat(struct buf *out, struct scratch *scratch, const struct figure *f, const struct svg_words *words)
{
    struct names columns = names_of(scratch, f);
    size_t n_row = n_series(f);
    size_t n_cell = n_row * (size_t)columns.n;
    const char **rows = take(scratch, n_row, sizeof *rows);
    const char **texts = take(scratch, n_cell, sizeof *texts);
    double *values = take(scratch, n_cell, sizeof *values);
    struct svg_heat map = {rows, columns.list, (int)n_row, columns.n, values, texts};
    if (scratch->failed)
        return;
    for (const struct series *s = f->first; s; s = s->next) {
        *rows++ = s->name ? s->name : "";
        for (int j = 0; j < columns.n; j++) {
            const struct point *p = named(s, columns.list[j]);
            *values++ = p ? scaled(f, p->y) : NAN;
            *texts++ = p ? value_of(scratch, f, p->y) : "";
        }
    }
    if (!scratch->failed)
        svg_heat_map(out, words, &map);
}

void html_draw(struct buf *out, const struct figure *f, const struct svg_words *words)
{
    struct scratch scratch = {.arena = ARENA_INIT, .text = BUF_INIT};
    switch (f->kind) {
    case FIGURE_LINES: draw_lines(out, &scratch, f, words); break;
    case FIGURE_POINTS:
    case FIGURE_BARS: draw_rows(out, &scratch, f, words); break;
    case FIGURE_HEAT: draw_heat(out, &scratch, f, words); break;
    }
    if (scratch.failed)
        out->failed = 1;
    buf_free(&scratch.text);
    arena_free(&scratch.arena);
}
