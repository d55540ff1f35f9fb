/* SPDX-License-Identifier: Apache-2.0 */
/* The loop. A round's state in the journal says which phase it is in; each phase does what its rows still lack and the
 * state moves on. So continuing after a kill is the same code as not having been killed. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/energy.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

/* counting kept pairs, at most this many times as many attempts are made */
enum { KEPT_TRIES = 10 };

int align_check_run(struct align *a, struct error *err)
{
    const struct align_options *o = &a->o;
    struct run_bounds b = {.rounds = o->rounds,
                           .attempts = o->attempts * o->answers,
                           .most_attempts = o->attempts * o->answers * (o->count == ALIGN_COUNT_KEPT ? KEPT_TRIES : 1),
                           .none = o->seed_rounds > 0,
                           .k = o->k,
                           .pool = a->n_given,
                           .grown = o->pool == ALIGN_POOL_GROWN,
                           .vocab = a->speaker.desc.n_vocab,
                           .questions = a->test.n > a->n_held ? a->test.n : a->n_held,
                           .reason = sift_reason_find};
    return run_check(a->run, &b, err);
}

void align_result_free(struct align_result *r)
{
    buf_free(&r->summary);
    buf_free(&r->json);
    report_run_free(&r->report);
    *r = (struct align_result){0};
}

/* Adds to a number of seconds, or joules, over all starts. */
static int add_seconds(struct align *a, const char *kind, const char *phase, double seconds, struct error *err)
{
    char name[64], text[32];
    const char *before;
    struct arena arena = ARENA_INIT;
    snprintf(name, sizeof name, "%s-%s", kind, phase);
    int rc = run_get_fact(a->run, name, &before, &arena, err);
    snprintf(text, sizeof text, "%.3f", seconds + (before ? strtod(before, NULL) : 0));
    arena_free(&arena);
    return rc ? rc : run_put_fact(a->run, name, text, err);
}

/* What a phase has taken: by the clock, of all processors together, and of energy. */
struct spent {
    double seconds, cpu, joules;
};
static struct spent spent_so_far(const struct align *a)
{
    return (struct spent){clock_now(), clock_cpu(), energy_joules(a->energy)};
}

static int has_fact(struct align *a, const char *kind, const char *phase)
{
    char name[64];
    const char *value;
    struct arena arena = ARENA_INIT;
    snprintf(name, sizeof name, "%s-%s", kind, phase);
    int has = !run_get_fact(a->run, name, &value, &arena, NULL) && value;
    arena_free(&arena);
    return has;
}

/* Before the phase's seconds. What one start did not read is not known of all, and the run keeps why. */
static int add_joules(struct align *a, const char *phase, double joules, struct error *err)
{
    const char *why = energy_why(a->energy);
    if (!why && has_fact(a, "seconds", phase) && !has_fact(a, "joules", phase))
        why = "an earlier start did not read it";
    return why ? run_put_fact(a->run, "energy-unread", why, err) : add_seconds(a, "joules", phase, joules, err);
}

static int add_spent(struct align *a, const char *phase, const struct spent *start, struct error *err)
{
    struct spent now = spent_so_far(a);
    int rc = add_joules(a, phase, now.joules - start->joules, err);
    rc = rc ? rc : add_seconds(a, "seconds", phase, now.seconds - start->seconds, err);
    return rc ? rc : add_seconds(a, "cpu-seconds", phase, now.cpu - start->cpu, err);
}

static int do_phase(struct align *a, const char *name, int (*work)(struct align *a, struct error *err),
                    struct error *err)
{
    struct spent start = spent_so_far(a);
    int rc = interrupt_check(err);
    if (!rc)
        rc = work(a, err);
    struct error second;
    int also = add_spent(a, name, &start, rc ? &second : err);
    return rc ? rc : also;
}

static int move_to(struct align *a, struct run_round *round, enum run_state state, struct error *err)
{
    round->state = state;
    return run_put_round(a->run, a->round, round, err);
}

/* Is the share of the round's questions of which an answer was kept below what makes it go on? */
static int is_novel(const struct align *a)
{
    int kept = 0, questions = a->n_attempt / a->o.answers;
    for (int q = 0; q < questions; q++) {
        int any = 0;
        for (int i = 0; i < a->o.answers; i++)
            any |= a->attempts[q * a->o.answers + i].verdict.kept;
        kept += any;
    }
    return kept >= a->o.stop_novelty * questions;
}

