/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/stop.h"

#include "base/mem.h"

#include <string.h>

/* Every token but special ones gives at least a byte and a stop string has at most 63. */
enum { TAIL = 72, RESERVE = 8192 };

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
    int code = tokenizer_stream_new(&f->before, t, 1, err);
    if (!code)
        code = tokenizer_stream_new(&f->after, t, 1, err);
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

void finder_begin(struct finder *f, const int32_t *ids, int n)
{
    tokenizer_stream_reset(f->before);
    buf_reset(&f->text);
    for (int i = n > TAIL ? n - TAIL : 0; i < n; i++)
        tokenizer_stream_push(f->before, ids[i], &f->text);
}

int finder_warm(struct finder *f)
{
    static const struct generate_options none;
    int32_t size = f->warm ? 0 : tokenizer_size(f->tokenizer), tail[TAIL];
    for (int32_t id = 0; id < size; id++) {
        tail[id % TAIL] = id;
        if (id % TAIL == TAIL - 1)
            finder_begin(f, tail, TAIL);
        if (f->text.failed)
            return -1;
        finder_ends(f, &none, id);
        if (f->text.failed)
            return -1;
    }
    f->warm = 1;
    return 0;
}

static const char *find(const char *text, size_t n, const char *stop)
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
        found = find(f->text.data, f->text.len, o->stop[i]) != NULL;
    if (f->text.data) {
        f->text.len = before;
        f->text.data[before] = 0;
    }
    return found;
}

int stop_text(const struct tokenizer *t, const struct generate_options *o, const int32_t *ids, int n, char **text, struct error *err)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < o->n_eos; i++)
        if (n && ids[n - 1] == o->eos_ids[i]) {
            n--;
            break;
        }
    int code = tokenizer_decode(t, ids, (size_t)n, 1, &b, err);
    buf_puts(&b, "");
    size_t cut = b.len;
    for (int i = 0; i < o->n_stop; i++) {
        const char *at = find(b.data, b.len, o->stop[i]);
        if (at && (size_t)(at - b.data) < cut)
            cut = (size_t)(at - b.data);
    }
    if (!code && !b.failed && b.data) {
        b.len = cut;
        b.data[cut] = 0;
    }
    *text = code ? NULL : b.data ? buf_take(&b) : mem_strdup("");
    if (!code && !*text)
        code = error_set_nomem(err, cut, "a result's text");
    buf_free(&b);
    return code;
}
