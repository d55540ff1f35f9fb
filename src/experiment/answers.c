/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that one evaluation has made, for another that judges the same ones. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <string.h>

/* A line of the journal as a record of outputs; what is no answer leaves nothing. */
static int add_line(struct buf *out, const json_t *line, struct error *err)
{
    const char *stage = json_string_value(json_object_get(line, "stage"));
    const json_t *row = json_object_get(line, "row");
    if (!stage || strcmp(stage, "answer") || !json_is_string(json_object_get(row, "text")))
        return 0;
    const char *finish = json_is_true(json_object_get(row, "ended")) ? "stop" : "length";
    json_t *record = json_pack("{s:O, s:O, s:s}", "question", json_object_get(row, "question"), "answer",
                               json_object_get(row, "text"), "finish_reason", finish);
    int rc = jsontext_dump(out, record, 0, err);
    buf_putc(out, '\n');
    json_decref(record);
    return rc;
}

int answers_write(const struct experiment *x, const struct job *from, const char *path, struct error *err)
{
    struct buf out = BUF_INIT;
    json_t *lines = NULL, *line;
    size_t i;
    char *journal = job_file(x, from, "eval/journal.jsonl");
    int rc = journal ? jsonl_load(&lines, journal, err) : error_set_nomem(err, 64, "a path");
    json_array_foreach(lines, i, line) rc = rc ? rc : add_line(&out, line, err);
    if (!rc)
        rc = out.failed ? error_set_nomem(err, out.len, "answers") : file_write(path, buf_text(&out), out.len, err);
    json_decref(lines);
    buf_free(&out);
    mem_free(journal);
    return rc;
}
