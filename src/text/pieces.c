/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "text/parts.h"

void pieces_reset(struct pieces *p)
{
    buf_reset(&p->text);
    p->n = 0;
    p->failed = 0;
}

void pieces_deinit(struct pieces *p)
{
    buf_free(&p->text);
    mem_free(p->v);
    *p = (struct pieces){0};
}

void pieces_add(struct pieces *p, const char *text, size_t n, int32_t id, int at_start)
{
    if (!n && id < 0)
        return;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct piece *v = mem_resize(p->v, cap * sizeof *v);
        if (!v) {
            p->failed = 1;
            return;
        }
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = (struct piece){p->text.len, n, id, at_start};
    buf_append(&p->text, text, n);
}

int pieces_failed(const struct pieces *p)
{
    return p->failed || p->text.failed;
}
