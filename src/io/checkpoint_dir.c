/* SPDX-License-Identifier: Apache-2.0 */
/* A Hugging Face directory: config.json, then model.safetensors or an index with its shards, else the same of
 * pytorch_model.bin. With an index, the index says which tensors exist and where; a shard's other tensors do not count.
 * total_size in the index is never looked at: many writers put nonsense there. */
#include "io/checkpoint_parts.h"

#include "base/mem.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const size_t MAX_JSON = (size_t)128 << 20; /* no configuration or index comes near */

static char *in_directory(struct checkpoint *ck, const char *name)
{
    char *joined = path_join(ck->path, name), *kept = joined ? arena_strdup(&ck->arena, joined) : NULL;
    mem_free(joined);
    return kept;
}

static int find_side_files(struct checkpoint *ck, struct error *err)
{
    static const char *const names[] = {
        "config.json",
        "generation_config.json",
        HF_TOKENIZER_FILES,
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "modules.json",
        "1_Pooling/config.json",
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_model.bin",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "README.md",
        "LICENSE",
    };
    int n = sizeof names / sizeof *names;
    ck->side_files = arena_alloc(&ck->arena, (size_t)n * sizeof *ck->side_files);
    if (!ck->side_files)
        return error_set_nomem(err, (size_t)n * sizeof *ck->side_files, ck->path);
    for (int i = 0; i < n; i++) {
        char *path = in_directory(ck, names[i]);
        if (!path)
            return error_set_nomem(err, strlen(ck->path), ck->path);
        if (file_exists(path))
            ck->side_files[ck->n_side_file++] = (struct checkpoint_side_file){names[i], path};
    }
    return 0;
}

/* A .gguf in a directory without config.json is what people then meant. */
static int no_config(struct checkpoint *ck, struct error *err)
{
    DIR *d = opendir(ck->path);
    struct dirent *e = NULL;
    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        if (n > 5 && !strcmp(e->d_name + n - 5, ".gguf"))
            break;
    }
    error_set(err, ERROR_NOINPUT, "%s: wanted config.json in this directory, found none%s%s%s", ck->path,
              e ? "; give the file itself: " : "", e ? ck->path : "", e ? "/" : "");
    if (e && err && strlen(err->message) + strlen(e->d_name) < sizeof err->message)
        strcat(err->message, e->d_name);
    if (d)
        closedir(d);
    return ERROR_NOINPUT;
}

static int load_object(json_t **out, const char *path, struct error *err)
{
    int rc = jsontext_load(out, path, MAX_JSON, err);
    if (!rc && !json_is_object(*out))
        return error_set(err, ERROR_DATA, "%s: wanted a JSON object", path);
    return rc;
}

static int open_shard(struct checkpoint *ck, const char *name, struct error *err)
{
    struct checkpoint_file *f = &ck->files[ck->n_file];
    f->label = arena_strdup(&ck->arena, name);
    f->path = in_directory(ck, name);
    if (!f->label || !f->path)
        return error_set_nomem(err, strlen(name), ck->path);
    int rc = file_map(&f->map, f->path, err);
    if (rc)
        return rc;
    ck->n_file++;
    return weights_parse(&f->parsed, f->map.data, f->map.size, f->path, err);
}

static void add_tensor(struct checkpoint *ck, int file, size_t i)
{
    struct checkpoint_tensor *c = &ck->tensors[ck->n_tensor++];
    c->info = *weights_tensor(&ck->files[file].parsed, i);
    c->data = weights_data(&ck->files[file].parsed, i);
    c->file = file;
}

static int make_room(struct checkpoint *ck, size_t n_file, size_t n_tensor, struct error *err)
{
    if (!ck->files)
        ck->files = arena_alloc(&ck->arena, (n_file + 1) * sizeof *ck->files);
    if (n_tensor)
        ck->tensors = arena_alloc(&ck->arena, n_tensor * sizeof *ck->tensors);
    return ck->files && (ck->tensors || !n_tensor) ? 0 : error_set_nomem(err, n_tensor * sizeof *ck->tensors, ck->path);
}

static int open_single(struct checkpoint *ck, const char *name, struct error *err)
{
    int rc = make_room(ck, 1, 0, err);
    if (rc || (rc = open_shard(ck, name, err)))
        return rc;
    size_t n = weights_n_tensor(&ck->files[0].parsed);
    if ((rc = make_room(ck, 1, n + 1, err)))
        return rc;
    for (size_t i = 0; i < n; i++)
        add_tensor(ck, 0, i);
    return 0;
}

