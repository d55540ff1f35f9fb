/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo ends with: the arms of a finished run over models/test.jsonl, labelled by the rule that knows the
 * world; where the learned judge errs, arm by arm; the rounds beside their controls, by the rule and by the judge; ten
 * questions before and after; where everything was written. Of several runs that differ in their seed:
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

enum { MAX_QUESTION = 4096, MAX_RUN = 64, N_SHOWN = 10, N_ARM = 10 };

struct table {
    char **questions;
    int n_question;
    struct run *run;
    struct arena arena;
    struct run_result *first, *last; /* the pretrained model's and the last round's answers */
};

/* kind: of the seeds in the prompt, if there are any. */
static const struct {
    const char *name, *text, *kind;
} arms[N_ARM] = {
    {"pretrained", "pretrained, no examples", NULL},
    {"icl-random", NULL, "random"},
    {"icl-knn", NULL, "nearest"},
    {"sft-seeds", "tuned on the seeds", NULL},
    {"sft-seeds-steps-1", "tuned on the seeds, as many steps as round 1", NULL},
    {"sft-seeds-steps", "tuned on the seeds, as many steps as ISARA", NULL},
    {"round-1", "ISARA, round 1", NULL},
    {"round-2", "ISARA, round 2", NULL},
    {"round-3", "ISARA, round 3", NULL},
    {"round-4", "ISARA, round 4", NULL},
};

static int read_questions(struct table *t, const char *path, struct error *err)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set_errno(err, "%s", path);
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    t->questions = mem_calloc(MAX_QUESTION, sizeof *t->questions);
    if (!t->questions)
        status = error_set_nomem(err, MAX_QUESTION * sizeof *t->questions, "questions");
    while (status == 0 && t->n_question < MAX_QUESTION && getline(&line, &cap, file) > 0) {
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *question = json_string_value(json_object_get(row, "question"));
        if (!question)
            status = error_set(err, ERROR_DATA, "%s:%d: wanted a string \"question\"", path, t->n_question + 1);
        else if (!(t->questions[t->n_question++] = mem_strdup(question)))
            status = error_set_nomem(err, strlen(question), "a question");
        json_decref(row);
    }
    free(line);
    fclose(file);
    return status;
}

struct tally {
    long count[WORLD_N_MANNER], n;
    long n_judged, n_false_flag, n_missed; /* by the judge: careful answers flagged, others not */
    long least, most, asked;               /* examples in the prompts */
    double mean;
    signed char *careful, *unflagged; /* [questions]: by the rule, by the judge; -1 not known */
};

/* What one answer is to the rule and to the judge. */
static void count_one(struct tally *tally, int i, const char *question, const struct run_result *r)
{
    tally->careful[i] = tally->unflagged[i] = -1;
    if (!r->text)
        return;
    enum world_manner manner = world_label(question, r->text, NULL);
    tally->count[manner]++;
    tally->n++;
    tally->careful[i] = manner == WORLD_CAREFUL;
    long had = r->n_context;
    tally->asked = had + r->dropped > tally->asked ? had + r->dropped : tally->asked;
    tally->least = tally->n == 1 || had < tally->least ? had : tally->least;
    tally->most = had > tally->most ? had : tally->most;
    tally->mean += (double)had;
    if (r->flagged < 0)
        return;
    tally->unflagged[i] = !r->flagged;
    tally->n_judged++;
    tally->n_false_flag += manner == WORLD_CAREFUL && r->flagged;
    tally->n_missed += manner != WORLD_CAREFUL && !r->flagged;
}

static int count_labels(struct table *t, const struct run_result *results, struct tally *tally, struct error *err)
{
    size_t n = (size_t)t->n_question + 1;
    *tally = (struct tally){.careful = arena_alloc(&t->arena, n), .unflagged = arena_alloc(&t->arena, n)};
    if (!tally->careful || !tally->unflagged)
        return error_set_nomem(err, n, "labels");
    for (int i = 0; i < t->n_question; i++)
        count_one(tally, i, t->questions[i], &results[i]);
    tally->mean /= tally->n ? (double)tally->n : 1;
    return 0;
}

