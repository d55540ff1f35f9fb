/* SPDX-License-Identifier: Apache-2.0 */
/* A run directory and its journal, run.db (SQLite, WAL, synchronous=FULL): what was begun, every attempt, every result,
 * what happened when. A row is durable when the function that puts it returns. One process at a time holds a directory
 * (a lock that dies with the process); readers may look at any time. On a network file system, which is told, the
 * journal has no write-ahead log, since that is for one machine.
 *
 * Refused: a directory of another program, settings other than those the run was begun with (the difference is named)
 * that may not change, a journal that holds what this program cannot have written (what is wrong in it is named,
 * ERROR_DATA). */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/arena.h"
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct run;
/* Begins the run in `directory` (made if needed) or continues it. settings: a flat object, option name to value, kept
 * in config.resolved.json and compared on every later start in both directions. A difference in "bits" or "build" (what
 * the exact bits depend on) is refused unless accept_different_bits; a name with a slash is a file's, its value the
 * SHA-256. manifest is written to manifest.json when the run begins. What may_change lets differ holds from then on:
 * the settings are written anew, and the manifest as `extend` makes it of what it was. */
struct run_start {
    const json_t *settings, *manifest;
    int accept_different_bits;
    int (*may_change)(const json_t *was, const json_t *is, const char *name); /* NULL: nothing may */
    void (*extend)(json_t *manifest, const json_t *now);                      /* NULL: it stays */
};
int run_open(struct run **out, const char *directory, const struct run_start *start, struct error *err);
/* What run_open would refuse, but nothing is made or changed; settings NULL: only whether there can be a run. */
int run_check_start(const char *directory, const struct run_start *start, struct error *err);
int run_exists(const char *directory);
int run_resumed(const struct run *r); /* whether run_open continued one */
/* To look at: no lock, nothing is changed. ERROR_NOINPUT when there is no run. */
int run_open_readonly(struct run **out, const char *directory, struct error *err);
/* For what people add beside the process that works on the run, without its lock: facts and events, or, while the lock
 * is taken for it, anything. ERROR_UNAVAILABLE: another process has the lock. */
int run_open_beside(struct run **out, const char *directory, struct error *err);
int run_lock(struct run *r, struct error *err);
void run_unlock(struct run *r);
/* Whether a process other than this one seems to work on the run; *pid, if so. */
int run_is_live(const struct run *r, long *pid);
void run_close(struct run *r); /* NULL is fine */
const char *run_directory(const struct run *r);
/* What the run was begun with: a new reference. */
int run_settings(struct run *r, json_t **settings, struct error *err);

/* A round passes through these in order. */
enum run_state {
    RUN_STATE_NONE,
    RUN_STATE_ASK,
    RUN_STATE_RETRIEVE,
    RUN_STATE_ANSWER,
    RUN_STATE_SIFT,
    RUN_STATE_REVIEW,
    RUN_STATE_TUNE,
    RUN_STATE_DONE
};
const char *run_state_name(enum run_state s);
struct run_round {
    enum run_state state;
    int attempts, kept;
    long steps;
    char model_sha256[65];
};
/* A round that was not begun: state NONE. */
int run_get_round(struct run *r, int round, struct run_round *out, struct error *err);
int run_put_round(struct run *r, int round, const struct run_round *in, struct error *err);

struct run_text {     /* a generated text as the journal has it */
    const char *text; /* trimmed; NULL: not made yet, or `error` says why not */
    const char *error;
    const int32_t *ids;
    const float *logprobs;
    int n; /* what was generated; 0 of a text: another model said it elsewhere */
    double score;
    int ended; /* by itself */
    const int *contexts;
    int n_context; /* indices into the round's pool, in the prompt's order */
    int dropped;   /* contexts left out because the prompt would not fit */
};
/* Of a question, nearest first: indices into the round's pool. n 0: none yet. */
struct run_neighbours {
    const int *items;
    const double *nearness;
    int n;
};
struct run_verdict {
    const char *reason; /* NULL: no verdict yet; "kept", ... */
    int kept, match;    /* match: attempt or pool index that a repeat or copy was found in, -1 */
    double f1;          /* greatest ROUGE-L F1 with what was kept before it */
};
struct run_attempt {
    int index;
    struct run_text question, answer;
    struct run_neighbours neighbours;
    double score; /* the answer's, as --score has it; NAN: none */
    struct run_verdict verdict;
};
int run_put_question(struct run *r, int round, int index, const struct run_text *t, struct error *err);
int run_put_neighbours(struct run *r, int round, int index, const struct run_neighbours *near, struct error *err);
int run_put_answer(struct run *r, int round, int index, const struct run_text *t, struct error *err);
int run_put_score(struct run *r, int round, int index, double score, struct error *err);
int run_put_verdict(struct run *r, int round, int index, const struct run_verdict *v, struct error *err);
/* attempts[0..n): those without a row are zero but for their index. Memory from the arena. */
int run_get_attempts(struct run *r, int round, int n, struct run_attempt *attempts, struct arena *arena,
                     struct error *err);