/* Counting kept pairs: another block of attempts while there are too few. */
static int more_attempts(const struct align *a, const struct run_round *round)
{
    return a->o.count == ALIGN_COUNT_KEPT && round->attempts && round->kept < a->o.attempts &&
           round->attempts < KEPT_TRIES * a->o.attempts * a->o.answers && is_novel(a);
}

static int sift_round(struct align *a, struct run_round *round, struct error *err)
{
    int rc = align_verdicts(a, a->o.count == ALIGN_COUNT_KEPT ? a->o.attempts : INT32_MAX, &round->kept, err);
    if (rc)
        return rc;
    if (more_attempts(a, round)) {
        round->attempts += a->o.attempts * a->o.answers;
        rc = move_to(a, round, RUN_STATE_ASK, err);
        return rc ? rc : align_load_round(a, a->round, round->attempts, err);
    }
    log_line(LOG_INFO, "round %d: %d of %d attempts kept (%.1f %%)", a->round, round->kept, round->attempts,
             round->attempts ? 100.0 * round->kept / round->attempts : 0);
    rc = align_write_generated(a, err);
    if (!rc && a->o.review)
        rc = align_write_review(a, err);
    if (rc)
        return rc;
    return move_to(a, round, a->o.review ? RUN_STATE_REVIEW : RUN_STATE_TUNE, err);
}

static int review_round(struct align *a, struct run_round *round, int *stop, struct error *err)
{
    if (!a->o.resume || a->reviewed) {
        *stop = 1;
        return 0;
    }
    int rc = align_read_review(a, &round->kept, err);
    if (!rc)
        rc = align_write_generated(a, err);
    a->reviewed = 1;
    return rc ? rc : move_to(a, round, RUN_STATE_TUNE, err);
}

static int ran_out(const struct align *a, const struct run_round *round)
{
    if (!round->attempts) /* nothing was to be asked: the seeds are what there is to tune on */
        return 0;
    return round->kept < 1 || (align_asked_in(a) == a->round && !is_novel(a));
}

/* The round's model, made now or looked at; what it keeps has been added. */
static int round_model(struct align *a, struct run_round *round, struct error *err)
{
    char name[40];
    char *from = align_model_path(a, a->o.start == ALIGN_START_LAST ? a->round - 1 : 0);
    struct made_model m = {.name = name,
                           .from = from,
                           .newest = a->o.tune_on == ALIGN_TUNE_NEWEST && a->round > a->o.seed_rounds,
                           .n_kept = a->n_kept,
                           .steps = round->steps};
    m.soft = a->o.tune_loss == ALIGN_LOSS_SOFT && a->round > a->o.seed_rounds;
    snprintf(name, sizeof name, "round-%d", a->round);
    memcpy(m.sha256, round->model_sha256, sizeof m.sha256);
    int rc = from ? align_make_model(a, &m, err) : error_set_nomem(err, 256, "a path");
    memcpy(round->model_sha256, m.sha256, sizeof m.sha256);
    round->steps = m.steps;
    mem_free(from);
    return rc;
}

static int tune_round(struct align *a, struct run_round *round, struct error *err)
{
    int rc = 0;
    if (!ran_out(a, round)) {
        rc = align_add_kept(a, a->attempts, a->n_attempt, a->round, err);
        rc = rc ? rc : round_model(a, round, err);
    }
    return rc ? rc : move_to(a, round, RUN_STATE_DONE, err);
}

/* Loads a finished round's kept pairs, or works on it until it is finished. *stop: a person is to look first. */
static int do_round(struct align *a, struct run_round *round, int *stop, struct error *err)
{
    struct spent start;
    int rc = 0, asks = align_asked_in(a) == a->round;
    align_drop_improved(a);
    if (round->state == RUN_STATE_DONE) {
        if (!round->model_sha256[0])
            return 0;
        rc = align_add_kept(a, a->attempts, a->n_attempt, a->round, err);
        return rc ? rc : round_model(a, round, err);
    }
    rc = align_make_pool(a, a->o.pool == ALIGN_POOL_GROWN, err);
    while (!rc && !*stop && round->state != RUN_STATE_DONE) {
        switch (round->state) {
        case RUN_STATE_NONE: rc = (rc = align_take_first(a, err)) ? rc : move_to(a, round, RUN_STATE_ASK, err); break;
        case RUN_STATE_ASK:
            rc = (rc = do_phase(a, "ask", asks ? align_ask : align_take_over, err))
                     ? rc
                     : move_to(a, round, RUN_STATE_RETRIEVE, err);
            break;
        case RUN_STATE_RETRIEVE:
            rc = (rc = do_phase(a, "retrieve", align_retrieve, err)) ? rc : move_to(a, round, RUN_STATE_ANSWER, err);
            break;
        case RUN_STATE_ANSWER:
            rc = (rc = do_phase(a, "answer", align_answer, err)) ? rc : move_to(a, round, RUN_STATE_SIFT, err);
            break;
        case RUN_STATE_SIFT:
            rc = a->o.score ? do_phase(a, "score", align_score, err) : interrupt_check(err);
            rc = rc ? rc : sift_round(a, round, err);
            break;
        case RUN_STATE_REVIEW: rc = review_round(a, round, stop, err); break;
        case RUN_STATE_TUNE:
            start = spent_so_far(a);
            rc = (rc = interrupt_check(err)) ? rc : tune_round(a, round, err);
            struct error second;
            add_spent(a, "tune", &start, &second);
            break;
        case RUN_STATE_DONE: break;
        }
    }
    return rc;
}

