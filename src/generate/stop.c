/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/stop.h"

#include "base/mem.h"

#include <string.h>

/* A token gives at least a byte, but for the few that are a mark of a text's begin or a part of a character. */
enum { SPARE = 9, TAIL = GENERATE_STOP_BYTES + SPARE, RESERVE = 16384 };

int stop_is_eos(const struct generate_options *o, int32_t id)
{
    for (int i = 0; i < o->n_eos; i++)
        if (o->eos_ids[i] == id)
            return 1;
    return 0;
}

struct finder {
    const struct tokenizer *tokenizer;
    int warm;
    struct tokenizer_stream *before, *after;
    struct buf text;
};

int finder_new(struct finder **out, const struct tokenizer *t, struct error *err)
{
    struct finder *f = *out = mem_calloc(1, sizeof *f);
    if (!f)
        return error_set_nomem(err, sizeof *f, "stop strings");
    f->tokenizer = t;
    int code = tokenizer_stream_new(&f->before, t, 0, err);
    if (!code)
        code = tokenizer_stream_new(&f->after, t, 0, err);
    if (!code && buf_reserve(&f->text, RESERVE))
        code = error_set_nomem(err, RESERVE, "stop strings");
    if (code) {
        finder_free(f);
        *out = NULL;
    }
    return code;
}

void finder_free(struct finder *f)
{
    if (!f)
        return;
    if (f->before)
        tokenizer_stream_free(f->before);
    if (f->after)
        tokenizer_stream_free(f->after);
    buf_free(&f->text);
    mem_free(f);
}

static void read_tail(struct finder *f, const int32_t *ids, int n)
{
    tokenizer_stream_reset(f->before);
    buf_reset(&f->text);
    for (int i = 0; i < n; i++)
        tokenizer_stream_push(f->before, ids[i], &f->text);
}

void finder_begin(struct finder *f, const struct generate_options *o, const int32_t *ids, int n)
{
    int tail = 0;
    for (int i = 0; i < o->n_stop; i++)
        if ((int)strlen(o->stop[i]) > tail)
            tail = (int)strlen(o->stop[i]);
    tail += SPARE;
    read_tail(f, n > tail ? ids + n - tail : ids, n > tail ? tail : n);
}

int finder_warm(struct finder *f)
{
    static const struct generate_options none;
    int32_t size = f->warm ? 0 : tokenizer_size(f->tokenizer), tail[TAIL];
    for (int32_t id = 0; id < size; id++) {
        tail[id % TAIL] = id;
        if (id % TAIL == TAIL - 1)
            read_tail(f, tail, TAIL);
        if (f->text.failed)
            return -1;
        finder_ends(f, &none, id);
        if (f->text.failed)
            return -1;
    }
    f->warm = 1;
    return 0;
}

static const char *find_text(const char *text, size_t n, const char *stop)
{
    return n ? memmem(text, n, stop, strlen(stop)) : NULL;
}

int finder_ends(struct finder *f, const struct generate_options *o, int32_t token)
{
    size_t before = f->text.len;
    int found = 0;
    if (tokenizer_stream_copy(f->after, f->before)) {
        f->text.failed = 1;
        return 0;
    }
    tokenizer_stream_push(f->after, token, &f->text);
    tokenizer_stream_peek(f->after, &f->text);
    for (int i = 0; i < o->n_stop && !found; i++)
        found = find_text(f->text.data, f->text.len, o->stop[i]) != NULL;
    if (f->text.data) {
        f->text.len = before;
        f->text.data[before] = 0;
    }
    return found;
}

/* Where the first stop string begins in the text; its length when there is none. */
static size_t first_stop(const struct generate_options *o, const struct buf *text)
{
    size_t cut = text->len;
    for (int i = 0; i < o->n_stop; i++) {
        const char *at = find_text(text->data, text->len, o->stop[i]);
        if (at && (size_t)(at - text->data) < cut)
            cut = (size_t)(at - text->data);
    }
    return cut;
}

static int has_special(const struct tokenizer *t, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        if (tokenizer_is_special(t, ids[i]))
            return 1;
    return 0;
}

/* Cuts the ids to those that come before the text's byte `cut`; *beyond: how many bytes the last of them goes beyond
 * it. */
static int ids_before(const struct tokenizer *t, const int32_t *ids, int *n, size_t cut, size_t *beyond,
                      struct error *err)
{
    struct tokenizer_stream *s;
    struct buf b = BUF_INIT;
    int rc = tokenizer_stream_new(&s, t, 0, err);
    if (rc)
        return rc;
    *beyond = 0;
    int before = 0;
    for (; before < *n && !*beyond && !b.failed; before++) {
        tokenizer_stream_push(s, ids[before], &b);
        size_t had = b.len;
        tokenizer_stream_peek(s, &b);
        *beyond = b.len > cut ? b.len - cut : 0;
        if (!b.failed)
            b.len = had;
    }
    rc = b.failed ? error_set_nomem(err, (size_t)*n, "a result's text") : 0;
    *n = before;
    tokenizer_stream_free(s);
    buf_free(&b);
    return rc;
}

/* Where special tokens stand among the ids, stop strings are looked for in the text that has them. */
static int cut_ids(const struct tokenizer *t, const struct generate_options *o, const int32_t *ids, int *n,
                   size_t *beyond, struct error *err)
{
    struct buf whole = BUF_INIT;
    *beyond = 0;
    int rc = tokenizer_decode(t, ids, (size_t)*n, 0, &whole, err);
    size_t cut = rc ? 0 : first_stop(o, &whole);
    if (!rc && cut < whole.len)
        rc = ids_before(t, ids, n, cut, beyond, err);
    if (!rc && *beyond && tokenizer_is_special(t, ids[*n - 1])) {
        --*n;
        *beyond = 0;
    }
    buf_free(&whole);
    return rc;
}

int stop_text(const struct tokenizer *t, const struct generate_options *o, const int32_t *ids, int n, char **text,
              struct error *err)
{
    struct buf b = BUF_INIT;
    size_t beyond = 0;
    if (n && stop_is_eos(o, ids[n - 1]))
        n--;
    int special = o->n_stop && has_special(t, ids, n), code = special ? cut_ids(t, o, ids, &n, &beyond, err) : 0;
    if (!code)
        code = tokenizer_decode(t, ids, (size_t)n, 1, &b, err);
    size_t left = beyond < b.len ? b.len - beyond : 0, cut = special ? left : first_stop(o, &b);
    if (!code && !b.failed && b.data) {
        b.len = cut;
        b.data[cut] = 0;
    }
    *text = NULL;
    if (!code)
        *text = b.data ? buf_take(&b) : mem_strdup("");
    if (!code && !*text)
        code = error_set_nomem(err, cut, "a result's text");
    buf_free(&b);
    return code;
}
