/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo ends with: the arms of a finished run over models/test.jsonl, labelled by the rule that knows the world and, beside
 * it, by the learned judge; ten questions before and after; where everything was written. Of several runs that differ in their seed:
 * the mean of every arm's shares with its interval by Student's t.
 *
 *     demo_table TEST RUN [RUN...]
 */
#include "world.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "run/run.h"
#include "stats/stats.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_QUESTION = 4096, MAX_RUN = 64, N_SHOWN = 10, N_ARM = 9 };

struct table {
    char **questions;
    int n_question;
    struct run *run;
    struct arena arena;
    struct run_result *first, *last; /* the pretrained model's and the last round's answers */
    long n_judged, n_judge_wrong;
};

static const struct { const char *name, *text; } arms[N_ARM] = {
    {"pretrained", "pretrained, no examples"},
    {"icl-random", "pretrained, 5 random seeds in the prompt"},
    {"icl-knn", "pretrained, 5 nearest seeds in the prompt"},
    {"sft-seeds", "tuned on the seeds"},
    {"sft-seeds-steps", "tuned on the seeds, as many steps as ISARA"},
    {"round-1", "ISARA, round 1"}, {"round-2", "ISARA, round 2"}, {"round-3", "ISARA, round 3"}, {"round-4", "ISARA, round 4"},
};

static int read_questions(struct table *t, const char *path, struct error *err) {
    FILE *file = fopen(path, "r");
    if (!file) return error_set_errno(err, "%s", path);
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    t->questions = mem_calloc(MAX_QUESTION, sizeof *t->questions);
    if (!t->questions) status = error_set_nomem(err, MAX_QUESTION * sizeof *t->questions, "questions");
    while (status == 0 && t->n_question < MAX_QUESTION && getline(&line, &cap, file) > 0) {
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *question = json_string_value(json_object_get(row, "question"));
        if (!question) status = error_set(err, ERROR_DATA, "%s:%d: wanted a string \"question\"", path, t->n_question + 1);
        else if (!(t->questions[t->n_question++] = mem_strdup(question))) status = error_set_nomem(err, strlen(question), "a question");
        json_decref(row);
    }
    free(line);
    fclose(file);
    return status;
}

struct tally {
    long count[WORLD_N_MANNER], n;
};

/* The rule's labels of one arm's answers; the judge's verdicts on the same answers are counted on the way. */
static struct tally count_labels(struct table *t, const struct run_result *results) {
    struct tally tally = {{0}, 0};
    for (int i = 0; i < t->n_question; i++) {
        if (!results[i].text) continue;
        enum world_manner manner = world_label(t->questions[i], results[i].text, NULL);
        tally.count[manner]++;
        tally.n++;
        if (results[i].flagged < 0) continue;
        t->n_judged++;
        t->n_judge_wrong += (manner != WORLD_CAREFUL) != results[i].flagged;
    }
    return tally;
}

/* tallies[arm], n 0 for an arm that the run does not have. */
static int count_arms(struct table *t, struct tally tallies[N_ARM], struct error *err) {
    t->first = t->last = NULL;
    for (int i = 0; i < N_ARM; i++) {
        int found = 0;
        struct run_result *results = arena_alloc(&t->arena, (size_t)t->n_question * sizeof *results);
        if (!results) return error_set_nomem(err, (size_t)t->n_question * sizeof *results, "results");
        int status = run_get_results(t->run, arms[i].name, "test", t->n_question, results, &found, &t->arena, err);
        if (status) return status;
        tallies[i] = found ? count_labels(t, results) : (struct tally){{0}, 0};
        if (!tallies[i].n) continue;
        if (i == 0) t->first = results;
        t->last = results;
    }
    return 0;
}

static void print_share(double share, struct stats_interval w) {
    printf("  %5.1f %% (%3.0f-%3.0f)", 100 * share, 100 * (w.low < 0 ? 0 : w.low), 100 * (w.high > 1 ? 1 : w.high));
}

static void print_head(const char *what) {
    printf("\n%-43s%20s%20s%20s\n", what, "careful     ", "careless    ", "broken     ");
}

static void print_arms(const struct tally tallies[N_ARM]) {
    print_head("answers, in % (95 % interval)");
    for (int i = 0; i < N_ARM; i++) {
        const struct tally *a = &tallies[i];
        if (a->n) printf("%-43s", arms[i].text);
        for (int m = 0; a->n && m < WORLD_N_MANNER; m++)
            print_share((double)a->count[m] / (double)a->n, stats_wilson(a->count[m], a->n, 0.95));
        if (a->n) putchar('\n');
    }
}

