/* SPDX-License-Identifier: Apache-2.0 */
/* Several answers a question: they share their question, each has a score that is worked out here from the model alone
 * (the tiny tokenizer has a token a byte, so prompts are made by hand), those are kept that the switches name, and a
 * run that was killed while it scored ends with the same bytes. */
#include "check.h"

#include "answer/seeds.h"
#include "base/log.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "method/fields.h"
#include "tiny_align.h"
#include "tiny_model.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUESTIONS = 5, ANSWERS = 3, ROWS = QUESTIONS * ANSWERS };
static struct seeds seeds;
static char reward[1100];

static void options(struct align_options *o, const char *name, char run[1100])
{
    snprintf(run, 1100, "%s/%s", tiny.root, name);
    tiny_align_options(o, run);
    o->rounds = 1;
    o->attempts = QUESTIONS;
    o->answers = ANSWERS;
    o->answer.num_beams = 1;
    o->answer.do_sample = 1;
    o->answer.temperature = 1.5F;
}

static void align(const struct align_options *o)
{
    struct align_result r;
    tiny_align(o, 2, &r);
    align_result_free(&r);
}

/* A round's generated.jsonl as a list. */
static json_t *read_rows(const char *run, int round)
{
    char path[2048], line[1 << 16];
    json_t *rows = json_array();
    snprintf(path, sizeof path, "%s/round-%d/generated.jsonl", run, round);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        json_array_append_new(rows, json_loads(line, 0, NULL));
    fclose(f);
    return rows;
}

static const char *text_of(const json_t *rows, int i, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(rows, (size_t)i), name));
    return text ? text : "";
}

static int has_score(const json_t *rows, int i)
{
    return json_is_number(json_object_get(json_array_get(rows, (size_t)i), "score"));
}

static double score_of(const json_t *rows, int i)
{
    assert_true(has_score(rows, i));
    return json_number_value(json_object_get(json_array_get(rows, (size_t)i), "score"));
}

/* The prompt that a row was answered after: its contexts are seeds. */
static void prompt_of(const json_t *rows, int i, int bare, struct buf *out)
{
    const json_t *facts = json_object_get(json_array_get(rows, (size_t)i), "answer_facts"),
                 *contexts = json_object_get(facts, "contexts");
    for (size_t k = 0; k < json_array_size(contexts) && !bare; k++) {
        int seed = -1;
        assert_int_equal(sscanf(json_string_value(json_array_get(contexts, k)), "seed-%d", &seed), 1);
        buf_printf(out, "Question: %s\nAnswer: %s\n\n", seeds.items[seed].question, seeds.items[seed].answer);
    }
    buf_printf(out, "Question: %s\nAnswer:", text_of(rows, i, "question"));
}

static struct model *open_model(struct device *d, const char *path, enum model_task task)
{
    struct checkpoint *ck;
    struct model *m = NULL;
    struct error err = {0, ""};
    if (checkpoint_open(&ck, path, &err) ||
        model_open(&m, d, ck, &(struct model_options){.dtype = DTYPE_F32, .task = task}, &err))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    return m;
}

