/* SPDX-License-Identifier: Apache-2.0 */
/* A LoRA adapter as PEFT writes it (adapter_config.json, adapter_model.safetensors with lora_A [r,K] and lora_B [N,r] of each adapted matrix), laid over
 * its base model: what is read is W + scale B A, so that every verb takes an adapter where it takes a model. The factors are small and are kept
 * in f32. Anything of PEFT's that would change the sum and is not in it is refused by name. */
#include "io/checkpoint_internal.h"

#include "base/mem.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 20, MOST_RANK = 65536 };

struct adapter {
    const char *path; /* of the directory */
    json_t *config;
    double alpha;
    int rslora;
    struct error *err;
};

static int refuse(const struct adapter *a, const char *key, const char *wanted)
{
    char *text = json_dumps(json_object_get(a->config, key), JSON_ENCODE_ANY | JSON_COMPACT);
    int rc = error_set(a->err, ERROR_CONFIG, "%s/adapter_config.json: \"%s\": wanted %s, found %.200s", a->path, key, wanted, text ? text : "nothing");
    free(text);
    return rc;
}

/* Absent, null, false, or empty. */
static int is_off(const struct adapter *a, const char *key)
{
    const json_t *v = json_object_get(a->config, key);
    return !v || json_is_null(v) || json_is_false(v) || (json_is_object(v) && !json_object_size(v)) || (json_is_array(v) && !json_array_size(v));
}

static int check_config(struct adapter *a)
{
    static const char *const off[] = {"use_dora", "modules_to_save", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "lora_bias", "megatron_config",
                                      "trainable_token_indices", "layer_replication", "target_parameters", "alora_invocation_tokens", "use_bdlora", "arrow_config"};
    const json_t *type = json_object_get(a->config, "peft_type"), *bias = json_object_get(a->config, "bias"), *alpha = json_object_get(a->config, "lora_alpha");
    if (!json_is_string(type) || strcmp(json_string_value(type), "LORA"))
        return refuse(a, "peft_type", "\"LORA\"");
    if (bias && !json_is_null(bias) && (!json_is_string(bias) || strcmp(json_string_value(bias), "none")))
        return refuse(a, "bias", "\"none\"");
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!is_off(a, off[i]))
            return refuse(a, off[i], "nothing (not supported)");
    if (!json_is_number(alpha) || !isfinite(json_number_value(alpha)))
        return refuse(a, "lora_alpha", "a number");
    a->alpha = json_number_value(alpha);
    a->rslora = json_is_true(json_object_get(a->config, "use_rslora"));
    return 0;
}

/* The factor as f32 in the arena. */
static int read_factor(struct checkpoint *ck, const struct adapter *a, const struct safetensors *s, const char *name, const struct tensor_info **info,
                       const float **out)
{
    long i = safetensors_find(s, name);
    *info = i < 0 ? NULL : safetensors_tensor(s, (size_t)i);
    if (!*info || (*info)->n_dim != 2 || !storage_converts((*info)->storage))
        return error_set(a->err, ERROR_DATA, "%s/adapter_model.safetensors: wanted a matrix %s, found %s", a->path, name, *info ? "another thing" : "none");
    float *values = arena_alloc(&ck->arena, (size_t)(*info)->n_element * sizeof *values + 1);
    if (!values)
        return error_set_nomem(a->err, (size_t)(*info)->n_element * sizeof *values, "an adapter");
    storage_to_f32((*info)->storage, safetensors_data(s, (size_t)i), 0, (*info)->n_element, values);
    for (uint64_t j = 0; j < (*info)->n_element; j++)
        if (!isfinite(values[j]))
            return error_set(a->err, ERROR_DATA, "%s/adapter_model.safetensors: tensor %s: element %llu is not finite", a->path, name, (unsigned long long)j);
    *out = values;
    return 0;
}

/* The delta of one base tensor, when the adapter has one. */
static int add_delta(struct checkpoint *ck, const struct adapter *a, const struct safetensors *s, struct checkpoint_tensor *c, size_t *used)
{
    static const char tail[] = ".weight";
    size_t n = strlen(c->info.name);
    char name_a[4200], name_b[4200];
    const struct tensor_info *info_a, *info_b;
    if (n < sizeof tail || strcmp(c->info.name + n - (sizeof tail - 1), tail) || n > 4096)
        return 0;
    snprintf(name_a, sizeof name_a, "base_model.model.%.*s.lora_A.weight", (int)(n - (sizeof tail - 1)), c->info.name);
    snprintf(name_b, sizeof name_b, "base_model.model.%.*s.lora_B.weight", (int)(n - (sizeof tail - 1)), c->info.name);
    if (safetensors_find(s, name_a) < 0 && safetensors_find(s, name_b) < 0)
        return 0;
    struct checkpoint_delta *d = arena_alloc(&ck->arena, sizeof *d);
    if (!d)
        return error_set_nomem(a->err, sizeof *d, "an adapter");
    int rc = read_factor(ck, a, s, name_a, &info_a, &d->a);
    if (rc || (rc = read_factor(ck, a, s, name_b, &info_b, &d->b)))
        return rc;
    d->rank = info_a->shape[0];
    if (d->rank < 1 || d->rank > MOST_RANK || info_b->shape[1] != d->rank || c->info.n_dim != 2 || info_a->shape[1] != c->info.shape[1] || info_b->shape[0] != c->info.shape[0])
        return error_set(a->err, ERROR_DATA, "%s/adapter_model.safetensors: %s: A is %lld x %lld and B %lld x %lld, the base's matrix %lld x %lld; this adapter was made for another model",
                         a->path, c->info.name, (long long)info_a->shape[0], (long long)info_a->shape[1], (long long)info_b->shape[0], (long long)info_b->shape[1],
                         (long long)c->info.n_row, (long long)c->info.n_col);
    d->scale = a->alpha / (a->rslora ? sqrt((double)d->rank) : (double)d->rank);
    c->delta = d;
    *used += 2;
    return 0;
}

