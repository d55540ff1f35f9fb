/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hf_dir.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* elements in flight */
enum { PIECE = 1 << 18 };

const char *hf_dtype_name(enum dtype t)
{
    switch (t) {
    case DTYPE_BF16: return "bfloat16";
    case DTYPE_F16: return "float16";
    default: return "float32";
    }
}

static int write_json(const char *dir, const char *name, const json_t *value, struct error *err)
{
    char *path = path_join(dir, name);
    int rc = path && value ? jsontext_write(path, value, err) : error_set_nomem(err, 1024, name);
    mem_free(path);
    return rc;
}

int hf_dir_config(const char *dir, const json_t *config, enum dtype t, struct error *err)
{
    json_t *copy =
        json_copy((json_t *)config); /* shallow: only a member is replaced; out of memory it may drop members */
    if (copy && json_object_size(copy) != json_object_size(config)) {
        json_decref(copy);
        copy = NULL;
    }
    if (copy && json_object_set_new(copy, json_object_get(copy, "dtype") ? "dtype" : "torch_dtype",
                                    json_string(hf_dtype_name(t)))) {
        json_decref(copy);
        copy = NULL;
    }
    int rc = write_json(dir, "config.json", copy, err);
    json_decref(copy);
    return rc;
}

int hf_dir_generation(const char *dir, const json_t *generation, const json_t *config, struct error *err)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    if (generation)
        return write_json(dir, "generation_config.json", generation, err);
    json_t *made = json_pack("{s:b}", "_from_model_config", 1), *v;
    int bad = 0;
    for (size_t i = 0; made && i < sizeof keys / sizeof *keys; i++)
        if ((v = json_object_get(config, keys[i])) && !json_is_null(v))
            bad |= json_object_set(made, keys[i], v);
    int rc = bad ? error_set_nomem(err, 256, "generation_config.json")
                 : write_json(dir, "generation_config.json", made, err);
    json_decref(made);
    return rc;
}

static int ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && !strcmp(s + n - k, tail);
}

static int copy_template(const char *from_folder, const char *to_folder, const char *name, struct error *err)
{
    char *from = path_join(from_folder, name), *to = path_join(to_folder, name);
    int rc = from && to ? dirs_make(to_folder, err) : error_set_nomem(err, strlen(name), to_folder);
    if (!rc)
        rc = file_copy(from, to, err);
    mem_free(from);
    mem_free(to);
    return rc;
}

/* Chat templates by name. */
static int copy_templates(const char *dir, const char *source, struct error *err)
{
    static const char folder[] = "additional_chat_templates";
    char *from = path_join(source, folder), *to = path_join(dir, folder);
    DIR *d = from && to ? opendir(from) : NULL;
    struct dirent *e;
    int rc = from && to ? 0 : error_set_nomem(err, strlen(source) + strlen(dir), folder);
    while (!rc && d && (e = readdir(d)))
        if (ends_with(e->d_name, ".jinja"))
            rc = copy_template(from, to, e->d_name, err);
    if (d)
        closedir(d);
    mem_free(from);
    mem_free(to);
    return rc;
}

/* A file that the source may have; *n counts it. */
static int copy_beside(const char *dir, const struct checkpoint *source, const char *name, int *n, struct error *err)
{
    const char *from = checkpoint_file(source, name);
    char *to = from ? path_join(dir, name) : NULL;
    int rc = 0;
    if (from)
        rc = to ? file_copy(from, to, err) : error_set_nomem(err, strlen(dir), dir);
    *n += from != NULL;
    mem_free(to);
    return rc;
}

/* What sentence-transformers keeps beside a model, with the folders that modules.json names. */
static int copy_sentence(const char *dir, const struct checkpoint *source, struct error *err)
{
    static const char *const names[] = {"modules.json", "sentence_bert_config.json",
                                        "config_sentence_transformers.json"};
    const char *modules = checkpoint_file(source, names[0]);
    json_t *list = NULL, *module;
    size_t i;
    int unused = 0, rc = modules ? jsontext_load(&list, modules, 1 << 20, err) : 0;
    for (int k = 0; k < 3 && !rc; k++)
        rc = copy_beside(dir, source, names[k], &unused, err);
    json_array_foreach(list, i, module)
    {
        const char *path = json_string_value(json_object_get(module, "path"));
        if (rc || !path || !*path || *path == '/' || strstr(path, ".."))
            continue;
        char *from = path_join(checkpoint_path(source), path), *to = path_join(dir, path),
             *config = from ? path_join(from, "config.json") : NULL;
        rc = from && to && config ? 0 : error_set_nomem(err, strlen(path), path);
        if (!rc && !access(config, F_OK)) /* a module without settings has no file */
            rc = copy_template(from, to, "config.json", err);
        mem_free(from);
        mem_free(to);
        mem_free(config);
    }
    json_decref(list);
    return rc;
}

