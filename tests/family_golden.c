/* SPDX-License-Identifier: Apache-2.0 */
#include "family_golden.h"

#include "check.h"
#include "generate/generate.h"
#include "gradients.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int differs(struct family_golden *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int differs(struct family_golden *g, const char *format, ...)
{
    va_list args;
    int n = snprintf(g->why, sizeof g->why, "%s: ", g->name);
    va_start(args, format);
    vsnprintf(g->why + n, sizeof g->why - (size_t)n, format, args);
    va_end(args);
    return -1;
}

/* Encoders have none. */
static int is_classifier(const struct family_golden *g)
{
    return json_object_get(g->values, "class_logits") != NULL;
}

static int is_language_model(const struct family_golden *g)
{
    return json_object_get(g->values, "logprobs") != NULL;
}

static int has_head(const struct family_golden *g)
{
    return is_language_model(g) || is_classifier(g);
}

int family_golden_open(struct family_golden *g, const char *name, const struct device_options *options)
{
    char path[256];
    struct error err = {0};
    *g = (struct family_golden){.name = name};
    snprintf(path, sizeof path, "tests/golden/families/%s", name);
    if (device_open(&g->device, DEVICE_CPU, options, &err) || checkpoint_open(&g->source, path, &err))
        return differs(g, "%s", err.message);
    snprintf(path, sizeof path, "tests/golden/families/%s/values.json", name);
    if (jsontext_load(&g->values, path, 1 << 20, &err))
        return differs(g, "%s", err.message);
    struct model_options o = {.dtype = DTYPE_F32, .task = has_head(g) ? MODEL_LM : MODEL_BODY};
    return model_open(&g->m, g->device, g->source, &o, &err) ? differs(g, "%s", err.message) : 0;
}

void family_golden_close(struct family_golden *g)
{
    json_decref(g->values);
    model_close(g->m);
    checkpoint_close(g->source);
    device_close(g->device);
}

static const json_t *value(const struct family_golden *g, const char *key, size_t i)
{
    return json_array_get(json_object_get(g->values, key), i);
}

static double number(const json_t *list, int i)
{
    return json_number_value(json_array_get(list, (size_t)i));
}

static int ids_of(const json_t *list, int32_t *ids)
{
    for (size_t j = 0; j < json_array_size(list) && j < FAMILY_GOLDEN_MOST; j++)
        ids[j] = (int32_t)json_integer_value(json_array_get(list, j));
    return (int)json_array_size(list);
}

int family_golden_ids(const struct family_golden *g, size_t text, int32_t *ids)
{
    return ids_of(value(g, "ids", text), ids);
}

static size_t n_text(const struct family_golden *g)
{
    return json_array_size(json_object_get(g->values, "ids"));
}

static int compare(struct family_golden *g, const char *what, size_t text, const float *got, const json_t *wanted,
                   double bound)
{
    for (int j = 0; j < (int)json_array_size(wanted); j++)
        if (!(fabs(number(wanted, j) - (double)got[j]) < bound))
            return differs(g, "%s %zu, number %d: %.9g, wanted %.9g", what, text, j, (double)got[j], number(wanted, j));
    return 0;
}

/* The first text's last position in full. */
static int compare_last(struct family_golden *g)
{
    int32_t ids[FAMILY_GOLDEN_MOST], all[1024];
    float got[1024];
    int n_vocab = model_desc(g->m)->n_vocab;
    struct model_text text = {ids, family_golden_ids(g, 0, ids), 1};
    if (n_vocab > 1024)
        return differs(g, "a vocabulary of %d", n_vocab);
    for (int i = 0; i < n_vocab; i++)
        all[i] = i;
    if (model_next(g->m, &text, 1, (struct model_candidates){all, n_vocab}, got, NULL))
        return differs(g, "model_next fails");
    return compare(g, "logits", 0, got, json_object_get(g->values, "last"), 1e-4);
}

static int compare_class_logits(struct family_golden *g)
{
    for (size_t i = 0; i < n_text(g); i++) {
        int32_t ids[FAMILY_GOLDEN_MOST];
        float got[MODEL_MAX_LABEL];
        struct model_text text = {ids, family_golden_ids(g, i, ids), 1};
        if (model_classify(g->m, &text, 1, got, NULL))
            return differs(g, "model_classify fails");
        if (compare(g, "class logits", i, got, value(g, "class_logits", i), 1e-4))
            return -1;
    }
    return 0;
}

