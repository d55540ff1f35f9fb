/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of question-answer pairs that overlap and diversity look at: files in any of the seeds' formats, and what a run
 * has made. */
#include "eval/eval_sets.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/record.h"
#include "io/record_reader.h"

#include <stdio.h>
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

/* An attempt that was sifted out may be one because it has no question: it counts all the same. */
static int add_generated(struct eval_set *s, const struct record_reader *in, const json_t *record, struct error *err)
{
    const int kept = !record_is_left_out(record);
    const struct record_shape *shape = record_shape(record, 0);
    struct record_pair pair = {.n_more = 0};
    char room[24];
    const char *id = record_id(record, record_reader_number(in), room);
    int rc = shape ? record_pair(&pair, record, shape, err) : 0;
    if (!rc && !pair.question.len && (kept || !json_object_get(record, "question")))
        rc = shape ? error_set(err, ERROR_DATA, "the question is empty or missing; wanted some text")
                   : record_refuse(record, err);
    if (!rc)
        rc = eval_set_add(s, id, buf_text(&pair.question), pair.has_answer ? buf_text(&pair.answer) : NULL, kept, err);
    s->n_further += pair.n_more > 0;
    record_pair_free(&pair);
    return rc;
}

static int read_generated(struct eval_set *s, struct record_source source, struct error *err)
{
    struct record_reader *in = NULL;
    json_t *record = NULL;
    int rc = record_reader_open(&in, source, err);
    if (!rc)
        record_reader_take_all(in);
    while (!rc && (rc = record_reader_next(in, &record, err)) == 1) {
        rc = record_reader_explain(in, add_generated(s, in, record, err), err);
        json_decref(record);
    }
    record_reader_close(in);
    if (!rc && s->n_further)
        log_line(LOG_WARNING, "%s: %d records have further turns, of which only the first question and answer are read",
                 source.path, s->n_further);
    return rc;
}

int eval_set_read_run(struct eval_set *s, struct record_source source, struct error *err)
{
    const char *path = source.path;
    int rc = 0;
    s->name = "generated";
    if (!file_is_directory(path))
        return read_generated(s, source, err);
    for (int round = 1; !rc; round++) {
        struct buf file = BUF_INIT;
        buf_printf(&file, "%s/round-%d/generated.jsonl", path, round);
        int there = !file.failed && file_exists(file.data);
        rc = file.failed ? error_set_nomem(err, 64, "path") : 0;
        if (there)
            rc = read_generated(s, (struct record_source){.path = file.data}, err);
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
