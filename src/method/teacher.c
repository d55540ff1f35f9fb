/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the teacher of a round. What it says depends on the round's model, the row and the row's examples only, so a
 * file that was broken off goes on with the next row, and one that is made again has the same bytes. */
#include "method/teacher.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "io/appender.h"
#include "io/file.h"

#include <string.h>

enum { BLOCK = 32 }; /* rows that are asked about together */

struct teaching {
    struct align *a;
    int round;
    struct train_data *data;
    struct teacher_row *rows;
    int n, done;
    struct pair_pool pool; /* the round's */
    const struct run_attempt *attempts;
    int n_attempt;
    struct arena arena;
    struct contexts seeds; /* of the rows that are seeds and not done, by row */
    struct appender *file; /* NULL: the one line stays here */
    json_t *line;
    struct progress progress;
};

/* One row's text before the teacher. */
struct question {
    struct prompt prompt;
    int *contexts, n_context;
    int32_t *ids;       /* the row's targets; those that are asked stand behind the prompt too */
    int n, n_asked;     /* targets, and of how many the teacher is asked */
    struct error error; /* why it cannot be asked */
};

static void question_free(struct question *q)
{
    prompt_free(&q->prompt);
    mem_free(q->contexts);
    mem_free(q->ids);
}

/* The examples that stood before an answer; or a seed's nearest others. */
static int copy_contexts(const struct teaching *t, int row, struct question *q, struct error *err)
{
    const struct pool_item *item = t->rows[row].item;
    const int *from = NULL;
    if (item->round) {
        const struct run_text *answer =
            item->index >= 0 && item->index < t->n_attempt ? &t->attempts[item->index].answer : NULL;
        q->n_context = answer ? answer->n_context : 0;
        from = answer ? answer->contexts : NULL;
    } else {
        from = t->seeds.cells + (size_t)row * (size_t)t->seeds.k;
        q->n_context = t->seeds.n[row];
    }
    q->contexts = mem_alloc((size_t)q->n_context * sizeof *q->contexts + 1);
    if (!q->contexts)
        return error_set_nomem(err, (size_t)q->n_context * sizeof *q->contexts, "contexts");
    if (q->n_context)
        memcpy(q->contexts, from, (size_t)q->n_context * sizeof *q->contexts);
    return 0;
}

/* The prompt, and the targets behind it. A row whose prompt does not fit learns its own ids. */
static int make_question(const struct teaching *t, int row, struct question *q, struct error *err)
{
    const struct train_row *r = &t->data->rows[t->rows[row].row];
    *q = (struct question){.ids = mem_alloc((size_t)r->n * sizeof *q->ids)};
    if (!q->ids)
        return error_set_nomem(err, (size_t)r->n * sizeof *q->ids, "a row's targets");
    q->n = teacher_targets(r, q->ids);
    q->n_asked = q->n - speaker_is_end(&t->a->speaker, q->ids[q->n - 1]);
    int rc = copy_contexts(t, row, q, err);
    if (rc)
        return rc;
    const struct prompt_parts parts = {.question = t->rows[row].item->question,
                                       .contexts = q->contexts,
                                       .n_context = q->n_context,
                                       .before = align_principles(t->a),
                                       .room = q->n_asked};
    rc = prompt_make(&t->a->speaker, &t->pool, &parts, &q->prompt, &q->error);
    if (rc && rc != ERROR_DATA)
        return error_set(err, rc, "%s", q->error.message);
    q->n_asked = rc ? 0 : q->n_asked;
    for (int i = 0; i < q->n_asked && !rc; i++)
        if (tokens_push(&q->prompt.ids, q->ids[i]))
            return error_set_nomem(err, q->prompt.ids.n * 4, "a row before the teacher");
    return 0;
}