int hf_dir_tokenizer(const char *dir, const struct checkpoint *source, int *n, struct error *err)
{
    static const char *const names[] = {HF_TOKENIZER_FILES};
    int rc = 0, copied = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof *names; i++)
        rc = copy_beside(dir, source, names[i], &copied, err);
    if (n)
        *n = checkpoint_gguf(source) ? 0 : copied; /* an adapter's chat template alone is no tokenizer */
    rc = rc ? rc : copy_sentence(dir, source, err);
    return rc || checkpoint_gguf(source) ? rc : copy_templates(dir, checkpoint_path(source), err);
}

/* Whether another tensor has this one's shape. */
static int has_twin(const struct checkpoint *source, const struct tensor_info *t)
{
    for (size_t i = 0; i < checkpoint_n_tensor(source); i++) {
        const struct tensor_info *other = checkpoint_tensor(source, i);
        if (other != t && other->n_row == t->n_row && other->n_col == t->n_col)
            return 1;
    }
    return 0;
}

/* What the tensor is called in the new file; NULL when it is left out. */
static const char *new_name(const struct checkpoint *source, const struct tensor_info *t)
{
    int tied = json_is_true(json_object_get(checkpoint_config(source), "tie_word_embeddings"));
    if (ends_with(t->name, "rotary_emb.inv_freq") || ends_with(t->name, "masked_bias") ||
        ends_with(t->name, "position_ids"))
        return NULL;
    if (tied && !strcmp(t->name, "lm_head.weight")) {
        const struct tensor_info *embed = checkpoint_find(source, "model.embed_tokens.weight");
        if ((embed && embed != t) || checkpoint_is_shared(source, t))
            return NULL;
        return embed && !has_twin(source, t) ? "model.embed_tokens.weight" : t->name; /* stored as the head only */
    }
    return t->name;
}

static enum storage new_storage(enum storage s, enum dtype t)
{
    switch (s) {
    case STORAGE_BOOL:
    case STORAGE_U8:
    case STORAGE_I8:
    case STORAGE_I16:
    case STORAGE_U16:
    case STORAGE_I32:
    case STORAGE_U32:
    case STORAGE_I64:
    case STORAGE_U64:
    case STORAGE_C64: return s;
    default: return storage_of_dtype(t);
    }
}

enum storage hf_dir_storage(enum storage own, enum dtype t)
{
    switch (own) {
    case STORAGE_F32:
    case STORAGE_BF16:
    case STORAGE_F16: return own;
    case STORAGE_F64: return STORAGE_F32;
    default: return storage_of_dtype(t);
    }
}

struct weights_copy {
    const struct checkpoint *source;
    const struct tensor_info **from; /* [n]: of the source */
    struct tensor_info *to;          /* [n]: as they will be */
    size_t n;
    float *piece; /* f32 [PIECE] */
    json_t *metadata;
};

/* Tensor k of those, as the file's i-th. */
static int copy_tensor(const struct weights_copy *p, size_t k, struct safetensors_writer *w, size_t i,
                       struct error *err)
{
    const struct tensor_info *t = p->from[k];
    const struct checkpoint *source = p->source;
    const void *raw = checkpoint_raw(source, t);
    float *piece = p->piece;
    int rc = 0;
    if (raw && p->to[k].storage == t->storage)
        return safetensors_write_bytes(w, i, 0, raw, t->n_byte, err);
    if (!storage_converts(t->storage))
        return checkpoint_read_f32(source, t, 0, 0, piece, err); /* says why not */
    int64_t rows = t->n_col ? PIECE / t->n_col : t->n_row;
    if (raw) { /* contiguous: pieces of any length, however long the rows */
        for (uint64_t at = 0; !rc && at < t->n_element; at += PIECE) {
            uint64_t n = t->n_element - at < PIECE ? t->n_element - at : PIECE;
            storage_to_f32(t->storage, raw, at, n, piece);
            rc = safetensors_write_f32(w, i, at, piece, n, err);
        }
        return rc;
    }
    if (!rows)
        return error_set(err, ERROR_DATA, "%s: tensor %s: rows of more than %d elements", checkpoint_path(source),
                         t->name, PIECE);
    for (int64_t r = 0; !rc && r < t->n_row; r += rows) {
        int64_t n = t->n_row - r < rows ? t->n_row - r : rows;
        if (!(rc = checkpoint_read_f32(source, t, r, n, piece, err)))
            rc = safetensors_write_f32(w, i, (uint64_t)(r * t->n_col), piece, (uint64_t)(n * t->n_col), err);
    }
    return rc;
}

