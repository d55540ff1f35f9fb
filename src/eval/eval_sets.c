/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of question-answer pairs that overlap and diversity look at: files in any of the seeds' formats, and what a run
 * has made. */
#include "eval/eval_sets.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"

#include <string.h>

void eval_set_free(struct eval_set *s)
{
    arena_free(&s->arena);
    mem_free(s->items);
    *s = (struct eval_set){0};
}

static int eval_set_add(struct eval_set *s, const char *id, const char *question, const char *answer, int kept,
                        struct error *err)
{
    if (s->n == s->cap) {
        int cap = s->cap * 2 + 64;
        struct eval_pair *items = mem_resize(s->items, (size_t)cap * sizeof *items);
        if (!items)
            return error_set_nomem(err, (size_t)cap * sizeof *items, "pairs");
        s->items = items;
        s->cap = cap;
    }
    struct buf both = BUF_INIT;
    buf_puts(&both, question);
    if (answer) {
        buf_putc(&both, ' ');
        buf_puts(&both, answer);
    }
    struct eval_pair p = {arena_strdup(&s->arena, id), arena_strdup(&s->arena, question),
                          answer ? arena_strdup(&s->arena, answer) : NULL,
                          both.failed ? NULL : arena_strdup(&s->arena, buf_text(&both)), kept};
    buf_free(&both);
    if (!p.id || !p.question || !p.text || (answer && !p.answer))
        return error_set_nomem(err, strlen(question), "pairs");
    s->items[s->n++] = p;
    return 0;
}

int eval_set_read(struct eval_set *s, const char *name, struct record_source source, struct error *err)
{
    struct seeds seeds = {0};
    s->name = name;
    int rc = seeds_read_fields(&seeds, source, 0, err);
    for (int i = 0; i < seeds.n && !rc; i++)
        rc = eval_set_add(s, seeds.items[i].id, seeds.items[i].question, seeds.items[i].answer, 1, err);
    seeds_free(&seeds);
    return rc;
}

static int read_generated(struct eval_set *s, const char *path, struct error *err)
{
    struct jsonl *r = NULL;
    json_t *row = NULL;
    int rc = jsonl_open(&r, path, err), more = 1;
    while (!rc && (more = jsonl_next(r, &row, err)) == 1) {
        const char *question = json_string_value(json_object_get(row, "question")),
                   *id = json_string_value(json_object_get(row, "id"));
        const json_t *kept = json_object_get(row, "kept");
        rc = eval_set_add(s, id ? id : "", question ? question : "", json_string_value(json_object_get(row, "answer")),
                          !kept || json_is_true(kept), err);
        json_decref(row);
    }
    jsonl_close(r);
    return !rc && more < 0 ? more : rc;
}

int eval_set_read_run(struct eval_set *s, const char *path, struct error *err)
{
    int rc = 0;
    s->name = "generated";
    if (!file_is_directory(path))
        return read_generated(s, path, err);
    for (int round = 1; !rc; round++) {
        struct buf file = BUF_INIT;
        buf_printf(&file, "%s/round-%d/generated.jsonl", path, round);
        int there = !file.failed && file_exists(file.data);
        rc = file.failed ? error_set_nomem(err, 64, "path") : 0;
        if (there)
            rc = read_generated(s, file.data, err);
        if (there && !rc && s->n_round < EVAL_MAX_ROUND)
            s->round_end[s->n_round++] = s->n;
        buf_free(&file);
        if (!there)
            break;
    }
    if (rc || s->n_round)
        return rc;
    return error_set(err, ERROR_NOINPUT,
                     "%s: no round-1/generated.jsonl; wanted a run directory of isara align, or a generated.jsonl",
                     path);
}
