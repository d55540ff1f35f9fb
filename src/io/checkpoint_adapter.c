/* SPDX-License-Identifier: Apache-2.0 */
/* A LoRA adapter as PEFT writes it (adapter_config.json, and adapter_model.safetensors or else adapter_model.bin with
 * lora_A [r,K] and lora_B [N,r] of each adapted matrix), laid over its base model: what is read is W + scale B A, so
 * that every verb takes an adapter where it takes a model. The factors are small and are kept in f32. Whole tensors in
 * it stand for the base's. Anything of PEFT's that would change the sum and is not in it is refused by name
 * (io/adapter_config.c). */
#include "io/checkpoint_parts.h"

#include "base/mem.h"
#include "io/adapter_config.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 20 };

struct adapter {
    const char *path; /* of the directory */
    json_t *json;
    struct adapter_config config;
    const struct weights *s; /* its tensors */
    const char *weights;     /* their file's name */
    int file;                /* index of its file among the checkpoint's */
    int text_part;           /* the base is a whole's, whose modules have other names */
    struct error *err;
};

static const char head[] = "base_model.model.";

/* Where transformers' whole has the layers of its text part: since 4.52, and before. */
static long find_in_whole(const struct adapter *a, const char *module, const char *part)
{
    static const char *const places[] = {"model.language_model.", "language_model.model."};
    char name[4300];
    for (int i = 0; i < 2 && a->text_part && !strncmp(module, "model.", 6); i++) {
        int n = snprintf(name, sizeof name, "%s%s%s.%s", head, places[i], module + 6, part);
        long found = n < (int)sizeof name ? weights_find(a->s, name) : -1;
        if (found >= 0)
            return found;
    }
    return -1;
}

/* A tensor of `module` of the adapter, under PEFT's names; its index, or -1. Files of a bare base lack the first
 * component of its modules' names ("transformer"), or an adapter of one does. */
static long find_part(const struct adapter *a, const char *module, const char *part)
{
    char name[4300];
    int n = snprintf(name, sizeof name, "%s%s.%s", head, module, part);
    long found = n < (int)sizeof name ? weights_find(a->s, name) : -1;
    found = found >= 0 ? found : find_in_whole(a, module, part);
    const char *dot = strchr(module, '.'), *tail = name + sizeof head - 1;
    if (found >= 0 || n >= (int)sizeof name)
        return found;
    for (size_t i = 0; found < 0 && i < weights_n_tensor(a->s); i++) {
        const char *other = weights_tensor(a->s, i)->name,
                   *rest = strncmp(other, head, sizeof head - 1) ? NULL : strchr(other + sizeof head - 1, '.');
        if (rest && !strcmp(rest + 1, tail))
            found = (long)i;
    }
    if (found >= 0 || !dot)
        return found;
    snprintf(name, sizeof name, "%s%s.%s", head, dot + 1, part);
    return weights_find(a->s, name);
}

static int wrong(const struct adapter *a, long i, const char *why)
{
    return error_set(a->err, ERROR_DATA, "%s/%s: tensor %s: %s", a->path, a->weights,
                     weights_tensor(a->s, (size_t)i)->name, why);
}

/* The factor as f32 in the arena: [rows, columns], stored so or, of embeddings, the other way round. */
static int read_factor(struct checkpoint *ck, const struct adapter *a, long i, int transposed, const float **out)
{
    const struct tensor_info *info = weights_tensor(a->s, (size_t)i);
    if (info->n_dim != 2 || !storage_converts(info->storage))
        return wrong(a, i, "wanted a matrix of numbers");
    uint64_t n = info->n_element;
    float *values = arena_alloc(&ck->arena, (size_t)n * sizeof *values + 1),
          *turned = transposed ? arena_alloc(&ck->arena, (size_t)n * sizeof *values + 1) : values;
    if (!values || !turned)
        return error_set_nomem(a->err, (size_t)n * sizeof *values, "an adapter");
    storage_to_f32(info->storage, weights_data(a->s, (size_t)i), 0, n, values);
    for (uint64_t j = 0; j < n; j++)
        if (!isfinite(values[j]))
            return error_set(a->err, ERROR_DATA, "%s/%s: tensor %s: element %llu is not finite", a->path, a->weights,
                             info->name, (unsigned long long)j);
    for (int64_t r = 0; transposed && r < info->shape[0]; r++)
        for (int64_t k = 0; k < info->shape[1]; k++)
            turned[k * info->shape[0] + r] = values[r * info->shape[1] + k];
    *out = turned;
    return 0;
}

