/* SPDX-License-Identifier: Apache-2.0 */
/* --on-policy: the student, which is the model that will be tuned, writes the answers of its rows itself, from the bare
 * question; the teacher is then asked about those. RUN/round-t/student.jsonl has a line for each, durable when it is
 * written, in the order in which they were finished. */
#include "method/teacher.h"

#include "base/mem.h"
#include "io/appender.h"
#include "io/jsonl.h"
#include "io/sealed.h"

#include <string.h>

enum { STREAM_STUDENT = 1 << 20 }; /* + the round */

struct writing {
    struct align *a;
    struct pool_item *items;
    int n, round;
    unsigned char *done; /* [n] */
    struct appender *file;
};

static int is_of(const struct writing *w, int i)
{
    int round = w->items[i].round;
    return round ? round == w->round : w->round == w->a->round;
}

/* An answer that did not end by itself, or is empty, leaves the row as it was. */
static int use_text(struct writing *w, int i, const char *text, int ended, struct error *err)
{
    w->done[i] = 1;
    if (!text || !*text || !ended || !is_of(w, i))
        return 0;
    const char *copy = arena_strdup(&w->a->round_arena, text);
    if (!copy)
        return error_set_nomem(err, strlen(text), "a student's answer");
    w->items[i].answer = copy;
    return 0;
}

static int put_text(void *user, int i, const struct spoken *t, struct error *err)
{
    struct writing *w = user;
    char name[40];
    pool_name(&w->items[i], name);
    json_t *line = json_pack("{s:s, s:s?, s:b}", "row", name, "answer", t->text, "ended", t->ended);
    int rc = line ? sealed_close(line, err) : error_set_nomem(err, 64, "a student's line");
    rc = rc ? rc : appender_append_json(w->file, line, err);
    json_decref(line);
    return rc ? rc : use_text(w, i, t->text, t->ended, err);
}

static int bad_line(const struct jsonl *in, const char *what, struct error *err)
{
    return error_set(err, ERROR_DATA, "%s:%ld: %s; put the file back, or delete it to have the answers written again",
                     jsonl_name(in), jsonl_line(in), what);
}

static int item_named(const struct writing *w, const char *name)
{
    for (int i = 0; name && i < w->n; i++) {
        char own[40];
        pool_name(&w->items[i], own);
        if (!strcmp(name, own))
            return i;
    }
    return -1;
}

static int read_line(struct writing *w, const struct jsonl *in, json_t *line, struct error *err)
{
    int whole, rc = sealed_open(line, &whole, err), i = item_named(w, json_string_value(json_object_get(line, "row")));
    if (rc)
        return rc;
    if (!whole)
        return bad_line(in, "its checksum is not that of the line", err);
    if (i < 0)
        return bad_line(in, "it is not about a row of the run", err);
    return use_text(w, i, json_string_value(json_object_get(line, "answer")),
                    json_is_true(json_object_get(line, "ended")), err);
}

static int read_lines(struct writing *w, const char *path, struct error *err)
{
    struct jsonl *in = NULL;
    json_t *line = NULL;
    int more = 0, rc = jsonl_open(&in, path, err);
    while (!rc && (more = jsonl_next(in, &line, err)) == 1) {
        rc = read_line(w, in, line, err);
        json_decref(line);
    }
    jsonl_close(in);
    return rc || more >= 0 ? rc : more;
}

/* What is not there yet, by the model that the round tunes. */
static int write_rest(struct writing *w, struct error *err)
{
    struct align *a = w->a;
    struct speak_item *items = mem_calloc((size_t)w->n + 1, sizeof *items);
    char *model = align_model_path(a, a->o.start == ALIGN_START_LAST ? w->round - 1 : 0);
    const struct speak_job job = {.stage = "student",
                                  .unit = "rows",
                                  .model = model,
                                  .options = &a->o.answer,
                                  .stream = STREAM_STUDENT + (uint64_t)w->round,
                                  .put = put_text,
                                  .user = w};
    int n = 0, rc = items && model ? 0 : error_set_nomem(err, (size_t)w->n * sizeof *items, "a student's rows");
    for (int i = 0; i < w->n && !rc; i++)
        if (!w->done[i] && (!w->items[i].round || w->items[i].round == w->round))
            items[n++] = (struct speak_item){.index = i, .question = w->items[i].question};
    if (!rc && n)
        rc = speaker_generate(&a->speaker, &job, items, n, err);
    mem_free(items);
    mem_free(model);
    return rc;
}

static int write_round(struct align *a, struct pool_item *items, int n, int round, struct error *err)
{
    struct writing w = {.a = a, .items = items, .n = n, .round = round, .done = mem_calloc((size_t)n + 1, 1)};
    char *path = align_round_file(a, round, "student.jsonl");
    int rc = path && w.done ? 0 : error_set_nomem(err, 256, "a path");
    rc = rc ? rc : appender_open(&w.file, path, 1, err); /* a torn line is cut off */
    rc = rc ? rc : read_lines(&w, path, err);
    rc = rc ? rc : write_rest(&w, err);
    appender_close(w.file);
    mem_free(w.done);
    mem_free(path);
    return rc;
}

int align_write_answers(struct align *a, struct pool_item *items, int n, struct error *err)
{
    int rc = 0;
    for (int round = 1; round <= a->round && !rc; round++) {
        int wanted = round == a->round;
        for (int i = 0; i < n; i++)
            wanted |= items[i].round == round;
        rc = wanted ? write_round(a, items, n, round, err) : 0;
    }
    return rc;
}
