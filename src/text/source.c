/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to the documents that tokenizer_build reads: which form it is, and which files lie beside it. */
#include "text/source.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tokenizer_source_free(struct tokenizer_source *s)
{
    json_decref(s->json);
    json_decref(s->config);
    json_decref(s->model_config);
    json_decref(s->ranks);
    if (s->spm)
        spm_file_deinit(s->spm);
    mem_free(s->spm);
    *s = (struct tokenizer_source){0};
}

/* Configs hold model_max_length 1e30 written out, which is no integer to jansson: flags says to read numbers as
 * reals. */
static int load_json(json_t **out, const char *path, size_t flags, struct error *err)
{
    struct buf text = BUF_INIT;
    json_error_t why;
    int rc = file_read_regular(&text, path, (size_t)1 << 30, err);
    if (!rc)
        rc = jsontext_check_tree(text.data ? text.data : "", text.len, path, err);
    if (!rc) {
        *out = jsontext_document(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags,
                                 &why);
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

/* special_tokens_map.json and added_tokens.json are what older releases wrote beside a tokenizer_config.json;
 * transformers reads them only where that has no added_tokens_decoder, and then the map's names win. */
static int is_old(const struct tokenizer_source *s)
{
    return !json_is_object(json_object_get(s->config, "added_tokens_decoder"));
}

/* A list in the map is put after the configuration's; the older name of it counts where there is none. */
static int complete_list(json_t *config, const char *key, json_t *value)
{
    static const char now[] = "extra_special_tokens", before[] = "additional_special_tokens";
    json_t *have = json_object_get(config, now);
    if (!json_array_size(have) && !json_object_size(have))
        have = json_object_get(config, before);
    if (!json_array_size(have) && !json_object_size(have))
        return json_object_set(config, key, value);
    if (strcmp(key, now) || !json_is_array(have) || !json_is_array(value))
        return 0;
    json_t *both = json_deep_copy(have);
    int bad = !both || json_array_extend(both, value);
    return json_object_set_new(config, now, both) || bad ? -1 : 0;
}

static int complete_config(struct tokenizer_source *s, const json_t *map)
{
    const char *key;
    json_t *value;
    if (!map || !is_old(s))
        return 0;
    if (!s->config)
        s->config = json_object();
    json_object_foreach((json_t *)map, key, value)
    {
        int list = !strcmp(key, "extra_special_tokens") || !strcmp(key, "additional_special_tokens");
        if (list ? complete_list(s->config, key, value) : json_object_set(s->config, key, value))
            return -1;
    }
    return 0;
}

struct numbered {
    json_int_t id;
    const char *text;
};

static int by_id(const void *x, const void *y)
{
    const struct numbered *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* added_tokens.json in the order of its ids. */
static int sort_added(json_t **added, const char *dir, struct error *err)
{
    size_t n = 0;
    struct numbered *list = mem_calloc(json_object_size(*added) + 1, sizeof *list);
    json_t *sorted = json_object(), *id;
    const char *text;
    int rc = list && sorted ? 0 : error_set_nomem(err, json_object_size(*added), "the added tokens");
    json_object_foreach(*added, text, id)
    {
        if (!rc && !json_is_integer(id))
            rc = error_set(err, ERROR_DATA, "%s: added_tokens.json: \"%.80s\": wanted an id", dir, text);
        if (!rc)
            list[n++] = (struct numbered){json_integer_value(id), text};
    }
    if (!rc)
        qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n && !rc; i++)
        if (json_object_set_new(sorted, list[i].text, json_integer(list[i].id)))
            rc = error_set_nomem(err, n, "the added tokens");
    mem_free(list);
    json_decref(*added);
    *added = sorted;
    return rc;
}

static int in_document(const json_t *doc, const char *text)
{
    const json_t *list = json_object_get(doc, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(list, i), "content"));
        if (content && !strcmp(content, text))
            return 1;
    }
    return 0;
}

/* What added_tokens.json has beyond the document is written as the configuration's added_tokens_decoder. */
static int keep_added(struct tokenizer_source *s, const json_t *added)
{
    const char *text;
    json_t *id;
    char number[24];
    if (!added || !is_old(s))
        return 0;
    json_t *decoder = json_object();
    int bad = !decoder;
    json_object_foreach((json_t *)added, text, id)
    {
        if (in_document(s->json, text))
            continue;
        int special = source_is_named(s->config, text);
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
        bad |= json_object_set_new(
            decoder, number, json_pack("{s:s, s:b, s:b}", "content", text, "normalized", !special, "special", special));
    }
    if (!s->config)
        s->config = json_object();
    if (!bad && json_object_size(decoder))
        bad |= json_object_set(s->config, "added_tokens_decoder", decoder);
    json_decref(decoder);
    return bad ? -1 : 0;
}

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* name with its end replaced, in the same directory, or NULL when no such file is there. */
static char *sibling_path(const char *path, const char *end, const char *other)
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

/* vocab.json and merges.txt by either's name (also with something before it, as in gpt2-vocab.json), or merges
 * alone. */