/* Arms that every run has; run r's tallies are at tallies[r]. */
static void print_means(struct tally (*tallies)[N_ARM], int n_run) {
    print_head("mean over runs, in % (95 % t interval)");
    for (int i = 0; i < N_ARM; i++) {
        double share[WORLD_N_MANNER][MAX_RUN];
        int n = 0;
        for (int r = 0; r < n_run; r++) {
            const struct tally *a = &tallies[r][i];
            for (int m = 0; a->n && m < WORLD_N_MANNER; m++) share[m][n] = (double)a->count[m] / (double)a->n;
            n += a->n > 0;
        }
        if (n < n_run) continue;
        printf("%-43s", arms[i].text);
        for (int m = 0; m < WORLD_N_MANNER; m++) print_share(stats_mean(share[m], n), stats_t_interval(share[m], n, 0.95));
        putchar('\n');
    }
}

static void print_judge(const struct table *t) {
    if (t->n_judged)
        printf("\nThese labels come from a rule that knows the generator. The learned judge errs on %ld of %ld answers (%.1f %%).\n",
               t->n_judge_wrong, t->n_judged, 100.0 * (double)t->n_judge_wrong / (double)t->n_judged);
}

static void print_examples(const struct table *t) {
    if (!t->first || t->last == t->first) return;
    printf("\nBefore and after:\n");
    for (int k = 0; k < N_SHOWN && k < t->n_question; k++) {
        int i = k * (t->n_question / N_SHOWN);
        const char *before = t->first[i].text, *after = t->last[i].text;
        printf("  %s\n    before  %s\n    after   %s\n", t->questions[i], before ? before : "", after ? after : "");
    }
}

static int print_model(struct table *t, struct error *err) {
    struct run_round round;
    int last = 0, status = 0;
    while (status == 0 && (status = run_get_round(t->run, last + 1, &round, err)) == 0 && round.model_sha256[0]) last++;
    if (status || !last) return status;
    char hex[65];
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/round-%d/model/model.safetensors", run_directory(t->run), last);
    status = path.failed ? error_set_nomem(err, 64, "a path") : sha256_file(path.data, hex, err);
    if (status == 0)
        printf("\nEverything is in %s/\n"
               "  run.db                    every attempt: contexts, texts, log-probabilities, verdict\n"
               "  round-N/generated.jsonl   what each round asked and answered, what was kept, and why the rest was not\n"
               "  round-N/model/            the model after each round, a Hugging Face directory\n"
               "  arms/                     every arm's answers to the test questions\n"
               "  manifest.json, config.resolved.json, metrics.json\n"
               "\nSHA-256 of the aligned model, %s: %s\n", run_directory(t->run), path.data, hex);
    buf_free(&path);
    return status;
}

static int read_runs(struct table *t, int n_run, char **paths, struct tally (*tallies)[N_ARM], struct error *err) {
    int status = 0;
    for (int r = 0; r < n_run && status == 0; r++) {
        run_close(t->run);
        t->run = NULL;
        status = run_open_readonly(&t->run, paths[r], err);
        if (status == 0) status = count_arms(t, tallies[r], err);
    }
    return status;
}

int main(int argc, char **argv) {
    int n_run = argc - 2;
    if (n_run < 1 || n_run > MAX_RUN) {
        fprintf(stderr, "usage: demo_table TEST RUN [RUN...]    at most %d runs\n", MAX_RUN);
        return 2;
    }
    struct table t = {0};
    struct error err = {0};
    struct tally tallies[MAX_RUN][N_ARM];
    int status = read_questions(&t, argv[1], &err);
    if (status == 0) status = read_runs(&t, n_run, argv + 2, tallies, &err);
    if (status == 0) {
        if (n_run == 1) print_arms(tallies[0]);
        else print_means(tallies, n_run);
        print_judge(&t);
    }
    if (status == 0 && n_run == 1) {
        print_examples(&t);
        status = print_model(&t, &err);
    }
    if (status) fprintf(stderr, "demo_table: %s\n", err.message);
    for (int i = 0; i < t.n_question; i++) mem_free(t.questions[i]);
    mem_free(t.questions);
    arena_free(&t.arena);
    run_close(t.run);
    return error_exit_code(status);
}
