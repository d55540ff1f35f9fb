/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens are found before anything else happens to a text: at every position the longest one that stands there,
 * by a trie of bytes. Their options then move the borders of the match: lstrip and rstrip take the white space beside
 * it, single_word refuses it next to a word character. */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/parts.h"

#include <string.h>

struct node {
    uint32_t child, sibling; /* 0: none */
    const struct added_token *token;
    unsigned char byte;
};
struct added_set {
    struct node *node; /* [0] is the root */
    uint32_t n, cap;
    uint32_t root[256]; /* its children */
};

int added_set_new(struct added_set **out, struct error *err)
{
    struct added_set *s = mem_calloc(1, sizeof *s);
    if (s)
        s->node = mem_calloc(64, sizeof *s->node);
    if (!s || !s->node) {
        mem_free(s);
        return error_set_nomem(err, sizeof *s, "the added tokens");
    }
    s->cap = 64;
    s->n = 1;
    *out = s;
    return 0;
}

void added_set_free(struct added_set *s)
{
    if (!s)
        return;
    mem_free(s->node);
    mem_free(s);
}

static uint32_t child_of(const struct added_set *s, uint32_t at, unsigned char byte)
{
    if (!at)
        return s->root[byte];
    uint32_t c = s->node[at].child;
    while (c && s->node[c].byte != byte)
        c = s->node[c].sibling;
    return c;
}

static uint32_t make_child(struct added_set *s, uint32_t at, unsigned char byte)
{
    if (s->n == s->cap) {
        if (s->cap > UINT32_MAX / 2)
            return 0;
        struct node *node = mem_resize(s->node, (size_t)s->cap * 2 * sizeof *node);
        if (!node)
            return 0;
        s->node = node;
        s->cap *= 2;
    }
    uint32_t c = s->n++;
    s->node[c] = (struct node){.byte = byte};
    if (at) {
        s->node[c].sibling = s->node[at].child;
        s->node[at].child = c;
    } else {
        s->root[byte] = c;
    }
    return c;
}

int added_set_add(struct added_set *s, const char *text, size_t n, const struct added_token *token)
{
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = child_of(s, at, (unsigned char)text[i]);
        if (!c)
            c = make_child(s, at, (unsigned char)text[i]);
        if (!c)
            return -1;
        at = c;
    }
    if (at && !s->node[at].token)
        s->node[at].token = token;
    return 0;
}

static const struct added_token *longest(const struct added_set *s, const char *text, size_t n, size_t *length)
{
    const struct added_token *found = NULL;
    uint32_t at = 0;
    for (size_t i = 0; i < n && (at = child_of(s, at, (unsigned char)text[i])); i++)
        if (s->node[at].token) {
            found = s->node[at].token;
            *length = i + 1;
        }
    return found;
}

static int word_at(const char *s, size_t n)
{
    uint32_t cp;
    return utf8_decode(s, n, &cp) && utf8_is_word(cp);
}

static int word_before(const char *s, size_t n)
{
    size_t k = utf8_prev(s, n);
    return k && word_at(s + n - k, k);
}

static size_t spaces_at(const char *s, size_t n)
{
    size_t i = 0, k;
    uint32_t cp;
    while (i < n && (k = utf8_decode(s + i, n - i, &cp)) && utf8_is_space(cp))
        i += k;
    return i;
}

static size_t spaces_before(const char *s, size_t n)
{
    size_t end = n, k;
    uint32_t cp;
    while ((k = utf8_prev(s, end)) && utf8_decode(s + end - k, k, &cp) && utf8_is_space(cp))
        end -= k;
    return n - end;
}

static int touches_span(const struct text_spans *spans, size_t from, size_t to)
{
    for (size_t i = 0; spans && i < spans->n; i++)
        if (spans->v[i].from < to && spans->v[i].to > from)
            return 1;
    return 0;
}

int added_set_has_special(const struct added_set *s, const char *text, size_t n)
{
    size_t length;
    for (size_t i = 0; i < n; i++) {
        const struct added_token *t = longest(s, text + i, n - i, &length);
        if (t && t->special)
            return 1;
    }
    return 0;
}

void added_set_cut(const struct added_set *s, const char *text, size_t n, const struct added_cut *how,
                   struct pieces *out)
{
    int at_start = how->at_start;
    size_t from = 0, length = 0; /* text before `from` is dealt with */
    for (size_t i = 0; i < n;) {
        const struct added_token *t = s->root[(unsigned char)text[i]] ? longest(s, text + i, n - i, &length) : NULL;
        if (!t) {
            i++;
            continue;
        }
        size_t start = i, end = i + length;
        i = end;
        if (t->special && (!how->parse_special || touches_span(how->people, start, end)))
            continue;
        if (t->single_word && (word_before(text, start) || word_at(text + end, n - end)))
            continue;
        if (t->lstrip)
            start -= spaces_before(text, start);
        if (start < from)
            start = from;
        if (t->rstrip)
            end += spaces_at(text + end, n - end);
        if (end < start)
            continue; /* wholly inside white space that an earlier token took */
        pieces_add(out, text + from, start - from, -1, at_start && !from);
        pieces_add(out, text + start, end - start, t->id, at_start && !start);
        from = end;
    }
    pieces_add(out, text + from, n - from, -1, at_start && !from);
}
