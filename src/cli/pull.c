/* SPDX-License-Identifier: Apache-2.0 */
/* isara pull: a model from a hub into the Hugging Face cache. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/hub_pull.h"

#include <stdio.h>
#include <string.h>

static int print_json(const char *name, const struct hub_pulled *done, struct error *err)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "model", name, "commit", done->commit, "path", done->path, "files",
                  done->n_file, "bytes", (json_int_t)done->bytes, "fetched", (json_int_t)done->fetched);
    char *text = o ? json_dumps(o, 0) : NULL;
    json_decref(o);
    if (!text)
        return error_set_nomem(err, 512, "a summary");
    puts(text);
    mem_free(text);
    return 0;
}

int verb_pull(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    const char *include[PULL_MAX_INCLUDE];
    struct hub_pulled done;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one model by the name that the hub has for it: isara pull org/name");
    for (int i = 0; i < v->n_include; i++)
        include[i] = v->include[i];
    int rc = hub_pull(
        &done, &(struct hub_pull_options){.name = options->rest[0], .include = include, .n_include = v->n_include},
        err);
    if (rc == ERROR_INTERRUPTED)
        error_prefix(err, "%s: what came is kept; the same command goes on from it", options->rest[0]);
    if (rc)
        return rc;
    log_line(LOG_INFO, "%s: %d files, %.1f MB, of which %.1f MB came now; give it to any verb as --model %s",
             options->rest[0], done.n_file, (double)done.bytes * 1e-6, (double)done.fetched * 1e-6, options->rest[0]);
    if (v->json)
        rc = print_json(options->rest[0], &done, err);
    else
        puts(done.path);
    mem_free(done.path);
    return rc;
}
