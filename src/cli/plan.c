/* SPDX-License-Identifier: Apache-2.0 */
/* isara plan: peak memory and time of generation and of tuning, from the descriptor and the machine, before anything is loaded. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"
#include "method/method.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct plan {
    double weights, kv, workspace, generate_peak, train_peak, memory;
    double ask_flop, answer_flop, train_flop, rate, train_rate;
};
enum { PROMPT_PAIR_TOKENS = 40 }; /* tokens of one context pair, when no seeds are read: a guess that is printed */

static double measured_rate(struct device *d, enum dtype t, int rows)
{
    enum { N = 2048, K = 1024, RUNS = 6 };
    struct weight *w = NULL;
    struct buffer *b = NULL;
    double rate = 1e9;
    struct queue *q = device_queue(d);
    if (!weight_new(&w, d, N, K, t, "plan", NULL) && !buffer_new(&b, d, (size_t)rows * (K + N) * 4, "plan", NULL)) {
        struct linear_args a = {.w = w, .n_row = rows, .x = {b, 0}, .y = {b, (size_t)rows * K * 4}};
        tensor_linear(q, &a);
        queue_wait(q);
        double start = clock_now();
        for (int i = 0; i < RUNS; i++)
            tensor_linear(q, &a);
        queue_wait(q);
        rate = 2.0 * rows * N * K * RUNS / (clock_now() - start);
    }
    weight_free(w);
    buffer_free(b);
    return rate;
}

/* Floating-point operations of one token row through the layers, and of one row of the vocabulary projection. */
static double layer_flop(const struct model_desc *d)
{
    double c = d->n_embd, q = (double)d->n_head * d->head_dim, kv = (double)d->n_kv_head * d->head_dim;
    return 2 * d->n_layer * (c * (q + 2 * kv) + q * c + (d->gated ? 3.0 : 2.0) * c * d->n_ff);
}

static double head_flop(const struct model_desc *d)
{
    return 2.0 * d->n_embd * d->n_vocab;
}

static int fill(struct plan *p, const struct model_desc *d, const struct parts *parts, const struct align_options *o, struct error *err)
{
    struct device *device = parts->device;
    size_t weights;
    int rc = model_weight_bytes(&weights, d, device, parts->checkpoint, o->dtype, err);
    if (rc)
        return rc;
    double row = layer_flop(d), head = head_flop(d), prompt = (double)PROMPT_PAIR_TOKENS * (o->k + 1);
    double attempts = (double)o->attempts * o->rounds;
    p->weights = (double)weights;
    struct kv_layout layout = {.dtype = o->dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16, .page = 64, .n_kv_head = d->n_kv_head, .head_dim = d->head_dim};
    double pages = (prompt / 64 + 1) + o->answer.num_beams * (o->answer.max_new_tokens / 64.0 + 2);
    double in_flight = o->attempts < 32 ? o->attempts : 32;
    p->kv = pages * in_flight * (double)kv_page_bytes(&layout) * d->n_layer;
    p->workspace = (double)model_workspace_bytes(d, o->dtype, 512, 160) + 160.0 * d->n_vocab * 4;
    p->generate_peak = p->weights + p->kv + p->workspace;
    p->train_peak = (double)train_memory(d, &o->train, o->train.batch_size * o->train.max_length);
    p->ask_flop = attempts * (prompt / 2 * row + (double)o->ask.num_beams * 20 * (row + head));
    p->answer_flop = attempts * (prompt * row + (double)o->answer.num_beams * 60 * (row + head));
    p->train_flop = 3 * o->train.num_train_epochs * attempts * 0.5 * (80 * row + 40 * head);
    p->rate = measured_rate(device, o->dtype, 160) * 0.5;
    p->train_rate = measured_rate(device, o->train.dtype, 512) * 0.4;
    p->memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return 0;
}

static void print(const struct plan *p, const struct model_desc *d, const struct align_options *o, int json)
{
    double mib = 1 << 20;
    if (json) {
        printf("{\"parameters\": %.0f, \"weights_bytes\": %.0f, \"kv_bytes\": %.0f, \"generate_peak_bytes\": %.0f, \"train_peak_bytes\": %.0f, \"machine_bytes\": %.0f, "
               "\"ask_seconds\": %.1f, \"answer_seconds\": %.1f, \"tune_seconds\": %.1f}\n",
               d->n_param, p->weights, p->kv, p->generate_peak, p->train_peak, p->memory, p->ask_flop / p->rate, p->answer_flop / p->rate, p->train_flop / p->train_rate);
        return;
    }
    printf("model        %s, %.1fM parameters, %d layers, context %d\n", d->family, d->n_param * 1e-6, d->n_layer, d->n_ctx);
    printf("generate     %.0f MiB: weights %.0f (%s), KV cache %.0f, workspace %.0f\n", p->generate_peak / mib, p->weights / mib, dtype_name(o->dtype), p->kv / mib, p->workspace / mib);
    printf("tune         %.0f MiB at batches of %d x %d tokens\n", p->train_peak / mib, o->train.batch_size, o->train.max_length);
    printf("machine      %.0f MiB; %s\n", p->memory / mib, p->train_peak < p->memory && p->generate_peak < p->memory ? "it fits" : "it does not fit: try --gradient-checkpointing, a smaller --per-device-train-batch-size or --max-length");
    printf("time         ask %.0f s, answer %.0f s, tune %.0f s for %d rounds of %d attempts, supposing pairs of %d tokens, answers of 60, half of the attempts kept\n",
           p->ask_flop / p->rate, p->answer_flop / p->rate, p->train_flop / p->train_rate, o->rounds, o->attempts, PROMPT_PAIR_TOKENS);
}

int verb_plan(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct parts p = {0};
    struct align_options o;
    struct model_desc d;
    struct plan plan = {0};
    int rc = cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (!rc)
        rc = cli_align_options(options, v, &o, err);
    if (!rc)
        o.train.dtype = o.dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
    if (!rc)
        rc = cli_open_device(&p, v, err);
    if (!rc)
        rc = checkpoint_open(&p.checkpoint, v->model, err);
    if (!rc)
        rc = model_desc_parse(&d, checkpoint_config(p.checkpoint), checkpoint_path(p.checkpoint), err);
    if (!rc)
        rc = fill(&plan, &d, &p, &o, err);
    if (!rc)
        print(&plan, &d, &o, v->json);
    cli_close(&p);
    return rc;
}