/* DoRA's lengths of the rows. */
static int read_magnitude(struct checkpoint *ck, const struct adapter *a, const struct checkpoint_tensor *c,
                          const char *module, const float **out, size_t *used)
{
    long i = find_part(a, module, "lora_magnitude_vector");
    i = i < 0 ? find_part(a, module, "lora_magnitude_vector.weight") : i;
    if (!a->config.dora)
        return i < 0 ? 0 : wrong(a, i, "is DoRA's, but use_dora of adapter_config.json is not true");
    if (i < 0)
        return error_set(a->err, ERROR_DATA, "%s/%s: use_dora is true, but %s has no lora_magnitude_vector", a->path,
                         a->weights, module);
    const struct tensor_info *info = weights_tensor(a->s, (size_t)i);
    if (info->n_element != (uint64_t)c->info.n_row || !storage_converts(info->storage))
        return wrong(a, i, "wanted as many numbers as the matrix has rows");
    float *values = arena_alloc(&ck->arena, (size_t)info->n_element * sizeof *values);
    if (!values)
        return error_set_nomem(a->err, (size_t)info->n_element * sizeof *values, "an adapter");
    storage_to_f32(info->storage, weights_data(a->s, (size_t)i), 0, info->n_element, values);
    for (uint64_t j = 0; j < info->n_element; j++)
        if (!isfinite(values[j]))
            return wrong(a, i, "an element is not finite");
    *out = values;
    *used += 1;
    return 0;
}

/* turned: the base's matrix is the transpose of B A */
struct factors {
    long a, b;
    int turned, embedding;
};

static struct factors find_factors(const struct adapter *a, const char *module)
{
    struct factors f = {find_part(a, module, "lora_A.weight"), find_part(a, module, "lora_B.weight"), 0, 0};
    if (f.a >= 0 || f.b >= 0)
        return f;
    return (struct factors){find_part(a, module, "lora_embedding_A"), find_part(a, module, "lora_embedding_B"), 1, 1};
}

/* peft leaves fan_in_fan_out true only for layers that store their transpose. */
static int fits_turned(const struct adapter *a, const struct checkpoint_tensor *c, struct factors f)
{
    if (!a->config.turned || f.a < 0 || f.b < 0 || c->info.n_dim != 2)
        return 0;
    const struct tensor_info *x = weights_tensor(a->s, (size_t)f.a), *y = weights_tensor(a->s, (size_t)f.b);
    return x->n_dim == 2 && y->n_dim == 2 && x->shape[1] == c->info.shape[0] && y->shape[0] == c->info.shape[1];
}

/* The sizes of both factors against the base's matrix and the configuration. */
static int check_factors(const struct adapter *a, const struct checkpoint_tensor *c, const char *module,
                         struct factors f, struct checkpoint_delta *d)
{
    if (f.a < 0 || f.b < 0)
        return error_set(a->err, ERROR_DATA, "%s/%s: %s has one of lora_A and lora_B, wanted both", a->path, a->weights,
                         module);
    const struct tensor_info *x = weights_tensor(a->s, (size_t)f.a), *y = weights_tensor(a->s, (size_t)f.b);
    int64_t rank = 0;
    int rc = adapter_config_module(&a->config, module, &rank, &d->scale, a->err);
    if (rc)
        return rc;
    int64_t in = f.turned ? y->shape[0] : x->shape[1], out = f.turned ? x->shape[1] : y->shape[0];
    d->rank = x->n_dim == 2 ? x->shape[0] : 0;
    if (x->n_dim != 2 || y->n_dim != 2 || d->rank < 1 || y->shape[1] != d->rank || c->info.n_dim != 2 ||
        in != c->info.shape[1] || out != c->info.shape[0])
        return error_set(a->err, ERROR_DATA,
                         "%s/%s: %s: A is %lld x %lld and B %lld x %lld, the base's matrix %lld x %lld; this adapter "
                         "was made for another model",
                         a->path, a->weights, module, (long long)x->shape[0], (long long)x->shape[1],
                         (long long)y->shape[0], (long long)y->shape[1], (long long)c->info.n_row,
                         (long long)c->info.n_col);
    if (d->rank != rank)
        return error_set(
            a->err, ERROR_DATA,
            "%s: %s has tensors of rank %lld in %s, but \"r\" or rank_pattern of adapter_config.json says %lld",
            a->path, module, (long long)d->rank, a->weights, (long long)rank);
    return f.turned && a->config.dora
               ? error_set(a->err, ERROR_DATA, "%s: use_dora with an adapter of %s is not supported", a->path, module)
               : 0;
}

