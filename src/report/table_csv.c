/* SPDX-License-Identifier: Apache-2.0 */
#include "report/tables.h"

#include "io/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest form that reads back equal. */
static void put_number(struct buf *out, double x)
{
    char text[40] = "";
    for (int digits = 15; digits <= 17 && isfinite(x); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_puts(out, text);
}

static int has_interval(const struct table *t, int column)
{
    for (const struct table_row *r = t->first; r; r = r->next)
        if (isfinite(r->cells[column].low) || isfinite(r->cells[column].high))
            return 1;
    return 0;
}

void table_csv(struct buf *out, const struct table *t)
{
    for (int i = 0; i < t->n_column; i++) {
        const char *name = t->columns[i].name;
        buf_printf(out, "%s%s", i ? "," : "", name);
        if (has_interval(t, i))
            buf_printf(out, ",%s_low,%s_high", name, name);
    }
    buf_puts(out, "\r\n");
    for (const struct table_row *r = t->first; r; r = r->next) {
        for (int i = 0; i < t->n_column; i++) {
            const struct cell *c = &r->cells[i];
            if (i)
                buf_putc(out, ',');
            if (c->text)
                csv_put(out, c->text);
            else
                put_number(out, c->value);
            if (!has_interval(t, i))
                continue;
            buf_putc(out, ',');
            put_number(out, c->low);
            buf_putc(out, ',');
            put_number(out, c->high);
        }
        buf_puts(out, "\r\n");
    }
}
