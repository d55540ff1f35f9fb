/* SPDX-License-Identifier: Apache-2.0 */
/* Portions of texts that rank 0 deals, one after the other. */
#include "crew/parts.h"

#include "base/mem.h"
#include "crew/reading.h"

struct portion {
    int64_t first, n, n_value;
    struct model_text *texts;
    int32_t *ids;
    float *values;
};

static int read_portion(struct portion *p, struct wire *w, struct error *err)
{
    *p = (struct portion){.first = wire_get_int(w)};
    p->n = wire_get_int(w);
    p->n_value = wire_get_int(w);
    size_t most = w->left / sizeof *p->ids + 1, at = 0;
    if (w->broken || p->n < 1 || (size_t)p->n > most || p->n_value < 0)
        return error_set(err, ERROR_INTERNAL, "a broken portion");
    p->texts = mem_calloc((size_t)p->n, sizeof *p->texts);
    p->ids = mem_alloc(most * sizeof *p->ids);
    p->values = mem_alloc((size_t)p->n_value * sizeof *p->values + 1);
    if (!p->texts || !p->ids || !p->values)
        return error_set_nomem(err, most * sizeof *p->ids, "texts");
    for (int64_t i = 0; i < p->n && !w->broken; i++) {
        int64_t n = wire_get_int(w), n_prompt = wire_get_int(w);
        if (n < 1 || (size_t)n > most - at)
            return error_set(err, ERROR_INTERNAL, "a broken portion");
        wire_get(w, p->ids + at, (size_t)n * sizeof *p->ids);
        p->texts[i] = (struct model_text){p->ids + at, (int)n, (int)n_prompt};
        at += (size_t)n;
    }
    return w->broken ? error_set(err, ERROR_INTERNAL, "a broken portion") : 0;
}

static void portion_free(struct portion *p)
{
    mem_free(p->texts);
    mem_free(p->ids);
    mem_free(p->values);
}

static int run_portion(struct server *s, const struct reading *r, const struct model *m, struct wire *w,
                       struct error *err)
{
    struct portion p;
    struct buf *b = &s->out;
    int rc = read_portion(&p, w, err);
    rc = rc ? rc : reading_run(r, m, p.texts, (int)p.n, p.values, err);
    if (!rc) {
        wire_begin(b, WORD_VALUES);
        wire_put_int(b, p.first);
        wire_put_int(b, p.n);
        wire_put(b, p.values, (size_t)p.n_value * sizeof *p.values);
        rc = server_answer(s, err);
    }
    portion_free(&p);
    return rc;
}

int server_texts(struct server *s, struct wire *w, struct error *err)
{
    struct served_model *m = server_model(s, (uint64_t)wire_get_int(w), err);
    struct reading r = {0};
    enum crew_word word = WORD_TEXTS;
    int rc = m ? reading_get(&r, w, err) : ERROR_INTERNAL;
    while (!rc && word != WORD_CLOSE) {
        struct wire next;
        rc = server_hear(s, &next, &word, 1, err);
        if (!rc && word == WORD_PORTION)
            rc = run_portion(s, &r, m->model, &next, err);
    }
    mem_free((void *)(uintptr_t)r.candidates.ids);
    if (rc)
        return rc;
    wire_begin(&s->out, WORD_CLOSED);
    return server_answer(s, err);
}
