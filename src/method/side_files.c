/* SPDX-License-Identifier: Apache-2.0 */
/* A round's model is more than its weights: configuration, tokenizer and templates decide too what it asks and answers. Their hashes stand in the journal as the
 * fact round-N-files, and are compared before the model is used again. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/jsontext.h"

#include <string.h>

/* SHA-256 of what else decides what the round's model computes, by name; new reference. */
static int side_files(struct align *a, json_t **out, struct error *err)
{
    struct checkpoint *ck = NULL;
    char *path = align_model_path(a, a->round);
    *out = json_object();
    int rc = path && *out ? checkpoint_open(&ck, path, err) : error_set_nomem(err, 256, "a path");
    if (!rc)
        rc = checkpoint_side_sha256(ck, "", *out, err);
    checkpoint_close(ck);
    mem_free(path);
    return rc;
}

static void side_fact(const struct align *a, char name[40])
{
    snprintf(name, 40, "round-%d-files", a->round);
}

int align_note_side_files(struct align *a, struct error *err)
{
    json_t *files;
    struct buf text = BUF_INIT;
    char name[40];
    side_fact(a, name);
    int rc = side_files(a, &files, err);
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
static int compare_side_files(const struct align *a, const json_t *wanted, const json_t *found, struct error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)wanted, key, v)
        if (!json_equal(v, json_object_get(found, key)))
            return error_set(err, ERROR_DATA, "round-%d/model/%s: was %s since the run made it; put it back, or delete the model's directory to have it made again", a->round, key,
                             json_object_get(found, key) ? "changed" : "taken away");
    json_object_foreach((json_t *)found, key, v)
        if (!json_object_get(wanted, key))
            return error_set(err, ERROR_DATA, "round-%d/model/%s: was added since the run made the model; take it away", a->round, key);
    return 0;
}

int align_check_side_files(struct align *a, struct error *err)
{
    const char *text = NULL;
    char name[40];
    json_t *wanted = NULL, *found = NULL;
    side_fact(a, name);
    int rc = run_get_fact(a->run, name, &text, &a->arena, err);
    if (rc || !text)
        return rc; /* an older build's round */
    rc = jsontext_parse(&wanted, text, strlen(text), name, 1, NULL, err);
    if (!rc)
        rc = side_files(a, &found, err);
    if (!rc)
        rc = compare_side_files(a, wanted, found, err);
    json_decref(wanted);
    json_decref(found);
    return rc;
}
