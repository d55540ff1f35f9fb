/* SPDX-License-Identifier: Apache-2.0 */
/* The layout is huggingface_hub's: models--ORG--NAME/refs/REVISION holds a commit, snapshots/COMMIT/ the files. */
#include "io/hub.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

char *hub_cache(void)
{
    static const char *direct[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"};
    struct buf b = BUF_INIT;
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(direct[i]);
        if (v && *v)
            return mem_strdup(v);
    }
    const char *hf = getenv("HF_HOME"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (hf && *hf)
        buf_printf(&b, "%s/hub", hf);
    else if (xdg && *xdg)
        buf_printf(&b, "%s/huggingface/hub", xdg);
    else if (home && *home)
        buf_printf(&b, "%s/.cache/huggingface/hub", home);
    else
        return NULL;
    return buf_take(&b);
}

/* [A-Za-z0-9._-]+ that is not made of dots only. */
static size_t name_part(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return strspn(s, ".") == n ? 0 : n;
}

/* The commit that a branch or tag means; a revision without such a file is a commit itself. */
static void read_ref(const char *repo, const char *revision, struct buf *commit)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/refs/%s", repo, revision);
    int rc = path.failed ? ERROR_NOMEM : file_read(commit, path.data, 4096, NULL);
    buf_free(&path);
    while (!rc && commit->len && strchr("\r\n ", commit->data[commit->len - 1]))
        commit->data[--commit->len] = 0;
    if (rc == ERROR_NOMEM) {
        commit->failed = 1;
    } else if (rc || !name_part(commit->data) || commit->data[name_part(commit->data)]) {
        buf_reset(commit);
        buf_puts(commit, revision);
    }
}

static int split_name(struct hub_name *n, const char *text)
{
    size_t org = name_part(text), name = org && text[org] == '/' ? name_part(text + org + 1) : 0;
    const char *rest = name ? text + org + 1 + name : "?";
    if (*rest && !(*rest == '@' && name_part(rest + 1) && !rest[1 + name_part(rest + 1)]))
        return -1;
    *n = (struct hub_name){text, text + org + 1, *rest ? rest + 1 : "main", (int)org, (int)name};
    return 0;
}

int hub_name_parse(struct hub_name *out, const char *text, struct error *err)
{
    return split_name(out, text)
               ? error_set(err, ERROR_USAGE, "\"%s\": wanted org/name or org/name@revision, as the hub calls a model",
                           text)
               : 0;
}

/* A snapshot whose only weights are one GGUF file means that file. */
static int prefer_gguf(char **path, struct error *err)
{
    DIR *d = opendir(*path);
    char *file = NULL;
    int n_weights = 0, rc = 0;
    for (struct dirent *e; !rc && d && (e = readdir(d));) {
        int gguf = path_ends_in(e->d_name, ".gguf");
        if (!gguf && !path_ends_in(e->d_name, ".safetensors") && !path_ends_in(e->d_name, ".bin"))
            continue;
        if (!n_weights++ && gguf && !(file = path_join(*path, e->d_name)))
            rc = error_set_nomem(err, strlen(*path), "the Hugging Face cache's path");
    }
    if (d)
        closedir(d);
    if (n_weights == 1 && file) {
        mem_free(*path);
        *path = file;
        return 0;
    }
    mem_free(file);
    return rc;
}

static int find_snapshot(char **out, const char *path, const struct hub_name *n, struct error *err)
{
    char *cache = hub_cache();
    struct buf repo = BUF_INIT, commit = BUF_INIT, snapshot = BUF_INIT;
    int rc = 0;
    buf_printf(&repo, "%s/models--%.*s--%.*s", cache ? cache : "", n->n_org, n->org, n->n_name, n->name);
    if (!cache || repo.failed) {
        rc = error_set_nomem(err, repo.len, "the Hugging Face cache's path");
    } else if (file_is_directory(repo.data)) {
        read_ref(repo.data, n->revision, &commit);
        buf_printf(&snapshot, "%s/snapshots/%s", repo.data, commit.failed ? "" : commit.data);
        if (commit.failed || snapshot.failed)
            rc = error_set_nomem(err, snapshot.len, "the Hugging Face cache's path");
        else if (file_is_directory(snapshot.data) && !(*out = mem_strdup(snapshot.data)))
            rc = error_set_nomem(err, snapshot.len, "the Hugging Face cache's path");
    }
    if (!rc && !*out)
        rc = error_set(err, ERROR_NOINPUT,
                       "%s: no such file or directory, and revision %s of that name is not in the Hugging Face cache "
                       "%s; download it there with: isara pull %s",
                       path, n->revision, cache, path);
    buf_free(&repo);
    buf_free(&commit);
    buf_free(&snapshot);
    mem_free(cache);
    return rc;
}

int hub_resolve(char **out, const char *path, struct error *err)
{
    *out = NULL;
    if (file_exists(path)) {
        *out = mem_strdup(path);
        return *out ? 0 : error_set_nomem(err, strlen(path) + 1, path);
    }
    struct hub_name name;
    if (split_name(&name, path))
        return error_set(err, ERROR_NOINPUT,
                         "%s: no such file or directory; wanted a model directory, a .gguf file, or a name like "
                         "org/name from the Hugging Face cache",
                         path);
    int rc = find_snapshot(out, path, &name, err);
    if (!rc && (rc = prefer_gguf(out, err))) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}
