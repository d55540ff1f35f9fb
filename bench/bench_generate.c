/* SPDX-License-Identifier: Apache-2.0 */
/* The method's own load (reference data smollm2_load): W1 ask, W2 answer (beams of 5), W3 greedy, W4 one sequence, W6
 * scoring; of bench/shapes.py: one (sequence), prefill, beams. Usage: bench_generate MODEL work.json
 * [W1|W2|W3|W4|W6|all|-] [f32|bf16|q8] [threads] [repeats] [page] [chunk] [profile] One JSON line a run: seconds, new
 * tokens a second (of the best sequence of each request), rows computed, and where the time went (with "profile" by
 * operator). With - it loads once and does the work that each line of standard input names, and the answers come along
 * ("ids", "logprobs"): so bench/peers.py runs it in turn with its peers. */
#include "base/clock.h"
#include "generate/generate.h"
#include "bench/operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

struct work {
    const char *name, *key;
    int n, n_beam, max_new;
    int32_t *ids[MOST];
    int n_id[MOST], n_prompt[MOST]; /* W6: n_prompt of the n_id are the prompt */
};

static const struct work works[] = {{.name = "W1", .key = "W1", .n = 32, .n_beam = 5, .max_new = 32},
                                    {.name = "W2", .key = "W2", .n = 32, .n_beam = 5, .max_new = 96},
                                    {.name = "W3", .key = "W2", .n = 32, .n_beam = 1, .max_new = 96},
                                    {.name = "W4", .key = "W2", .n = 1, .n_beam = 1, .max_new = 128},
                                    {.name = "W6", .key = "W6", .n = 64},
                                    {.name = "one", .key = "one", .n = 1, .n_beam = 1, .max_new = 64},
                                    {.name = "prefill", .key = "prefill", .n = 1, .n_beam = 1, .max_new = 1},
                                    {.name = "beams", .key = "beams", .n = 16, .n_beam = 5, .max_new = 64}};
enum { N_WORK = sizeof works / sizeof *works };

static void append(struct work *w, int i, const json_t *ids)
{
    size_t n = json_array_size(ids);
    w->ids[i] = realloc(w->ids[i], ((size_t)w->n_id[i] + n + 1) * sizeof **w->ids);
    for (size_t k = 0; w->ids[i] && k < n; k++)
        w->ids[i][w->n_id[i]++] = (int32_t)json_integer_value(json_array_get(ids, k));
}

static int read_work(struct work *w, const json_t *root, const char *name)
{
    for (int t = 0; t < N_WORK; t++) {
        if (strcmp(name, works[t].name))
            continue;
        *w = works[t];
        const json_t *list = json_object_get(json_object_get(root, "ids"), w->key);
        if (json_array_size(list) < (size_t)w->n)
            w->n = (int)json_array_size(list);
        for (int i = 0; i < w->n; i++) {
            const json_t *one = json_array_get(list, (size_t)i);
            append(w, i, w->max_new ? one : json_array_get(one, 0));
            w->n_prompt[i] = w->n_id[i];
            append(w, i, w->max_new ? NULL : json_array_get(one, 1));
        }
        return w->n_id[0] ? 0 : -1;
    }
    return -1;
}

static void free_work(struct work *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->ids[i]);
}

struct answers {
    json_t *ids;
    long tokens;
};

static int keep(void *user, int index, const struct generate_result *result)
{
    struct answers *a = user;
    if (result->error.code) {
        fprintf(stderr, "%s\n", result->error.message);
        return 0;
    }
    json_t *ids = json_array();
    for (int i = 0; i < result->sequences[0].n; i++)
        json_array_append_new(ids, json_integer(result->sequences[0].ids[i]));
    json_array_set_new(a->ids, (size_t)index, ids);
    a->tokens += result->sequences[0].n;
    return 0;
}

static json_t *report(const struct model *m, const struct work *w, double seconds)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:f}", "work", w->name, "dtype", dtype_name(model_dtype(m)), "isa",
                     device_isa(model_device(m)), "threads", device_n_thread(model_device(m)), "seconds", seconds);
}

static json_t *score(struct model *m, const struct work *w, struct error *err)
{
    struct model_text texts[MOST];
    int n = 0, tokens = 0;
    for (int i = 0; i < w->n; i++) {
        texts[i] = (struct model_text){w->ids[i], w->n_id[i], w->n_prompt[i]};
        n += w->n_id[i] - w->n_prompt[i];
        tokens += w->n_id[i];
    }
    float *logprobs = calloc((size_t)n, sizeof *logprobs);
    double start = clock_now();
    int code = logprobs ? model_score(m, texts, w->n, logprobs, err) : error_set_nomem(err, (size_t)n * 4, "scores");
    json_t *out = code ? NULL : report(m, w, clock_now() - start), *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(logprobs[i]));
    if (out) {
        json_object_set_new(out, "rows", json_integer(tokens));
        json_object_set(out, "logprobs", list);
    }
    json_decref(list);
    free(logprobs);
    return out;
}

