/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens, as transformers' AutoTokenizer collects them: those of tokenizer.json in their order, then
 * tokenizer_config.json's added_tokens_decoder by id, then the named special tokens (bos_token, ...,
 * extra_special_tokens). A token that the model's vocabulary lacks gets the next free id, whatever the files say: so
 * does the tokenizers library. */
#include "text/tokenizer_parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What the lists are read into. */
struct adding {
    struct reader *r;
    struct tokenizer *tok;
    size_t cap;
    int32_t n_model, next; /* tokens of the model; the next id */
};

static int read_token(struct reader *r, const json_t *o, struct added_token *t)
{
    const struct component c = {o, "added_tokens"};
    int rc;
    if (!json_is_object(o))
        return reader_fail(r, "added_tokens: wanted objects");
    if ((rc = reader_text(r, &c, "content", NULL, &t->text, &t->n)) ||
        (rc = reader_flag(r, &c, "special", 0, &t->special)) ||
        (rc = reader_flag(r, &c, "single_word", 0, &t->single_word)) ||
        (rc = reader_flag(r, &c, "lstrip", 0, &t->lstrip)) || (rc = reader_flag(r, &c, "rstrip", 0, &t->rstrip)) ||
        (rc = reader_flag(r, &c, "normalized", !t->special, &t->normalized)))
        return rc;
    return t->n ? 0 : reader_fail(r, "added_tokens: a token is empty");
}

static int is_added(const struct tokenizer *tok, int32_t id)
{
    return id >= 0 && tok->vocab.entry[id].flags & VOCAB_ADDED;
}

/* Enters a token that is not among the added ones; its id is the vocabulary's or the next. */
static int enter_token(struct adding *a, struct added_token *t)
{
    struct vocab *v = &a->tok->vocab;
    t->id = vocab_find(v, t->text, t->n);
    if (t->id < 0) {
        if (a->next >= VOCAB_MAX_ID)
            return reader_fail(a->r, "added_tokens: \"%.80s\": more than %d tokens", t->text, VOCAB_MAX_ID);
        t->id = a->next;
        int rc = vocab_add(v, t->text, t->n, t->id);
        if (rc == -2)
            return reader_fail(a->r, "added_tokens: \"%.80s\" would get the id %d, which is \"%.80s\"", t->text, t->id,
                               v->entry[t->id].text);
        if (rc)
            return reader_nomem(a->r);
        a->next++;
        v->entry[t->id].flags = VOCAB_OUTSIDE;
    }
    v->entry[t->id].flags |= VOCAB_ADDED;
    return 0;
}

/* Adds the token, or gives one that is there its properties. Special it stays once it was. */
static int put_token(struct adding *a, struct added_token *t)
{
    struct tokenizer *tok = a->tok;
    int32_t known = vocab_find(&tok->vocab, t->text, t->n);
    if (is_added(tok, known)) {
        size_t i = 0;
        while (tok->added[i].id != known)
            i++;
        t->id = known;
        t->special |= tok->added[i].special;
        tok->added[i] = *t;
    } else {
        int rc = enter_token(a, t);
        if (rc)
            return rc;
        if (tok->n_added == a->cap)
            return reader_fail(a->r, "added_tokens: more than %zu", a->cap);
        tok->added[tok->n_added++] = *t;
    }
    if (t->special)
        tok->vocab.entry[t->id].flags |= VOCAB_SPECIAL;
    return 0;
}

/* Every call of the library's add_tokens begins to count anew. */
static void begin_count(struct adding *a)
{
    int32_t max = -1;
    for (size_t i = 0; i < a->tok->n_added; i++)
        if (a->tok->added[i].id > max)
            max = a->tok->added[i].id;
    a->next = max >= a->n_model ? max + 1 : a->n_model;
}

static int read_list(struct adding *a, const json_t *list)
{
    begin_count(a);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *id = json_object_get(o, "id");
        struct added_token t = {0};
        int rc = read_token(a->r, o, &t);
        json_int_t said = json_is_integer(id) ? json_integer_value(id) : -1;
        if (!rc && (said < 0 || said >= VOCAB_MAX_ID))
            rc = reader_fail(a->r, "added_tokens: \"%.80s\": wanted an id in 0..%d, found %lld", t.text,
                             VOCAB_MAX_ID - 1, (long long)said);
        if (!rc)
            rc = put_token(a, &t);
        if (rc)
            return rc;
        if (t.id != said)
            log_line(LOG_WARNING,
                     "%s: added_tokens: \"%.80s\" is said to have the id %lld; its id is %d (the tokenizers library "
                     "counts on)",
                     a->r->file, t.text, (long long)said, t.id);
    }
    return 0;
}

struct numbered {
    long long id;
    const json_t *token;
};

static int by_id(const void *x, const void *y)
{
    const struct numbered *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int read_decoder(struct adding *a, const json_t *decoder)
{
    size_t n = 0;
    struct numbered *list = mem_calloc(json_object_size(decoder) + 1, sizeof *list);
    const char *key;
    json_t *o;
    int rc = list ? 0 : reader_nomem(a->r);
    json_object_foreach((json_t *)decoder, key, o)
    {
        char *end;
        if (rc)
            break;
        list[n].id = strtoll(key, &end, 10);
        list[n++].token = o;
        if (*end || end == key || list[n - 1].id < 0)
            rc = reader_fail(a->r, "tokenizer_config: added_tokens_decoder: \"%.80s\": wanted an id", key);
    }
    if (!rc)
        qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n && !rc; i++) {
        struct added_token t = {0};
        rc = read_token(a->r, list[i].token, &t);
        if (!rc)
            rc = put_token(a, &t);
        if (!rc && t.id != list[i].id)
            log_line(LOG_WARNING,
                     "%s: added_tokens_decoder: \"%.80s\" is said to have the id %lld; its id is %d (the tokenizers "
                     "library counts on)",
                     a->r->file, t.text, list[i].id, t.id);
    }
    mem_free(list);
    return rc;
}