static int do_rounds(struct align *a, struct align_result *r, struct error *err)
{
    int rc = 0, stop = 0;
    for (int t = 1; t <= a->o.rounds && !rc && !stop; t++) {
        struct run_round round;
        if ((rc = run_get_round(a->run, t, &round, err)))
            break;
        if (round.state == RUN_STATE_NONE)
            round.attempts = t > a->o.seed_rounds ? a->o.attempts * a->o.answers : 0;
        if ((rc = align_load_round(a, t, round.attempts, err)) || (rc = do_round(a, &round, &stop, err)))
            break;
        if (round.state == RUN_STATE_DONE && align_asked_in(a) == t && (rc = align_count_overlap(a, err)))
            break;
        if (stop) {
            r->stopped_for_review = t;
        } else if (!round.model_sha256[0]) {
            r->novelty_ran_out = t;
            stop = 1;
        } else {
            r->rounds = t;
        }
    }
    return rc;
}

static void show_text(const struct align *a, struct buf *b)
{
    if (a->o.show && !b->failed && b->data)
        a->o.show(a->o.user, b->data);
    buf_reset(b);
}

/* The prompt that an attempt's question or answer came after, and how long it is where that is known. */
static int show_prompt(struct align *a, const struct run_attempt *t, enum align_role role, struct buf *b,
                       struct error *err)
{
    int asks = role == ALIGN_ASKER;
    const struct run_text *x = asks ? &t->question : &t->answer;
    const struct speak_job job = {.pool = &a->pool, .before = asks ? NULL : align_principles(a)};
    const struct speak_item item = {
        .question = asks ? NULL : t->question.text, .contexts = x->contexts, .n_context = x->n_context};
    const struct prompt_parts parts = {.question = item.question,
                                       .contexts = item.contexts,
                                       .n_context = item.n_context,
                                       .before = job.before,
                                       .room = asks ? a->o.ask.max_new_tokens : a->o.answer.max_new_tokens};
    struct prompt p = {0};
    buf_printf(b, "=== attempt %d: the prompt that %s (", t->index, asks ? "asks" : "answers");
    if (a->elsewhere[role]) {
        buf_printf(b, "%s elsewhere)\n", a->o.who[role].model);
        return elsewhere_prompt(a->elsewhere[role], &a->speaker, &job, &item, b, err);
    }
    int rc = prompt_make(&a->speaker, &a->pool, &parts, &p, err);
    buf_printf(b, "%zu tokens)\n%s", p.ids.n, rc ? "" : p.text.data);
    prompt_free(&p);
    return rc;
}

static int show_attempt(struct align *a, int index, struct buf *b, struct error *err)
{
    const struct run_attempt *t = &a->attempts[index];
    int rc = show_prompt(a, t, ALIGN_ASKER, b, err);
    buf_printf(b, "\n--- question: %s\n", t->question.text ? t->question.text : t->question.error);
    if (!rc && t->answer.text) {
        rc = show_prompt(a, t, ALIGN_ANSWERER, b, err);
        buf_printf(b, "\n--- answer: %s\n", t->answer.text);
    }
    buf_printf(b, "--- verdict: %s\n\n", sift_reason_text((enum sift_reason)sift_reason_find(t->verdict.reason)));
    return rc;
}

