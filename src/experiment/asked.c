/* SPDX-License-Identifier: Apache-2.0 */
/* First rounds that alignments have in common: whoever asks and answers as another one did takes its attempts from
 * there (align's --attempts-from), whichever experiment that one was done for. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>

static char *entry_path(const struct experiment *x, const struct job *j)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/work/asked/%.16s.json", x->o.output, j->asking);
    return buf_take(&b);
}

/* Its job's name and attempts; *name is empty when there is none, or when it is no more. */
static int read_entry(const struct experiment *x, const struct job *j, char name[17], int *attempts, struct error *err)
{
    char *path = entry_path(x, j);
    json_t *entry = NULL;
    struct buf done = BUF_INIT;
    int rc = path ? 0 : error_set_nomem(err, 64, "a path");
    if (!rc && file_exists(path))
        rc = jsontext_load(&entry, path, 1 << 16, err);
    const char *job = json_string_value(json_object_get(entry, "job"));
    snprintf(name, 17, "%.16s", job ? job : "");
    *attempts = (int)json_integer_value(json_object_get(entry, "attempts"));
    buf_printf(&done, "%s/work/%s/done.json", x->o.output, name);
    if (!rc && done.failed)
        rc = error_set_nomem(err, 64, "a path");
    if (!rc && !file_exists(done.data))
        *name = 0;
    json_decref(entry);
    buf_free(&done);
    mem_free(path);
    return rc;
}

int asked_find(const struct experiment *x, const struct job *j, char **run, struct error *err)
{
    char name[17];
    int attempts, rc = read_entry(x, j, name, &attempts, err);
    struct buf b = BUF_INIT;
    *run = NULL;
    if (rc || !*name || !strncmp(name, j->hash, 16))
        return rc;
    buf_printf(&b, "%s/work/%s/run", x->o.output, name);
    *run = buf_take(&b);
    return *run ? 0 : error_set_nomem(err, 64, "a path");
}

int asked_put(const struct experiment *x, const struct job *j, struct error *err)
{
    char name[17], *path = entry_path(x, j), *directory = path ? path_join(x->o.output, "work/asked") : NULL;
    int attempts, rc = directory ? read_entry(x, j, name, &attempts, err) : error_set_nomem(err, 64, "a path");
    if (!rc && (!*name || attempts < j->plan.attempts)) {
        json_t *entry = json_pack("{s:s%, s:i}", "job", j->hash, (size_t)16, "attempts", j->plan.attempts);
        rc = entry ? dirs_make(directory, err) : error_set_nomem(err, 64, "a job");
        rc = rc ? rc : jsontext_write(path, entry, err);
        json_decref(entry);
    }
    mem_free(directory);
    mem_free(path);
    return rc;
}
