/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of a classifier that is about to be made, from the rows it will be trained on. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

static int add_label(struct train_labels *l, const char *name, const char *path, struct error *err)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->names[i], name))
            return 0;
    if (l->n == MODEL_MAX_LABEL || strlen(name) >= sizeof l->names[0])
        return error_set(err, ERROR_DATA, "%s: label \"%.80s\": wanted at most %d labels of at most %zu bytes", path,
                         name, MODEL_MAX_LABEL, sizeof l->names[0] - 1);
    snprintf(l->names[l->n++], sizeof l->names[0], "%s", name);
    return 0;
}

static int add_value(struct train_labels *l, const json_t *v, int *greatest, const char *path, struct error *err)
{
    if (json_is_string(v))
        return add_label(l, json_string_value(v), path, err);
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < MODEL_MAX_LABEL) {
        *greatest = json_integer_value(v) > *greatest ? (int)json_integer_value(v) : *greatest;
        return 0;
    }
    return error_set(err, ERROR_DATA, "%s: a label is neither a name nor a number from 0 to %d", path,
                     MODEL_MAX_LABEL - 1);
}

static int add_record(struct train_labels *l, json_t *record, int *greatest, const char *path, struct error *err)
{
    const json_t *list = json_object_get(record, "labels"), *one = json_object_get(record, "label"), *v;
    json_t *category = json_object_get(record, "category");
    const char *name;
    size_t i;
    int rc = 0;
    json_array_foreach(list, i, v) rc = rc ? rc : add_value(l, v, greatest, path, err);
    if (!rc && !list && one)
        rc = add_value(l, one, greatest, path, err);
    if (!list && !one && json_is_object(category)) {
        json_t *ignored;
        json_object_foreach(category, name, ignored) rc = rc ? rc : add_label(l, name, path, err);
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int train_labels_read(struct train_labels *out, const char *path, struct error *err)
{
    struct record_reader *in = NULL;
    json_t *record = NULL;
    int greatest = -1, ordered = 0, n = 0, rc;
    *out = (struct train_labels){0};
    if (!strcmp(path, "-"))
        return error_set(
            err, ERROR_USAGE,
            "--data -: the labels of a new classifier are read from the rows first, so they must be a file");
    rc = record_reader_open(&in, (struct record_source){.path = path}, err);
    while (!rc && (rc = record_reader_next(in, &record, err)) == 1) {
        if (!n++) {
            out->problem = !json_object_get(record, "labels") && json_object_get(record, "label") ? PROBLEM_SINGLE_LABEL
                                                                                                  : PROBLEM_MULTI_LABEL;
            ordered = json_is_object(json_object_get(record, "category"));
        }
        rc = add_record(out, record, &greatest, path, err);
        json_decref(record);
    }
    record_reader_close(in);
    if (rc < 0)
        return rc;
    if (out->n && greatest >= 0)
        return error_set(err, ERROR_DATA, "%s: some labels are names and some numbers", path);
    for (; out->n <= greatest; out->n++)
        snprintf(out->names[out->n], sizeof out->names[0], "LABEL_%d", out->n);
    if (!ordered && greatest < 0)
        qsort(out->names, (size_t)out->n, sizeof out->names[0], by_name);
    if (out->n < 1 || (out->problem == PROBLEM_SINGLE_LABEL && out->n < 2))
        return error_set(err, ERROR_DATA, "%s: wanted rows with \"labels\", \"label\" or \"category\", found %d labels",
                         path, out->n);
    return 0;
}