static int preview(struct align *a, struct error *err)
{
    struct buf b = BUF_INIT;
    int kept, rc = align_load_round(a, 1, a->o.preview * a->o.answers, err);
    if (!rc && !(rc = align_make_pool(a, 0, err)) && !(rc = align_ask(a, err)) && !(rc = align_retrieve(a, err)) &&
        !(rc = align_answer(a, err)) && !(rc = align_score(a, err)))
        rc = align_verdicts(a, INT32_MAX, &kept, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        rc = show_attempt(a, i, &b, err);
        show_text(a, &b);
    }
    buf_free(&b);
    return rc;
}

/* What is refused before anything is written. A run that was begun has taken what it could. */
static int check_given(struct align *a, struct error *err)
{
    int rc = align_check_added(a, err);
    return rc || run_exists(a->o.output) ? rc : align_check_first(a, err);
}

/* What begin_run and the first round would refuse. */
static int check_begin(struct align *a, struct error *err)
{
    int compared = run_exists(a->o.output);
    struct run_start start = {.accept_different_bits = a->o.accept_different_bits, .may_change = align_may_change};
    int rc = compared || a->o.attempts_from ? speaker_hash(&a->speaker, err) : 0;
    json_t *settings = !rc && compared ? align_settings(a) : NULL;
    if (!rc && compared && !settings)
        rc = error_set_nomem(err, 4096, "settings");
    start.settings = settings;
    rc = rc ? rc : run_check_start(a->o.output, &start, err);
    json_decref(settings);
    return rc ? rc : check_given(a, err);
}

static int begin_run(struct align *a, struct error *err)
{
    json_t *settings = align_settings(a), *manifest = align_manifest(a);
    int rc = settings && manifest ? check_given(a, err) : error_set_nomem(err, 4096, "settings");
    if (!rc)
        rc = run_open(&a->run, a->o.output,
                      &(struct run_start){settings, manifest, a->o.accept_different_bits, align_may_change,
                                          align_extend_manifest},
                      err);
    if (!rc)
        rc = align_check_run(a, err);
    if (!rc)
        rc = align_resume_elsewhere(a, err);
    if (!rc && run_resumed(a->run))
        log_line(LOG_INFO, "%s: continuing", a->o.output);
    json_decref(settings);
    json_decref(manifest);
    return rc;
}

static int evidence(struct align *a, struct align_result *r, struct error *err)
{
    struct arms arms = {0};
    struct spent start = spent_so_far(a);
    struct error second;
    int rc = align_arms(a, &arms, err);
    if (!rc)
        rc = align_measure(a, &arms, err);
    rc = rc ? rc : align_tax(a, &arms, err);
    add_spent(a, "evidence", &start, &second);
    if (!rc)
        rc = align_results(a, r, err);
    arms_free(&arms);
    return rc;
}

static void review_summary(const struct align *a, struct align_result *r)
{
    buf_printf(&r->summary,
               "Round %d waits for review: strike lines from %s/round-%d/review.jsonl, then run the same command with "
               "--resume.\n",
               r->stopped_for_review, a->o.output, r->stopped_for_review);
    buf_printf(&r->json, "{\"stopped_for_review\": %d}", r->stopped_for_review);
}

int method_check(struct device *device, const struct align_options *options, struct error *err)
{
    struct align a = {0};
    struct align_options o = *options;
    if (!o.output)
        o.output = "."; /* nothing is written */
    int rc = align_options_check(&o, err);
    if (rc)
        return rc;
    rc = align_open_inputs(&a, device, &o, err);
    if (!rc && options->output)
        rc = check_begin(&a, err);
    energy_close(a.energy);
    align_close(&a);
    return rc;
}

int method_align(struct device *device, const struct align_options *options, struct align_result *result,
                 struct error *err)
{
    struct align a = {0};
    *result = (struct align_result){0};
    int rc = align_options_check(options, err);
    if (rc)
        return rc;
    rc = align_open(&a, device, options, err);
    a.energy = energy_open(options->energy_root);
    if (!rc && options->preview) {
        rc = options->output ? check_begin(&a, err) : 0;
        rc = rc ? rc : preview(&a, err);
    } else if (!rc && !(rc = begin_run(&a, err))) {
        rc = do_rounds(&a, result, err);
        if (!rc && result->stopped_for_review)
            review_summary(&a, result);
        else if (!rc)
            rc = evidence(&a, result, err);
        if (rc == ERROR_INTERRUPTED && err) {
            struct error was = *err;
            error_set(err, rc, "%s in round %d; everything finished is kept in %s: run the same command again to go on",
                      was.message, a.round, a.o.output);
        }
    }
    energy_close(a.energy);
    align_close(&a);
    return rc;
}
