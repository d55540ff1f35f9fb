/* SPDX-License-Identifier: Apache-2.0 */
#include "crew/reading.h"

#include "base/mem.h"

#include <string.h>

size_t reading_values(const struct reading *r, const struct model_desc *d, const struct model_text *t)
{
    size_t n_list = (size_t)(t->n - t->n_prompt);
    switch (r->kind) {
    case READ_EMBED: return (size_t)model_width(d);
    case READ_NEXT: return (size_t)r->candidates.n;
    case READ_CLASSIFY: return (size_t)d->n_label;
    case READ_TOP: return n_list * 2 * (size_t)r->n_top;
    default: return n_list;
    }
}

int reading_fits(const struct reading *r, const struct model_desc *d, const struct model_text *texts, int n)
{
    int behind = r->kind == READ_SCORE || r->kind == READ_TOP, ok = 1; /* what is read stands behind a prompt */
    for (int i = 0; i < n && ok; i++) {
        const struct model_text *t = &texts[i];
        ok = t->n >= 1 && t->n <= d->n_ctx && (!behind || (t->n_prompt >= 1 && t->n_prompt <= t->n));
        for (int k = 0; ok && k < t->n; k++)
            ok = t->ids[k] >= 0 && t->ids[k] < d->n_vocab;
    }
    return ok;
}

static int run_top(const struct reading *r, const struct model *m, const struct model_text *texts, int n, float *out,
                   struct error *err)
{
    size_t lists = 0, list = (size_t)r->n_top, bytes = list * 4;
    for (int i = 0; i < n; i++)
        lists += (size_t)(texts[i].n - texts[i].n_prompt);
    struct model_top top = {r->n_top, mem_alloc(lists * bytes + 1), mem_alloc(lists * bytes + 1), NULL};
    int rc = top.ids && top.logprobs ? model_score_top(m, texts, n, &top, err)
                                     : error_set_nomem(err, 2 * lists * bytes, "the greatest probabilities");
    for (size_t i = 0; i < lists && !rc; i++) {
        memcpy(out + i * 2 * list, top.ids + i * list, bytes);
        memcpy(out + (i * 2 + 1) * list, top.logprobs + i * list, bytes);
    }
    mem_free(top.ids);
    mem_free(top.logprobs);
    return rc;
}

int reading_run(const struct reading *r, const struct model *m, const struct model_text *texts, int n, float *out,
                struct error *err)
{
    switch (r->kind) {
    case READ_EMBED: return model_embed(m, texts, n, r->normalize, out, err);
    case READ_NEXT: return model_next(m, texts, n, r->candidates, out, err);
    case READ_CLASSIFY: return model_classify(m, texts, n, out, err);
    case READ_TOP: return run_top(r, m, texts, n, out, err);
    default: return model_score(m, texts, n, out, err);
    }
}

void reading_put(struct buf *b, const struct reading *r)
{
    wire_put_int(b, r->kind);
    wire_put_int(b, r->normalize);
    wire_put_int(b, r->n_top);
    wire_put_int(b, r->candidates.n);
    wire_put(b, r->candidates.ids, (size_t)r->candidates.n * sizeof *r->candidates.ids);
}

int reading_get(struct reading *r, struct wire *w, struct error *err)
{
    *r = (struct reading){.kind = (enum reading_kind)wire_get_int(w)};
    r->normalize = (int)wire_get_int(w);
    r->n_top = (int)wire_get_int(w);
    r->candidates.n = (int)wire_get_int(w);
    r->candidates.ids = wire_get_array(w, r->candidates.n, sizeof *r->candidates.ids);
    return r->candidates.ids ? 0 : error_set_nomem(err, 64, "candidates");
}