int family_golden_scores(struct family_golden *g)
{
    if (is_classifier(g))
        return compare_class_logits(g);
    int32_t ids[FAMILY_GOLDEN_MOST];
    float got[FAMILY_GOLDEN_MOST];
    for (size_t i = 0; has_head(g) && i < n_text(g); i++) {
        struct model_text text = {ids, family_golden_ids(g, i, ids), 1};
        struct error err = {0};
        if (model_score(g->m, &text, 1, got, &err))
            return differs(g, "%s", err.message);
        if (compare(g, "text", i, got, value(g, "logprobs", i), 1e-4))
            return -1;
    }
    return has_head(g) ? compare_last(g) : 0;
}

int family_golden_hidden(struct family_golden *g)
{
    int32_t ids[FAMILY_GOLDEN_MOST];
    int rc = 0;
    float *got = malloc((size_t)model_width(model_desc(g->m)) * sizeof *got);
    for (size_t i = 0; !rc && !is_classifier(g) && i < n_text(g); i++) {
        struct model_text text = {ids, family_golden_ids(g, i, ids), 1};
        rc = model_embed(g->m, &text, 1, 0, got, NULL)
                 ? differs(g, "model_embed fails")
                 : compare(g, "hidden state", i, got, value(g, "hidden", i), 1e-4);
    }
    free(got);
    return rc;
}

static int compare_norms(struct family_golden *g, size_t i, const float *got)
{
    for (int k = 0; k < g->m->n_param; k++) {
        const struct model_param *param = &g->m->params[k];
        const json_t *norm = json_object_get(value(g, "gradient_norms", i), param->name);
        double sum = 0, wanted = json_number_value(norm);
        for (int64_t j = param->offset; j < param->offset + param->count; j++)
            sum += (double)got[j] * (double)got[j];
        if (!norm || !(fabs(sqrt(sum) - wanted) <=
                       1e-4 * wanted + 1e-6)) /* a key's bias in a layer that does not rotate has none */
            return differs(g, "text %zu, %s: gradient norm %.9g, wanted %.9g", i, param->name, sqrt(sum), wanted);
    }
    return 0;
}

static int label_of(const struct family_golden *g, size_t i)
{
    return (int)json_integer_value(value(g, "labels", i));
}

/* A text's loss is the mean over its tokens but the first, or over its labels. */
static int loss_terms(const struct family_golden *g, int n_id)
{
    const struct model_desc *d = model_desc(g->m);
    if (!is_classifier(g))
        return n_id - 1;
    return d->problem == PROBLEM_SINGLE_LABEL ? 1 : d->n_label;
}

int family_golden_gradients(struct family_golden *g)
{
    for (size_t i = 0; has_head(g) && i < n_text(g); i++) {
        int32_t ids[FAMILY_GOLDEN_MOST];
        uint8_t targets[FAMILY_GOLDEN_MOST];
        int n = family_golden_ids(g, i, ids);
        double loss, wanted = json_number_value(value(g, "losses", i));
        for (int j = 0; j < n; j++)
            targets[j] = j > 0;
        struct train_row row = {.ids = ids, .target = targets, .n = n, .label = label_of(g, i)};
        int terms = loss_terms(g, n);
        const struct gradient_rows one = {&row, 1, g->name, 1 / (float)terms};
        float *got = gradients_of(g->m, &one, 0, (const int[]){1}, 1, &loss);
        int rc = compare_norms(g, i, got);
        free(got);
        if (rc)
            return rc;
        if (!(fabs(loss / terms / wanted - 1) < 1e-5))
            return differs(g, "text %zu: loss %.9g, wanted %.9g", i, loss / terms, wanted);
    }
    return 0;
}

