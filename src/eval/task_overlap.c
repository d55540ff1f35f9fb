/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task overlap: seeds against the test set, what a run generated against both; shared 8- and 13-grams,
 * ROUGE-L, and with --model the nearest embedding. With a model also whether it has seen the test set (eval_seen.c).
 * Every pair that counts is listed. */
#include "eval/eval_sets.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "measure/overlap.h"
#include "retrieve/retrieve.h"

#include <math.h>
#include <string.h>

#define ROUGE_ALIKE 0.7 /* the sift's and self-instruct's rule */
#define COSINE_ALIKE 0.95

struct overlap {
    const struct eval_options *v;
    struct eval_model embedder;
    const struct eval_set *in, *of; /* the sets that are compared: of this one, what stands in that one */
    struct eval_report report;
    struct buf pairs; /* JSON Lines */
    int n_pair;
    struct error *err;
};

/* Item k of the one set is like item i of the other. */
static int list_pair(struct overlap *o, int i, int k, const char *kind, double value)
{
    const struct eval_set *a = o->in, *b = o->of;
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s, s:s}", "of", b->name, "in", a->name, "id",
                            b->items[k].id, "other_id", a->items[i].id, "kind", kind, "value", value, "question",
                            b->items[k].question, "other_question", a->items[i].question);
    int rc = row ? jsontext_dump(&o->pairs, row, 0, o->err) : error_set_nomem(o->err, 64, "a pair");
    buf_putc(&o->pairs, '\n');
    json_decref(row);
    if (!rc && ++o->n_pair <= 10)
        eval_report_note(&o->report, "  %s %s ~ %s %s, %s %.3f: %.60s | %.60s", b->name, b->items[k].id, a->name,
                         a->items[i].id, kind, value, b->items[k].question, a->items[i].question);
    return rc;
}

static void put_share(struct overlap *o, const char *kind, int hits)
{
    char name[64];
    const struct eval_set *a = o->in, *b = o->of;
    struct stats_interval i = stats_clopper_pearson(hits, b->n, 0.95);
    snprintf(name, sizeof name, "%s_in_%s_%s", b->name, a->name, kind);
    o->report.n_row = b->n; /* each share is over all of its own set */
    eval_report_value(&o->report, name, (double)hits / b->n, b->n, i);
}

static int by_words(struct overlap *o)
{
    const struct eval_set *a = o->in, *b = o->of;
    struct overlap_text *x = mem_calloc((size_t)a->n + 1, sizeof *x), *y = mem_calloc((size_t)b->n + 1, sizeof *y);
    struct overlap_hit *hits = mem_calloc((size_t)b->n + 1, sizeof *hits);
    int rc = x && y && hits ? 0 : error_set_nomem(o->err, (size_t)b->n * sizeof *hits, "overlaps"), n8 = 0, n13 = 0,
        alike = 0;
    for (int i = 0; i < a->n && !rc; i++)
        x[i] = (struct overlap_text){a->items[i].question, a->items[i].text};
    for (int i = 0; i < b->n && !rc; i++)
        y[i] = (struct overlap_text){b->items[i].question, b->items[i].text};
    rc = rc ? rc : overlap_find(x, a->n, y, b->n, hits, o->err);
    for (int k = 0; k < b->n && !rc; k++) {
        const struct overlap_hit *h = &hits[k];
        n8 += h->gram8 >= 0;
        n13 += h->gram13 >= 0;
        alike += h->rouge_l > ROUGE_ALIKE;
        if (h->gram13 >= 0)
            rc = list_pair(o, h->gram13, k, "13-gram", 1);
        else if (h->gram8 >= 0)
            rc = list_pair(o, h->gram8, k, "8-gram", 1);
        if (!rc && h->rouge_l > ROUGE_ALIKE)
            rc = list_pair(o, h->nearest, k, "rougeL", h->rouge_l);
    }
    if (!rc) {
        put_share(o, "8gram", n8);
        put_share(o, "13gram", n13);
        put_share(o, "rougeL", alike);
    }
    mem_free(x);
    mem_free(y);
    mem_free(hits);
    return rc;
}

static int embed_questions(struct overlap *o, const struct eval_set *s, float **out)
{
    const char **texts = mem_calloc((size_t)s->n + 1, sizeof *texts);
    *out = mem_alloc(((size_t)s->n + 1) * (size_t)model_width(model_desc(o->embedder.model)) * sizeof **out);
    int rc = texts && *out ? 0 : error_set_nomem(o->err, (size_t)s->n * sizeof **out, "embeddings");
    for (int i = 0; i < s->n && !rc; i++)
        texts[i] = s->items[i].question;
    rc = rc ? rc
            : retrieve_embed(&(struct embedder){o->embedder.model, o->embedder.tokenizer}, texts, s->n, *out, NULL,
                             o->err);
    mem_free(texts);
    return rc;
}