static int check_shard_name(const char *index, const char *tensor, const json_t *file, struct error *err)
{
    const char *name = json_string_value(file);
    if (!name || !*name || name[0] == '.' || strchr(name, '/') || strchr(name, '\\') || strlen(name) > 255)
        return error_set(err, ERROR_DATA,
                         "%s: tensor %.200s: wanted the plain name of a file beside it, found \"%.200s\"", index,
                         tensor, name ? name : "no string");
    return 0;
}

static int string_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Opens every file that the map names, once, in name order. */
static int open_shards(struct checkpoint *ck, const char *index, const json_t *map, struct error *err)
{
    size_t n = json_object_size(map), used = 0;
    const char **names = mem_calloc(n, sizeof *names);
    const char *tensor;
    json_t *file;
    int rc = names ? make_room(ck, n, n + 1, err) : error_set_nomem(err, n * sizeof *names, index);
    json_object_foreach((json_t *)map, tensor, file)
    {
        if (rc || (rc = check_shard_name(index, tensor, file, err)))
            break;
        names[used++] = json_string_value(file);
    }
    if (!rc)
        qsort(names, used, sizeof *names, string_order);
    for (size_t i = 0; !rc && i < used; i++)
        if (!i || strcmp(names[i - 1], names[i]))
            if ((rc = open_shard(ck, names[i], err)))
                error_prefix(err, "%s names a shard", path_base(index));
    mem_free(names);
    return rc;
}

static int place_tensors(struct checkpoint *ck, const char *index, const json_t *map, struct error *err)
{
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)map, tensor, file)
    {
        int low = 0, high = ck->n_file - 1;
        while (low < high) {
            int middle = (low + high) / 2;
            if (strcmp(ck->files[middle].label, json_string_value(file)) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        long i = weights_find(&ck->files[low].parsed, tensor);
        if (i < 0)
            return error_set(err, ERROR_DATA, "%s: says that tensor %.200s is in %s, but it is not", index, tensor,
                             ck->files[low].label);
        add_tensor(ck, low, (size_t)i);
    }
    return 0;
}

static int open_index(struct checkpoint *ck, const char *index, struct error *err)
{
    json_t *root;
    int rc = load_object(&root, index, err);
    const json_t *map = json_object_get(root, "weight_map");
    if (!rc && (!json_is_object(map) || !json_object_size(map)))
        rc = error_set(err, ERROR_DATA, "%s: wanted an object \"weight_map\" that is not empty", index);
    if (!rc)
        rc = open_shards(ck, index, map, err);
    if (!rc)
        rc = place_tensors(ck, index, map, err);
    json_decref(root);
    return rc;
}

/* transformers' order. */
static int open_weights(struct checkpoint *ck, struct error *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (int i = 0; i < 4; i++) {
        const char *path = checkpoint_file(ck, names[i]);
        if (path)
            return i % 2 ? open_index(ck, path, err) : open_single(ck, names[i], err);
    }
    static const char *const others[] = {"tf_model.h5", "flax_model.msgpack"};
    for (int i = 0; i < 2; i++) {
        const char *path = in_directory(ck, others[i]);
        if (path && file_exists(path))
            return error_set(err, ERROR_DATA,
                             "%s: isara does not read it; transformers 4 converts it: "
                             "AutoModelForCausalLM.from_pretrained(DIR, %s=True).save_pretrained(NEW)",
                             path, i ? "from_flax" : "from_tf");
    }
    return error_set(
        err, ERROR_NOINPUT,
        "%s: wanted model.safetensors, pytorch_model.bin, or one of them with .index.json and shards, found none",
        ck->path);
}

int checkpoint_open_directory(struct checkpoint *ck, struct error *err)
{
    int rc = find_side_files(ck, err);
    if (rc)
        return rc;
    const char *config = checkpoint_file(ck, "config.json"),
               *generation = checkpoint_file(ck, "generation_config.json");
    if (!config)
        return no_config(ck, err);
    if ((rc = load_object(&ck->config, config, err)) ||
        (generation && (rc = load_object(&ck->generation, generation, err))))
        return rc;
    return open_weights(ck, err);
}