/* A special token by its name: "<s>" or {"content": "<s>", ...}. One that is there keeps its other properties. */
static int read_named(struct adding *a, const json_t *value)
{
    struct added_token t = {.special = 1};
    int rc = 0;
    if (json_is_object(value)) {
        rc = read_token(a->r, value, &t);
        t.special = 1;
    } else if (json_is_string(value) && json_string_length(value)) {
        t.n = json_string_length(value);
        t.text = arena_strndup(a->r->arena, json_string_value(value), t.n);
        rc = t.text ? 0 : reader_nomem(a->r);
    } else {
        return 0;
    }
    int32_t known = rc ? -1 : vocab_find(&a->tok->vocab, t.text, t.n);
    if (rc || !is_added(a->tok, known))
        return rc ? rc : put_token(a, &t);
    for (size_t i = 0; i < a->tok->n_added; i++)
        if (a->tok->added[i].id == known)
            a->tok->added[i].special = 1;
    a->tok->vocab.entry[known].flags |= VOCAB_SPECIAL;
    return 0;
}

static int is_token_key(const char *key)
{
    size_t n = strlen(key);
    return n > 6 && !strcmp(key + n - 6, "_token");
}

static int read_all_named(struct adding *a, const json_t *config)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    const json_t *extra = json_object_get(config, "extra_special_tokens");
    const char *key;
    json_t *value;
    int rc = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++)
        rc = read_named(a, json_object_get(config, names[i]));
    json_object_foreach((json_t *)config, key,
                        value) if (!rc &&
                                   is_token_key(key)) /* a model's own: image_token; those above are there by now */
        rc = read_named(a, value);
    if (!json_array_size(extra) && !json_object_size(extra))
        extra = json_object_get(config, "additional_special_tokens");
    json_object_foreach((json_t *)extra, key, value) if (!rc) rc = read_named(a, value);
    for (size_t i = 0; i < json_array_size(extra) && !rc; i++)
        rc = read_named(a, json_array_get(extra, i));
    return rc;
}

/* A normalized token decodes to its normal form, and is then no special token by its text: so the tokenizers library
 * has it. */
static int rename_shown(struct reader *r, struct tokenizer *tok, struct added_token *t, const struct buf *normal)
{
    if (normal->failed || (normal->len == t->n && !memcmp(normal->data, t->text, t->n)))
        return 0;
    t->shown = arena_strndup(r->arena, normal->data ? normal->data : "", normal->len);
    t->n_shown = normal->len;
    tok->vocab.entry[t->id].flags |= VOCAB_RENAMED;
    return t->shown ? 0 : reader_nomem(r);
}

static int fill_sets(struct reader *r, struct tokenizer *tok)
{
    struct buf text = BUF_INIT, spare = BUF_INIT;
    int rc = added_set_new(&tok->raw, r->err), any = 0;
    for (size_t i = 0; i < tok->n_added; i++)
        any |= tok->added[i].normalized;
    if (!rc && any)
        rc = added_set_new(&tok->normal, r->err);
    for (size_t i = 0; i < tok->n_added && !rc; i++) {
        struct added_token *t = tok->added + i;
        if (!t->special && tok->vocab.entry[t->id].flags & VOCAB_USER)
            continue;
        buf_reset(&text);
        buf_append(&text, t->text, t->n);
        if (t->normalized && tok->has_normalizer)
            rc = normalizer_apply(&tok->normalizer, &text, &spare, r->err);
        if (!rc)
            rc = rename_shown(r, tok, t, &text);
        if (!rc && (text.failed || added_set_add(t->normalized ? tok->normal : tok->raw, text.data, text.len, t)))
            rc = reader_nomem(r);
    }
    buf_free(&text);
    buf_free(&spare);
    return rc;
}

int added_read(struct reader *r, struct tokenizer *tok, const json_t *list, const json_t *config)
{
    const json_t *decoder = json_object_get(config, "added_tokens_decoder");
    size_t named = json_object_size(config) + json_array_size(json_object_get(config, "extra_special_tokens")) +
                   json_object_size(json_object_get(config, "extra_special_tokens")) +
                   json_array_size(json_object_get(config, "additional_special_tokens"));
    struct adding a = {.r = r, .tok = tok, .cap = json_array_size(list) + json_object_size(decoder) + named + 1};
    if (list && !json_is_array(list) && !json_is_null(list))
        return reader_fail(r, "added_tokens: wanted an array");
    for (int32_t id = 0; id < tok->vocab.size; id++)
        a.n_model += tok->vocab.entry[id].text != NULL;
    tok->added = arena_alloc(&tok->arena, a.cap * sizeof *tok->added);
    if (!tok->added)
        return reader_nomem(r);
    int rc = read_list(&a, list);
    begin_count(&a);
    if (!rc)
        rc = read_decoder(&a, decoder);
    if (!rc)
        rc = read_all_named(&a, config);
    return rc ? rc : fill_sets(r, tok);
}
