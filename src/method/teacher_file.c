/* SPDX-License-Identifier: Apache-2.0 */
/* RUN/round-t/teacher.jsonl: what the teacher gives each token of each row, one line a row in the order of the rows. A
 * line is durable before the next row is begun, and its checksum is of all else in it. */
#include "method/teacher.h"

#include "base/base64.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/sealed.h"

#include <string.h>

static json_t *base64_text(const void *bytes, size_t n)
{
    struct buf b = BUF_INIT;
    base64_encode(&b, bytes, n);
    json_t *text = b.failed ? NULL : json_stringn(buf_text(&b), b.len);
    buf_free(&b);
    return text;
}

int teacher_line(const struct teacher_record *r, json_t **out, struct error *err)
{
    size_t bytes = (size_t)r->n * (size_t)r->soft.n_top * 4;
    json_t *line = json_pack("{s:s, s:O}", "row", r->row, "contexts", r->contexts);
    int rc = line ? 0 : -1;
    if (!rc && r->error)
        rc = json_object_set_new(line, "error", json_string(r->error));
    if (!rc && !r->error)
        rc = json_object_set_new(line, "ids", base64_text(r->ids, (size_t)r->n * 4)) ||
             json_object_set_new(line, "n_top", json_integer(r->soft.n_top)) ||
             json_object_set_new(line, "top_ids", base64_text(r->soft.ids, bytes)) ||
             json_object_set_new(line, "top_logprobs", base64_text(r->soft.logprobs, bytes));
    rc = rc ? error_set_nomem(err, bytes, "a teacher's line") : sealed_close(line, err);
    if (rc) {
        json_decref(line);
        line = NULL;
    }
    *out = line;
    return rc;
}

/* Exactly n bytes, spelt in the member; mem_free. */
static void *read_bytes(const json_t *line, const char *key, size_t n)
{
    struct buf b = BUF_INIT;
    const char *text = json_string_value(json_object_get(line, key));
    if (text && !base64_decode(&b, text, strlen(text)) && b.len == n)
        return buf_take(&b);
    buf_free(&b);
    return NULL;
}

static int bad_line(const struct jsonl *in, const char *what, struct error *err)
{
    return error_set(err, ERROR_DATA, "%s:%ld: %s; put the file back, or delete it to have the teacher asked again",
                     jsonl_name(in), jsonl_line(in), what);
}

/* The row's targets, one after the other, in ids; returns how many. */
int teacher_targets(const struct train_row *row, int32_t *ids)
{
    int n = 0;
    for (int j = 1; j < row->n; j++)
        if (row->target[j])
            ids[n++] = row->ids[j];
    return n;
}

/* What a line says of a row, which it must be about. */
static int use_line(const struct jsonl *in, json_t *line, struct train_data *data, const struct teacher_row *row,
                    struct error *err)
{
    const struct train_row *r = &data->rows[row->row];
    const char *name = json_string_value(json_object_get(line, "row"));
    json_int_t n_top = json_integer_value(json_object_get(line, "n_top"));
    int whole, rc = sealed_open(line, &whole, err);
    if (rc)
        return rc;
    if (!whole)
        return bad_line(in, "its checksum is not that of the line", err);
    if (!name || strcmp(name, r->id))
        return bad_line(in, "it is not about the row that the run has here", err);
    if (json_object_get(line, "error") || !row->learns)
        return 0;
    int32_t *ids = mem_alloc((size_t)r->n * sizeof *ids);
    int n = ids ? teacher_targets(r, ids) : 0;
    size_t bytes = (size_t)n * (size_t)n_top * 4;
    void *found = n_top > 0 && n_top <= DIVERGENCE_MAX_TOP ? read_bytes(line, "ids", (size_t)n * 4) : NULL;
    const struct soft_targets soft = {(int)n_top, found ? read_bytes(line, "top_ids", bytes) : NULL,
                                      found ? read_bytes(line, "top_logprobs", bytes) : NULL};
    if (!ids)
        rc = error_set_nomem(err, (size_t)r->n * sizeof *ids, "a row's targets");
    else if (!soft.ids || !soft.logprobs || memcmp(found, ids, (size_t)n * 4))
        rc = bad_line(in, "its tokens are not those of the row", err);
    else
        rc = train_data_set_soft(data, row->row, &soft, err);
    mem_free(ids);
    mem_free(found);
    mem_free(soft.ids);
    mem_free(soft.logprobs);
    return rc;
}

int teacher_read(const char *path, struct train_data *data, const struct teacher_row *rows, int n, int *n_read,
                 struct error *err)
{
    struct jsonl *in = NULL;
    json_t *line = NULL;
    int more = 0;
    *n_read = 0;
    if (!file_exists(path))
        return 0;
    int rc = jsonl_open(&in, path, err);
    while (!rc && (more = jsonl_next(in, &line, err)) == 1) {
        rc = *n_read < n ? use_line(in, line, data, &rows[*n_read], err)
                         : bad_line(in, "there are more lines than rows", err);
        ++*n_read;
        json_decref(line);
    }
    jsonl_close(in);
    return rc || more >= 0 ? rc : more;
}

int teacher_find(const char *path, const char *row, json_t **line, struct error *err)
{
    struct jsonl *in = NULL;
    int more = 0, rc = file_exists(path) ? jsonl_open(&in, path, err) : 0;
    *line = NULL;
    while (in && !rc && !*line && (more = jsonl_next(in, line, err)) == 1) {
        const char *name = json_string_value(json_object_get(*line, "row"));
        if (!name || strcmp(name, row)) {
            json_decref(*line);
            *line = NULL;
        }
    }
    jsonl_close(in);
    return rc || more >= 0 ? rc : more;
}