static int module_of(const struct checkpoint_tensor *c, char module[4200])
{
    static const char tail[] = ".weight";
    size_t n = strlen(c->info.name);
    if (n < sizeof tail || strcmp(c->info.name + n - (sizeof tail - 1), tail) || n > 4096)
        return -1;
    snprintf(module, 4200, "%.*s", (int)(n - (sizeof tail - 1)), c->info.name);
    return 0;
}

/* The delta of one base tensor, when the adapter has one. */
static int add_delta(struct checkpoint *ck, const struct adapter *a, struct checkpoint_tensor *c, size_t *used)
{
    char module[4200];
    if (module_of(c, module))
        return 0;
    struct factors f = find_factors(a, module);
    if (f.a < 0 && f.b < 0)
        return 0;
    f.turned |= fits_turned(a, c, f);
    struct checkpoint_delta *d = arena_alloc(&ck->arena, sizeof *d);
    if (!d)
        return error_set_nomem(a->err, sizeof *d, "an adapter");
    d->magnitude = NULL;
    int rc = check_factors(a, c, module, f, d);
    if (rc || (rc = read_factor(ck, a, f.turned ? f.b : f.a, f.turned, &d->a)) ||
        (rc = read_factor(ck, a, f.turned ? f.a : f.b, f.turned, &d->b)) ||
        (rc = read_magnitude(ck, a, c, module, &d->magnitude, used)))
        return rc;
    c->delta = d;
    *used += 2;
    return 0;
}

/* A whole tensor of the adapter's file (modules_to_save, or the base's own matrix saved with it) stands for the
 * base's. */
static int replace(const struct adapter *a, struct checkpoint_tensor *c, size_t *used)
{
    static const char *const parts[] = {"weight", "base_layer.weight", "modules_to_save.weight"};
    char module[4200];
    for (size_t k = 0; k < sizeof parts / sizeof *parts && !module_of(c, module); k++) {
        long i = find_part(a, module, parts[k]);
        if (i < 0)
            continue;
        const struct tensor_info *info = weights_tensor(a->s, (size_t)i);
        const char *name = c->info.name;
        if (info->n_dim != c->info.n_dim || info->n_row != c->info.n_row || info->n_col != c->info.n_col)
            return wrong(a, i, "is of another shape than the base's; this adapter was made for another model");
        c->info = *info;
        c->info.name = name;
        c->data = weights_data(a->s, (size_t)i);
        c->heads = 0;
        c->plus_one = 0;
        c->turned = 0;
        c->file = a->file;
        *used += 1;
    }
    return 0;
}

static int has_module(const struct adapter *a, const char *module)
{
    static const char *const parts[] = {"weight", "base_layer.weight", "modules_to_save.weight", "lora_A.weight",
                                        "lora_embedding_A"};
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
        if (find_part(a, module, parts[k]) >= 0)
            return 1;
    return 0;
}

/* An adapter that gives a tied model another head, or another embedding, unties it: the shared matrix then stands there
 * twice. */
static int untie(struct checkpoint *ck, const struct adapter *a)
{
    static const char *const names[] = {"lm_head.weight", "model.embed_tokens.weight"};
    if (!ck->tied || (!has_module(a, "lm_head") && !has_module(a, "model.embed_tokens")))
        return 0;
    if (find_part(a, "lm_head", "lora_A.weight") >= 0 || find_part(a, "model.embed_tokens", "lora_embedding_A") >= 0)
        return error_set(a->err, ERROR_DATA,
                         "%s: adapts embed_tokens or lm_head of a model that ties embedding and head, for which peft "
                         "gives one answer merged and another unmerged; wanted an untied base",
                         a->path);
    struct checkpoint_tensor *all = arena_alloc(&ck->arena, (ck->n_tensor + 1) * sizeof *all);
    const struct tensor_info *shared = checkpoint_find(ck, names[1]);
    if (!all)
        return error_set_nomem(a->err, ck->n_tensor * sizeof *all, "an adapter");
    memcpy(all, ck->tensors, ck->n_tensor * sizeof *all);
    if (shared && !(strcmp(shared->name, names[0]) && checkpoint_find(ck, names[0]))) {
        all[ck->n_tensor] = *(const struct checkpoint_tensor *)shared;
        all[ck->n_tensor++].info.name = strcmp(shared->name, names[0]) ? names[0] : names[1];
    }
    ck->tensors = all;
    ck->tied = 0;
    checkpoint_sort(ck);
    return json_object_set_new(ck->config, "tie_word_embeddings", json_false()) ? error_set_nomem(a->err, 64, ck->path)
                                                                                : 0;
}

