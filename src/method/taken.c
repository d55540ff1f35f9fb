/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts that were made already: of the round before, in an improve step, and of another run's first round, which is
 * the same for all that ask and answer in the same way however they tune. */
#include "method/parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

void align_drop_improved(struct align *a)
{
    while (a->n_kept && a->kept[a->n_kept - 1].round >= align_asked_in(a))
        a->n_kept--;
}

static int copy_attempt(struct align *a, const struct run_attempt *from, int scored, struct error *err)
{
    struct run_attempt *to = &a->attempts[from->index];
    if (!from->question.text && !from->question.error)
        return 0;
    int rc = run_put_question(a->run, a->round, from->index, &from->question, err);
    if (!rc && from->neighbours.n)
        rc = run_put_neighbours(a->run, a->round, from->index, &from->neighbours, err);
    if (!rc && (from->answer.text || from->answer.error))
        rc = run_put_answer(a->run, a->round, from->index, &from->answer, err);
    if (!rc && scored && isfinite(from->score))
        rc = run_put_score(a->run, a->round, from->index, from->score, err);
    *to = *from;
    to->score = scored ? from->score : NAN;
    to->verdict = (struct run_verdict){.match = -1};
    return rc;
}

/* All in one commit: so a round whose first attempt is there has taken what there was. */
static int nothing_made(const struct align *a)
{
    return a->n_attempt && !a->attempts[0].question.text && !a->attempts[0].question.error;
}

/* What of a round can be taken, and where it is. */
struct taking {
    struct run *from;
    int round, attempts, scored;
    int taken; /* attempts that had a question */
};

/* In the same commit, so that a run which has taken some says so. */
static int note_taken(struct align *a, const struct taking *t, struct error *err)
{
    char text[16];
    if (t->from == a->run || !t->taken)
        return 0;
    snprintf(text, sizeof text, "%d", t->taken);
    log_line(LOG_INFO, "round 1: %d attempts are those of %s", t->taken, a->o.attempts_from);
    return run_put_fact(a->run, "attempts-taken", text, err);
}

static int copy_attempts(struct align *a, struct taking *t, struct error *err)
{
    int n = a->n_attempt < t->attempts ? a->n_attempt : t->attempts;
    struct run_attempt *made = mem_calloc((size_t)n + 1, sizeof *made);
    if (!made)
        return error_set_nomem(err, (size_t)n * sizeof *made, "attempts");
    int rc = run_get_attempts(t->from, t->round, n, made, &a->round_arena, err);
    rc = rc ? rc : run_begin(a->run, err);
    for (int i = 0; i < n && !rc; i++) {
        rc = copy_attempt(a, &made[i], t->scored, err);
        t->taken += made[i].question.text || made[i].question.error;
    }
    rc = rc ? rc : note_taken(a, t, err);
    if (!rc)
        rc = run_commit(a->run, err);
    else
        run_rollback(a->run);
    mem_free(made);
    return rc;
}

int align_take_over(struct align *a, struct error *err)
{
    struct taking all = {.from = a->run, .round = a->round - 1, .attempts = a->n_attempt, .scored = 1};
    return nothing_made(a) ? copy_attempts(a, &all, err) : 0;
}

/* --- the first round of another run --- */

int align_comes_later(const char *name)
{
    static const char *const later[] = {"recipe",    "rounds",    "attempts",  "stop-novelty", "score",
                                        "reward",    "keep-best", "min-score", "pool",         "start",
                                        "tune-loss", "on-policy", "tune-on",   "samples",      "min-score-rank",
                                        "judge",     "baselines", "threshold", "improve-steps"};
    if (!strncmp(name, "train-", 6) || !strncmp(name, "judge/", 6) || !strncmp(name, "reward/", 7))
        return 1;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (!strcmp(name, later[i]))
            return 1;
    return 0;
}

/* The first option in which `theirs` asked or answered otherwise than `ours`; NULL: none. */
static const char *asked_otherwise(const json_t *ours, const json_t *theirs)
{
    const char *key;
    json_t *v;
    for (int side = 0; side < 2; side++)
        json_object_foreach((json_t *)(uintptr_t)(side ? theirs : ours), key, v)
        {
            const json_t *a = json_object_get(ours, key), *b = json_object_get(theirs, key);
            if (!align_comes_later(key) && !(a && b && json_equal(a, b)))
                return key;
        }
    return NULL;
}

static int check_same_asking(struct align *a, struct run *from, int *same, struct error *err)
{
    json_t *ours = align_settings(a), *theirs = NULL;
    int rc = ours ? run_settings(from, &theirs, err) : error_set_nomem(err, 4096, "settings");
    const char *other = rc ? NULL : asked_otherwise(ours, theirs);
    int bits = other && (!strcmp(other, "build") || !strcmp(other, "bits"));
    *same = !rc && !other;
    if (bits)
        log_line(LOG_WARNING, "%s: was made by another build or instruction set; nothing is taken from it",
                 a->o.attempts_from);
    else if (other)
        rc = error_set(err, ERROR_CONFIG,
                       "%s: asked and answered with another %s; give the same, or leave --attempts-from out",
                       a->o.attempts_from, other);
    else if (!rc && align_test_was_added(a->o.attempts_from) != (a->untested && a->o.test))
        rc = error_set(err, ERROR_CONFIG,
                       "%s: asked with another pool of seeds, as some were held out before a test set was added to it; "
                       "leave --attempts-from out",
                       a->o.attempts_from);
    json_decref(ours);
    json_decref(theirs);
    return rc;
}

/* Their numbers are of the same pool and model by now; how many there are is theirs. */
static int check_their_rows(const struct align *a, struct run *from, struct error *err)
{
    const struct run_bounds b = {
        .k = a->o.k, .pool = a->n_given, .grown = 1, .vocab = a->speaker.desc.n_vocab, .reason = sift_reason_find};
    return run_check(from, &b, err);
}

int align_check_first(struct align *a, struct error *err)
{
    struct run *from = NULL;
    int same = 0, rc = a->o.attempts_from ? run_open_readonly(&from, a->o.attempts_from, err) : 0;
    rc = rc || !from ? rc : check_same_asking(a, from, &same, err);
    rc = rc || !same ? rc : check_their_rows(a, from, err);
    run_close(from);
    return rc;
}

int align_take_first(struct align *a, struct error *err)
{
    struct run *from = NULL;
    struct run_round as = {0};
    int same = 0;
    if (!a->o.attempts_from || a->round != 1 || !nothing_made(a))
        return 0;
    int rc = run_open_readonly(&from, a->o.attempts_from, err);
    rc = rc ? rc : check_same_asking(a, from, &same, err);
    rc = rc || !same ? rc : check_their_rows(a, from, err);
    rc = rc || !same ? rc : run_get_round(from, 1, &as, err);
    if (!rc && as.attempts)
        rc = copy_attempts(a, &(struct taking){.from = from, .round = 1, .attempts = as.attempts}, err);
    run_close(from);
    return rc;
}