/* tallies[arm], n 0 for an arm that the run does not have. */
static int count_arms(struct table *t, struct tally tallies[N_ARM], struct error *err)
{
    t->first = t->last = NULL;
    for (int i = 0; i < N_ARM; i++) {
        struct run_result *results = arena_alloc(&t->arena, (size_t)t->n_question * sizeof *results);
        if (!results)
            return error_set_nomem(err, (size_t)t->n_question * sizeof *results, "results");
        struct run_results stored = {arms[i].name, "test", results, t->n_question, 0};
        int status = run_get_results(t->run, &stored, &t->arena, err);
        if (status)
            return status;
        tallies[i] = (struct tally){0};
        if (stored.n_found && (status = count_labels(t, results, &tallies[i], err)))
            return status;
        if (!tallies[i].n)
            continue;
        if (i == 0)
            t->first = results;
        t->last = results;
    }
    return 0;
}

static void print_share(double share, struct stats_interval w)
{
    printf("  %5.1f %% (%3.0f-%3.0f)", 100 * share, 100 * (w.low < 0 ? 0 : w.low), 100 * (w.high > 1 ? 1 : w.high));
}

static void print_head(const char *what)
{
    printf("\n%-55s%20s%20s%20s\n", what, "careful     ", "careless    ", "broken     ");
}

/* With the number of examples that really stood in the prompts. */
static void print_name(int arm, const struct tally *t)
{
    char text[100];
    if (!arms[arm].kind)
        snprintf(text, sizeof text, "%s", arms[arm].text);
    else if (t->least == t->most)
        snprintf(text, sizeof text, "pretrained, %ld %s seeds in the prompt", t->most, arms[arm].kind);
    else
        snprintf(text, sizeof text, "pretrained, %ld-%ld (mean %.1f) %s seeds in the prompt", t->least, t->most,
                 t->mean, arms[arm].kind);
    printf("%-55s", text);
}

static void print_arms(const struct tally tallies[N_ARM])
{
    print_head("answers, in % (95 % interval)");
    for (int i = 0; i < N_ARM; i++) {
        const struct tally *a = &tallies[i];
        if (a->n)
            print_name(i, a);
        for (int m = 0; a->n && m < WORLD_N_MANNER; m++)
            print_share((double)a->count[m] / (double)a->n, stats_wilson(a->count[m], a->n, 0.95));
        if (a->n)
            putchar('\n');
    }
    long asked = 0;
    for (int i = 0; i < N_ARM; i++)
        if (arms[i].kind && tallies[i].n && tallies[i].least < tallies[i].asked)
            asked = tallies[i].asked;
    if (asked)
        printf("%ld seeds were asked for in the prompt; what is missing had no room in the model's context.\n", asked);
}

/* Arms that every run has; run r's tallies are at tallies[r]. */
static void print_means(struct tally (*tallies)[N_ARM], int n_run)
{
    print_head("mean over runs, in % (95 % t interval)");
    for (int i = 0; i < N_ARM; i++) {
        double share[WORLD_N_MANNER][MAX_RUN];
        int n = 0;
        for (int r = 0; r < n_run; r++) {
            const struct tally *a = &tallies[r][i];
            for (int m = 0; a->n && m < WORLD_N_MANNER; m++)
                share[m][n] = (double)a->count[m] / (double)a->n;
            n += a->n > 0;
        }
        if (n < n_run)
            continue;
        print_name(i, &tallies[0][i]);
        for (int m = 0; m < WORLD_N_MANNER; m++)
            print_share(stats_mean(share[m], n), stats_t_interval(share[m], n, 0.95));
        putchar('\n');
    }
}

/* Where the learned judge errs: by arm, since an error that one arm invites more than another is taken for an
 * effect. */
