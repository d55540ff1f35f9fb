/* SPDX-License-Identifier: Apache-2.0 */
/* The pairs that prompts are made of, and finding the nearest of them. Embeddings are the pretrained model's in every round. */
#include "method/parts.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void pool_name(const struct pool_item *p, char name[40])
{
    if (p->round)
        snprintf(name, 40, "r%d-a%d", p->round, p->index);
    else
        snprintf(name, 40, "seed-%d", p->index);
}

int align_make_pool(struct align *a, struct error *err)
{
    int grown = a->o.pool == ALIGN_POOL_GROWN ? a->n_kept : 0;
    struct pool_item *pool = mem_resize(a->pool, ((size_t)a->n_given + (size_t)grown + 1) * sizeof *pool);
    if (!pool)
        return error_set_nomem(err, ((size_t)a->n_given + (size_t)grown) * sizeof *pool, "pool");
    a->pool = pool, a->n_pool = 0;
    for (int i = 0; i < a->n_given; i++)
        pool[a->n_pool++] = (struct pool_item){a->seeds.items[a->given[i]].question, a->seeds.items[a->given[i]].answer, 0, a->given[i]};
    for (int i = 0; i < grown; i++)
        pool[a->n_pool++] = a->kept[i];
    if (a->n_retriever != a->n_pool) {
        retriever_free(a->retriever);
        a->retriever = NULL;
    }
    return 0;
}

int align_add_kept(struct align *a, const struct run_attempt *attempts, int n, int round, struct error *err)
{
    for (int i = 0; i < n; i++) {
        if (!attempts[i].kept)
            continue;
        if (a->n_kept == a->cap_kept) {
            int cap = a->cap_kept * 2 + 64;
            struct pool_item *kept = mem_resize(a->kept, (size_t)cap * sizeof *kept);
            if (!kept)
                return error_set_nomem(err, (size_t)cap * sizeof *kept, "kept pairs");
            a->kept = kept, a->cap_kept = cap;
        }
        struct pool_item item = {arena_strdup(&a->arena, attempts[i].question.text), arena_strdup(&a->arena, attempts[i].answer.text), round, attempts[i].index};
        if (!item.question || !item.answer)
            return error_set_nomem(err, strlen(attempts[i].answer.text), "kept pairs");
        a->kept[a->n_kept++] = item;
    }
    return 0;
}

static int embed_with(const struct model *m, const struct tokenizer *t, const char *const *texts, int n, float **out, int *dim, struct error *err)
{
    size_t bytes;
    *dim = model_desc(m)->n_embd;
    if (size_mul((size_t)n + 1, (size_t)*dim * sizeof **out, &bytes) || !(*out = mem_alloc(bytes)))
        return error_set_nomem(err, (size_t)n * (size_t)*dim * sizeof **out, "embeddings");
    int rc = retrieve_embed(m, t, texts, n, *out, NULL, err);
    if (rc) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}

int align_embed(struct align *a, const char *const *texts, int n, float **out, int *dim, struct error *err)
{
    struct checkpoint *ck = NULL;
    struct tokenizer *t = NULL;
    struct model *m = NULL;
    int rc;
    *out = NULL;
    if (a->o.retriever == ALIGN_RETRIEVER_MODEL)
        return (rc = align_load_pretrained(a, err)) ? rc : embed_with(a->model, a->tokenizer, texts, n, out, dim, err);
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_BODY, .check_finite = 1};
    rc = checkpoint_open(&ck, a->o.encoder, err);
    if (!rc)
        rc = tokenizer_open(&t, checkpoint_path(ck), err);
    if (!rc)
        rc = model_open(&m, a->device, ck, &o, err);
    if (!rc)
        rc = embed_with(m, t, texts, n, out, dim, err);
    model_close(m);
    tokenizer_close(t);
    checkpoint_close(ck);
    return rc;
}

int align_make_retriever(struct align *a, struct error *err)
{
    if (a->retriever)
        return 0;
    const char **texts = mem_calloc((size_t)a->n_pool + 1, sizeof *texts);
    float *x = NULL;
    int dim, rc = texts ? 0 : error_set_nomem(err, (size_t)a->n_pool * sizeof *texts, "pool");
    for (int i = 0; i < a->n_pool && !rc; i++)
        texts[i] = a->pool[i].question;
    if (!rc && a->o.retriever == ALIGN_RETRIEVER_BM25)
        rc = retriever_new_bm25(&a->retriever, texts, a->n_pool, err);
    else if (!rc && !(rc = align_embed(a, texts, a->n_pool, &x, &dim, err)))
        rc = retriever_new_cosine(&a->retriever, x, a->n_pool, dim, err);
    a->n_retriever = rc ? 0 : a->n_pool;
    mem_free(x);
    mem_free(texts);
    return rc;
}

int align_nearest(struct align *a, const char *const *texts, int n, int k, struct retriever_hit *hits, int *found, struct error *err)
{
    float *x = NULL;
    int dim = 0, rc = align_make_retriever(a, err);
    if (!rc && n && a->o.retriever != ALIGN_RETRIEVER_BM25)
        rc = align_embed(a, texts, n, &x, &dim, err);
    for (int i = 0; i < n && !rc; i++)
        rc = retriever_find(a->retriever, &(struct retriever_query){texts[i], x ? x + (size_t)i * (size_t)dim : NULL}, k, -1, hits + (size_t)i * (size_t)k, &found[i], err);
    mem_free(x);
    return rc;
}