/* Sum of log p(completion | prompt), a token a byte. */
static double logprob(const struct model *m, const char *prompt, const char *completion)
{
    int32_t ids[4096];
    float l[4096];
    double sum = 0;
    struct error err = {0, ""};
    int n = 0, n_prompt = (int)strlen(prompt), n_completion = (int)strlen(completion);
    for (int i = 0; i < n_prompt; i++)
        ids[n++] = (unsigned char)prompt[i];
    for (int i = 0; i < n_completion; i++)
        ids[n++] = (unsigned char)completion[i];
    if (model_score(m, &(struct model_text){ids, n, n_prompt}, 1, l, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < n_completion; i++)
        sum += (double)l[i];
    return sum;
}

static double logprob_of_answer(const struct model *m, const json_t *rows, int i, int bare, int *n)
{
    struct buf prompt = BUF_INIT, answer = BUF_INIT;
    prompt_of(rows, i, bare, &prompt);
    buf_printf(&answer, " %s", text_of(rows, i, "answer"));
    double x = logprob(m, prompt.data, answer.data);
    *n = (int)answer.len;
    buf_free(&prompt);
    buf_free(&answer);
    return x;
}

static double wanted_logprob(const struct model *m, const json_t *rows, int i)
{
    int n;
    double sum = logprob_of_answer(m, rows, i, 0, &n);
    return sum / n;
}

static double wanted_gain(const struct model *m, const json_t *rows, int i)
{
    int n;
    return logprob_of_answer(m, rows, i, 0, &n) - logprob_of_answer(m, rows, i, 1, &n);
}

/* The expectation over five ratings, each by the likelihood of its own text. */
static double wanted_rating(const struct model *m, const json_t *rows, int i)
{
    struct buf prompt = BUF_INIT;
    double mass = 0, sum = 0;
    buf_printf(&prompt, "Question: %s\nAnswer: %s\n\nHow good is this answer, from 1 (bad) to 5 (very good)? Rating:",
               text_of(rows, i, "question"), text_of(rows, i, "answer"));
    for (int k = 1; k <= 5; k++) {
        char rating[3] = {' ', (char)('0' + k), 0};
        double p = exp(logprob(m, prompt.data, rating));
        mass += p;
        sum += k * p;
    }
    buf_free(&prompt);
    return sum / mass;
}

/* The classifier's one logit at the last byte of the text that reward models read. */
static double wanted_reward(const struct model *m, const json_t *rows, int i)
{
    struct buf text = BUF_INIT;
    int32_t ids[4096];
    float x;
    struct error err = {0, ""};
    buf_printf(&text, "BEGINNING OF CONVERSATION: USER: %s ASSISTANT:%s", text_of(rows, i, "question"),
               text_of(rows, i, "answer"));
    for (size_t k = 0; k < text.len; k++)
        ids[k] = (unsigned char)text.data[k];
    if (model_classify(m, &(struct model_text){ids, (int)text.len, (int)text.len}, 1, &x, &err))
        fail_msg("%s", err.message);
    buf_free(&text);
    return (double)x;
}

/* Of each question the rows share it, and one that passes the other rules is kept: the one with the best score. */
static int check_best(const json_t *rows)
{
    int kept = 0;
    for (int q = 0; q < QUESTIONS; q++) {
        int best = -1, is = -1, passed = 0;
        for (int i = q * ANSWERS; i < (q + 1) * ANSWERS; i++) {
            const char *reason = text_of(rows, i, "reason");
            assert_string_equal(text_of(rows, i, "question"), text_of(rows, q * ANSWERS, "question"));
            if (!strcmp(reason, "kept"))
                is = i;
            if (strcmp(reason, "kept") && strcmp(reason, "score_beaten"))
                continue;
            passed++;
            best = best < 0 || score_of(rows, i) > score_of(rows, best) ? i : best;
        }
        assert_int_equal(is, best);
        kept += passed > 1;
    }
    return kept;
}

static void scores_are_what_the_model_says(void **state)
{
    (void)state;
    const struct {
        const char *name;
        enum align_score score;
        double (*wanted)(const struct model *m, const json_t *rows, int i);
        const char *model;
        enum model_task task;
    } cases[] = {{"logprob", SCORE_LOGPROB, wanted_logprob, tiny.model, MODEL_LM},
                 {"gain", SCORE_CONTEXT_GAIN, wanted_gain, tiny.model, MODEL_LM},
                 {"self", SCORE_SELF, wanted_rating, tiny.model, MODEL_LM},
                 {"reward", SCORE_REWARD_MODEL, wanted_reward, reward, MODEL_CLASSIFY}};
    struct device *d = tiny_device(1);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct align_options o;
        char run[1100];
        options(&o, cases[c].name, run);
        o.score = cases[c].score;
        o.reward = cases[c].score == SCORE_REWARD_MODEL ? reward : NULL;
        align(&o);
        json_t *rows = read_rows(run, 1);
        struct model *m = open_model(d, cases[c].model, cases[c].task);
        int n = 0;
        assert_int_equal(json_array_size(rows), ROWS);
        for (int i = 0; i < ROWS; i++) {
            assert_int_equal(has_score(rows, i), *text_of(rows, i, "answer") != 0);
            if (!has_score(rows, i))
                continue;
            double x = cases[c].wanted(m, rows, i), y = score_of(rows, i);
            if (!(fabs(x - y) < 1e-4 * (1 + fabs(x))))
                fail_msg("%s, row %d: %.9g, wanted %.9g", cases[c].name, i, y, x);
            n++;
        }
        assert_true(n > ANSWERS);
        assert_true(check_best(rows) > 0); /* else nothing was chosen from */
        model_close(m);
        json_decref(rows);
    }
    device_close(d);
}