static int load_merges(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err)
{
    char *other;
    int rc;
    if (ends_with(path, "vocab.json")) {
        other = sibling_path(path, "vocab.json", "merges.txt");
        rc = other ? source_from_merges(s, path, other, added, err)
                   : error_set(err, ERROR_NOINPUT, "%s: wanted merges.txt beside it", path);
    } else {
        other = ends_with(path, "merges.txt") ? sibling_path(path, "merges.txt", "vocab.json")
                                              : sibling_path(path, "vocab.bpe", "encoder.json");
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
    if (ends_with(path, "vocab.txt"))
        return source_from_vocab_txt(s, path, added, err);
    return load_json(&s->json, path, 0, err);
}

static int load_directory(struct tokenizer_source *s, const char *dir, const json_t *added, struct error *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "sentencepiece.bpe.model",
                                        "spiece.model",   "vocab.json",      "merges.txt",
                                        "vocab.bpe",      "vocab.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(dir, names[i]);
        if (!path)
            return error_set_nomem(err, strlen(dir), "a path");
        int there = file_exists(path), rc = there ? load_file(s, path, added, err) : 0;
        mem_free(path);
        if (there)
            return rc;
    }
    return error_set(
        err, ERROR_NOINPUT,
        "%s: no tokenizer here: wanted tokenizer.json, tokenizer.model, vocab.json and merges.txt, or vocab.txt", dir);
}

int source_take_chat_template(struct tokenizer_source *out, const char *path, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = file_read_regular(&text, path, (size_t)1 << 24, err);
    json_t *value = rc ? NULL : json_stringn(buf_text(&text), text.len);
    if (!rc && !value)
        rc = error_set(err, ERROR_DATA, "%s: is not UTF-8", path);
    if (!rc && !out->config)
        out->config = json_object();
    if (!rc && json_object_set_new(out->config, "chat_template", value))
        rc = error_set_nomem(err, text.len, "a chat template");
    buf_free(&text);
    return rc;
}

/* chat_template.jinja goes over the configuration's chat_template, as in transformers. */
static int load_chat_template(struct tokenizer_source *out, const char *dir, struct error *err)
{
    char *path = path_join(dir, "chat_template.jinja");
    int rc = path ? 0 : error_set_nomem(err, strlen(dir), "a path");
    if (!rc && file_exists(path))
        rc = source_take_chat_template(out, path, err);
    mem_free(path);
    return rc;
}

/* A template of additional_chat_templates/ joins the list. */
static int add_template(json_t *list, const char *dir, const char *file, struct error *err)
{
    struct buf text = BUF_INIT;
    char *path = path_join(dir, file);
    int rc = path ? file_read(&text, path, (size_t)1 << 24, err) : error_set_nomem(err, strlen(dir), "a path");
    json_t *value = rc ? NULL : json_stringn(buf_text(&text), text.len);
    if (!rc && !value)
        rc = error_set(err, ERROR_DATA, "%s: is not UTF-8", path);
    if (!rc && json_array_append_new(list, json_pack("{s:s%, s:o}", "name", file, strlen(file) - 6, "template", value)))
        rc = error_set_nomem(err, text.len, "a chat template");
    buf_free(&text);
    mem_free(path);
    return rc;
}

static int is_template(const struct dirent *d)
{
    return ends_with(d->d_name, ".jinja") && d->d_name[0] != '.';
}

/* additional_chat_templates/NAME.jinja stand beside the default one. */
static int load_more_templates(struct tokenizer_source *out, const char *dir, struct error *err)
{
    char *folder = path_join(dir, "additional_chat_templates");
    struct dirent **entries = NULL;
    int n = folder ? scandir(folder, &entries, is_template, alphasort) : -1,
        rc = folder ? 0 : error_set_nomem(err, strlen(dir), "a path");
    json_t *list = n > 0 ? json_array() : NULL, *chat = json_object_get(out->config, "chat_template");
    if (list && json_is_string(chat))
        rc = json_array_append_new(list, json_pack("{s:s, s:O}", "name", "default", "template", chat))
                 ? error_set_nomem(err, 64, "a chat template")
                 : 0;
    for (int i = 0; i < n; i++) {
        rc = rc ? rc : add_template(list, folder, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    mem_free(folder);
    if (list && !out->config)
        out->config = json_object();
    if (rc || !list)
        json_decref(list);
    else if (json_object_set_new(out->config, "chat_template", list))
        rc = error_set_nomem(err, 64, "a chat template");
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
        (rc = load_beside(&map, dir, "special_tokens_map.json", 0, err)) ||
        (rc = load_beside(&added, dir, "added_tokens.json", 0, err)) ||
        (added && (rc = sort_added(&added, dir, err))) ||
        (rc = load_beside(&out->model_config, dir, "config.json", 0, err)) ||
        (rc = load_chat_template(out, dir, err)) || (rc = load_more_templates(out, dir, err)))
        ;
    else if (complete_config(out, map))
        rc = error_set_nomem(err, strlen(path), "a config");
    else if (is_dir)
        rc = load_directory(out, path, is_old(out) ? added : NULL, err);
    else
        rc = load_file(out, path, is_old(out) ? added : NULL, err);
    if (!rc && keep_added(out, added))
        rc = error_set_nomem(err, strlen(path), "the added tokens");
    if (!rc && source_apply_prefix(out))
        rc = error_set_nomem(err, strlen(path), "a tokenizer");
    json_decref(map);
    json_decref(added);
    mem_free(dir);
    if (rc)
        tokenizer_source_free(out);
    return rc;
}
