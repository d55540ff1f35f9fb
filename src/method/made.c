/* SPDX-License-Identifier: Apache-2.0 */
/* Models that the run makes by tuning, the rounds' and the controls': made once, and looked at before they are used
 * again. The journal has the hash of the weights; a model is more than those: configuration, tokenizer and templates
 * decide too what it asks and answers, and their hashes are the journal's fact files-NAME. */
#include "method/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>

char *align_made_path(const struct align *a, const char *name)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s/model", a->o.output, name);
    return buf_take(&b);
}

/* SHA-256 of what stands beside the weights, by name; new reference. */
static int side_files(const char *directory, json_t **out, struct error *err)
{
    struct checkpoint *ck = NULL;
    *out = json_object();
    int rc = *out ? checkpoint_open(&ck, directory, err) : error_set_nomem(err, 64, "hashes of a model's files");
    if (!rc)
        rc = checkpoint_side_sha256(ck, "", *out, err);
    checkpoint_close(ck);
    return rc;
}

static void side_fact(const struct made_model *m, char name[80])
{
    snprintf(name, 80, "files-%s", m->name);
}

static int note_side_files(struct align *a, const struct made_model *m, const char *directory, struct error *err)
{
    json_t *files;
    struct buf text = BUF_INIT;
    char name[80];
    side_fact(m, name);
    int rc = side_files(directory, &files, err);
    if (!rc)
        rc = jsontext_dump(&text, files, 0, err);
    char *line = rc ? NULL : buf_take(&text);
    if (!rc)
        rc = line ? run_put_fact(a->run, name, line, err) : error_set_nomem(err, text.len, name);
    json_decref(files);
    mem_free(line);
    buf_free(&text);
    return rc;
}

/* Names the first file that is not what it was. */
static int compare_side_files(const char *directory, const json_t *wanted, const json_t *found, struct error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)wanted, key, v) if (!json_equal(v, json_object_get(found, key))) return error_set(
        err, ERROR_DATA,
        "%s/%s: was %s since the run made it; put it back, or delete the model's directory to "
        "have it made again",
        directory, key, json_object_get(found, key) ? "changed" : "taken away");
    json_object_foreach((json_t *)found, key, v) if (!json_object_get(wanted, key)) return error_set(
        err, ERROR_DATA, "%s/%s: was added since the run made the model; take it away", directory, key);
    return 0;
}

static int check_side_files(struct align *a, const struct made_model *m, const char *directory, struct error *err)
{
    const char *text = NULL;
    char name[80];
    json_t *wanted = NULL, *found = NULL;
    side_fact(m, name);
    int rc = run_get_fact(a->run, name, &text, &a->arena, err);
    if (rc || !text)
        return rc; /* made by an older build */
    rc = jsontext_parse(&wanted, jsontext_whole(text, strlen(text), name), NULL, err);
    if (!rc)
        rc = side_files(directory, &found, err);
    if (!rc)
        rc = compare_side_files(directory, wanted, found, err);
    json_decref(wanted);
    json_decref(found);
    return rc;
}

/* Tuned again after it was deleted. */
static int make_again(struct align *a, const struct made_model *m, const char *directory, struct error *err)
{
    struct made_model found = *m;
    log_line(LOG_WARNING, "%s: is not there any more; %s is tuned again from the journal", directory, m->name);
    int rc = align_tune(a, &found, directory, err);
    if (rc || !strcmp(m->sha256, found.sha256))
        return rc;
    return error_set(err, ERROR_DATA,
                     "%s: tuned again, it is another model than the one the run made (sha256 %.16s, wanted %.16s); "
                     "seeds, settings or program are not what they were",
                     directory, found.sha256, m->sha256);
}

static int check_weights(const struct made_model *m, const char *directory, struct error *err)
{
    char found[65];
    struct error why = {0};
    int rc = align_model_sha256(directory, found, &why);
    if (rc)
        return error_set(err, rc, "%s: %s; delete %s to have it made again", m->name, why.message, directory);
    if (!strcmp(m->sha256, found))
        return 0;
    return error_set(err, ERROR_DATA,
                     "%s: was changed since the run made it (sha256 %.16s, wanted %.16s); put the model back, or "
                     "delete the directory to have it made again",
                     directory, found, m->sha256);
}

int align_make_model(struct align *a, struct made_model *m, struct error *err)
{
    char *directory = align_made_path(a, m->name);
    char *weights = directory ? path_join(directory, "model.safetensors") : NULL,
         *adapter = directory ? path_join(directory, "adapter_model.safetensors") : NULL;
    int rc = weights && adapter ? 0 : error_set_nomem(err, 256, "a path");
    if (!rc && !m->sha256[0]) {
        rc = align_tune(a, m, directory, err);
        rc = rc ? rc : note_side_files(a, m, directory, err);
    } else if (!rc) {
        rc = file_exists(weights) || file_exists(adapter) ? check_weights(m, directory, err)
                                                          : make_again(a, m, directory, err);
        rc = rc ? rc : check_side_files(a, m, directory, err);
    }
    mem_free(directory);
    mem_free(weights);
    mem_free(adapter);
    return rc;
}
