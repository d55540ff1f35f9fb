/* SPDX-License-Identifier: Apache-2.0 */
/* Fine-tuning on the method's own load (reference data smollm2_load). Usage: bench_train MODEL work.json [threads]
 * Loads once; each line of standard input is WORK WAY: W5a (64 short rows), W5b (the first 32 long rows) or load (both,
 * three epochs); bf16, f32, random (bf16 with weights rounded at random) or lora (bf16, r = 16 on q_proj and v_proj);
 * with a third word, "profile", operators are timed one by one. Every time from the weights as they were. Prints one
 * JSON line: seconds of all optimizer steps and of each, loss of each, what was computed, seconds by operator from the
 * second step on. Not counted: reading the weights. */
#include "base/clock.h"
#include "bench/operators.h"
#include "train/train.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    struct device *device;
    struct checkpoint *source;
    const json_t *ids;
    struct error err;
};
struct notes {
    double seconds;
    json_t *losses, *each;
    long tokens, targets, steps;
    struct op_profile *profile;
};

static int fail(const struct bench *b)
{
    fprintf(stderr, "%s\n", b->err.message);
    return 1;
}

static void note(void *user, const struct train_step *s)
{
    struct notes *n = user;
    n->seconds += s->seconds;
    if (!n->steps++) /* the first step alone touches memory for the first time */
        *n->profile = (struct op_profile){0};
    n->tokens += s->tokens;
    n->targets += s->target_tokens;
    json_array_append_new(n->losses, json_real(s->loss));
    json_array_append_new(n->each, json_real(s->seconds));
}

static int add_rows(struct bench *b, struct train_data *data, const struct model *m, const char *key, size_t most)
{
    const json_t *list = json_object_get(b->ids, key), *row, *part, *v;
    size_t i, j, k;
    json_array_foreach(list, i, row)
    {
        int32_t ids[1024];
        int n = 0, n_prompt = 0;
        if (i == most)
            break;
        json_array_foreach(row, j, part)
        {
            n_prompt = j ? n_prompt : (int)json_array_size(part);
            json_array_foreach(part, k, v) if (n < 1024) ids[n++] = (int32_t)json_integer_value(v);
        }
        int rc = train_data_add_ids(&(struct row_maker){.data = data, .desc = model_desc(m), .max_length = 1024}, ids,
                                    n, n_prompt, key, &b->err);
        if (rc)
            return rc;
    }
    return 0;
}

static int time_steps(struct bench *b, const char *work, const char *way, int with_profile)
{
    struct model *m;
    struct train_data data = {0};
    struct train_options o;
    struct train_result result;
    struct op_profile profile = {0};
    struct notes n = {.losses = json_array(), .each = json_array(), .profile = &profile};
    train_options_default(&o);
    o.dtype = !strcmp(way, "f32") ? DTYPE_F32 : DTYPE_BF16;
    o.lora_r = !strcmp(way, "lora") ? 16 : 0;
    o.bf16_random = !strcmp(way, "random");
    o.num_train_epochs = !strcmp(work, "load") ? 3 : 1;
    o.shuffle = 0;
    o.max_length = 1024;
    const struct model_options mo = {.dtype = o.dtype, .keep_blocks = train_keeps_blocks(&o, b->source)};
    if (model_open(&m, b->device, b->source, &mo, &b->err))
        return fail(b);
    if ((strcmp(work, "W5b") && add_rows(b, &data, m, "W5a", 64)) ||
        (strcmp(work, "W5a") && add_rows(b, &data, m, "W5b", 32)))
        return fail(b);
    struct train_job job = {.model = m, .source = b->source, .data = &data, .options = &o, .on_step = note, .user = &n};
    device_set_profile(b->device, with_profile ? &profile : NULL);
    int rc = train_run(&job, &result, &b->err);
    device_set_profile(b->device, NULL);
    if (rc)
        return fail(b);
    json_t *out = json_pack("{s:f,s:I,s:I,s:I,s:I,s:o,s:o,s:s,s:o}", "seconds", n.seconds, "tokens",
                            (json_int_t)n.tokens, "targets", (json_int_t)n.targets, "steps", (json_int_t)n.steps,
                            "rows", (json_int_t)(data.n * (int)o.num_train_epochs), "loss", n.losses, "each", n.each,
                            "isa", device_isa(b->device), "operators", profile_json(&profile));
    char *text = json_dumps(out, JSON_COMPACT);
    printf("%s\n", text ? text : "");
    fflush(stdout);
    free(text);
    json_decref(out);
    train_data_free(&data);
    model_close(m);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    char line[200], work[32], way[32], more[32];
    json_t *root = argc > 2 ? json_load_file(argv[2], 0, NULL) : NULL;
    b.ids = json_object_get(root, "ids");
    if (!b.ids) {
        fprintf(stderr, "usage: bench_train MODEL work.json [threads]\n");
        return 2;
    }
    struct device_options options = {.n_thread = argc > 3 ? atoi(argv[3]) : 0};
    if (device_open(&b.device, DEVICE_CPU, &options, &b.err) || checkpoint_open(&b.source, argv[1], &b.err))
        return fail(&b);
    printf("{\"ready\": true, \"versions\": {}}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int words = sscanf(line, "%31s %31s %31s", work, way, more);
        if (words >= 2 && time_steps(&b, work, way, words == 3))
            return 1;
    }
    checkpoint_close(b.source);
    device_close(b.device);
    json_decref(root);
    return 0;
}
