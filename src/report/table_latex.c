/* SPDX-License-Identifier: Apache-2.0 */
#include "report/tables.h"

#include <string.h>

enum { WIDE = 30, WIDEST_TABLE = 9 }; /* letters from which on a column breaks its lines */

/* Text as LaTeX sets it; control characters are blanks. */
static void put_text(struct buf *out, const char *text)
{
    static const char *const words[][2] = {
        {"\\", "\\textbackslash{}"}, {"^", "\\textasciicircum{}"}, {"~", "\\textasciitilde{}"}, {"<", "\\textless{}"},
        {">", "\\textgreater{}"},    {"|", "\\textbar{}"},         {"\"", "\\textquotedbl{}"}};
    for (const char *s = text; *s; s++) {
        const char *word = NULL;
        for (size_t i = 0; i < sizeof words / sizeof *words && !word; i++)
            word = *s == *words[i][0] ? words[i][1] : NULL;
        if (word)
            buf_puts(out, word);
        else if (strchr("{}$&#_%", *s))
            buf_printf(out, "\\%c", *s);
        else
            buf_putc(out, (unsigned char)*s < ' ' || *s == 0x7f ? ' ' : *s);
    }
}

/* A hyphen before a digit is a minus. */
static void put_number(struct buf *out, const char *text)
{
    for (; *text; text++) {
        char one[2] = {*text, 0};
        if (*text == '-' && text[1] >= '0' && text[1] <= '9')
            buf_puts(out, "$-$");
        else
            put_text(out, one);
    }
}

static int is_wide(const struct table *t, int column)
{
    for (const struct table_row *r = t->first; r; r = r->next)
        if (r->cells[column].text && strlen(r->cells[column].text) > WIDE)
            return 1;
    return 0;
}

static void put_columns(struct buf *out, const struct table *t)
{
    int n_wide = 0;
    for (int i = 0; i < t->n_column; i++)
        n_wide += is_wide(t, i);
    for (int i = 0; i < t->n_column; i++) {
        if (is_wide(t, i))
            buf_printf(out, "p{%.2f\\linewidth}", 0.75 / n_wide);
        else
            buf_putc(out, t->columns[i].kind == COLUMN_TEXT ? 'l' : 'r');
    }
}

static void put_row(struct buf *out, const struct table_row *r)
{
    const struct table *t = r->table;
    struct buf text = BUF_INIT;
    for (int i = 0; i < t->n_column; i++) {
        buf_reset(&text);
        cell_text(&text, &r->cells[i], &t->columns[i]);
        buf_puts(out, i ? " & " : "");
        if (r->cells[i].text)
            put_text(out, buf_text(&text));
        else
            put_number(out, buf_text(&text));
        out->failed |= text.failed;
    }
    buf_puts(out, " \\\\\n");
    buf_free(&text);
}

void table_latex(struct buf *out, const struct table *t)
{
    buf_puts(out, "% \\usepackage{booktabs}\n\\begin{table}\n\\centering");
    buf_puts(out, t->n_column > WIDEST_TABLE ? "\\scriptsize\n\\caption{" : "\\small\n\\caption{");
    put_text(out, t->title);
    buf_printf(out, "}\n\\label{tab:%s}\n\\begin{tabular}{", t->name);
    put_columns(out, t);
    buf_puts(out, "}\n\\toprule\n");
    for (int i = 0; i < t->n_column; i++) {
        buf_puts(out, i ? " & " : "");
        put_text(out, t->columns[i].title);
    }
    buf_puts(out, " \\\\\n\\midrule\n");
    for (const struct table_row *r = t->first; r; r = r->next)
        put_row(out, r);
    buf_puts(out, "\\bottomrule\n\\end{tabular}\n");
    for (const struct note *n = t->notes; n; n = n->next) {
        buf_puts(out, "\\par\\smallskip\\footnotesize ");
        put_text(out, n->text);
        buf_putc(out, '\n');
    }
    buf_puts(out, "\\end{table}\n");
}
