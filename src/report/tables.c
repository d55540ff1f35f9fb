/* SPDX-License-Identifier: Apache-2.0 */
#include "report/tables.h"

#include "base/mem.h"
#include "io/file.h"
#include "train/events.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *ending;
    void (*render)(struct buf *out, const struct table *t);
} forms[] = {{"csv", table_csv}, {"tex", table_latex}};
enum { MOST_BYTES = 1 << 30, N_FORM = (int)(sizeof forms / sizeof *forms) };

static int write_one(const char *directory, const char *name, struct buf *text, struct error *err)
{
    char *path = path_join(directory, name);
    int rc = path && !text->failed ? file_write(path, buf_text(text), text->len, err)
                                   : error_set_nomem(err, text->len, "a table");
    mem_free(path);
    return rc;
}

static int write_table(const struct table *t, const char *directory, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; i < N_FORM && !rc; i++) {
        struct buf text = BUF_INIT;
        char name[128];
        snprintf(name, sizeof name, "%s.%s", t->name, forms[i].ending);
        forms[i].render(&text, t);
        rc = write_one(directory, name, &text, err);
        buf_free(&text);
    }
    return rc;
}

int tables_write(const struct document *d, const char *directory, struct error *err)
{
    char *tables = path_join(directory, "tables");
    int rc = tables ? dirs_make(tables, err) : error_set_nomem(err, 64, "path");
    for (const struct section *s = d->first; s && !rc; s = s->next)
        for (const struct block *b = s->first; b && !rc; b = b->next)
            if (b->kind == BLOCK_TABLE && b->table)
                rc = write_table(b->table, tables, err);
    mem_free(tables);
    return rc;
}

static int compare_table(const struct table *t, const char *tables, struct differences *x, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; i < N_FORM && !rc; i++) {
        struct buf found = BUF_INIT, wanted = BUF_INIT;
        char name[128];
        snprintf(name, sizeof name, "%s.%s", t->name, forms[i].ending);
        char *path = path_join(tables, name);
        forms[i].render(&wanted, t);
        rc = path && !wanted.failed ? 0 : error_set_nomem(err, wanted.len, "a table");
        if (!rc && !file_exists(path)) {
            differences_add(x, "tables/%s: is not there", name);
        } else if (!rc) {
            rc = file_read(&found, path, MOST_BYTES, err);
            if (!rc && strcmp(buf_text(&wanted), buf_text(&found)))
                differences_add(x, "tables/%s: is not what the run's journal and files say now", name);
        }
        mem_free(path);
        buf_free(&found);
        buf_free(&wanted);
    }
    return rc;
}

int tables_compare(const struct document *d, const char *directory, struct differences *x, struct error *err)
{
    char *tables = path_join(directory, "tables");
    int rc = tables ? 0 : error_set_nomem(err, 64, "path");
    int reported = !rc && file_exists(tables);
    for (const struct section *s = d->first; s && reported && !rc; s = s->next)
        for (const struct block *b = s->first; b && !rc; b = b->next)
            if (b->kind == BLOCK_TABLE && b->table)
                rc = compare_table(b->table, tables, x, err);
    mem_free(tables);
    return rc;
}

static void put_events(struct buf *out, const struct figure *f, double begun)
{
    char tag[256];
    for (const struct series *s = f->first; s; s = s->next) {
        snprintf(tag, sizeof tag, "%s/%s", f->name, s->name);
        for (const struct point *p = s->first; p; p = p->next)
            if (isfinite(p->y))
                events_scalar(out, begun, (int64_t)p->x, tag, (float)p->y);
    }
}

int figures_write_events(const struct document *d, double begun, const char *directory, struct error *err)
{
    struct buf bytes = BUF_INIT;
    int n = 0;
    events_version(&bytes, begun);
    for (const struct section *s = d->first; s; s = s->next)
        for (const struct block *b = s->first; b; b = b->next)
            if (b->kind == BLOCK_FIGURE && b->figure && b->figure->kind == FIGURE_LINES && ++n)
                put_events(&bytes, b->figure, begun);
    int rc = n ? write_one(directory, "events.out.tfevents.0.report.0", &bytes, err) : 0;
    buf_free(&bytes);
    return rc;
}
