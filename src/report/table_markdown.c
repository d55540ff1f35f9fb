/* SPDX-License-Identifier: Apache-2.0 */
#include "report/tables.h"

#include <string.h>

/* Text in one line, with nothing that Markdown or HTML would take for its own. */
void markdown_text(struct buf *out, const char *text)
{
    for (const char *s = text; *s; s++) {
        if (strchr("\\`*_{}[]<>|#", *s))
            buf_printf(out, "\\%c", *s);
        else if (*s == '&')
            buf_puts(out, "&amp;");
        else
            buf_putc(out, (unsigned char)*s < ' ' ? ' ' : *s);
    }
}

void table_markdown(struct buf *out, const struct table *t)
{
    for (int i = 0; i < t->n_column; i++) {
        buf_puts(out, "| ");
        markdown_text(out, t->columns[i].title);
        buf_putc(out, ' ');
    }
    buf_puts(out, "|\n");
    for (int i = 0; i < t->n_column; i++)
        buf_puts(out, t->columns[i].kind == COLUMN_TEXT ? "|---" : "|---:");
    buf_puts(out, "|\n");
    for (const struct table_row *r = t->first; r; r = r->next) {
        for (int i = 0; i < t->n_column; i++) {
            struct buf text = BUF_INIT;
            cell_text(&text, &r->cells[i], &t->columns[i]);
            buf_puts(out, "| ");
            markdown_text(out, buf_text(&text));
            buf_putc(out, ' ');
            out->failed |= text.failed;
            buf_free(&text);
        }
        buf_puts(out, "|\n");
    }
    for (const struct note *n = t->notes; n; n = n->next) {
        buf_puts(out, "\n");
        markdown_text(out, n->text);
        buf_putc(out, '\n');
    }
}
