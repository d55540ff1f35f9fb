/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/pages.h"

#include "base/mem.h"

#include <string.h>

int pages_init(struct pages *p, int n_page, int size, struct error *err)
{
    memset(p, 0, sizeof *p);
    p->n_page = n_page;
    p->size = size;
    p->root = -1;
    p->page = mem_calloc((size_t)n_page, sizeof *p->page);
    p->free = mem_calloc((size_t)n_page, sizeof *p->free);
    p->tokens = mem_slab((size_t)n_page * (size_t)size * sizeof *p->tokens);
    if (!p->page || !p->free || !p->tokens) {
        pages_deinit(p);
        return error_set_nomem(err, (size_t)n_page * (sizeof *p->page + (size_t)size * 4), "the KV page table");
    }
    for (int i = 0; i < n_page; i++) /* low numbers first, so that untouched memory stays untouched */
        p->free[i] = n_page - 1 - i;
    p->n_free = n_page;
    return 0;
}

void pages_deinit(struct pages *p)
{
    mem_free(p->page);
    mem_free(p->free);
    if (p->tokens)
        mem_slab_free(p->tokens, (size_t)p->n_page * (size_t)p->size * sizeof *p->tokens);
    memset(p, 0, sizeof *p);
}

static void put_back(struct pages *p, int i)
{
    p->free[p->n_free++] = i;
    p->n_used--;
}

/* Takes a leaf out of the tree. */
static void unlink_node(struct pages *p, int i)
{
    int *at = p->page[i].parent < 0 ? &p->root : &p->page[p->page[i].parent].child;
    while (*at != i)
        at = &p->page[*at].next;
    *at = p->page[i].next;
    p->page[i].in_tree = 0;
}

static int evict_oldest(struct pages *p)
{
    int oldest = -1;
    for (int i = 0; i < p->n_page; i++) {
        const struct page *g = &p->page[i];
        if (g->in_tree && !g->users && g->child < 0 && (oldest < 0 || g->stamp < p->page[oldest].stamp))
            oldest = i;
    }
    if (oldest < 0)
        return -1;
    unlink_node(p, oldest);
    put_back(p, oldest);
    return 0;
}

int page_take(struct pages *p, int owner, int share)
{
    if (!p->n_free && evict_oldest(p))
        return -1;
    int i = p->free[--p->n_free];
    p->page[i] = (struct page){
        .users = 1, .owner = owner, .share = share, .parent = -1, .child = -1, .next = -1, .stamp = ++p->clock};
    p->n_used++;
    p->peak = p->n_used > p->peak ? p->n_used : p->peak;
    return i;
}

void page_hold(struct pages *p, int i)
{
    struct page *g = &p->page[i];
    if (!g->users++ && !g->share)
        p->pinned++;
    g->stamp = ++p->clock;
}

void page_drop(struct pages *p, int i, int owner)
{
    struct page *g = &p->page[i];
    if (g->owner == owner)
        g->owner = -1;
    g->stamp = ++p->clock;
    if (--g->users)
        return;
    if (!g->share)
        p->pinned--;
    if (!g->in_tree)
        put_back(p, i);
}

void page_unshare(struct pages *p, int i, int share)
{
    struct page *g = &p->page[i];
    if (g->share != share)
        return;
    if (g->users)
        p->pinned++;
    g->share = 0;
}

static int common_tokens(const int32_t *a, const int32_t *b, int n)
{
    int i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

struct prefix_match prefix_find(struct pages *p, const int32_t *tokens, int limit, int *table)
{
    struct prefix_match m = {.partial = -1};
    int open = 1; /* everything so far is ready */
    for (int child = p->root, done = 0; done < limit && child >= 0;) {
        int whole = -1, want = limit - done < p->size ? limit - done : p->size, best = 0;
        for (int i = child; i >= 0; i = p->page[i].next) {
            struct page *g = &p->page[i];
            int n = common_tokens(p->tokens + (size_t)i * (size_t)p->size, tokens + done, g->n < want ? g->n : want);
            int ready = n < g->ready ? n : g->ready;
            if (n == p->size && (whole < 0 || g->ready > p->page[whole].ready))
                whole = i;
            if (open && ready > m.tail) {
                m.tail = ready;
                m.partial = i;
            }
            best = n > best ? n : best;
        }
        m.pending = done + best > m.pending ? done + best : m.pending;
        if (whole < 0)
            break;
        if (open && p->page[whole].ready == p->size) {
            table[m.n_full++] = whole;
            m.n_evictable += !p->page[whole].users;
            p->page[whole].stamp = ++p->clock;
            m.tail = 0;
            m.partial = -1;
        } else {
            open = 0;
        }
        done += p->size;
        child = p->page[whole].child;
    }
    m.n = m.n_full * p->size + m.tail;
    if (m.partial >= 0) {
        m.n_evictable += !p->page[m.partial].users;
        p->page[m.partial].stamp = ++p->clock;
    }
    m.pending = m.pending > m.n ? m.pending : m.n;
    return m;
}

void prefix_insert(struct pages *p, const int32_t *tokens, int n_token, const int *table, int first, int ready)
{
    int parent = first ? table[first - 1] : -1;
    for (int b = first; b * p->size < n_token; b++) {
        struct page *g = &p->page[table[b]];
        int left = n_token - b * p->size, *head = parent < 0 ? &p->root : &p->page[parent].child;
        g->in_tree = 1;
        g->n = left < p->size ? left : p->size;
        g->ready = b == first ? ready : 0;
        g->parent = parent;
        g->child = -1;
        g->next = *head;
        *head = table[b];
        memcpy(p->tokens + (size_t)table[b] * (size_t)p->size, tokens + (size_t)b * (size_t)p->size,
               (size_t)g->n * sizeof *tokens);
        parent = table[b];
    }
}

void prefix_ready(struct pages *p, int i, int n)
{
    if (p->page[i].in_tree && n > p->page[i].ready)
        p->page[i].ready = n < p->page[i].n ? n : p->page[i].n;
}

void prefix_forget(struct pages *p)
{
    for (int i = 0; i < p->n_page; i++) {
        struct page *g = &p->page[i];
        if (!g->in_tree)
            continue;
        g->in_tree = 0;
        if (!g->users)
            put_back(p, i);
    }
    p->root = -1;
}

void prefix_abandon(struct pages *p, const int *table, int n_block, int share)
{
    for (int b = n_block; b-- > 0;) {
        struct page *g = &p->page[table[b]];
        if (g->share != share || !g->in_tree || g->ready == g->n)
            continue;
        if (g->ready && g->child < 0)
            g->n = g->ready; /* what is there may be kept */
        else if (g->child < 0)
            unlink_node(p, table[b]);
        if (!g->in_tree && !g->users)
            put_back(p, table[b]);
    }
}