static int choose_tensors(struct weights_copy *p, const struct hf_dir_form *form, struct error *err)
{
    const struct checkpoint *source = p->source;
    for (size_t i = 0; i < checkpoint_n_tensor(source); i++) {
        const struct tensor_info *t = checkpoint_tensor(source, i);
        const char *name = new_name(source, t);
        struct tensor_info *to = &p->to[p->n];
        if (!name)
            continue;
        p->from[p->n] = t;
        *to = *t;
        to->name = name;
        to->storage = new_storage(t->storage, form->dtype);
        if (form->as_read && to->storage != t->storage)
            to->storage = hf_dir_storage(t->storage, form->dtype);
        if (tensor_info_complete(to))
            return error_set(err, ERROR_INTERNAL, "%s: tensor %s: impossible size", checkpoint_path(source), name);
        p->n++;
    }
    return 0;
}

/* Tensors first..first+n in one file. */
static int write_file(const char *path, const struct weights_copy *p, size_t first, size_t n, struct error *err)
{
    struct safetensors_writer *w;
    int rc = safetensors_create(&w, path, p->to + first, n, p->metadata, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = copy_tensor(p, first + i, w, i, err);
    int cut = checkpoint_check_whole(p->source, err);
    rc = cut ? cut : rc;
    return safetensors_end(w, rc, err);
}

/* How many tensors from `first` on fit a shard: at least one. */
static size_t shard_length(const struct weights_copy *p, size_t first, uint64_t most)
{
    uint64_t bytes = p->to[first].n_byte;
    size_t n = 1;
    while (first + n < p->n && p->to[first + n].n_byte <= most && bytes + p->to[first + n].n_byte <= most)
        bytes += p->to[first + n++].n_byte;
    return n;
}

static int write_shards(const char *dir, const struct weights_copy *p, uint64_t most, struct error *err)
{
    size_t total = 0, k = 0;
    uint64_t bytes = 0;
    json_t *map = json_object();
    int rc = 0, bad = !map;
    for (size_t i = 0; i < p->n; i += shard_length(p, i, most))
        total++;
    for (size_t i = 0, n; i < p->n && !rc && !bad; i += n) {
        char name[64];
        n = shard_length(p, i, most);
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", ++k, total);
        char *path = path_join(dir, name);
        rc = path ? write_file(path, p, i, n, err) : error_set_nomem(err, 256, "a path");
        for (size_t j = i; j < i + n; j++) {
            bytes += p->to[j].n_byte;
            bad |= json_object_set_new(map, p->to[j].name, json_string(name)) != 0;
        }
        mem_free(path);
    }
    json_t *index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
    if (!rc)
        rc = bad || !index ? error_set_nomem(err, p->n * 64, "the index of shards")
                           : write_json(dir, "model.safetensors.index.json", index, err);
    json_decref(index);
    json_decref(map);
    return rc;
}

int hf_dir_weights_in(const char *dir, const struct checkpoint *source, const struct hf_dir_form *form,
                      struct error *err)
{
    size_t n = checkpoint_n_tensor(source);
    struct weights_copy p = {.source = source,
                             .from = mem_calloc(n + 1, sizeof *p.from),
                             .to = mem_calloc(n + 1, sizeof *p.to),
                             .piece = mem_alloc(PIECE * sizeof *p.piece),
                             .metadata = json_pack("{s:s}", "format", "pt")};
    char *path = path_join(dir, "model.safetensors");
    int rc = p.from && p.to && p.piece && p.metadata && path
                 ? choose_tensors(&p, form, err)
                 : error_set_nomem(err, PIECE * sizeof *p.piece, "writing weights");
    if (!rc && form->shard && p.n && shard_length(&p, 0, form->shard) < p.n)
        rc = write_shards(dir, &p, form->shard, err);
    else if (!rc)
        rc = write_file(path, &p, 0, p.n, err);
    json_decref(p.metadata);
    mem_free(path);
    mem_free(p.piece);
    mem_free(p.from);
    mem_free(p.to);
    return rc;
}

int hf_dir_weights(const char *dir, const struct checkpoint *source, enum dtype t, struct error *err)
{
    return hf_dir_weights_in(dir, source, &(struct hf_dir_form){.dtype = t}, err);
}

int hf_dir_weights_as_read(const char *dir, const struct checkpoint *source, enum dtype t, struct error *err)
{
    return hf_dir_weights_in(dir, source, &(struct hf_dir_form){.dtype = t, .as_read = 1}, err);
}
