/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/pool.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

void pool_name(const struct pool_item *p, char name[40])
{
    if (p->round && p->index < 0)
        snprintf(name, 40, "r%d-p%d", p->round, -1 - p->index);
    else if (p->round)
        snprintf(name, 40, "r%d-a%d", p->round, p->index);
    else
        snprintf(name, 40, "seed-%d", p->index);
}

int pairs_set(struct pair_pool *p, const struct pair_source *from, struct error *err)
{
    size_t n = (size_t)from->n_given + (size_t)from->n_more;
    struct pool_item *items = mem_resize(p->items, (n + 1) * sizeof *items);
    if (!items)
        return error_set_nomem(err, n * sizeof *items, "pool");
    p->items = items;
    p->n = 0;
    for (int i = 0; i < from->n_given; i++) {
        int seed = from->given ? from->given[i] : i;
        items[p->n++] = (struct pool_item){from->seeds[seed].question, from->seeds[seed].answer, 0, seed};
    }
    for (int i = 0; i < from->n_more; i++)
        items[p->n++] = from->more[i];
    if (p->n_retriever != p->n) {
        retriever_free(p->retriever);
        p->retriever = NULL;
    }
    return 0;
}

void pairs_free(struct pair_pool *p)
{
    retriever_free(p->retriever);
    mem_free(p->items);
    *p = (struct pair_pool){0};
}

/* Tokens of a pair as it stands among others: a prompt with it less one without. */
static int pair_tokens(const struct speaker *s, const struct pool_item *item, size_t empty, int *n, struct error *err)
{
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    struct tokens ids = TOKENS_INIT;
    const struct example e = {item->question, item->answer ? item->answer : ""};
    int rc = template_write(s->template, &(struct template_prompt){NULL, &e, 1, ""}, &text, &people, err);
    rc = rc ? rc : speaker_encode(s, &text, &people, &ids, err);
    *n = ids.n > empty ? (int)(ids.n - empty) : 1;
    buf_free(&text);
    text_spans_free(&people);
    tokens_free(&ids);
    return rc;
}

int pairs_check_room(const struct pair_pool *p, const struct speaker *s, int k, int new_tokens, struct error *err)
{
    struct buf text = BUF_INIT;
    struct tokens ids = TOKENS_INIT;
    double sum = 0;
    int rc = template_write(s->template, &(struct template_prompt){.question = ""}, &text, NULL, err);
    rc = rc ? rc : speaker_encode(s, &text, NULL, &ids, err);
    for (int i = 0; i < p->n && !rc; i++) {
        int n = 0;
        rc = pair_tokens(s, &p->items[i], ids.n, &n, err);
        sum += n;
    }
    double mean = p->n ? sum / p->n : 0, question = mean / 2,
           room = s->desc.n_ctx - new_tokens - (double)ids.n - question;
    if (!rc && mean > 0 && mean * k > room)
        log_line(LOG_WARNING,
                 "--k %d: about %d pairs of the seeds' mean length (%.0f tokens) fit into a context of %d beside the "
                 "question and %d new tokens; the farthest ones are dropped",
                 k, room < mean ? 0 : (int)(room / mean), mean, s->desc.n_ctx, new_tokens);
    if (!rc && k > p->n)
        log_line(LOG_WARNING, "--k %d: there are %d pairs, so no prompt can hold more", k, p->n);
    buf_free(&text);
    tokens_free(&ids);
    return rc;
}

static int embed_with(const struct embedder *e, const char *const *texts, int n, float **out, int *dim,
                      struct error *err)
{
    size_t bytes;
    *dim = model_width(model_desc(e->model));
    if (size_mul((size_t)n + 1, (size_t)*dim * sizeof **out, &bytes) || !(*out = mem_alloc(bytes)))
        return error_set_nomem(err, (size_t)n * (size_t)*dim * sizeof **out, "embeddings");
    int rc = retrieve_embed(e, texts, n, *out, NULL, err);
    if (rc) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}