/* Names the first tensor that was taken by nobody. */
static int refuse_rest(const struct checkpoint *ck, const struct adapter *a, const struct safetensors *s)
{
    for (size_t i = 0; i < safetensors_n_tensor(s); i++) {
        static const char head[] = "base_model.model.";
        const char *name = safetensors_tensor(s, i)->name, *cut = strstr(name, ".lora_");
        char base[4200] = "";
        if (cut && !strncmp(name, head, sizeof head - 1))
            snprintf(base, sizeof base, "%.*s.weight", (int)(cut - name - (long)(sizeof head - 1)), name + sizeof head - 1);
        if (!*base || !checkpoint_find(ck, base))
            return error_set(a->err, ERROR_DATA, "%s/adapter_model.safetensors: tensor %s adapts nothing in %s", a->path, name, ck->path);
    }
    return error_set(a->err, ERROR_DATA, "%s/adapter_model.safetensors: has tensors besides lora_A and lora_B", a->path);
}

/* The adapter's file joins the files, so that the hash covers it. */
static int add_file(struct checkpoint *ck, const struct adapter *a)
{
    struct checkpoint_file *files = arena_alloc(&ck->arena, (size_t)(ck->n_file + 1) * sizeof *files), *f;
    char *path = path_join(a->path, "adapter_model.safetensors");
    if (!files || !path) {
        mem_free(path);
        return error_set_nomem(a->err, sizeof *files, "an adapter");
    }
    memcpy(files, ck->files, (size_t)ck->n_file * sizeof *files);
    f = &files[ck->n_file];
    *f = (struct checkpoint_file){.path = arena_strdup(&ck->arena, path), .label = "adapter_model.safetensors"};
    ck->files = files;
    mem_free(path);
    int rc = f->path ? file_map(&f->map, f->path, a->err) : error_set_nomem(a->err, 256, "a path");
    if (rc)
        return rc;
    ck->n_file++;
    return safetensors_parse(&f->parsed, f->map.data, f->map.size, f->path, a->err);
}

static int lay_over(struct checkpoint *ck, struct adapter *a)
{
    size_t used = 0;
    int rc = add_file(ck, a);
    if (rc)
        return rc;
    const struct safetensors *s = ck->files[ck->n_file - 1].parsed;
    for (size_t i = 0; !rc && i < ck->n_tensor; i++)
        rc = add_delta(ck, a, s, &ck->tensors[i], &used);
    ck->adapted = 1;
    return rc || used == safetensors_n_tensor(s) ? rc : refuse_rest(ck, a, s);
}

/* As the configuration names it, or beside the adapter. */
static int open_base(struct checkpoint **out, const struct adapter *a)
{
    const json_t *name = json_object_get(a->config, "base_model_name_or_path");
    if (!json_is_string(name) || !json_string_length(name))
        return refuse(a, "base_model_name_or_path", "the base model's path; or give --model BASE --adapter DIR");
    char *beside = path_join(a->path, json_string_value(name));
    const char *path = beside && json_string_value(name)[0] != '/' && file_exists(beside) ? beside : json_string_value(name);
    int rc = checkpoint_open_base(out, path, a->err);
    if (rc)
        error_prefix(a->err, "%s: its base model (else give --model BASE --adapter DIR)", a->path);
    mem_free(beside);
    return rc;
}

int checkpoint_open_adapter(struct checkpoint **out, const char *base, const char *adapter, struct error *err)
{
    struct adapter a = {.path = adapter, .err = err};
    char *path = path_join(adapter, "adapter_config.json");
    *out = NULL;
    int rc = path ? jsontext_load(&a.config, path, MAX_CONFIG, err) : error_set_nomem(err, 256, "a path");
    if (!rc && !json_is_object(a.config))
        rc = error_set(err, ERROR_DATA, "%s: wanted a JSON object", path);
    if (!rc)
        rc = check_config(&a);
    if (!rc)
        rc = base ? checkpoint_open_base(out, base, err) : open_base(out, &a);
    if (!rc && (rc = lay_over(*out, &a))) {
        checkpoint_close(*out);
        *out = NULL;
    }
    json_decref(a.config);
    mem_free(path);
    return rc;
}

int checkpoint_is_adapted(const struct checkpoint *ck)
{
    return ck->adapted;
}

void checkpoint_add_delta(const struct checkpoint_tensor *c, int64_t first_row, int64_t n_row, float *dst)
{
    enum { BLOCK = 256 };
    const struct checkpoint_delta *d = c->delta;
    int64_t n = c->info.n_col;
    for (int64_t row = 0; row < n_row; row++)
        for (int64_t at = 0; at < n; at += BLOCK) {
            double sum[BLOCK] = {0};
            int64_t count = n - at < BLOCK ? n - at : BLOCK;
            for (int64_t r = 0; r < d->rank; r++) {
                double b = (double)d->b[(first_row + row) * d->rank + r];
                const float *a = d->a + r * n + at;
                for (int64_t i = 0; i < count; i++)
                    sum[i] += b * (double)a[i];
            }
            for (int64_t i = 0; i < count; i++)
                dst[row * n + at + i] = (float)((double)dst[row * n + at + i] + d->scale * sum[i]);
        }
}