/* "some_text" as a class has it: SomeText. */
static void camel_case(const char *type, char *name, size_t size)
{
    size_t n = 0;
    int up = 1;
    for (; *type && n + 1 < size; type++) {
        if (*type != '_')
            name[n++] = (char)(up && *type >= 'a' && *type <= 'z' ? *type - 'a' + 'A' : *type);
        up = *type == '_';
    }
    name[n] = 0;
}

/* The name of the class that transformers takes for a classifier of the base's model_type: that of its language model,
 * but that the text part of a model of several kinds of input is called by its type. Empty: none is known. */
static void find_classifier(const json_t *config, char *name, size_t size)
{
    static const char *const ends[] = {"ForCausalLM", "LMHeadModel"};
    const char *class = json_string_value(json_array_get(json_object_get(config, "architectures"), 0)),
               *type = json_string_value(json_object_get(config, "model_type"));
    char part[100] = "";
    *name = 0;
    if (type && path_ends_in(type, "_text"))
        camel_case(type, part, sizeof part);
    if (*part)
        snprintf(name, size, "%sForSequenceClassification", part);
    for (int i = 0; class && !*part && i < 2; i++) {
        const char *at = strstr(class, ends[i]);
        if (at)
            snprintf(name, size, "%.*sForSequenceClassification", (int)(at - class), class);
    }
}

/* The base's configuration becomes a classifier's: by head_config.json, or, in peft's own files, by its model_type. */
static int become_classifier(struct checkpoint *ck, const struct adapter *a, int64_t n_label)
{
    char *path = path_join(a->path, "head_config.json"), name[200];
    json_t *given = NULL;
    int rc = path ? 0 : error_set_nomem(a->err, 256, "a path");
    find_classifier(ck->config, name, sizeof name);
    if (!rc && file_exists(path))
        rc = jsontext_load(&given, path, MAX_CONFIG, a->err);
    else if (!rc && !*name)
        rc = error_set(a->err, ERROR_CONFIG,
                       "%s: is an adapter of a classifier, but \"architectures\" of %s name no language model", a->path,
                       ck->path);
    else if (!rc)
        given = json_pack("{s:[s], s:I}", "architectures", name, "num_labels", (json_int_t)n_label);
    if (!rc && (!json_is_object(given) || json_object_update(ck->config, given)))
        rc = error_set(a->err, ERROR_DATA, "%s: wanted a JSON object", path);
    if (!rc && (int64_t)json_object_size(json_object_get(ck->config, "id2label")) != n_label)
        json_object_del(ck->config, "id2label"); /* transformers' two of nothing */
    json_decref(given);
    mem_free(path);
    return rc;
}

/* An adapter of a classifier over a language model brings the head: it is a tensor of its own, and the language model's
 * is left out unless it is the embedding's. */
static int take_head(struct checkpoint *ck, const struct adapter *a)
{
    static const char *const heads[] = {"lm_head.weight", "embed_out.weight"};
    long i = find_part(a, "score", "weight");
    i = i < 0 ? find_part(a, "score", "modules_to_save.weight") : i;
    if (i < 0 || checkpoint_find(ck, "score.weight"))
        return 0;
    struct checkpoint_tensor *all = arena_alloc(&ck->arena, (ck->n_tensor + 1) * sizeof *all);
    size_t n = 0;
    if (!all)
        return error_set_nomem(a->err, ck->n_tensor * sizeof *all, "an adapter");
    for (size_t k = 0; k < ck->n_tensor; k++)
        if (ck->tied || (strcmp(ck->tensors[k].info.name, heads[0]) && strcmp(ck->tensors[k].info.name, heads[1])))
            all[n++] = ck->tensors[k];
    all[n] = (struct checkpoint_tensor){.info = *weights_tensor(a->s, (size_t)i)}; /* replace() fills it in */
    all[n++].info.name = "score.weight";
    ck->tensors = all;
    ck->n_tensor = n;
    checkpoint_sort(ck);
    return become_classifier(ck, a, weights_tensor(a->s, (size_t)i)->shape[0]);
}