/* All that pass are kept, their question once more each; the least score rises by round. */
static void those_over_a_threshold_are_kept(void **state)
{
    (void)state;
    struct align_options o;
    char run[1100];
    options(&o, "over", run);
    o.score = SCORE_LOGPROB;
    o.keep_best = 0;
    o.rounds = 2;
    o.min_rank = "0.25,0.75";
    align(&o);
    for (int round = 1; round <= 2; round++) {
        json_t *rows = read_rows(run, round);
        int n = 0, low = 0, several = 0, at_once = 0;
        double least = INFINITY, all[ROWS];
        for (int i = 0; i < ROWS; i++)
            if (has_score(rows, i))
                all[n++] = score_of(rows, i);
        for (int i = 0; i < n; i++) { /* the value with as many below it as the share says */
            int below = 0;
            for (int k = 0; k < n; k++)
                below += all[k] < all[i];
            if (below >= (int)((round == 1 ? 0.25 : 0.75) * n))
                least = fmin(least, all[i]);
        }
        for (int i = 0; i < ROWS; i++) {
            const char *reason = text_of(rows, i, "reason");
            assert_string_not_equal(reason, "score_beaten");
            if (!strcmp(reason, "kept"))
                assert_true(score_of(rows, i) >= least);
            if (!strcmp(reason, "score_low"))
                assert_true(score_of(rows, i) < least);
            low += !strcmp(reason, "score_low");
            at_once = (i % ANSWERS ? at_once : 0) + !strcmp(reason, "kept");
            several |= at_once > 1;
        }
        assert_true(low > 0);
        assert_true(round > 1 || several);
        json_decref(rows);
    }
    o.output = strcat(run, "-2");
    o.min_rank = NULL;
    o.min_score = "1e9"; /* above any */
    o.rounds = 1;
    struct align_result r;
    tiny_align(&o, 1, &r);
    assert_int_equal(r.novelty_ran_out, 1);
    assert_non_null(strstr(r.summary.data, "answer's score is too low"));
    align_result_free(&r);
}

