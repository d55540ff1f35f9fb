/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to the documents that tokenizer_build reads: which form it is, and which files lie beside it. */
#include "text/source.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"

#include <string.h>

void tokenizer_source_free(struct tokenizer_source *s)
{
    json_decref(s->json);
    json_decref(s->config);
    json_decref(s->model_config);
    json_decref(s->ranks);
    *s = (struct tokenizer_source){0};
}

int text_json_error(const json_error_t *why, const char *name, const char *part, struct error *err)
{
    if (!why->text[0] || json_error_code(why) == json_error_out_of_memory)
        return error_set(err, ERROR_NOMEM, "%s: %sout of memory", name, part);
    return error_set(err, ERROR_DATA, "%s: %sline %d, column %d: %s", name, part, why->line, why->column, why->text);
}

/* Configs hold model_max_length 1e30 written out, which is no integer to jansson: flags says to read numbers as reals. */
static int load_json(json_t **out, const char *path, size_t flags, struct error *err)
{
    struct buf text = BUF_INIT;
    json_error_t why;
    int rc = file_read(&text, path, (size_t)1 << 30, err);
    if (!rc) {
        *out = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags, &why);
        if (!*out)
            rc = text_json_error(&why, path, "", err);
    }
    buf_free(&text);
    return rc;
}

static int load_beside(json_t **out, const char *dir, const char *name, size_t flags, struct error *err)
{
    char *path = path_join(dir, name);
    if (!path)
        return error_set_nomem(err, strlen(dir), "a path");
    int rc = file_exists(path) ? load_json(out, path, flags, err) : 0;
    mem_free(path);
    return rc;
}

/* bos_token and the like of special_tokens_map.json, where tokenizer_config.json has none. */
static int complete_config(struct tokenizer_source *s, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        if (!s->config)
            s->config = json_object();
        if (!json_object_get(s->config, key) && json_object_set(s->config, key, value))
            return -1;
    }
    return 0;
}

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* name with its end replaced, in the same directory, or NULL when no such file is there. */
static char *sibling(const char *path, const char *end, const char *other)
{
    char *result = mem_alloc(strlen(path) + strlen(other) + 1);
    if (!result)
        return NULL;
    size_t stem = strlen(path) - strlen(end);
    memcpy(result, path, stem);
    strcpy(result + stem, other);
    if (file_exists(result))
        return result;
    mem_free(result);
    return NULL;
}

/* vocab.json and merges.txt by either's name (also with something before it, as in gpt2-vocab.json), or merges alone. */
static int load_merges(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err)
{
    char *other;
    int rc;
    if (ends_with(path, "vocab.json")) {
        other = sibling(path, "vocab.json", "merges.txt");
        rc = other ? source_from_merges(s, path, other, added, err)
                   : error_set(err, ERROR_NOINPUT, "%s: wanted merges.txt beside it", path);
    } else {
        other = ends_with(path, "merges.txt") ? sibling(path, "merges.txt", "vocab.json") : sibling(path, "vocab.bpe", "encoder.json");
        rc = source_from_merges(s, other ? other : "", path, added, err);
    }
    mem_free(other);
    return rc;
}

static int load_file(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err)
{
    if (ends_with(path, "vocab.json") || ends_with(path, "merges.txt") || ends_with(path, "vocab.bpe"))
        return load_merges(s, path, added, err);
    if (ends_with(path, ".model"))
        return source_from_spm(s, path, added, err);
    return load_json(&s->json, path, 0, err);
}

static int load_directory(struct tokenizer_source *s, const char *dir, const json_t *added, struct error *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.bpe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(dir, names[i]);
        if (!path)
            return error_set_nomem(err, strlen(dir), "a path");
        int there = file_exists(path), rc = there ? load_file(s, path, added, err) : 0;
        mem_free(path);
        if (there)
            return rc;
    }
    return error_set(err, ERROR_NOINPUT, "%s: no tokenizer here: wanted tokenizer.json, tokenizer.model, or vocab.json and merges.txt", dir);
}

/* chat_template.jinja goes over the configuration's chat_template, as in transformers. */
static int load_chat_template(struct tokenizer_source *out, const char *dir, struct error *err)
{
    char *path = path_join(dir, "chat_template.jinja");
    struct buf text = BUF_INIT;
    int rc = path ? 0 : error_set_nomem(err, strlen(dir), "a path");
    if (!rc && file_exists(path) && !(rc = file_read(&text, path, (size_t)1 << 24, err))) {
        json_t *value = json_stringn(text.data ? text.data : "", text.len);
        if (!value)
            rc = error_set(err, ERROR_DATA, "%s: is not UTF-8", path);
        else if (!out->config)
            out->config = json_object();
        if (!rc && json_object_set_new(out->config, "chat_template", value))
            rc = error_set_nomem(err, text.len, "a chat template");
    }
    buf_free(&text);
    mem_free(path);
    return rc;
}

int tokenizer_source_load(struct tokenizer_source *out, const char *path, struct error *err)
{
    json_t *map = NULL, *added = NULL;
    int rc = 0, is_dir = file_is_directory(path);
    if (!is_dir && ends_with(path, ".gguf")) {
        rc = source_from_gguf(out, path, err);
        if (rc)
            tokenizer_source_free(out);
        return rc;
    }
    char *dir = is_dir ? mem_strdup(path) : mem_strndup(path, (size_t)(path_base(path) - path));
    if (!dir)
        return error_set_nomem(err, strlen(path), "a path");
    if ((rc = load_beside(&out->config, dir, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL, err)) ||
        (rc = load_beside(&map, dir, "special_tokens_map.json", 0, err)) || (rc = load_beside(&added, dir, "added_tokens.json", 0, err)) ||
        (rc = load_beside(&out->model_config, dir, "config.json", 0, err)) || (rc = load_chat_template(out, dir, err)))
        ;
    else if (complete_config(out, map))
        rc = error_set_nomem(err, strlen(path), "a config");
    else
        rc = is_dir ? load_directory(out, path, added, err) : load_file(out, path, added, err);
    json_decref(map);
    json_decref(added);
    mem_free(dir);
    if (rc)
        tokenizer_source_free(out);
    return rc;
}