/* Names the first tensor that was taken by nobody. */
static int refuse_rest(const struct checkpoint *ck, const struct adapter *a)
{
    for (size_t i = 0; i < weights_n_tensor(a->s); i++) {
        const char *name = weights_tensor(a->s, i)->name, *cut = strstr(name, ".lora_");
        char base[4200] = "";
        if (cut && !strncmp(name, head, sizeof head - 1))
            snprintf(base, sizeof base, "%.*s.weight", (int)(cut - name - (long)(sizeof head - 1)),
                     name + sizeof head - 1);
        if (!*base || !checkpoint_find(ck, base))
            return error_set(a->err, ERROR_DATA, "%s/%s: tensor %s adapts nothing in %s", a->path, a->weights, name,
                             ck->path);
    }
    return error_set(a->err, ERROR_DATA, "%s/%s: has tensors besides lora_A, lora_B and what stands for the base's",
                     a->path, a->weights);
}

/* The adapter's file joins the files, so that the hash covers it. */
static int add_file(struct checkpoint *ck, const struct adapter *a)
{
    struct checkpoint_file *files = arena_alloc(&ck->arena, (size_t)(ck->n_file + 1) * sizeof *files), *f;
    char *path = path_join(a->path, a->weights);
    if (!files || !path) {
        mem_free(path);
        return error_set_nomem(a->err, sizeof *files, "an adapter");
    }
    memcpy(files, ck->files, (size_t)ck->n_file * sizeof *files);
    f = &files[ck->n_file];
    *f = (struct checkpoint_file){.path = arena_strdup(&ck->arena, path), .label = a->weights};
    ck->files = files;
    mem_free(path);
    int rc = f->path ? file_map(&f->map, f->path, a->err) : error_set_nomem(a->err, 256, "a path");
    if (rc)
        return rc;
    ck->n_file++;
    return weights_parse(&f->parsed, f->map.data, f->map.size, f->path, a->err);
}

/* peft lists both names that a classifier's head may have. */
static int is_other_head(const struct adapter *a, const char *name)
{
    const char *task = json_string_value(json_object_get(a->json, "task_type"));
    return task && !strcmp(task, "SEQ_CLS") && !strcmp(name, "classifier");
}

/* Every module that a list of the configuration names has a tensor. */
static int check_named(const struct adapter *a, const char *key)
{
    const json_t *list = json_object_get(a->json, key), *name;
    size_t k;
    json_array_foreach((json_t *)list, k, name)
    {
        char part[300];
        int found =
            !json_is_string(name) || json_string_length(name) > 250 || is_other_head(a, json_string_value(name));
        if (!found)
            snprintf(part, sizeof part, ".%s.", json_string_value(name));
        for (size_t i = 0; !found && i < weights_n_tensor(a->s); i++)
            found = strstr(weights_tensor(a->s, i)->name, part) != NULL;
        if (!found)
            return error_set(a->err, ERROR_DATA,
                             "%s: \"%s\" of adapter_config.json names %s, of which %s has no tensor", a->path, key,
                             json_string_value(name), a->weights);
    }
    return 0;
}

static int lay_over(struct checkpoint *ck, struct adapter *a)
{
    size_t used = 0;
    int rc = add_file(ck, a);
    if (rc)
        return rc;
    a->file = ck->n_file - 1;
    a->s = &ck->files[a->file].parsed;
    if (!weights_n_tensor(a->s))
        return error_set(a->err, ERROR_DATA, "%s/%s: has no tensors: an adapter that changes nothing is none", a->path,
                         a->weights);
    if ((rc = check_named(a, "target_modules")) || (rc = check_named(a, "modules_to_save")))
        return rc;
    rc = untie(ck, a);
    rc = rc ? rc : take_head(ck, a);
    for (size_t i = 0; !rc && i < ck->n_tensor; i++) {
        rc = replace(a, &ck->tensors[i], &used);
        if (!rc)
            rc = add_delta(ck, a, &ck->tensors[i], &used);
    }
    ck->adapted = 1;
    int cut = checkpoint_check_whole(ck, a->err);
    if (cut || rc)
        return cut ? cut : rc;
    return used == weights_n_tensor(a->s) ? 0 : refuse_rest(ck, a);
}

