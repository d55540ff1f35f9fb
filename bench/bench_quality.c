/* SPDX-License-Identifier: Apache-2.0 */
/* What narrower weights cost: perplexity of real text and agreement of greedy decoding with f32, on the method's own
 * load (reference data smollm2_load). Usage: bench_quality MODEL work.json [tokens] [dtype ...]      (1000; f32 bf16
 * q8; several models' lines may be compared, f32 is each one's own) Texts are W6's prompts with their completions,
 * every token scored from its text's second on, until there are that many; greedy continuations are f32's of W2's
 * prompts, 32 tokens each, likewise. One JSON line a type:
 *   perplexity, and its change against f32 in percent; mean and greatest distance of a token's log-probability from
 *   f32's; agreement: share of positions of f32's own continuations where the type's most probable token is f32's,
 *   given f32's text before it; prefix: share of tokens until the first difference when each type goes on by itself. */
#include "generate/generate.h"
#include "model/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, LONGEST = 512, NEW = 32 };

struct text {
    int32_t ids[LONGEST];
    int n, n_given; /* tokens not scored */
};
struct result {
    double *logprob; /* of each scored token */
    int32_t *best;   /* most probable token there */
    int n;
};

static void append(struct text *t, const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids) && t->n < LONGEST; i++)
        t->ids[t->n++] = (int32_t)json_integer_value(json_array_get(ids, i));
}

static int read_texts(struct text *texts, const json_t *list, int n_token)
{
    int n = 0;
    for (int total = 0; n < MOST && n < (int)json_array_size(list) && total < n_token; n++) {
        const json_t *pair = json_array_get(list, (size_t)n);
        texts[n] = (struct text){.n_given = 1};
        append(&texts[n], json_array_get(pair, 0));
        append(&texts[n], json_array_get(pair, 1));
        if (total + texts[n].n - 1 > n_token)
            texts[n].n = n_token - total + 1;
        total += texts[n].n - 1;
    }
    return n;
}

/* Every scored position of the texts: the given token's log-probability and the most probable token. */
static int look(const struct model *m, const struct text *texts, int n, struct result *r, struct error *err)
{
    struct device *d = model_device(m);
    struct queue *q = device_queue(d);
    struct rows rows;
    struct model_workspace *w = NULL;
    struct buffer *logits = NULL;
    int n_vocab = model_desc(m)->n_vocab, rc = rows_new(&rows, d, LONGEST, 1, err);
    float *host = malloc((size_t)LONGEST * (size_t)n_vocab * 4);
    if (rc || (rc = model_workspace_new(&w, m, LONGEST, LONGEST, err)) ||
        (rc = buffer_new(&logits, d, (size_t)LONGEST * (size_t)n_vocab * 4, "logits", err)))
        return rc;
    for (int i = 0; i < n; i++) {
        struct model_batch batch;
        struct span hidden;
        rows_reset(&rows);
        rows_add(&rows, texts[i].ids, texts[i].n);
        rows_upload(&rows, q);
        rows_batch(&rows, &batch);
        model_forward(m, q, w, &batch, &hidden);
        model_head(m, q, hidden, batch.n_row, (struct span){logits, 0});
        queue_download(q, host, (struct span){logits, 0}, (size_t)batch.n_row * (size_t)n_vocab * 4);
        queue_drain(q);
        for (int t = texts[i].n_given; t < texts[i].n; t++, r->n++) {
            const float *x = host + (size_t)(t - 1) * (size_t)n_vocab;
            int best = 0;
            double sum = 0;
            for (int v = 1; v < n_vocab; v++)
                best = x[v] > x[best] ? v : best;
            for (int v = 0; v < n_vocab; v++)
                sum += exp((double)x[v] - (double)x[best]);
            r->logprob[r->n] = (double)x[texts[i].ids[t]] - (double)x[best] - log(sum);
            r->best[r->n] = best;
        }
    }
    buffer_free(logits);
    model_workspace_free(w);
    rows_free(&rows);
    free(host);
    return 0;
}

static int take(void *user, int index, const struct generate_result *result)
{
    struct text *t = (struct text *)user + index;
    if (result->error.code)
        fprintf(stderr, "%s\n", result->error.message);
    for (int i = 0; !result->error.code && i < result->sequences[0].n; i++)
        t->ids[t->n++] = result->sequences[0].ids[i];
    return 0;
}

