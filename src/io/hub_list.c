/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hub_list.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "io/jsontext.h"

#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 100000, MAX_PATH = 1000, MAX_PART = 200 };

int hub_path_is_safe(const char *path)
{
    size_t n = strlen(path);
    if (!n || n > MAX_PATH || utf8_valid(path, n) != n)
        return 0;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127 || *p == '\\')
            return 0;
    for (const char *part = path;;) {
        size_t k = strcspn(part, "/");
        if (!k || k > MAX_PART || strspn(part, ".") == k)
            return 0;
        if (!part[k])
            return 1;
        part += k + 1;
    }
}

/* Lower-case hexadecimal digits of just that length, kept; NULL for anything else. -1: out of memory. */
static int digits(struct hub_list *l, const json_t *value, size_t n, const char **out)
{
    const char *s = json_string_value(value);
    int fits = s && strlen(s) == n && strspn(s, "0123456789abcdef") == n;
    *out = fits ? arena_strdup(&l->arena, s) : NULL;
    return fits && !*out ? -1 : 0;
}

static int read_file(struct hub_list *l, const json_t *entry, const char *where, struct error *err)
{
    struct hub_file *f = &l->files[l->n];
    const char *path = json_string_value(json_object_get(entry, "rfilename"));
    const json_t *size = json_object_get(entry, "size"), *lfs = json_object_get(entry, "lfs");
    if (!path)
        return error_set(err, ERROR_DATA, "%s: file %zu of \"siblings\" has no \"rfilename\"", where, l->n);
    if (!hub_path_is_safe(path))
        return error_set(err, ERROR_DATA,
                         "%s: a file is called \"%.200s\", which leads out of the model's folder or is no name; "
                         "nothing is downloaded",
                         where, path);
    size = json_object_get(lfs, "size") ? json_object_get(lfs, "size") : size;
    if (size && !json_is_null(size) && (!json_is_integer(size) || json_integer_value(size) < 0))
        return error_set(err, ERROR_DATA, "%s: %s: \"size\" is no non-negative integer", where, path);
    f->path = arena_strdup(&l->arena, path);
    if (!f->path || digits(l, json_object_get(lfs, "sha256"), 64, &f->sha256) ||
        digits(l, lfs ? NULL : json_object_get(entry, "blobId"), 40, &f->sha1))
        return error_set_nomem(err, strlen(path), where);
    f->size = json_is_integer(size) ? json_integer_value(size) : -1;
    l->n++;
    return 0;
}

static int read_list(struct hub_list *l, const json_t *root, const char *where, struct error *err)
{
    const json_t *files = json_object_get(root, "siblings"), *entry;
    const char *commit;
    size_t i;
    if (digits(l, json_object_get(root, "sha"), 40, &commit))
        return error_set_nomem(err, 40, where);
    if (!commit || !json_is_array(files))
        return error_set(
            err, ERROR_DATA,
            "%s: wanted a commit of 40 digits as \"sha\" and a list \"siblings\", as Hugging Face's hub answers",
            where);
    if (json_array_size(files) > MAX_FILE)
        return error_set(err, ERROR_DATA, "%s: %zu files, more than the %d allowed", where, json_array_size(files),
                         MAX_FILE);
    memcpy(l->commit, commit, sizeof l->commit);
    l->files = arena_alloc(&l->arena, (json_array_size(files) + 1) * sizeof *l->files);
    if (!l->files)
        return error_set_nomem(err, json_array_size(files) * sizeof *l->files, where);
    json_array_foreach((json_t *)files, i, entry)
    {
        int rc = read_file(l, entry, where, err);
        if (rc)
            return rc;
    }
    return 0;
}

int hub_list_parse(struct hub_list *l, const char *json, size_t n, const char *where, struct error *err)
{
    json_t *root = NULL;
    *l = (struct hub_list){.arena = ARENA_INIT};
    int rc = jsontext_parse(&root, jsontext_whole(json, n, where), NULL, err);
    if (!rc)
        rc = read_list(l, root, where, err);
    json_decref(root);
    return rc;
}

void hub_list_free(struct hub_list *l)
{
    arena_free(&l->arena);
    *l = (struct hub_list){.arena = ARENA_INIT};
}

static int matches_pattern(const char *path, const char *pattern)
{
    size_t n = strlen(pattern);
    int folder = n && pattern[n - 1] == '/'; /* a folder is all that is in it */
    return folder ? !strncmp(path, pattern, n) : !fnmatch(pattern, path, 0);
}

static int matches_any(const char *path, const char *const *patterns)
{
    for (; *patterns; patterns++)
        if (matches_pattern(path, *patterns))
            return 1;
    return 0;
}

/* Whether a file is of use beside weights: configuration, tokenizer, templates, papers. */
static int is_side_file(const char *path)
{
    static const char *const side[] = {"*.json", "*.txt", "*.model", "*.jinja", "*.md", "LICENSE*", "NOTICE*", NULL};
    static const char *const folders[] = {"1_Pooling/", "additional_chat_templates/", NULL};
    static const char *const others[] = {"*.index.json", NULL};
    return (!strchr(path, '/') || matches_any(path, folders)) && matches_any(path, side) && !matches_any(path, others);
}

static const char *const safetensors[] = {"model.safetensors", "model-*-of-*.safetensors",
                                          "model.safetensors.index.json", "adapter_model.safetensors", NULL};
static const char *const bins[] = {"pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json",
                                   "adapter_model.bin", NULL};
static const char *const ggufs[] = {"*.gguf", NULL};

/* Files at the top that match; with mark, wanted. */
static size_t count_wanted(struct hub_list *l, const char *const *patterns, int mark)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (strchr(l->files[i].path, '/') || !matches_any(l->files[i].path, patterns))
            continue;
        l->files[i].wanted |= mark;
        n++;
    }
    return n;
}

static int refuse_ggufs(const struct hub_list *l, const char *where, struct error *err)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < l->n && names.len < 600; i++)
        if (matches_any(l->files[i].path, ggufs))
            buf_printf(&names, " %s", l->files[i].path);
    int rc = error_set(err, ERROR_USAGE, "%s: holds GGUF files only, of which one is enough; name it with --include:%s",
                       where, names.data ? names.data : "");
    buf_free(&names);
    return rc;
}

int hub_list_choose(struct hub_list *l, const char *const *patterns, int n_pattern, const char *where,
                    struct error *err)
{
    size_t chosen = 0;
    for (size_t i = 0; i < l->n; i++) {
        l->files[i].wanted = n_pattern ? 0 : is_side_file(l->files[i].path);
        for (int k = 0; k < n_pattern; k++)
            l->files[i].wanted |= matches_pattern(l->files[i].path, patterns[k]);
        chosen += (size_t)l->files[i].wanted;
    }
    if (n_pattern)
        return chosen ? 0 : error_set(err, ERROR_USAGE, "%s: --include: none of its %zu files matches", where, l->n);
    if (!count_wanted(l, safetensors, 1) && !count_wanted(l, bins, 1)) {
        if (count_wanted(l, ggufs, 0))
            return refuse_ggufs(l, where, err);
        return error_set(err, ERROR_DATA,
                         "%s: has neither model.safetensors nor pytorch_model.bin (or their shards) nor a .gguf file "
                         "among its %zu files; choose some with --include",
                         where, l->n);
    }
    return 0;
}