/* As the configuration names it, or beside the adapter. */
static int open_base(struct checkpoint **out, const struct adapter *a)
{
    const json_t *name = json_object_get(a->json, "base_model_name_or_path");
    if (!json_is_string(name) || !json_string_length(name))
        return error_set(
            a->err, ERROR_CONFIG,
            "%s: \"base_model_name_or_path\": wanted the base model's path; or give --model BASE --adapter DIR",
            a->config.where);
    char *beside = path_join(a->path, json_string_value(name));
    const char *path =
        beside && json_string_value(name)[0] != '/' && file_exists(beside) ? beside : json_string_value(name);
    int rc = checkpoint_open_base(out, path, a->err);
    if (rc)
        error_prefix(a->err, "%s: its base model (else give --model BASE --adapter DIR)", a->path);
    mem_free(beside);
    return rc;
}

/* peft's order. */
static int find_weights(struct adapter *a)
{
    static const char *const names[] = {"adapter_model.safetensors", "adapter_model.bin"};
    int found = 0;
    for (int i = 0; i < 2 && !found; i++) {
        char *path = path_join(a->path, names[i]);
        if (!path)
            return error_set_nomem(a->err, strlen(a->path), "a path");
        found = file_exists(path);
        a->weights = names[i];
        mem_free(path);
    }
    return found ? 0
                 : error_set(a->err, ERROR_NOINPUT,
                             "%s: has adapter_config.json; wanted adapter_model.safetensors or adapter_model.bin "
                             "beside it, found neither",
                             a->path);
}

/* The adapter's own chat template stands in the place of its base's. */
static int take_chat_template(struct checkpoint *ck, const struct adapter *a)
{
    static const char name[] = "chat_template.jinja";
    char *path = path_join(a->path, name);
    int rc = path ? 0 : error_set_nomem(a->err, strlen(a->path), "a path"), n = 0;
    if (!rc && file_exists(path)) {
        struct checkpoint_side_file *files = arena_alloc(&ck->arena, (size_t)(ck->n_side_file + 1) * sizeof *files);
        const char *kept = arena_strdup(&ck->arena, path);
        for (int i = 0; files && i < ck->n_side_file; i++)
            if (strcmp(ck->side_files[i].name, name))
                files[n++] = ck->side_files[i];
        rc = files && kept ? 0 : error_set_nomem(a->err, 256, path);
        if (!rc) {
            files[n++] = (struct checkpoint_side_file){name, kept};
            ck->side_files = files;
            ck->n_side_file = n;
        }
    }
    mem_free(path);
    return rc;
}

int checkpoint_open_adapter(struct checkpoint **out, const char *base, const char *adapter, struct error *err)
{
    struct adapter a = {.path = adapter, .err = err};
    char *path = path_join(adapter, "adapter_config.json");
    *out = NULL;
    int rc = path ? jsontext_load(&a.json, path, MAX_CONFIG, err) : error_set_nomem(err, 256, "a path");
    if (!rc)
        rc = adapter_config_parse(&a.config, a.json, path, err);
    if (!rc)
        rc = find_weights(&a);
    if (!rc)
        rc = base ? checkpoint_open_base(out, base, err) : open_base(out, &a);
    a.text_part = !rc && (*out)->text_part;
    rc = rc ? rc : lay_over(*out, &a);
    rc = rc ? rc : take_chat_template(*out, &a);
    if (!rc && !((*out)->adapter = arena_strdup(&(*out)->arena, adapter)))
        rc = error_set_nomem(err, strlen(adapter), "a path");
    if (rc && *out) {
        checkpoint_close(*out);
        *out = NULL;
    }
    json_decref(a.json);
    mem_free(path);
    return rc;
}

int checkpoint_is_adapted(const struct checkpoint *ck)
{
    return ck->adapted;
}

int checkpoint_is_text_part(const struct checkpoint *ck)
{
    return ck->text_part;
}

enum checkpoint_change checkpoint_factors(const struct checkpoint *ck, const struct tensor_info *t,
                                          struct checkpoint_factors *out)
{
    const struct checkpoint_tensor *c = (const struct checkpoint_tensor *)t;
    *out = (struct checkpoint_factors){0};
    if (c->delta && c->delta->magnitude)
        return CHECKPOINT_DORA;
    if (!c->delta)
        return ck->adapted && c->file == ck->n_file - 1 ? CHECKPOINT_REPLACED : CHECKPOINT_SAME;
    *out = (struct checkpoint_factors){c->delta->rank, c->delta->scale, c->delta->a, c->delta->b};
    return CHECKPOINT_LORA;
}
