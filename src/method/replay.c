/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt again, alone: the same contexts are drawn, the same question and answer generated, and all of it compared
 * with the journal, log-probabilities bit for bit. What a model elsewhere said is taken as it was. */
#include "method/teacher.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <math.h>
#include <string.h>

/* The template of the run, whatever file it came from. */
static int restore_template(struct align *a, const json_t *settings, struct error *err)
{
    struct buf text = BUF_INIT;
    struct template *t = NULL;
    int rc = jsontext_dump(&text, json_object_get(settings, "template"), 0, err);
    if (!rc)
        rc = template_read(&t, text.data, text.len, "config.resolved.json", err);
    buf_free(&text);
    return rc ? rc : speaker_set_template(&a->speaker, t, err);
}

static int check_same(const json_t *settings, const char *key, const char *found, const char *path, struct error *err)
{
    const char *wanted = json_string_value(json_object_get(settings, key));
    if (wanted && !strcmp(wanted, found))
        return 0;
    return error_set(err, ERROR_DATA, "%s: has changed since the run (SHA-256 %.16s, now %.16s)", path,
                     wanted ? wanted : "unknown", found);
}

static int open_as_begun(struct align *a, struct device *device, const char *directory, const struct run_files *o,
                         struct error *err)
{
    struct align_options options;
    int rc = align_options_from(&options, o->settings, directory, err);
    if (rc)
        return rc;
    options.model = run_files_path(o, "model");
    options.seeds = run_files_path(o, "seeds");
    options.test = run_files_path(o, "test");
    options.principles = run_files_path(o, "principles");
    const json_t *fields = json_object_get(o->manifest, "fields");
    options.question_field = json_string_value(json_object_get(fields, "question"));
    options.answer_field = json_string_value(json_object_get(fields, "answer"));
    options.encoder = json_string_value(json_object_get(o->settings, "encoder"));
    options.reward = json_string_value(json_object_get(o->settings, "reward"));
    if (options.reward && !*options.reward)
        options.reward = NULL;
    options.output = directory;
    if ((rc = align_options_check(&options, err)) || (rc = align_open(a, device, &options, err)))
        return rc;
    if ((rc = check_same(o->settings, "model-sha256", a->speaker.source_sha256, options.model, err)) ||
        (rc = check_same(o->settings, "seeds-sha256", a->seeds.sha256, options.seeds, err)) ||
        (options.principles &&
         (rc = check_same(o->settings, "principles-sha256", a->principles_sha256, options.principles, err))))
        return rc;
    const char *name;
    json_t *hash;
    json_object_foreach(a->speaker.files, name,
                        hash) if ((rc = check_same(o->settings, name, json_string_value(hash), name, err))) return rc;
    return restore_template(a, o->settings, err);
}

/* The round as it stood, with what was kept before it. */
static int load_until(struct align *a, int round, int index, struct error *err)
{
    struct run_round r;
    int rc = 0;
    for (int t = 1; t <= round && !rc; t++) {
        if ((rc = run_get_round(a->run, t, &r, err)))
            return rc;
        if (r.state == RUN_STATE_NONE)
            return error_set(err, ERROR_NOINPUT, "%s: round %d was not begun", a->o.output, t);
        rc = align_load_round(a, t, r.attempts, err);
        align_drop_improved(a);
        if (!rc && t < round)
            rc = align_add_kept(a, a->attempts, a->n_attempt, t, err);
    }
    if (!rc && (index >= a->n_attempt || (!a->attempts[index].question.text && !a->attempts[index].question.error)))
        rc = error_set(err, ERROR_NOINPUT, "%s: round %d has no finished attempt %d (it has %d)", a->o.output, round,
                       index, a->n_attempt);
    return rc ? rc : align_make_pool(a, a->o.pool == ALIGN_POOL_GROWN, err);
}

static const char *shown(const struct run_text *x)
{
    if (x->text)
        return x->text;
    return x->error ? x->error : "(none)";
}

