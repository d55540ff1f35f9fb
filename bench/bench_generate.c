/* SPDX-License-Identifier: Apache-2.0 */
/* The method's own load (reference data smollm2_load): W1 ask, W2 answer (beams of 5), W3 greedy, W4 one sequence.
 * Usage: bench_generate MODEL work.json [W1|W2|W3|W4|all] [f32|bf16|q8] [threads] [repeats] [page] [chunk]
 * One JSON line a run: seconds, new tokens a second (of the best sequence of each request, and of all rows decoded), and where the time went. */
#include "base/clock.h"
#include "generate/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

struct work {
    const char *name;
    int n, n_beam, max_new;
    int32_t *ids[MOST];
    int n_id[MOST];
};

static int read_work(struct work *w, const json_t *ids, const char *name)
{
    static const struct { const char *name, *key; int n, n_beam, max_new; } table[] = {
        {"W1", "W1", 32, 5, 32}, {"W2", "W2", 32, 5, 96}, {"W3", "W2", 32, 1, 96}, {"W4", "W2", 1, 1, 128}};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        if (strcmp(name, table[t].name))
            continue;
        const json_t *list = json_object_get(ids, table[t].key);
        *w = (struct work){.name = table[t].name, .n = table[t].n, .n_beam = table[t].n_beam, .max_new = table[t].max_new};
        for (int i = 0; i < w->n; i++) {
            const json_t *one = json_array_get(list, (size_t)i);
            w->n_id[i] = (int)json_array_size(one);
            w->ids[i] = malloc((size_t)w->n_id[i] * sizeof **w->ids);
            for (int k = 0; w->ids[i] && k < w->n_id[i]; k++)
                w->ids[i][k] = (int32_t)json_integer_value(json_array_get(one, (size_t)k));
        }
        return w->n_id[0] ? 0 : -1;
    }
    return -1;
}

static int count(void *user, int index, const struct generate_result *result)
{
    (void)index;
    if (result->error.code)
        fprintf(stderr, "%s\n", result->error.message);
    else
        *(long *)user += result->sequences[0].n;
    return 0;
}

static int run(struct model *m, const struct work *w, const struct generate_engine_options *eo, struct error *err)
{
    struct generate_request q[MOST];
    struct generate_engine *e;
    long tokens = 0;
    for (int i = 0; i < w->n; i++) {
        struct generate_options *o = &q[i].options;
        q[i] = (struct generate_request){.prompt = w->ids[i], .n_prompt = w->n_id[i]};
        generate_options_default(o);
        o->num_beams = w->n_beam;
        o->max_new_tokens = w->max_new;
        if (!strcmp(w->name, "W1")) /* the others: exactly max_new tokens */
            generate_options_merge(o, NULL, model_desc(m), "", err);
    }
    int code = generate_engine_new(&e, m, NULL, eo, err);
    if (code)
        return code;
    double start = clock_now();
    code = generate_run(e, q, w->n, count, &tokens, err);
    double seconds = clock_now() - start;
    struct generate_stats s = generate_engine_stats(e);
    const struct model_desc *d = model_desc(m);
    double body = d->n_param - (double)d->n_vocab * d->n_embd * (d->tied ? 1 : 2);
    double flop = 2 * ((double)s.rows * body + (double)s.head_rows * d->n_vocab * d->n_embd);
    printf("{\"work\": \"%s\", \"dtype\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"seconds\": %.3f, \"tokens\": %ld, \"tokens_per_second\": %.1f, \"rows\": %ld, \"prompt_computed\": %ld, "
           "\"steps\": %ld, \"gflop_per_second\": %.1f, \"model_seconds\": %.3f, \"host_seconds\": %.4f, \"step_allocations\": %ld}\n",
           w->name, dtype_name(model_dtype(m)), device_isa(model_device(m)), device_n_thread(model_device(m)), seconds, tokens, (double)tokens / seconds, s.rows,
           s.computed_prompt_tokens, s.steps, flop / seconds * 1e-9, s.model_seconds, s.host_seconds, s.step_allocations);
    fflush(stdout);
    generate_engine_free(e);
    return code;
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"W1", "W2", "W3", "W4"};
    const char *which = argc > 3 ? argv[3] : "all", *type = argc > 4 ? argv[4] : "bf16";
    int repeats = argc > 6 ? atoi(argv[6]) : 3, code = 0;
    struct error err = {0, ""};
    struct device *device;
    struct checkpoint *checkpoint;
    struct model *model;
    struct model_options mo = {.dtype = !strcmp(type, "f32") ? DTYPE_F32 : !strcmp(type, "q8") ? DTYPE_Q8 : DTYPE_BF16};
    json_t *root = argc > 2 ? json_load_file(argv[2], 0, NULL) : NULL;
    if (!root) {
        fprintf(stderr, "usage: bench_generate MODEL work.json [W1|W2|W3|W4|all] [f32|bf16|q8] [threads] [repeats] [page] [chunk]\n");
        return 2;
    }
    if (device_open_cpu(&device, &(struct device_options){.n_thread = argc > 5 ? atoi(argv[5]) : 0}, &err) || checkpoint_open(&checkpoint, argv[1], &err) ||
        model_open(&model, device, checkpoint, &mo, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct generate_engine_options eo;
    generate_engine_options_default(&eo, model);
    eo.page = argc > 7 ? atoi(argv[7]) : eo.page;
    eo.prefill_chunk = argc > 8 ? atoi(argv[8]) : eo.prefill_chunk;
    for (int r = 0; r < repeats && !code; r++)
        for (size_t i = 0; i < sizeof all / sizeof *all && !code; i++) {
            struct work w;
            if (strcmp(which, "all") && strcmp(which, all[i]))
                continue;
            if (read_work(&w, json_object_get(root, "ids"), all[i])) {
                fprintf(stderr, "%s: no work %s\n", argv[2], all[i]);
                return 1;
            }
            code = run(model, &w, &eo, &err);
            for (int k = 0; k < w.n; k++)
                free(w.ids[k]);
        }
    if (code)
        fprintf(stderr, "%s\n", err.message);
    json_decref(root);
    model_close(model);
    checkpoint_close(checkpoint);
    device_close(device);
    return code != 0;
}