/* Questions are those that are asked with one answer each, and answer 0 of all is not each answer. */
static void questions_do_not_depend_on_the_answers(void **state)
{
    (void)state;
    struct align_options o;
    char one[1100], three[1100];
    int different = 0;
    options(&o, "three", three);
    align(&o);
    options(&o, "one", one);
    o.answers = 1;
    align(&o);
    json_t *x = read_rows(one, 1), *y = read_rows(three, 1);
    assert_int_equal(json_array_size(x), QUESTIONS);
    for (int q = 0; q < QUESTIONS; q++) {
        assert_string_equal(text_of(x, q, "question"), text_of(y, q * ANSWERS, "question"));
        different += strcmp(text_of(y, q * ANSWERS, "answer"), text_of(y, q * ANSWERS + 1, "answer")) != 0;
        for (int i = 0; i < ANSWERS; i++)
            assert_false(has_score(y, q * ANSWERS + i));
    }
    assert_true(different > 0);
    json_decref(x);
    json_decref(y);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct align_options o;
    char run[1100];
    const struct {
        int answers, do_sample;
        enum align_score score;
        const char *min_score, *min_rank, *says, *reward;
    } cases[] = {{3, 0, SCORE_NONE, NULL, NULL, "--answer-do-sample", NULL},
                 {1, 0, SCORE_NONE, "1", NULL, "min_score: wanted --score", NULL},
                 {1, 0, SCORE_NONE, NULL, NULL, "nothing reads it but --score reward", "reward"},
                 {1, 0, SCORE_SELF, NULL, NULL, "nothing reads it but --score reward", "reward"},
                 {1, 0, SCORE_REWARD_MODEL, NULL, NULL, "--reward DIR", NULL},
                 {1, 0, SCORE_LOGPROB, "1,", NULL, "found \"1,\"", NULL},
                 {1, 0, SCORE_LOGPROB, "nan", NULL, "found \"nan\"", NULL},
                 {1, 0, SCORE_LOGPROB, NULL, "0.5,1.5", "found \"0.5,1.5\"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0, ""};
        options(&o, "none", run);
        o.answers = cases[i].answers;
        o.answer.do_sample = cases[i].do_sample;
        o.score = cases[i].score;
        o.min_score = cases[i].min_score;
        o.min_rank = cases[i].min_rank;
        o.reward = cases[i].reward;
        assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%zu: %s", i, err.message);
    }
}

static int words_of(const char *s)
{
    int n = 0;
    for (const char *p = s; *p; p++)
        n += *p > ' ' && (p == s || p[-1] <= ' ');
    return n;
}

/* The run tunes on what each round kept alone: a step is four rows. And what is kept is of the seeds' lengths. */
static void the_newest_of_the_seeds_lengths_are_tuned_on(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char run[1100];
    int low = 0, high = 1000, kept = 0, other = 0;
    options(&o, "newest", run);
    o.rounds = 2;
    o.attempts = 12;
    o.answers = 1;
    o.holdout = 0;
    o.answer.max_new_tokens = 90; /* as long as the seeds' are */
    o.answer.temperature = 0.3F;
    o.tune_on = ALIGN_TUNE_NEWEST;
    o.sift.deviations = 3;
    tiny_align(&o, 2, &r);
    assert_int_equal(r.rounds, 2);
    for (int t = 0; t < 2; t++)
        assert_int_equal(r.report.rounds[t].steps, (r.report.rounds[t].kept + 3) / 4);
    align_result_free(&r);
    double sum = 0, squares = 0;
    for (int i = 0; i < seeds.n; i++) {
        int n = words_of(seeds.items[i].question);
        sum += n;
        squares += n * n;
    }
    double mean = sum / seeds.n, deviation = sqrt(squares / seeds.n - mean * mean);
    while (low < mean - 3 * deviation)
        low++;
    while (high > mean + 3 * deviation)
        high--;
    json_t *rows = read_rows(run, 1);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *reason = text_of(rows, (int)i, "reason");
        int n = words_of(text_of(rows, (int)i, "question"));
        if (!strcmp(reason, "kept"))
            assert_true(n >= low && n <= high);
        if (!strcmp(reason, "question_short") || !strcmp(reason, "question_long"))
            assert_true(n < low || n > high);
        kept += !strcmp(reason, "kept");
        other += n < low || n > high;
    }
    assert_true(kept > 0 && other > 0);
    json_decref(rows);
}

/* How many pairs export has of a run. */
static int exported(const char *run)
{
    struct buf text = BUF_INIT;
    struct export_counts n;
    assert_int_equal(method_export(run, &(struct export_options){EXPORT_CSV, 0}, &text, &n, NULL), 0);
    buf_free(&text);
    return n.kept;
}

/* Rounds 1 and 2 have the same attempts; the second keeps the better ones and tunes on those, and seeds, alone. */
static void improve_steps_judge_the_same_answers_anew(const char *run, const struct report_run *r)
{
    json_t *rows[2] = {read_rows(run, 1), read_rows(run, 2)};
    int kept[2] = {0, 0};
    assert_int_equal(json_array_size(rows[0]), json_array_size(rows[1]));
    for (int i = 0; i < (int)json_array_size(rows[0]); i++) {
        assert_string_equal(text_of(rows[0], i, "question"), text_of(rows[1], i, "question"));
        assert_string_equal(text_of(rows[0], i, "answer"), text_of(rows[1], i, "answer"));
        assert_int_equal(has_score(rows[0], i), has_score(rows[1], i));
        if (has_score(rows[0], i))
            assert_true(score_of(rows[0], i) == score_of(rows[1], i));
        for (int t = 0; t < 2; t++)
            kept[t] += !strcmp(text_of(rows[t], i, "reason"), "kept");
        if (!strcmp(text_of(rows[1], i, "reason"), "kept"))
            assert_string_equal(text_of(rows[0], i, "reason"), "kept");
    }
    assert_true(kept[1] > 0 && kept[1] < kept[0]);
    assert_int_equal(r->kept, kept[1]);
    assert_int_equal(exported(run), kept[1]);
    for (int t = 0; t < 2; t++)
        assert_int_equal(r->rounds[t].steps, (r->n_given + kept[t] + 3) / 4);
    json_decref(rows[0]);
    json_decref(rows[1]);
}

