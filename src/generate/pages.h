/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses which page of the KV cache, and which prompt tokens are in it. Host bookkeeping only: it knows page numbers,
 * never their bytes.
 *
 * A page is held by sequences (`users`) and may be a node of the prefix tree: the tokens of one block of a prompt,
 * child of the block before it. A page whose block is not full is a leaf. A prompt's blocks enter the tree when it is
 * admitted, with ready = 0; `ready` grows as they are computed, so that a later prompt can tell what is there from what
 * is coming. Pages that only the tree holds are evicted, least recently used leaf first, when the free ones run out.
 *
 * One sequence may append to a page in place: its owner, who took it. Anyone else copies first (copy on write). An
 * owner appending behind the tree's tokens disturbs nobody: a reader never looks past its own length.
 *
 * Budget: `reserved` is the sum of what the running requests may need at worst, `pinned` the pages used by sequences
 * but in no running request's own share. As long as both together fit, page_take cannot fail. */
#ifndef GENERATE_PAGES_H
#define GENERATE_PAGES_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct page {
    int users;               /* sequences holding it */
    int owner;               /* sequence that may append, or -1 */
    int share;               /* the running request whose reservation counts it (its number from 1), or 0 */
    int in_tree, n, ready;   /* tree: tokens of the node, and how many of them are computed */
    int parent, child, next; /* tree: page numbers or -1 */
    uint64_t stamp;          /* last use */
};
struct pages {
    int n_page, size; /* size: positions a page */
    struct page *page;
    int32_t *tokens;  /* [n_page][size] of the tree's nodes */
    int *free;        /* stack */
    int n_free, root; /* root: first child of the empty prefix, or -1 */
    int n_used, peak; /* pages not free */
    long reserved, pinned;
    uint64_t clock;
};

int pages_init(struct pages *p, int n_page, int size, struct error *err);
void pages_deinit(struct pages *p);
/* A free page (evicting if need be) held by `owner`, counted in the share of a request; -1 when none is left. */
int page_take(struct pages *p, int owner, int share);
void page_hold(struct pages *p, int page);
void page_drop(struct pages *p, int page, int owner);    /* frees it when nobody holds it */
void page_unshare(struct pages *p, int page, int share); /* request `share` has finished */

struct prefix_match {
    int n; /* tokens found: full pages, then `tail` tokens of the page `partial` */
    int n_full, partial, tail;
    int pending;     /* tokens that would be found once what is being computed is ready; >= n */
    int n_evictable; /* pages among them that nobody uses now */
};
/* Looks up at most `limit` tokens; the full pages go to `table` (room for limit / size). Changes nothing but the time
 * of last use. */
struct prefix_match prefix_find(struct pages *p, const int32_t *tokens, int limit, int *table);
/* Puts the blocks [first, n_block) of a prompt, whose pages are in table, under table[first-1]. ready tokens of block
 * `first` are there. */
void prefix_insert(struct pages *p, const int32_t *tokens, int n_token, const int *table, int first, int ready);
void prefix_ready(struct pages *p, int page, int n); /* n of the node's tokens are computed now */
void prefix_forget(struct pages *p);                 /* empties the tree; pages in use stay with their sequences */
/* Takes the nodes in a request's share that will never be ready out of the tree (it was stopped). */
void prefix_abandon(struct pages *p, const int *table, int n_block, int share);

#endif