static int same_text(const struct run_text *x, const struct run_text *y, const char *what, struct buf *text)
{
    int same = !x->text == !y->text && (!x->text || !strcmp(x->text, y->text)) && x->n == y->n &&
               x->n_context == y->n_context && x->ended == y->ended &&
               (!x->n || (!memcmp(x->ids, y->ids, (size_t)x->n * sizeof *x->ids) &&
                          !memcmp(x->logprobs, y->logprobs, (size_t)x->n * sizeof *x->logprobs))) &&
               (!x->n_context || !memcmp(x->contexts, y->contexts, (size_t)x->n_context * sizeof *x->contexts));
    buf_printf(text, "%s, in the journal: %s\n", what, shown(x));
    buf_printf(text, "%s, again:          %s\n%s\n", what, shown(y),
               same ? "the same: contexts, text, token ids, log-probabilities bit for bit" : "NOT the same");
    return same;
}

/* The line of a row in one of the round's files; new reference, or NULL. */
static int find_line(const struct align *a, const char *file, const char *row, json_t **line, struct error *err)
{
    char *path = align_round_file(a, a->round, file);
    int rc = path ? teacher_find(path, row, line, err) : error_set_nomem(err, 256, "a path");
    mem_free(path);
    return rc;
}

/* What the teacher said of an attempt that is tuned on, or of the student's answer in its place. */
static int same_teacher(struct align *a, int index, int *same, struct buf *text, struct error *err)
{
    char id[40];
    json_t *was = NULL, *now = NULL, *student = NULL;
    struct pool_item item = {a->attempts[index].question.text, a->attempts[index].answer.text, a->round, index};
    pool_name(&item, id);
    int rc = find_line(a, "teacher.jsonl", id, &was, err);
    if (!rc && a->o.on_policy)
        rc = find_line(a, "student.jsonl", id, &student, err);
    const char *own = json_string_value(json_object_get(student, "answer"));
    if (own && *own && json_is_true(json_object_get(student, "ended")))
        item.answer = own;
    if (!rc && was)
        rc = align_teach_again(a, &item, &now, err);
    if (!rc && was) {
        int equal = now && json_equal(was, now);
        buf_printf(text, "teacher: %s\n",
                   equal ? "the same: context pairs, tokens, log-probabilities bit for bit" : "NOT the same");
        *same &= equal;
    }
    json_decref(was);
    json_decref(now);
    json_decref(student);
    return rc;
}

/* The attempt, and its question with all that has it. */
static void forget(struct align *a, int index)
{
    int first = index - index % a->o.answers;
    for (int i = first; i < first + a->o.answers; i++) {
        a->attempts[i].question = (struct run_text){0};
        a->attempts[i].neighbours = (struct run_neighbours){0};
    }
    a->attempts[index] = (struct run_attempt){.index = index, .score = NAN, .verdict.match = -1};
}

static int same_score(double x, double y, struct buf *text)
{
    int same = !memcmp(&x, &y, sizeof x);
    buf_printf(text, "score, in the journal: %.17g\nscore, again:          %.17g\n%s\n", x, y,
               same ? "the same, bit for bit" : "NOT the same");
    return same;
}

/* It would be paid for again, and nobody says that it would be the same. */
static void say_elsewhere(const struct align *a, enum align_role role, const char *what, const struct run_text *t,
                          struct buf *text)
{
    buf_printf(text, "%s, in the journal: %s\n", what, shown(t));
    if (a->elsewhere[role])
        buf_printf(text, "%s: by %s at %s, which is not asked again\n", what, a->o.who[role].model,
                   a->o.who[role].endpoint);
    else
        buf_printf(text, "%s: in the words of a person who reviewed it\n", what);
}

/* Neither the model's own: those have tokens. */
static int is_others(const struct run_text *t)
{
    return t->text && !t->n;
}

