/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to embeddings with the model itself. */
#include "retrieve/retrieve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"

#include <string.h>

/* What the post-processor put after the text: of n_extra tokens that it added, those at the end. */
static size_t n_after(const struct tokenizer *t, const struct tokens *ids, size_t n_extra)
{
    size_t n = 0;
    while (n < n_extra && tokenizer_is_special(t, ids->ids[ids->n - 1 - n]))
        n++;
    return n;
}

/* A tokenizer for which letters' case makes no difference. */
static int check_case(const struct tokenizer *t, struct error *err)
{
    struct tokens upper = TOKENS_INIT, lower = TOKENS_INIT;
    int rc = tokenizer_encode(t, "AZ", 2, 0, &upper, err);
    rc = rc ? rc : tokenizer_encode(t, "az", 2, 0, &lower, err);
    if (!rc && (upper.n != lower.n || memcmp(upper.ids, lower.ids, upper.n * sizeof *upper.ids)))
        rc = error_set(err, ERROR_CONFIG,
                       "sentence_bert_config.json: \"do_lower_case\": wanted false, or a tokenizer that lower-cases by "
                       "itself, found true");
    tokens_free(&upper);
    tokens_free(&lower);
    return rc;
}

/* One text as a sentence encoder reads it: its prompt, the text, special tokens around them; what is too long loses the
 * end of the text, not those tokens. */
static int read_sentence(const struct embedder *e, const char *text, size_t n, struct tokens *out, int *cut,
                         struct error *err)
{
    const struct model_sentence *s = &model_desc(e->model)->sentence;
    const struct tokenizer *t = e->tokenizer;
    struct buf all = BUF_INIT;
    struct tokens bare = TOKENS_INIT;
    size_t before = out->n;
    buf_puts(&all, s->prompt);
    buf_append(&all, text, n);
    int rc =
        all.failed ? error_set_nomem(err, n, "a text") : tokenizer_encode(t, buf_text(&all), all.len, 0, &bare, err);
    rc = rc ? rc : tokenizer_encode(t, buf_text(&all), all.len, TOKENIZER_ADD_SPECIAL, out, err);
    size_t limit = before + (size_t)s->max_length;
    *cut = !rc && out->n > limit;
    if (*cut) {
        size_t after = n_after(t, out, out->n - before - bare.n);
        memmove(out->ids + limit - after, out->ids + out->n - after, after * sizeof *out->ids);
        out->n = limit;
    }
    tokens_free(&bare);
    buf_free(&all);
    return rc;
}

int retrieve_tokens(const struct embedder *e, const char *text, size_t n, struct tokens *out, int *cut,
                    struct error *err)
{
    const struct model_desc *d = model_desc(e->model);
    size_t before = out->n, limit = before + (size_t)d->n_ctx;
    int rc, none = 0;
    cut = cut ? cut : &none;
    *cut = 0;
    if (d->sentence.given)
        return d->sentence.lower_case && (rc = check_case(e->tokenizer, err))
                   ? rc
                   : read_sentence(e, text, n, out, cut, err);
    rc = tokenizer_encode(e->tokenizer, text, n, 0, out, err);
    if (!rc && out->n > limit) {
        out->n = limit;
        *cut = 1;
    }
    return rc;
}

int retrieve_embed(const struct embedder *e, const char *const *texts, int n, float *out, int *n_cut, struct error *err)
{
    struct model_text *list = mem_calloc((size_t)n + 1, sizeof *list);
    size_t *starts = mem_calloc((size_t)n + 1, sizeof *starts);
    struct tokens ids = TOKENS_INIT;
    double started = clock_now();
    int rc = list && starts ? 0 : error_set_nomem(err, (size_t)n * sizeof *list, "texts"), all_cut = 0;
    for (int i = 0; i < n && !rc; i++) {
        int cut;
        starts[i] = ids.n;
        rc = retrieve_tokens(e, texts[i], strlen(texts[i]), &ids, &cut, err);
        if (!rc && ids.n == starts[i])
            rc = error_set(err, ERROR_DATA, "text %d of %d to embed has no token", i + 1, n);
        all_cut += !rc && cut;
    }
    for (int i = 0; i < n && !rc; i++)
        list[i] = (struct model_text){ids.ids + starts[i], (int)((i + 1 < n ? starts[i + 1] : ids.n) - starts[i]), 0};
    if (!rc)
        rc = crew_embed(e->model, list, n, 1, out, err);
    size_t width = (size_t)model_width(model_desc(e->model));
    for (int i = 0; i < n && !rc; i++)
        rc = model_check_numbers(out + (size_t)i * width, width, err, "embedding of \"%.60s\"", texts[i]);
    if (n_cut)
        *n_cut = all_cut;
    if (!rc)
        log_line(LOG_DEBUG, "embedded %d texts of %zu tokens in %.2f s", n, ids.n, clock_now() - started);
    tokens_free(&ids);
    mem_free(list);
    mem_free(starts);
    return rc;
}