static void print_judge(struct tally (*tallies)[N_ARM], int n_run)
{
    long judged = 0, wrong = 0;
    for (int r = 0; r < n_run; r++)
        for (int i = 0; i < N_ARM; i++) {
            judged += tallies[r][i].n_judged;
            wrong += tallies[r][i].n_false_flag + tallies[r][i].n_missed;
        }
    if (!judged)
        return;
    printf("\nThese labels come from a rule that knows the generator. The learned judge errs on %ld of %ld answers "
           "(%.1f %%):\n",
           wrong, judged, 100.0 * (double)wrong / (double)judged);
    printf("%-55s%22s%22s\n", "", "flags careful ones", "passes others");
    for (int i = 0; i < N_ARM; i++) {
        struct tally sum = {0};
        for (int r = 0; r < n_run; r++) {
            sum.n_judged += tallies[r][i].n_judged;
            sum.n_false_flag += tallies[r][i].n_false_flag;
            sum.n_missed += tallies[r][i].n_missed;
            sum.count[WORLD_CAREFUL] += tallies[r][i].count[WORLD_CAREFUL];
        }
        if (!sum.n_judged)
            continue;
        print_name(i, &tallies[0][i]);
        printf("%12ld of %6ld%12ld of %6ld\n", sum.n_false_flag, sum.count[WORLD_CAREFUL], sum.n_missed,
               sum.n_judged - sum.count[WORLD_CAREFUL]);
    }
}

struct pairs {
    long better, worse, n;
    double h;
};

/* Two arms' labels, question by question. */
static struct pairs pair_labels(const struct table *t, const signed char *mine, const signed char *other)
{
    struct pairs p = {0, 0, 0, 0};
    long m = 0, o = 0;
    for (int i = 0; i < t->n_question; i++) {
        if (mine[i] < 0 || other[i] < 0)
            continue;
        p.n++;
        m += mine[i];
        o += other[i];
        p.better += mine[i] && !other[i];
        p.worse += other[i] && !mine[i];
    }
    p.h = p.n ? stats_cohen_h((double)m / (double)p.n, (double)o / (double)p.n) : 0;
    return p;
}

/* One round beside some arms: by the rule and by the judge, each family with Holm's correction. */
static int print_against(const struct table *t, const struct tally tallies[N_ARM], int round, const int *others, int n,
                         struct error *err)
{
    struct pairs pairs[2][N_ARM];
    double p[2][N_ARM];
    int status = 0;
    for (int k = 0; k < n; k++) {
        const struct tally *mine = &tallies[round], *other = &tallies[others[k]];
        pairs[0][k] = pair_labels(t, mine->careful, other->careful);
        pairs[1][k] = pair_labels(t, mine->unflagged, other->unflagged);
        for (int judge = 0; judge < 2; judge++)
            p[judge][k] = stats_mcnemar(pairs[judge][k].better, pairs[judge][k].worse).p;
    }
    for (int judge = 0; judge < 2 && status == 0; judge++)
        status = stats_holm(p[judge], n, p[judge], err);
    for (int k = 0; k < n && status == 0; k++) {
        print_name(others[k], &tallies[others[k]]);
        for (int judge = 0; judge < 2; judge++)
            if (pairs[judge][k].n)
                printf("%9ld / %-4ld %+6.2f %8.2g", pairs[judge][k].better, pairs[judge][k].worse, pairs[judge][k].h,
                       p[judge][k]);
        putchar('\n');
    }
    return status;
}