/* Prompts are computed anew, in memory that earlier runs have touched, as the peers have it. */
static json_t *generate(struct model *m, const struct work *w, struct generate_engine *e, struct error *err)
{
    struct generate_request q[MOST];
    struct generate_stats before = generate_engine_stats(e);
    struct answers answers = {json_array(), 0};
    for (int i = 0; i < w->n; i++) {
        struct generate_options *o = &q[i].options;
        q[i] = (struct generate_request){.prompt = w->ids[i], .n_prompt = w->n_id[i]};
        generate_options_default(o);
        o->num_beams = w->n_beam;
        o->max_new_tokens = w->max_new;
        if (!strcmp(w->name, "W1")) /* the others: exactly max_new tokens */
            generate_options_merge(o, NULL, model_desc(m), "", err);
        json_array_append_new(answers.ids, json_null());
    }
    generate_engine_forget(e);
    double start = clock_now();
    int code = generate_run(e, q, w->n, keep, &answers, err);
    double seconds = clock_now() - start;
    struct generate_stats s = generate_engine_stats(e);
    const struct model_desc *d = model_desc(m);
    double body = d->n_param - (double)d->n_vocab * d->n_embd * (d->tied ? 1 : 2);
    long rows = s.rows - before.rows;
    double flop = 2 * ((double)rows * body + (double)(s.head_rows - before.head_rows) * d->n_vocab *
                                                 d->n_embd); /* as if no row were left out of the last layer */
    json_t *out = code ? NULL : report(m, w, seconds);
    if (out) {
        json_t *more =
            json_pack("{s:i,s:f,s:i,s:i,s:i,s:f,s:f,s:f,s:i}", "tokens", (int)answers.tokens, "tokens_per_second",
                      (double)answers.tokens / seconds, "rows", (int)rows, "prompt_computed",
                      (int)(s.computed_prompt_tokens - before.computed_prompt_tokens), "steps",
                      (int)(s.steps - before.steps), "gflop_per_second", flop / seconds * 1e-9, "model_seconds",
                      s.model_seconds - before.model_seconds, "host_seconds", s.host_seconds - before.host_seconds,
                      "step_allocations", (int)(s.step_allocations - before.step_allocations));
        json_object_update(out, more);
        json_object_set(out, "ids", answers.ids);
        json_decref(more);
    }
    json_decref(answers.ids);
    return out;
}

struct loaded {
    struct model *model;
    const json_t *root; /* work.json */
    struct generate_engine *engine;
};

static int time_work(const struct loaded *l, const char *name, int with_answers, int with_profile, struct error *err)
{
    struct model *m = l->model;
    struct work w;
    struct op_profile profile = {0};
    if (read_work(&w, l->root, name))
        return error_set(err, ERROR_DATA, "no work named %s", name);
    device_set_profile(model_device(m), with_profile ? &profile : NULL);
    json_t *out = w.max_new ? generate(m, &w, l->engine, err) : score(m, &w, err);
    device_set_profile(model_device(m), NULL);
    free_work(&w);
    if (!out)
        return err->code;
    if (!with_answers) {
        json_object_del(out, "ids");
        json_object_del(out, "logprobs");
    }
    if (with_profile)
        json_object_set_new(out, "operators", profile_json(&profile));
    json_dumpf(out, stdout, JSON_REAL_PRECISION(9));
    printf("\n");
    fflush(stdout);
    json_decref(out);
    return 0;
}

static int serve(const struct loaded *l, struct error *err)
{
    char line[64];
    int code = 0;
    printf("{\"ready\": true}\n");
    fflush(stdout);
    while (!code && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        code = time_work(l, line, 1, 0, err);
    }
    return code;
}

int main(int argc, char **argv)
{
    const char *which = argc > 3 ? argv[3] : "all", *type = argc > 4 ? argv[4] : "bf16";
    int repeats = argc > 6 ? atoi(argv[6]) : 3, code = 0;
    struct error err = {0, ""};
    struct device *device;
    struct checkpoint *checkpoint;
    struct model *model;
    struct model_options mo = {.dtype = dtype_of_name(type, DTYPE_BF16)};
    json_t *root = argc > 2 ? json_load_file(argv[2], 0, NULL) : NULL;
    if (!root) {
        fprintf(stderr, "usage: bench_generate MODEL work.json [W1|W2|W3|W4|W6|all|-] [f32|bf16|q8] [threads] "
                        "[repeats] [page] [chunk] [profile]\n");
        return 2;
    }
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = argc > 5 ? atoi(argv[5]) : 0}, &err) ||
        checkpoint_open(&checkpoint, argv[1], &err) || model_open(&model, device, checkpoint, &mo, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct generate_engine_options eo;
    struct generate_engine *engine;
    generate_engine_options_default(&eo, model);
    eo.page = argc > 7 ? atoi(argv[7]) : eo.page;
    eo.prefill_chunk = argc > 8 ? atoi(argv[8]) : eo.prefill_chunk;
    code = generate_engine_new(&engine, model, NULL, &eo, &err);
    const struct loaded loaded = {model, root, engine};
    if (!code && !strcmp(which, "-"))
        code = serve(&loaded, &err);
    for (int r = 0; r < repeats && !code && strcmp(which, "-"); r++)
        for (int i = 0; i < N_WORK && !code; i++)
            if ((!strcmp(which, "all") && works[i].name[0] == 'W') || !strcmp(which, works[i].name))
                code = time_work(&loaded, works[i].name, 0, argc > 9 && !strcmp(argv[9], "profile"), &err);
    if (code)
        fprintf(stderr, "%s\n", err.message);
    json_decref(root);
    generate_engine_free(engine);
    model_close(model);
    checkpoint_close(checkpoint);
    device_close(device);
    return code != 0;
}