static void kill_while_scoring(void *user, const struct progress *p)
{
    int *left = user;
    if (!strcmp(p->stage, "score") && !(*left)--)
        kill(getpid(), SIGKILL);
}

/* Everything that the directory says is what its journal gives, and attempts of both rounds are made again. */
static void verify(struct device *d, const char *run)
{
    struct report_run r;
    struct differences x = {.n = 0};
    struct error err = {0, ""};
    if (method_results(run, &r, &err) || method_verify(d, &r, &(struct method_verify){4, 1}, &x, &err))
        fail_msg("%s", err.message);
    if (x.n)
        fail_msg("%s", x.text.data);
    differences_free(&x);
    report_run_free(&r);
}

/* Broken at the n-th sign of scoring, it ends as a run that was not; attempts can be replayed. */
static void break_and_continue(struct align_options *o, const char *whole, int left)
{
    char broken[1100];
    struct buf text = BUF_INIT;
    struct error err = {0, ""};
    int status, same;
    snprintf(broken, sizeof broken, "%s-broken", whole);
    o->output = broken;
    pid_t child = fork();
    if (!child) {
        struct align_result r;
        log_set_sink(&(struct log_sink){NULL, kill_while_scoring, &left});
        tiny_align(o, 1, &r);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    align(o);
    tiny_align_same(whole, broken);
    struct device *d = tiny_device(1);
    static const char *const ids[] = {"r1-a0", "r2-a5"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(method_replay(d, broken, ids[i], &same, &text, &err), 0);
        if (!same)
            fail_msg("%s", text.data);
    }
    verify(d, broken);
    device_close(d);
    buf_free(&text);
}

static void a_run_killed_while_it_scores_ends_with_the_same_bytes(void **state)
{
    (void)state;
    struct align_options o;
    char whole[1100];
    options(&o, "whole", whole);
    o.rounds = 2;
    o.attempts = 24; /* more answers than are scored at a time */
    o.score = SCORE_CONTEXT_GAIN;
    o.answer.max_new_tokens = 8;
    align(&o);
    break_and_continue(&o, whole, 0);
}

static void improve_steps_are_rounds_of_the_same_attempts(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0, ""};
    char run[1100];
    options(&o, "rest", run);
    assert_int_equal(align_recipe_apply(&o, "rest", &err), 0);
    o.rounds = 2;
    o.reward = reward;
    tiny_align(&o, 2, &r);
    assert_int_equal(r.rounds, 2);
    improve_steps_judge_the_same_answers_anew(run, &r.report);
    align_result_free(&r);
    break_and_continue(&o, run, 1); /* in the second round */
    o.min_rank = NULL;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "improve_steps: 2 wants --min-score"));
}

static int setup(void **state)
{
    struct error err = {0, ""};
    int rc = tiny_align_setup(state);
    struct device *d = tiny_device(1);
    tiny_reward_make(d, tiny.root);
    device_close(d);
    snprintf(reward, sizeof reward, "%s/reward", tiny.root);
    return rc ? rc : seeds_read(&seeds, tiny.seeds, 1, &err);
}

static int teardown(void **state)
{
    seeds_free(&seeds);
    return tiny_align_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_what_the_model_says),
        cmocka_unit_test(those_over_a_threshold_are_kept),
        cmocka_unit_test(questions_do_not_depend_on_the_answers),
        cmocka_unit_test(the_newest_of_the_seeds_lengths_are_tuned_on),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(improve_steps_are_rounds_of_the_same_attempts),
        cmocka_unit_test(a_run_killed_while_it_scores_ends_with_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
