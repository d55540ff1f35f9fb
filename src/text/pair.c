/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pair.h"

#include "base/mem.h"
#include "text/tokenizer_parts.h"

#include <string.h>

int text_spans_add(struct text_spans *s, size_t from, size_t to)
{
    if (from == to)
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct text_span *v = mem_resize(s->v, cap * sizeof *v);
        if (!v)
            return -1;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = (struct text_span){from, to};
    return 0;
}

void text_spans_free(struct text_spans *s)
{
    mem_free(s->v);
    *s = (struct text_spans){0};
}

static int normalizer_prepends(const struct normalizer *z)
{
    if (z->kind == NORMALIZE_PREPEND)
        return 1;
    for (size_t i = 0; i < z->n_child; i++)
        if (normalizer_prepends(&z->child[i]))
            return 1;
    return 0;
}

static int pretokenizer_prepends(const struct pretokenizer *z)
{
    if ((z->kind == PRETOKENIZE_METASPACE && z->scheme != METASPACE_NEVER) ||
        (z->kind == PRETOKENIZE_BYTE_LEVEL && z->prefix_space))
        return 1;
    for (size_t i = 0; i < z->n_child; i++)
        if (pretokenizer_prepends(&z->child[i]))
            return 1;
    return 0;
}

static int prepends(const struct tokenizer *tok)
{
    return (tok->has_normalizer && normalizer_prepends(&tok->normalizer)) ||
           (tok->has_pretokenizer && pretokenizer_prepends(&tok->pretokenizer));
}

/* Two texts as one, with the spans of both. */
struct joint {
    struct buf text;
    struct text_spans people;
};

static void joint_add(struct joint *j, const struct pair_text *x)
{
    size_t at = j->text.len;
    buf_append(&j->text, x->text, x->n);
    for (size_t i = 0; x->people && i < x->people->n; i++)
        if (text_spans_add(&j->people, at + x->people->v[i].from, at + x->people->v[i].to))
            j->text.failed = 1;
}

size_t pair_without_end(const struct tokenizer *tok, const int32_t *ids, size_t n)
{
    const struct tokenizer_info *info = tokenizer_info(tok);
    return info->add_eos && n && ids[n - 1] == info->eos ? n - 1 : n;
}

/* Tokens of both texts as one; 1 when they begin with the prompt's, of which then the rest is appended to out. */
static int encode_joint(const struct tokenizer *tok, const struct text_pair *p, struct tokens *out, struct error *err)
{
    struct joint j = {BUF_INIT, {0}};
    struct tokens both = TOKENS_INIT;
    size_t n = p->n_prompt;
    joint_add(&j, &p->prompt);
    joint_add(&j, &p->completion);
    const struct pair_text text = {buf_text(&j.text), j.text.len, &j.people};
    int rc = j.text.failed ? error_set_nomem(err, j.text.len, "a text") : 0;
    rc = rc ? rc : tokenizer_encode_mixed(tok, &text, p->flags, &both, err);
    if (!rc && p->flags & TOKENIZER_ADD_SPECIAL)
        both.n = pair_without_end(tok, both.ids, both.n);
    int begins = !rc && both.n > n && (!n || !memcmp(both.ids, p->prompt_ids, n * sizeof *both.ids));
    for (size_t i = n; begins && !rc && i < both.n; i++)
        rc =
            tokens_push(out, both.ids[i]) ? error_set_nomem(err, both.n * sizeof *both.ids, "the tokens of a text") : 0;
    buf_free(&j.text);
    text_spans_free(&j.people);
    tokens_free(&both);
    return rc ? rc : begins;
}

/* What a tokenizer puts before a text goes before an anchor instead, whose tokens are then left away. */
int pair_encode_apart(const struct tokenizer *tok, const struct pair_text *completion, int flags, struct tokens *out,
                      struct error *err)
{
    static const char *const anchors[] = {"\n", "a", "."};
    flags &= ~TOKENIZER_ADD_SPECIAL;
    for (size_t i = 0; completion->n && prepends(tok) && i < sizeof anchors / sizeof *anchors; i++) {
        struct tokens ids = TOKENS_INIT;
        int rc = tokenizer_encode(tok, anchors[i], 1, flags, &ids, err);
        const struct text_pair after_anchor = {{anchors[i], 1, NULL}, *completion, ids.ids, ids.n, flags};
        rc = rc ? rc : encode_joint(tok, &after_anchor, out, err);
        tokens_free(&ids);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    return tokenizer_encode_mixed(tok, completion, flags, out, err);
}

int pair_encode_completion(const struct tokenizer *tok, const struct text_pair *p, struct tokens *out, int *apart,
                           struct error *err)
{
    if (apart)
        *apart = 0;
    if (!p->completion.n)
        return 0;
    int rc = encode_joint(tok, p, out, err);
    if (rc)
        return rc < 0 ? rc : 0;
    if (apart)
        *apart = 1;
    return pair_encode_apart(tok, &p->completion, p->flags, out, err);
}