int run_get_attempt(struct run *r, int round, int index, struct run_attempt *out, struct arena *arena,
                    struct error *err);

/* What the journal's numbers may be, as the caller's files and options have them; 0: not known. */
struct run_bounds {
    int rounds, attempts,
        most_attempts;    /* a round's attempts are a multiple of `attempts`, and no more than the most */
    int k, pool, grown;   /* contexts of a prompt; pairs in the first round's pool; whether kept pairs join it */
    int vocab, questions; /* of the model; that arms are measured on */
    int (*reason)(const char *name); /* of a verdict; negative: unknown */
    int none;                        /* a round may have no attempts though `attempts` is above 0 */
};
/* Opening a run has checked the journal's form. Whoever uses its numbers as indices calls this first: ERROR_DATA names
 * the first row that breaks a rule. */
int run_check(struct run *r, const struct run_bounds *bounds, struct error *err);

/* A person's words in the place of an attempt's (NULL: as they are), which then have no tokens. */
int run_put_edited(struct run *r, int round, int index, const char *question, const char *answer, struct error *err);

/* look.c: attempts as a person looks through them: those of a round (0: all) with this reason ("kept", ...; "rejected":
 * every other; "waiting": without a verdict; NULL: any) and these words in question or answer, in any case (of ASCII);
 * of those the n from `from` on. *total counts all that fit. Texts are borrowed for the call. */
struct run_filter {
    int round;
    const char *reason, *words;
    int from, n;
};
struct run_shown {
    int round, index;
    const char *question, *question_error, *answer, *answer_error, *reason; /* NULL: not there */
    int kept, match;
    double f1, score; /* NAN: not known */
};
struct run_looker {
    int (*put)(void *user, const struct run_shown *x, struct error *err);
    void *user;
};
int run_look(struct run *r, const struct run_filter *f, const struct run_looker *to, int *total, struct error *err);
/* How far a round is. */
struct run_counts {
    int asked, answered, to_answer, judged; /* to_answer: those that were worth it, by now */
};
int run_count(struct run *r, int round, struct run_counts *out, struct error *err);
/* Verdicts by reason, the results of each arm: name and number, in the order of the names. */
struct run_numbers {
    int (*put)(void *user, const char *name, int n, struct error *err);
    void *user;
};
int run_count_reasons(struct run *r, int round, const struct run_numbers *to, struct error *err);
int run_count_results(struct run *r, const struct run_numbers *to, struct error *err);

/* Many puts in one commit: faster, and all or nothing. */
int run_begin(struct run *r, struct error *err);
int run_commit(struct run *r, struct error *err);
void run_rollback(struct run *r);

/* What an arm gave for a question of a set ("test", "holdout", "sample"). NULL text, NAN logprob, no probabilities: not
 * computed. */
struct run_result {
    const char *text;
    double logprob;
    int n_token;
    const float *probabilities;
    int n_probability, flagged; /* -1: not judged */
    int ended;                  /* the answer, by itself; 0: cut at the token limit, -1: not known */
    const int *contexts;
    int n_context; /* that stood in the prompt, in its order: indices into the seeds that the method was given */
    int dropped;   /* contexts left out because the prompt would not fit */
};
int run_put_result(struct run *r, const char *arm, const char *set, int index, const struct run_result *in,
                   struct error *err);
int run_drop_results(struct run *r, const char *arm, struct error *err); /* of all sets */
/* What an arm gave for the first n questions of a set. A result without a row has flagged and ended -1, logprob NAN and
 * text NULL. */
struct run_results {
    const char *arm, *set;
    struct run_result *items; /* [n], the caller's */
    int n, n_found;           /* n_found of them have a row */
};
int run_get_results(struct run *r, struct run_results *out, struct arena *arena, struct error *err);

/* Small facts by name (text). *out NULL when there is none. */
int run_put_fact(struct run *r, const char *name, const char *value, struct error *err);
int run_get_fact(struct run *r, const char *name, const char **out, struct arena *arena, struct error *err);
int run_drop_fact(struct run *r, const char *name, struct error *err);
/* Facts whose names begin so, in the order of their names. */
struct run_fact_looker {
    int (*put)(void *user, const char *name, const char *value, struct error *err);
    void *user;
};
int run_get_facts(struct run *r, const char *prefix, const struct run_fact_looker *to, struct error *err);
int run_add_event(struct run *r, const char *kind, const char *text, struct error *err);

#endif
