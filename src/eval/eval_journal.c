/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation's journal: an append-only file of {"stage","index","row"} under a head line of settings. A torn last
 * line is cut off when it is opened again. */
#include "eval/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/appender.h"
#include "io/file.h"
#include "io/jsonl.h"

#include <stdlib.h>
#include <string.h>

struct eval_journal {
    json_t *stages;        /* stage -> {index as text -> row} */
    struct appender *file; /* NULL: in memory only */
};

static void place_name(int index, char name[16])
{
    snprintf(name, 16, "%d", index);
}

const json_t *eval_journal_get(const struct eval_journal *j, const char *stage, int index)
{
    char name[16];
    place_name(index, name);
    return json_object_get(json_object_get(j->stages, stage), name);
}

int eval_journal_count(const struct eval_journal *j, const char *stage)
{
    return (int)json_object_size(json_object_get(j->stages, stage));
}

static int remember_row(struct eval_journal *j, const char *stage, int index, json_t *row, struct error *err)
{
    char name[16];
    json_t *rows = json_object_get(j->stages, stage);
    place_name(index, name);
    if (!rows && json_object_set_new(j->stages, stage, rows = json_object()))
        rows = NULL;
    return rows && row && !json_object_set(rows, name, row) ? 0 : error_set_nomem(err, 64, "a journal's row");
}

int eval_journal_put(struct eval_journal *j, const char *stage, int index, json_t *row, struct error *err)
{
    int rc = 0;
    if (eval_journal_get(j, stage, index)) {
        json_decref(row);
        return 0;
    }
    if (j->file) {
        json_t *line = json_pack("{s:s, s:i, s:O}", "stage", stage, "index", index, "row", row);
        rc = line ? appender_append_json(j->file, line, err) : error_set_nomem(err, 64, "a journal's row");
        json_decref(line);
    }
    rc = rc ? rc : remember_row(j, stage, index, row, err);
    json_decref(row);
    return rc;
}

/* Names the first setting that differs. */
static int compare_settings(const json_t *had, const json_t *now, const char *path, struct error *err)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)now, name, value) if (!json_equal(value, json_object_get(had, name)))
    {
        char *a = json_dumps(json_object_get(had, name), JSON_ENCODE_ANY), *b = json_dumps(value, JSON_ENCODE_ANY);
        int rc =
            error_set(err, ERROR_DATA,
                      "%s: was begun with %s = %.200s, now it is %.200s; use the same settings or another --output",
                      path, name, a ? a : "nothing", b ? b : "nothing");
        free(a);
        free(b);
        return rc;
    }
    json_object_foreach((json_t *)had, name, value) if (!json_object_get(now, name)) return error_set(
        err, ERROR_DATA, "%s: was begun with %s, now there is none; use the same settings or another --output", path,
        name);
    return 0;
}

static int read_rows(struct eval_journal *j, const char *path, const json_t *settings, int *begun, struct error *err)
{
    struct jsonl *reader = NULL;
    json_t *line = NULL;
    int rc = jsonl_open(&reader, path, err), more = 0;
    while (!rc && (more = jsonl_next(reader, &line, err)) == 1) {
        const char *stage = json_string_value(json_object_get(line, "stage"));
        const json_t *row = json_object_get(line, "row"), *head = json_object_get(line, "settings");
        if (!*begun)
            rc = head ? compare_settings(head, settings, path, err)
                      : error_set(err, ERROR_DATA, "%s: is not a journal of isara eval", path);
        else if (!stage || !row)
            rc = error_set(err, ERROR_DATA, "%s:%ld: wanted a journal's row", path, jsonl_line(reader));
        else
            rc = remember_row(j, stage, (int)json_integer_value(json_object_get(line, "index")), (json_t *)row, err);
        *begun = 1;
        json_decref(line);
    }
    jsonl_close(reader);
    return rc ? rc : more;
}

static int open_file(struct eval_journal *j, const char *directory, const json_t *settings, struct error *err)
{
    char *path = path_join(directory, "journal.jsonl");
    int begun = 0, rc = path ? dirs_make(directory, err) : error_set_nomem(err, strlen(directory), "path");
    if (!rc)
        rc = appender_open(&j->file, path, 1, err); /* cuts a torn line */
    if (!rc)
        rc = read_rows(j, path, settings, &begun, err);
    if (!rc && !begun) {
        json_t *head = json_pack("{s:O}", "settings", settings);
        rc = head ? appender_append_json(j->file, head, err) : error_set_nomem(err, 64, "settings");
        json_decref(head);
    }
    mem_free(path);
    return rc;
}

int eval_journal_file(json_t *settings, const char *name, const char *path, struct error *err)
{
    char hex[65];
    if (!path || !strcmp(path, "-"))
        return 0;
    int rc = sha256_file(path, hex, err);
    return rc || !json_object_set_new(settings, name, json_string(hex)) ? rc : error_set_nomem(err, 64, "settings");
}

int eval_journal_open(struct eval_journal **out, const char *directory, const json_t *settings, struct error *err)
{
    struct eval_journal *j = mem_calloc(1, sizeof *j);
    int rc = j && (j->stages = json_object()) ? 0 : error_set_nomem(err, sizeof *j, "a journal");
    if (!rc && directory)
        rc = open_file(j, directory, settings, err);
    if (rc)
        eval_journal_close(j);
    else
        *out = j;
    return rc;
}

void eval_journal_close(struct eval_journal *j)
{
    if (!j)
        return;
    json_decref(j->stages);
    appender_close(j->file);
    mem_free(j);
}