/* With the retriever's model; *out to mem_free. */
static int embed_texts(struct speaker *s, const char *const *texts, int n, float **out, int *dim, struct error *err)
{
    struct checkpoint *ck = NULL;
    struct tokenizer *t = NULL;
    struct model *m = NULL;
    int rc;
    *out = NULL;
    if (s->o.retriever == RETRIEVER_MODEL)
        return (rc = speaker_load_pretrained(s, err))
                   ? rc
                   : embed_with(&(struct embedder){s->model, s->tokenizer}, texts, n, out, dim, err);
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_BODY, .check_finite = 1};
    rc = checkpoint_open(&ck, s->o.encoder, err);
    if (!rc)
        rc = tokenizer_open_of(&t, ck, err);
    if (!rc)
        rc = model_open(&m, s->device, ck, &o, err);
    if (!rc)
        rc = embed_with(&(struct embedder){m, t}, texts, n, out, dim, err);
    model_close(m);
    tokenizer_close(t);
    checkpoint_close(ck);
    return rc;
}

int pairs_make_retriever(struct pair_pool *p, struct speaker *s, struct error *err)
{
    if (p->retriever)
        return 0;
    const char **texts = mem_calloc((size_t)p->n + 1, sizeof *texts);
    float *x = NULL;
    int dim, rc = texts ? 0 : error_set_nomem(err, (size_t)p->n * sizeof *texts, "pool");
    for (int i = 0; i < p->n && !rc; i++)
        texts[i] = p->items[i].question;
    if (!rc && s->o.retriever == RETRIEVER_BM25)
        rc = retriever_new_bm25(&p->retriever, texts, p->n, err);
    else if (!rc && !(rc = embed_texts(s, texts, p->n, &x, &dim, err)))
        rc = retriever_new_cosine(&p->retriever, x, p->n, dim, err);
    p->n_retriever = rc ? 0 : p->n;
    mem_free(x);
    mem_free(texts);
    return rc;
}

int pairs_nearest(struct pair_pool *p, struct speaker *s, const struct pair_query *q, struct retriever_hit *hits,
                  int *found, struct error *err)
{
    float *x = NULL;
    int dim = 0, rc = pairs_make_retriever(p, s, err);
    if (!rc && q->n && s->o.retriever != RETRIEVER_BM25)
        rc = embed_texts(s, q->texts, q->n, &x, &dim, err);
    for (int i = 0; i < q->n && !rc; i++) {
        const struct retriever_query one = {q->texts[i], x ? x + (size_t)i * (size_t)dim : NULL};
        rc = retriever_find(p->retriever, &one, q->k, hits + (size_t)i * (size_t)q->k, &found[i], err);
    }
    mem_free(x);
    return rc;
}

/* --- contexts --- */

void contexts_free(struct contexts *c)
{
    mem_free(c->cells);
    mem_free(c->n);
    *c = (struct contexts){0};
}

static int find_nearest(struct contexts *c, struct pair_pool *p, struct speaker *s, const struct pair_query *q,
                        struct error *err)
{
    size_t k = (size_t)c->k, cells = (size_t)q->n * k + 1;
    struct retriever_hit *hits = mem_calloc(cells, sizeof *hits);
    int rc = hits ? pairs_nearest(p, s, q, hits, c->n, err) : error_set_nomem(err, cells * sizeof *hits, "contexts");
    for (int i = 0; i < q->n && !rc; i++)
        for (int j = 0; j < c->n[i]; j++)
            c->cells[(size_t)i * k + (size_t)j] = hits[(size_t)i * k + (size_t)(c->n[i] - 1 - j)].index;
    mem_free(hits);
    return rc;
}

int contexts_find(struct contexts *out, struct pair_pool *p, struct speaker *s, enum context_kind kind,
                  const struct pair_query *q, struct error *err)
{
    size_t cells = (size_t)q->n * (size_t)q->k + 1;
    *out = (struct contexts){q->k, mem_calloc(cells, sizeof *out->cells), mem_calloc((size_t)q->n + 1, sizeof *out->n)};
    int rc = out->cells && out->n ? 0 : error_set_nomem(err, cells * sizeof *out->cells, "contexts");
    for (int i = 0; kind == CONTEXTS_RANDOM && i < q->n && !rc; i++) {
        const struct rng_stream stream = {s->o.seed, STREAM_EVALUATE, (uint64_t)i};
        out->n[i] = retrieve_random(&stream, p->n, q->k, out->cells + (size_t)i * (size_t)q->k);
    }
    if (kind == CONTEXTS_NEAREST && !rc)
        rc = find_nearest(out, p, s, q, err);
    if (rc)
        contexts_free(out);
    return rc;
}