static int by_embedding(struct overlap *o)
{
    const struct eval_set *a = o->in, *b = o->of;
    float *x = NULL, *y = NULL;
    struct retriever *r = NULL;
    int dim = model_width(model_desc(o->embedder.model)), alike = 0, rc = embed_questions(o, a, &x);
    rc = rc ? rc : embed_questions(o, b, &y);
    rc = rc ? rc : retriever_new_cosine(&r, x, a->n, dim, o->err);
    for (int k = 0; k < b->n && !rc; k++) {
        struct retriever_hit hit = {0, 0};
        int found = 0;
        const struct retriever_query query = {b->items[k].question, y + (size_t)k * (size_t)dim};
        rc = retriever_find(r, &query, 1, &hit, &found, o->err);
        if (!rc && found && hit.score >= COSINE_ALIKE) {
            alike++;
            rc = list_pair(o, hit.index, k, "embedding", hit.score);
        }
    }
    if (!rc)
        put_share(o, "embedding", alike);
    retriever_free(r);
    mem_free(x);
    mem_free(y);
    return rc;
}

static int compare_sets(struct overlap *o, const struct eval_set *a, const struct eval_set *b)
{
    if (!a->n || !b->n)
        return 0;
    o->in = a;
    o->of = b;
    int rc = by_words(o);
    return rc || !o->embedder.model ? rc : by_embedding(o);
}

static int write_pairs(struct overlap *o)
{
    char *path = o->v->output ? path_join(o->v->output, "overlap_pairs.jsonl") : NULL;
    if (!o->v->output)
        return 0;
    int rc =
        path && !o->pairs.failed ? dirs_make(o->v->output, o->err) : error_set_nomem(o->err, o->pairs.len, "pairs");
    rc = rc ? rc : file_write(path, buf_text(&o->pairs), o->pairs.len, o->err);
    if (!rc)
        eval_report_note(&o->report, "pairs: %s", path);
    mem_free(path);
    return rc;
}

static int run_overlap(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct eval_set seeds = {.name = "seeds"}, test = {.name = "test"}, made = {.name = "generated"};
    struct overlap o = {.v = v, .err = err};
    char sha256[65] = "";
    int rc = eval_require(v->test, "test", "the test set", err);
    if (!rc && !v->seeds && !v->input)
        rc = error_set(
            err, ERROR_USAGE,
            "wanted --seeds FILE, --input RUN (a run directory or a generated.jsonl), or both, to compare with --test");
    rc = rc ? rc : eval_set_read(&test, "test", eval_source(v, v->test), err);
    rc = rc || !v->seeds ? rc : eval_set_read(&seeds, "seeds", eval_source(v, v->seeds), err);
    rc = rc || !v->input ? rc : eval_set_read_run(&made, eval_source(v, v->input), err);
    if (!rc && v->model && !(rc = eval_model_read(&o.embedder, v->model, v->adapter, err)))
        rc = eval_model_load(&o.embedder, w->device, v->dtype, MODEL_LM, err);
    if (!rc && v->model)
        rc = checkpoint_sha256(o.embedder.checkpoint, sha256, err);
    eval_report_begin(&o.report,
                      &(struct report_basis){.task = w->task->name,
                                             .n_row = rc ? 1 : test.n,
                                             .threshold = ROUGE_ALIKE,
                                             .judge = v->model,
                                             .judge_sha256 = v->model ? sha256 : NULL},
                      err);
    o.report.rc = rc ? rc : o.report.rc;
    eval_report_fact(&o.report, "n_seeds", json_integer(seeds.n));
    eval_report_fact(&o.report, "n_generated", json_integer(made.n));
    rc = o.report.rc;
    rc = rc ? rc : compare_sets(&o, &seeds, &test);
    rc = rc ? rc : compare_sets(&o, &made, &test);
    rc = rc ? rc : compare_sets(&o, &seeds, &made);
    if (!rc)
        eval_report_note(&o.report,
                         "shares of a set's pairs with Clopper-Pearson 95 %% intervals\n_8gram, _13gram: an n-gram of "
                         "question and answer in common\n_rougeL: F1 of the questions above %g\n_embedding: cosine at "
                         "least %g\n%d pairs",
                         ROUGE_ALIKE, COSINE_ALIKE, o.n_pair);
    rc = rc ? rc : write_pairs(&o);
    eval_model_close(&o.embedder); /* eval_seen loads it its own way */
    if (!rc && v->model)
        rc = eval_seen(&o.report, &test, w, err);
    o.report.rc = o.report.rc ? o.report.rc : rc;
    rc = eval_report_finish(&o.report, w);
    buf_free(&o.pairs);
    eval_set_free(&seeds);
    eval_set_free(&test);
    eval_set_free(&made);
    return rc;
}

const struct eval_task eval_overlap = {
    "overlap", "contamination: seeds, test and generated data in each other; whether a model has seen the test",
    run_overlap};