static void note_step(void *user, const struct train_step *s)
{
    struct family_golden *g = user;
    const json_t *wanted = value(g, "train", (size_t)s->step - 1);
    double loss = json_number_value(json_object_get(wanted, "loss")),
           norm = json_number_value(json_object_get(wanted, "grad_norm"));
    if (!*g->why && (!(fabs(s->loss / loss - 1) < 1e-5) || !(fabs(s->grad_norm / norm - 1) < 1e-4)))
        differs(g, "training step %ld: loss %.9g, wanted %.9g; gradient norm %.9g, wanted %.9g", s->step, s->loss, loss,
                s->grad_norm, norm);
}

int family_golden_training(struct family_golden *g)
{
    struct train_data data = {0};
    struct train_options o;
    struct train_result result;
    struct error err = {0};
    if (!has_head(g))
        return 0;
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.learning_rate = 3e-3;
    o.weight_decay = 0.1;
    o.adam_epsilon = 1e-4;
    o.schedule = LR_CONSTANT;
    o.warmup_ratio = 0;
    o.max_steps = (int)json_array_size(json_object_get(g->values, "train"));
    o.batch_size = 2;
    o.accumulation = 1;
    o.shuffle = 0;
    o.max_length = FAMILY_GOLDEN_MOST;
    for (size_t i = 0; i < n_text(g); i++) {
        int32_t ids[FAMILY_GOLDEN_MOST];
        int n = family_golden_ids(g, i, ids);
        if (train_data_add_ids(
                &(struct row_maker){.data = &data, .desc = model_desc(g->m), .max_length = FAMILY_GOLDEN_MOST}, ids, n,
                1, "row", &err))
            differs(g, "%s", err.message);
        else
            data.rows[data.n - 1].label = label_of(g, i);
    }
    struct train_job job = {
        .model = g->m, .source = g->source, .data = &data, .options = &o, .on_step = note_step, .user = g};
    *g->why = 0;
    if (train_run(&job, &result, &err))
        differs(g, "%s", err.message);
    train_data_free(&data);
    return *g->why ? -1 : 0;
}

struct generation {
    struct family_golden *g;
    int failed;
};

static int compare_sequence(struct family_golden *g, const char *what, const json_t *wanted,
                            const struct generate_sequence *s)
{
    int32_t ids[FAMILY_GOLDEN_MOST];
    int n = ids_of(wanted, ids);
    if (n != s->n || memcmp(ids, s->ids, (size_t)n * sizeof *ids))
        return differs(g, "%s: %d ids, wanted %d, or other ones", what, s->n, n);
    return 0;
}

static int check_generated(void *user, int index, const struct generate_result *r)
{
    struct generation *to = user;
    struct family_golden *g = to->g;
    if (r->error.code)
        to->failed |= differs(g, "%s", r->error.message);
    if (!r->error.code && !index)
        to->failed |= compare_sequence(g, "greedy", json_object_get(g->values, "greedy"), &r->sequences[0]);
    for (int i = 0; !r->error.code && index && i < r->n; i++) {
        double score = json_number_value(value(g, "beam_scores", (size_t)i));
        to->failed |= compare_sequence(g, "beam", value(g, "beams", (size_t)i), &r->sequences[i]);
        if (!(fabs(score - (double)r->sequences[i].score) < 1e-4))
            to->failed |= differs(g, "beam %d: score %.9g, wanted %.9g", i, (double)r->sequences[i].score, score);
    }
    return 0;
}

int family_golden_generation(struct family_golden *g)
{
    int32_t ids[FAMILY_GOLDEN_MOST];
    struct generation to = {g, 0};
    struct generate_engine *e;
    struct error err = {0};
    struct generate_request requests[2] = {{.prompt = ids, .n_prompt = family_golden_ids(g, 1, ids)}};
    if (!is_language_model(g))
        return 0;
    generate_options_default(&requests[0].options);
    requests[0].options.max_new_tokens = 12;
    requests[0].options.eos_ids[0] = 47;
    requests[0].options.n_eos = 1;
    requests[1] = requests[0];
    requests[1].options.num_beams = 3;
    requests[1].options.num_return_sequences = 2;
    if (generate_engine_new(&e, g->m, NULL, NULL, &err))
        return differs(g, "%s", err.message);
    if (generate_run(e, requests, 2, check_generated, &to, &err))
        to.failed |= differs(g, "%s", err.message);
    generate_engine_free(e);
    return to.failed ? -1 : 0;
}