/* The last round beside every other arm, the first beside as many steps on the seeds alone. */
static int print_controls(const struct table *t, const struct tally tallies[N_ARM], struct error *err)
{
    enum { FIRST_CONTROL = 4, FIRST_ROUND = 6 };
    int others[N_ARM], n = 0, last = N_ARM - 1;
    while (last > 0 && !tallies[last].n)
        last--;
    if (last < FIRST_ROUND)
        return 0;
    for (int i = 0; i < last; i++)
        if (tallies[i].n)
            others[n++] = i;
    printf("\n%-55s%30s%31s\n", arms[last].text, "by the rule", "by the judge");
    printf("%-55s%30s%31s\n", "beside", "better / worse    h        p", "better / worse    h        p");
    int status = print_against(t, tallies, last, others, n, err);
    if (status == 0 && last > FIRST_ROUND && tallies[FIRST_CONTROL].n) {
        printf("%s beside\n", arms[FIRST_ROUND].text);
        others[0] = FIRST_CONTROL;
        status = print_against(t, tallies, FIRST_ROUND, others, 1, err);
    }
    printf("Questions better or worse than there; h: Cohen's; p: exact McNemar after Holm, over these questions only: "
           "how another random seed would\n"
           "draw questions and rows is not in it (docs/RESULTS.md has five seeds).\n");
    return status;
}

static void print_examples(const struct table *t)
{
    if (!t->first || t->last == t->first)
        return;
    printf("\nBefore and after:\n");
    for (int k = 0; k < N_SHOWN && k < t->n_question; k++) {
        int i = k * (t->n_question / N_SHOWN);
        const char *before = t->first[i].text, *after = t->last[i].text;
        printf("  %s\n    before  %s\n    after   %s\n", t->questions[i], before ? before : "", after ? after : "");
    }
}

static int print_model(struct table *t, struct error *err)
{
    struct run_round round;
    int last = 0, status = 0;
    while (status == 0 && (status = run_get_round(t->run, last + 1, &round, err)) == 0 && round.model_sha256[0])
        last++;
    if (status || !last)
        return status;
    char hex[65];
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/round-%d/model/model.safetensors", run_directory(t->run), last);
    status = path.failed ? error_set_nomem(err, 64, "a path") : sha256_file(path.data, hex, err);
    if (status == 0)
        printf(
            "\nEverything is in %s/\n"
            "  run.db                    every attempt: contexts, texts, log-probabilities, verdict\n"
            "  round-N/generated.jsonl   what each round asked and answered, what was kept, and why the rest was not\n"
            "  round-N/model/            the model after each round, a Hugging Face directory\n"
            "  arms/                     every arm's answers to the test questions\n"
            "  manifest.json, config.resolved.json, metrics.json\n"
            "\nSHA-256 of the aligned model, %s: %s\n",
            run_directory(t->run), path.data, hex);
    buf_free(&path);
    return status;
}

static int read_runs(struct table *t, int n_run, char **paths, struct tally (*tallies)[N_ARM], struct error *err)
{
    int status = 0;
    for (int r = 0; r < n_run && status == 0; r++) {
        run_close(t->run);
        t->run = NULL;
        status = run_open_readonly(&t->run, paths[r], err);
        if (status == 0)
            status = count_arms(t, tallies[r], err);
    }
    return status;
}

int main(int argc, char **argv)
{
    int n_run = argc - 2;
    if (n_run < 1 || n_run > MAX_RUN) {
        fprintf(stderr, "usage: demo_table TEST RUN [RUN...]    at most %d runs\n", MAX_RUN);
        return 2;
    }
    struct table t = {0};
    struct error err = {0};
    struct tally tallies[MAX_RUN][N_ARM];
    int status = read_questions(&t, argv[1], &err);
    if (status == 0)
        status = read_runs(&t, n_run, argv + 2, tallies, &err);
    if (status == 0) {
        if (n_run == 1)
            print_arms(tallies[0]);
        else
            print_means(tallies, n_run);
        print_judge(tallies, n_run);
        if (n_run == 1)
            status = print_controls(&t, tallies[0], &err);
    }
    if (status == 0 && n_run == 1) {
        print_examples(&t);
        status = print_model(&t, &err);
    }
    if (status)
        fprintf(stderr, "demo_table: %s\n", err.message);
    for (int i = 0; i < t.n_question; i++)
        mem_free(t.questions[i]);
    mem_free(t.questions);
    arena_free(&t.arena);
    run_close(t.run);
    return error_exit_code(status);
}
