/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task diversity: what a run has made. How many pairs a seed gave, how novelty ran out, and how different
 * the kept questions are from each other. */
#include "eval/eval_sets.h"

#include "base/mem.h"
#include "measure/overlap.h"
#include "retrieve/retrieve.h"

#include <math.h>

/* points of the novelty curve a round */
enum { STEPS = 10 };

/* Mean cosine distance of all pairs, from the sum of the unit vectors. */
static double spread_of(const float *x, int n, int dim)
{
    double square = 0;
    for (int k = 0; k < dim; k++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += (double)x[(size_t)i * (size_t)dim + (size_t)k];
        square += sum * sum;
    }
    return n > 1 ? 1 - (square - n) / ((double)n * (n - 1)) : NAN;
}

static int add_spread(struct eval_report *r, const char **texts, int n, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct eval_model p = {0};
    float *x = NULL;
    char sha256[65];
    int rc = eval_model_read(&p, v->model, v->adapter, err);
    rc = rc ? rc : checkpoint_sha256(p.checkpoint, sha256, err);
    rc = rc ? rc : eval_model_load(&p, w->device, v->dtype, MODEL_BODY, err);
    int dim = rc ? 1 : model_width(model_desc(p.model));
    if (!rc && !(x = mem_alloc(((size_t)n + 1) * (size_t)dim * sizeof *x)))
        rc = error_set_nomem(err, (size_t)n * (size_t)dim * sizeof *x, "embeddings");
    rc = rc ? rc : retrieve_embed(&(struct embedder){p.model, p.tokenizer}, texts, n, x, NULL, err);
    if (!rc)
        eval_report_value(r, "embedding_spread", spread_of(x, n, dim), n, EVAL_NO_INTERVAL);
    if (!rc) {
        eval_report_fact(r, "embedding_model", json_string(v->model));
        eval_report_fact(r, "embedding_model_sha256", json_string(sha256));
    }
    mem_free(x);
    eval_model_close(&p);
    return rc;
}

/* Kept share of each tenth of a round's attempts. */
static void add_curve(struct eval_report *r, const struct eval_set *s)
{
    json_t *rounds = json_array();
    for (int t = 0, first = 0; t < (s->n_round ? s->n_round : 1); t++) {
        int end = s->n_round ? s->round_end[t] : s->n, n = end - first;
        json_t *curve = json_array();
        for (int k = 0; k < STEPS && n; k++) {
            int a = first + (int)((long)n * k / STEPS), b = first + (int)((long)n * (k + 1) / STEPS), kept = 0;
            for (int i = a; i < b; i++)
                kept += s->items[i].kept;
            if (b > a)
                json_array_append_new(
                    curve, json_pack("{s:i, s:f}", "attempts", b - first, "kept_share", (double)kept / (b - a)));
        }
        json_array_append_new(rounds, curve);
        first = end;
    }
    eval_report_fact(r, "novelty_curve", rounds);
}

static int run_diversity(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct eval_set made = {0}, seeds = {0};
    struct eval_report r;
    struct diversity d = {{NAN, NAN, NAN}, NAN, 0};
    int n = 0, rc = eval_require(v->input, "input", "a run directory of isara align, or a generated.jsonl", err);
    rc = rc ? rc : eval_set_read_run(&made, eval_source(v, v->input), err);
    rc = rc || !v->seeds ? rc : eval_set_read(&seeds, "seeds", eval_source(v, v->seeds), err);
    const char **texts = mem_calloc((size_t)made.n + 1, sizeof *texts);
    if (!rc && !texts)
        rc = error_set_nomem(err, (size_t)made.n * sizeof *texts, "questions");
    for (int i = 0; i < made.n && !rc; i++)
        if (made.items[i].kept)
            texts[n++] = made.items[i].question;
    rc = rc ? rc : diversity_of(texts, n, &d, err);
    eval_report_begin(&r, &(struct report_basis){.task = w->task->name, .n_row = rc ? 1 : made.n, .threshold = NAN},
                      err);
    r.rc = rc ? rc : r.rc;
    eval_report_value(&r, "kept_share", (double)n / (made.n ? made.n : 1), made.n, stats_wilson(n, made.n, 0.95));
    r.n_row = n; /* what follows is of the kept ones, all of them */
    if (seeds.n)
        eval_report_value(&r, "scaling_ratio", (double)n / seeds.n, n, EVAL_NO_INTERVAL);
    eval_report_value(&r, "distinct_1", d.distinct[0], n, EVAL_NO_INTERVAL);
    eval_report_value(&r, "distinct_2", d.distinct[1], n, EVAL_NO_INTERVAL);
    eval_report_value(&r, "distinct_3", d.distinct[2], n, EVAL_NO_INTERVAL);
    eval_report_value(&r, "self_bleu", d.self_bleu, n, EVAL_NO_INTERVAL);
    if (!r.rc && v->model)
        r.rc = add_spread(&r, texts, n, w, err);
    if (!r.rc)
        add_curve(&r, &made);
    eval_report_note(
        &r,
        "kept_share: of all attempts; what follows is of the kept questions\n%sdistinct_N: distinct n-grams "
        "/ n-grams\nself_bleu: 0 to 100, smaller is more diverse%s",
        seeds.n ? "scaling_ratio: kept / seeds\n" : "",
        v->model ? "\nembedding_spread: mean cosine distance of all pairs" : "");
    rc = eval_report_finish(&r, w);
    mem_free(texts);
    eval_set_free(&made);
    eval_set_free(&seeds);
    return rc;
}

const struct eval_task eval_diversity = {
    "diversity", "what a run made: scaling ratio, novelty curve, distinct-n, self-BLEU, spread", run_diversity};