static json_t *context_names(const struct teaching *t, const struct question *q)
{
    json_t *list = json_array();
    for (int i = q->prompt.dropped; i < q->n_context; i++) {
        char name[40];
        pool_name(&t->pool.items[q->contexts[i]], name);
        if (json_array_append_new(list, json_string(name))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* A row's lists out of the block's, and the sure end behind them. */
static int row_lists(const struct question *q, const struct model_top *block, size_t at, struct soft_targets *out,
                     struct error *err)
{
    size_t list = TEACHER_TOP, bytes = (size_t)q->n * list * 4, asked = (size_t)q->n_asked * list;
    *out = (struct soft_targets){TEACHER_TOP, mem_alloc(bytes), mem_alloc(bytes)};
    if (!out->ids || !out->logprobs)
        return error_set_nomem(err, 2 * bytes, "soft targets");
    memcpy(out->ids, block->ids + at * list, asked * 4);
    memcpy(out->logprobs, block->logprobs + at * list, asked * 4);
    for (size_t i = asked; i < (size_t)q->n * list; i++) {
        out->ids[i] = i == asked ? q->ids[q->n_asked] : -1;
        out->logprobs[i] = 0;
    }
    return 0;
}

/* Keeps what was said of a row, in the file and, when it is wanted, in the data. */
static int keep_answer(struct teaching *t, const struct question *q, int row, const struct soft_targets *soft,
                       struct error *err)
{
    const struct train_row *r = &t->data->rows[t->rows[row].row];
    json_t *names = context_names(t, q), *line = NULL;
    const struct teacher_record record = {.row = r->id,
                                          .error = q->error.code ? q->error.message : NULL,
                                          .contexts = names,
                                          .ids = q->ids,
                                          .n = q->n,
                                          .soft = *soft};
    int rc = names ? teacher_line(&record, &line, err) : error_set_nomem(err, 64, "contexts");
    if (!rc && t->file)
        rc = appender_append_json(t->file, line, err);
    else if (!rc)
        t->line = json_incref(line);
    if (!rc && record.error)
        log_line(LOG_WARNING, "%s: the teacher cannot be asked: %s; the row is learnt as it stands", r->id,
                 record.error);
    else if (!rc && t->rows[row].learns)
        rc = train_data_set_soft(t->data, t->rows[row].row, soft, err);
    json_decref(names);
    json_decref(line);
    return rc;
}

static int keep_answers(struct teaching *t, const struct question *questions, int n, const struct model_top *block,
                        struct error *err)
{
    size_t at = 0;
    int rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        const struct question *q = &questions[i];
        struct soft_targets soft = {0};
        for (size_t k = at; k < at + (size_t)q->n_asked && !rc; k++)
            rc = model_check_numbers(block->logprobs + k * TEACHER_TOP, 1, err, "round %d, the teacher of %s", t->round,
                                     t->data->rows[t->rows[t->done].row].id);
        rc = rc ? rc : row_lists(q, block, at, &soft, err);
        rc = rc ? rc : keep_answer(t, q, t->done, &soft, err);
        at += (size_t)q->n_asked;
        t->done += !rc;
        mem_free(soft.ids);
        mem_free(soft.logprobs);
    }
    t->progress.done = t->done;
    t->progress.tokens += (double)at;
    progress_show(&t->progress);
    return rc;
}

static int ask_questions(struct teaching *t, const struct question *questions, int n, struct error *err)
{
    struct model_text texts[BLOCK];
    size_t lists = 0;
    int n_text = 0;
    for (int i = 0; i < n; i++) {
        const struct question *q = &questions[i];
        int length = (int)q->prompt.ids.n;
        lists += (size_t)q->n_asked;
        if (q->n_asked)
            texts[n_text++] = (struct model_text){q->prompt.ids.ids, length, length - q->n_asked};
    }
    size_t bytes = lists * TEACHER_TOP * 4;
    struct model_top block = {TEACHER_TOP, mem_alloc(bytes + 1), mem_alloc(bytes + 1), NULL};
    int rc = block.ids && block.logprobs ? 0 : error_set_nomem(err, 2 * bytes, "the teacher's probabilities");
    rc = rc ? rc : crew_top(t->a->speaker.model, texts, n_text, &block, err);
    rc = rc ? rc : keep_answers(t, questions, n, &block, err);
    mem_free(block.ids);
    mem_free(block.logprobs);
    return rc;
}

static int ask_block(struct teaching *t, struct error *err)
{
    struct question questions[BLOCK];
    int n = 0, rc = 0;
    for (; n < BLOCK && t->done + n < t->n && !rc; n++)
        rc = make_question(t, t->done + n, &questions[n], err);
    rc = rc ? rc : ask_questions(t, questions, n, err);
    while (n)
        question_free(&questions[--n]);
    return rc;
}

/* Nearest first in hits, itself among them; nearest last in the cells. */
static void put_others(const struct retriever_hit *hits, int n_hit, int self, struct contexts *c, int row)
{
    int n = 0, *to = c->cells + (size_t)row * (size_t)c->k;
    for (int i = 0; i < n_hit && n < c->k; i++)
        if (hits[i].index != self)
            to[n++] = hits[i].index;
    c->n[row] = n;
    for (int i = 0; i < n / 2; i++) {
        int swap = to[i];
        to[i] = to[n - 1 - i];
        to[n - 1 - i] = swap;
    }
}

/* Of the seeds that are still to be asked about: they stand first, in the rows and in the pool. */
static int find_others(struct teaching *t, struct error *err)
{
    size_t n = (size_t)t->n + 1, k = (size_t)align_answer_k(t->a, t->a->o.k);
    const char **texts = mem_calloc(n, sizeof *texts);
    struct retriever_hit *hits = mem_calloc(n * (k + 1), sizeof *hits);
    int *found = mem_calloc(n, sizeof *found), n_text = 0, self = 0;
    t->seeds = (struct contexts){(int)k, mem_calloc(n * (k + 1), sizeof(int)), mem_calloc(n, sizeof(int))};
    int rc = texts && hits && found && t->seeds.cells && t->seeds.n
                 ? 0
                 : error_set_nomem(err, n * (k + 1) * sizeof *hits, "the seeds' neighbours");
    for (int i = t->done; i < t->n && !rc && !t->rows[i].item->round; i++)
        texts[n_text++] = t->rows[i].item->question;
    if (!rc && n_text)
        rc = pairs_nearest(&t->pool, &t->a->speaker, &(struct pair_query){texts, n_text, (int)k + 1}, hits, found, err);
    for (int i = 0; i < n_text && !rc; i++) {
        while (t->pool.items[self].index != t->rows[t->done + i].item->index)
            self++;
        put_others(hits + (size_t)i * (k + 1), found[i], self, &t->seeds, t->done + i);
    }
    mem_free(texts);
    mem_free(hits);
    mem_free(found);
    return rc;
}

/* The round as it stood: its pool, and the examples of its answers. */
static int open_round(struct teaching *t, struct error *err)
{
    struct align *a = t->a;
    int before = 0;
    while (before < a->n_kept && a->kept[before].round < t->round)
        before++;
    const struct pair_source from = {a->seeds.items, a->given, a->n_given, a->kept,
                                     a->o.pool == ALIGN_POOL_GROWN ? before : 0};
    int rc = pairs_set(&t->pool, &from, err);
    t->attempts = a->attempts;
    t->n_attempt = a->n_attempt;
    if (!rc && t->round != a->round) {
        struct run_round round;
        rc = run_get_round(a->run, t->round, &round, err);
        struct run_attempt *attempts = rc ? NULL : arena_alloc(&t->arena, (size_t)round.attempts * sizeof *attempts);
        rc = rc || attempts ? rc : error_set_nomem(err, 64, "attempts");
        for (int i = 0; !rc && i < round.attempts; i++)
            attempts[i] = (struct run_attempt){.index = i};
        rc = rc ? rc : run_get_attempts(a->run, t->round, round.attempts, attempts, &t->arena, err);
        t->attempts = attempts;
        t->n_attempt = rc ? 0 : round.attempts;
    }
    return rc ? rc : find_others(t, err);
}

static int ask_rest(struct teaching *t, struct error *err)
{
    char *model = align_model_path(t->a, t->round - 1);
    int rc = model ? open_round(t, err) : error_set_nomem(err, 256, "a path");
    rc = rc ? rc : speaker_load(&t->a->speaker, model, t->a->speaker.o.dtype, err);
    t->progress = (struct progress){"teach", "rows", t->done, t->n, clock_now(), 0, NULL};
    while (!rc && t->done < t->n)
        rc = ask_block(t, err);
    mem_free(model);
    return rc;
}

/* The file's hash is the journal's fact teacher-T once it is whole. */
static int check_file(struct teaching *t, const char *path, struct error *err)
{
    char name[40], found[65];
    const char *wanted = NULL;
    snprintf(name, sizeof name, "teacher-%d", t->round);
    int rc = sha256_file(path, found, err);
    rc = rc ? rc : run_get_fact(t->a->run, name, &wanted, &t->arena, err);
    if (rc || (wanted && !strcmp(wanted, found)))
        return rc;
    if (!wanted)
        return run_put_fact(t->a->run, name, found, err);
    return error_set(err, ERROR_DATA,
                     "%s: is not what the run made (sha256 %.16s, wanted %.16s); put it back, or delete it to have the "
                     "teacher asked again",
                     path, found, wanted);
}

/* Seeds, then what the round kept. */
static int list_rows(struct teaching *t, const struct lesson *l, struct error *err)
{
    t->rows = mem_calloc((size_t)l->n + 1, sizeof *t->rows);
    for (int i = 0; i < l->n && t->rows; i++) {
        const struct pool_item *item = &l->items[i];
        if (l->rows[i] >= 0 && (!item->round || item->round == t->round))
            t->rows[t->n++] = (struct teacher_row){item, l->rows[i], item->round || t->round == t->a->round};
    }
    return t->rows ? 0 : error_set_nomem(err, (size_t)l->n * sizeof *t->rows, "a teacher's rows");
}

static int teach_round(struct align *a, const struct lesson *l, int round, struct error *err)
{
    struct teaching t = {.a = a, .round = round, .data = l->data};
    char *path = align_round_file(a, round, "teacher.jsonl");
    int rc = path ? list_rows(&t, l, err) : error_set_nomem(err, 256, "a path");
    rc = rc ? rc : appender_open(&t.file, path, 1, err); /* a torn line is cut off */
    rc = rc ? rc : teacher_read(path, l->data, t.rows, t.n, &t.done, err);
    if (!rc && t.done < t.n)
        rc = ask_rest(&t, err);
    rc = rc ? rc : check_file(&t, path, err);
    appender_close(t.file);
    pairs_free(&t.pool);
    contexts_free(&t.seeds);
    arena_free(&t.arena);
    mem_free(t.rows);
    mem_free(path);
    return rc;
}

int align_teach(struct align *a, const struct lesson *l, struct error *err)
{
    int rc = 0;
    for (int round = 1; round <= a->round && !rc; round++) {
        int wanted = round == a->round;
        for (int i = 0; i < l->n; i++)
            wanted |= l->items[i].round == round;
        rc = wanted ? teach_round(a, l, round, err) : 0;
    }
    return rc;
}

int align_teach_again(struct align *a, const struct pool_item *item, json_t **line, struct error *err)
{
    struct train_data data = {0};
    struct teacher_row row = {item, 0, 0};
    struct teaching t = {.a = a, .round = a->round, .data = &data, .rows = &row};
    int rc = align_add_row(a, &data, item, err);
    t.n = data.n; /* 0: there is nothing to learn in it */
    if (!rc && t.n)
        rc = ask_rest(&t, err);
    *line = t.line;
    pairs_free(&t.pool);
    contexts_free(&t.seeds);
    train_data_free(&data);
    return rc;
}