static int ask_again(struct align *a, const struct run_attempt *was, int *same, struct buf *text, struct error *err)
{
    int first = was->index - was->index % a->o.answers;
    if (!a->elsewhere[ALIGN_ASKER] && !is_others(&was->question)) {
        int rc = align_ask(a, err);
        *same = !rc && same_text(&was->question, &a->attempts[was->index].question, "question", text);
        return rc;
    }
    for (int i = first; i < first + a->o.answers; i++)
        a->attempts[i].question = was->question;
    say_elsewhere(a, ALIGN_ASKER, "question", &was->question, text);
    *same = 1;
    return 0;
}

static int answer_again(struct align *a, const struct run_attempt *was, int *same, struct buf *text, struct error *err)
{
    if (!a->elsewhere[ALIGN_ANSWERER] && !is_others(&was->answer)) {
        int rc = align_answer(a, err);
        *same &= !rc && same_text(&was->answer, &a->attempts[was->index].answer, "answer", text);
        return rc;
    }
    a->attempts[was->index].answer = was->answer;
    say_elsewhere(a, ALIGN_ANSWERER, "answer", &was->answer, text);
    return 0;
}

static int again(struct align *a, int index, int *same, struct buf *text, struct error *err)
{
    struct run_attempt was = a->attempts[index];
    struct run *run = a->run;
    struct arena keep = a->round_arena;
    a->round_arena = (struct arena)ARENA_INIT;
    a->run = NULL; /* from here on nothing is written */
    forget(a, index);
    int rc = ask_again(a, &was, same, text, err);
    if (!rc && was.neighbours.n && !(rc = align_retrieve(a, err)))
        rc = answer_again(a, &was, same, text, err);
    if (!rc && isfinite(was.score) && !(rc = align_score(a, err)))
        *same &= same_score(was.score, a->attempts[index].score, text);
    if (!rc && was.verdict.reason)
        buf_printf(text, "verdict: %s\n", sift_reason_text((enum sift_reason)sift_reason_find(was.verdict.reason)));
    if (!rc && a->o.tune_loss == ALIGN_LOSS_SOFT && was.verdict.kept)
        rc = same_teacher(a, index, same, text, err);
    a->run = run;
    arena_free(&keep);
    return !rc && text->failed ? error_set_nomem(err, text->len, "text") : rc;
}

/* Other attempts' unfinished work must not be done here: they are given a stand-in. */
static void settle_others(struct align *a, int index)
{
    for (int i = 0; i < a->n_attempt; i++) {
        struct run_attempt *t = &a->attempts[i];
        if (i == index)
            continue;
        if (!t->question.text && !t->question.error)
            t->question.error = "not made";
        if (!t->neighbours.n || (!t->answer.text && !t->answer.error)) {
            static const int none = 0;
            t->neighbours = (struct run_neighbours){.items = &none, .n = 1};
            t->answer.error = "not made";
        }
    }
}

int method_replay(struct device *device, const char *run_directory, const char *id, int *same, struct buf *text,
                  struct error *err)
{
    struct align a = {0};
    struct run_files o = {NULL, NULL};
    struct run *run = NULL;
    int round, index, used = 0, rc;
    *same = 0;
    if (sscanf(id, "r%d-a%d%n", &round, &index, &used) != 2 || id[used] || round < 1 || index < 0)
        return error_set(err, ERROR_USAGE,
                         "--replay %s: wanted an attempt's id as generated.jsonl has it, such as r1-a17", id);
    rc = run_open_readonly(&run, run_directory, err);
    if (!rc)
        rc = run_files_read(&o, run, err);
    if (!rc)
        rc = open_as_begun(&a, device, run_directory, &o, err);
    a.run = run;
    if (!rc)
        rc = align_check_run(&a, err);
    if (!rc)
        rc = load_until(&a, round, index, err);
    if (!rc) {
        settle_others(&a, index);
        rc = again(&a, index, same, text, err);
    }
    align_close(&a);
    run_files_free(&o);
    return rc;
}
