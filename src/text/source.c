/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to the two documents that tokenizer_build reads. */
#include "text/tokenizer_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tokenizer_source_free(struct tokenizer_source *s)
{
    json_decref(s->json);
    json_decref(s->config);
    *s = (struct tokenizer_source){0};
}

/* Configs hold model_max_length 1e30 written out, which is no integer to jansson: flags says to read numbers as reals. */
static int load_json(json_t **out, const char *path, size_t flags, struct error *err)
{
    json_error_t why;
    if (access(path, R_OK))
        return error_set_errno(err, "%s", path);
    *out = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags, &why);
    if (!*out)
        return error_set(err, ERROR_DATA, "%s: line %d, column %d: %s", path, why.line, why.column, why.text);
    return 0;
}

/* Loads name beside the file (or in the directory) path; absent is fine. */
static int load_beside(json_t **out, const char *dir, size_t n_dir, const char *name, size_t flags, struct error *err)
{
    struct buf path = BUF_INIT;
    buf_append(&path, dir, n_dir);
    if (n_dir)
        buf_putc(&path, '/');
    buf_puts(&path, name);
    int rc = 0;
    if (path.failed)
        rc = error_set_nomem(err, n_dir, "a path");
    else if (!access(path.data, F_OK))
        rc = load_json(out, path.data, flags, err);
    buf_free(&path);
    return rc;
}

static size_t dir_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

int tokenizer_source_load(struct tokenizer_source *out, const char *path, struct error *err)
{
    struct stat st;
    int rc = 0;
    if (stat(path, &st))
        return error_set_errno(err, "%s", path);
    size_t n_dir = S_ISDIR(st.st_mode) ? strlen(path) : dir_length(path);
    if (S_ISDIR(st.st_mode)) {
        rc = load_beside(&out->json, path, n_dir, "tokenizer.json", 0, err);
        if (!rc && !out->json)
            rc = error_set(err, ERROR_NOINPUT, "%s: no tokenizer here: wanted tokenizer.json", path);
    } else {
        rc = load_json(&out->json, path, 0, err);
    }
    if (!rc)
        rc = load_beside(&out->config, path, n_dir, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL, err);
    if (rc)
        tokenizer_source_free(out);
    return rc;
}