/* Continues W2's prompts greedily, NEW tokens each. */
static int go_on(struct model *m, const json_t *prompts, struct text *texts, int n, struct error *err)
{
    struct generate_request q[MOST];
    struct generate_engine_options eo;
    struct generate_engine *e;
    for (int i = 0; i < n; i++) {
        texts[i].n = 0;
        append(&texts[i], json_array_get(prompts, (size_t)i));
        texts[i].n_given = texts[i].n;
        q[i] = (struct generate_request){.prompt = texts[i].ids, .n_prompt = texts[i].n};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = NEW;
    }
    generate_engine_options_default(&eo, m);
    int rc = generate_engine_new(&e, m, NULL, &eo, err);
    if (rc)
        return rc;
    rc = generate_run(e, q, n, take, texts, err);
    generate_engine_free(e);
    return rc;
}

static int allocate(struct result *r, int n)
{
    r->logprob = calloc((size_t)n, sizeof *r->logprob);
    r->best = calloc((size_t)n, sizeof *r->best);
    r->n = 0;
    return r->logprob && r->best ? 0 : -1;
}

/* Greedy tokens: how many there are, are the likeliest behind f32's own, and come before the first other one. */
struct agreement {
    int tokens, agree, prefix;
};

static struct agreement agreement(const struct result *forced, const struct text *own, const struct text *wanted, int n)
{
    struct agreement a = {0};
    for (int i = 0; i < n; i++) {
        int same = 1;
        for (int t = wanted[i].n_given; t < wanted[i].n; t++, a.tokens++) {
            a.agree += forced->best[a.tokens] == wanted[i].ids[t];
            same &= t < own[i].n && own[i].ids[t] == wanted[i].ids[t];
            a.prefix += same;
        }
    }
    return a;
}

static void report(const char *type, const struct result *mine, const struct result *f32, struct agreement a)
{
    double sum = 0, sum_f32 = 0, mean = 0, most = 0;
    for (int i = 0; i < mine->n; i++) {
        double off = fabs(mine->logprob[i] - f32->logprob[i]);
        sum -= mine->logprob[i];
        sum_f32 -= f32->logprob[i];
        mean += off / mine->n;
        most = off > most ? off : most;
    }
    printf("{\"dtype\": \"%s\", \"tokens\": %d, \"perplexity\": %.4f, \"change_percent\": %.2f, \"logprob_mean\": "
           "%.4f, \"logprob_greatest\": %.3f, \"greedy_tokens\": %d, "
           "\"agreement\": %.4f, \"prefix\": %.4f}\n",
           type, mine->n, exp(sum / mine->n), 100 * (exp((sum - sum_f32) / mine->n) - 1), mean, most, a.tokens,
           (double)a.agree / a.tokens, (double)a.prefix / a.tokens);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct text texts[MOST], wanted[MOST], own[MOST];
    static const char *const usual[] = {"f32", "bf16", "q8"};
    struct error err = {0, ""};
    struct device *device;
    struct checkpoint *checkpoint;
    struct result f32, mine, forced;
    json_t *root = argc > 2 ? json_load_file(argv[2], 0, NULL) : NULL, *ids = json_object_get(root, "ids"),
           *prompts = json_object_get(ids, "W2");
    int n_token = argc > 3 ? atoi(argv[3]) : 1000, n_type = argc > 4 ? argc - 4 : 3, rc = 0;
    if (!prompts || n_token < 1) {
        fprintf(stderr, "usage: bench_quality MODEL work.json [tokens] [dtype ...]\n");
        return 2;
    }
    int n = read_texts(texts, json_object_get(ids, "W6"), n_token), n_prompt = (n_token + NEW - 1) / NEW;
    n_prompt = n_prompt < (int)json_array_size(prompts) ? n_prompt : (int)json_array_size(prompts);
    if (device_open(&device, DEVICE_CPU, NULL, &err) || checkpoint_open(&checkpoint, argv[1], &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int i = -1; i < n_type && !rc; i++) { /* -1: f32, what the others are compared with */
        const char *type = "f32";
        if (i >= 0)
            type = argc > 4 ? argv[4 + i] : usual[i];
        struct model_options o = {.dtype = dtype_of_name(type, DTYPE_F32)};
        struct model *m;
        rc = model_open(&m, device, checkpoint, &o, &err);
        if (rc)
            break;
        if (allocate(i < 0 ? &f32 : &mine, MOST * LONGEST) || allocate(&forced, MOST * LONGEST))
            return 1;
        rc = look(m, texts, n, i < 0 ? &f32 : &mine, &err);
        if (!rc)
            rc = go_on(m, prompts, i < 0 ? wanted : own, n_prompt, &err);
        if (!rc && i >= 0 && !(rc = look(m, wanted, n_prompt, &forced, &err)))
            report(type, &mine, &f32, agreement(&forced, own, wanted, n_prompt));
        model_close(m);
    }
    if (rc)
        fprintf(stderr, "%s\n", err.message);
    json_decref(root);
    checkpoint_close(checkpoint);
    device_close(device);
    return rc != 0;
}
