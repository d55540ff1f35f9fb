/* SPDX-License-Identifier: Apache-2.0 */
/* What docs/METHOD.md promises, recomputed from the files of runs of the bundled miniature: the core of tests/outside/
 * for machines without python3. The program is run as its users run it; no line of the library's has a part in what is
 * expected. */
#include "tests/check.h"
#include "tests/outside_method.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS = 24, TESTS = 8, K = 4, MOST = 128, ARMS = 8 };
#define MODEL "models/miniature"
#define DECODING "--retriever bm25 --k 4 --dtype f32 --answer-num-beams 1 --answer-max-new-tokens 40 "
#define ALIGN                                                                                                        \
    "align --model " MODEL " --seeds %s/seeds.jsonl --output %s/%s --per-device-train-batch-size 3 --learning-rate " \
    "3e-4 --ask-do-sample --ask-num-beams 1 " DECODING

struct pair {
    const char *question, *answer;
    char name[48];
};
static char root[512];
static struct pair seeds[SEEDS], tests[TESTS];

__attribute__((format(printf, 1, 2))) static void isara(const char *format, ...)
{
    char command[2048];
    int n = snprintf(command, sizeof command, "%s ", getenv("ISARA") ? getenv("ISARA") : "build/isara");
    va_list arguments;
    va_start(arguments, format);
    n += vsnprintf(command + n, sizeof command - (size_t)n, format, arguments);
    va_end(arguments);
    snprintf(command + n, sizeof command - (size_t)n, " --log-level quiet </dev/null >%s/out 2>&1", root);
    if (system(command))
        fail_msg("%s", command);
}

__attribute__((format(printf, 1, 2))) static char *path_of(const char *format, ...)
{
    static char path[4][1024];
    static int at;
    at = (at + 1) % 4;
    int n = snprintf(path[at], sizeof path[at], "%s/", root);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path[at] + n, sizeof path[at] - (size_t)n, format, arguments);
    va_end(arguments);
    return path[at];
}

/* What was read lives until teardown. */
static json_t *documents;

static json_t *until_teardown(json_t *value)
{
    if (!documents)
        documents = json_array();
    assert_int_equal(json_array_append_new(documents, value), 0);
    return value;
}

static json_t *json_file(const char *path)
{
    json_error_t e;
    json_t *value = json_load_file(path, 0, &e);
    if (!value)
        fail_msg("%s: %s", path, e.text);
    return until_teardown(value);
}

/* A file of JSON Lines, at most `most` of them, as an array. */
static json_t *lines_of(const char *path, size_t most)
{
    char line[1 << 16];
    json_t *rows = json_array();
    FILE *in = fopen(path, "r");
    if (!in)
        fail_msg("%s is not there", path);
    while (json_array_size(rows) < most && fgets(line, sizeof line, in))
        json_array_append_new(rows, json_loads(line, 0, NULL));
    fclose(in);
    return until_teardown(rows);
}

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static double number_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static int whole_of(const json_t *row, const char *key)
{
    return (int)json_integer_value(json_object_get(row, key));
}

static int truth_of(const json_t *row, const char *key)
{
    return json_is_true(json_object_get(row, key));
}

static void copy_pairs(struct pair *to, const char *from, const char *name, int n)
{
    json_t *rows = lines_of(from, (size_t)n);
    FILE *out = fopen(path_of("%s", name), "w");
    assert_non_null(out);
    for (int i = 0; i < n; i++) {
        json_t *row = json_array_get(rows, (size_t)i);
        to[i].question = text_of(row, "question");
        to[i].answer = text_of(row, "answer");
        snprintf(to[i].name, sizeof to[i].name, "seed-%d", i);
        char *line = json_dumps(row, 0);
        fprintf(out, "%s\n", line);
        free(line);
    }
    assert_int_equal(fclose(out), 0);
}

/* --- a round --- */
struct round {
    int number, n_pool, n_kept;
    struct pair pool[MOST], *kept; /* kept: of earlier rounds and, behind them, this one */
    const json_t *rows;
};

static void same_contexts(const json_t *row, const json_t *found, const struct round *r, const int *wanted, int n)
{
    assert_int_equal(json_array_size(found), n);
    for (int i = 0; i < n; i++)
        if (strcmp(json_string_value(json_array_get(found, (size_t)i)), r->pool[wanted[i]].name))
            fail_msg("%s: pair %d is %s, by the method %s", text_of(row, "id"), i,
                     json_string_value(json_array_get(found, (size_t)i)), r->pool[wanted[i]].name);
}

static int nearest_last(const struct pair *pool, int n, const char *question, int *out)
{
    const char *texts[MOST];
    double scores[MOST];
    int best[K];
    for (int i = 0; i < n; i++)
        texts[i] = pool[i].question;
    outside_bm25(texts, n, question, scores);
    int found = outside_nearest(scores, n, K, best);
    for (int i = 0; i < found; i++)
        out[i] = best[found - 1 - i];
    return found;
}

static void check_contexts(const struct round *r)
{
    size_t i;
    const json_t *row;
    json_array_foreach(r->rows, i, row)
    {
        int wanted[K];
        int n = outside_draw(0, (uint64_t)r->number * 8 + 4, i, r->n_pool, K, wanted);
        same_contexts(row, json_object_get(json_object_get(row, "ask"), "contexts"), r, wanted, n);
        const json_t *facts = json_object_get(row, "answer_facts");
        if (!facts)
            continue;
        n = nearest_last(r->pool, r->n_pool, text_of(row, "question"), wanted);
        same_contexts(row, json_object_get(facts, "contexts"), r, wanted, n);
    }
}

static int count_words(const char *text)
{
    int n = 0;
    for (const char *s = text; *s; s++)
        n += *s > ' ' && (s == text || s[-1] <= ' ');
    return n;
}

/* Is the question a repeat of a seed, of what was kept before it, or word for word of an earlier one? */
static int repeats(const struct round *r, size_t index, const char *question)
{
    double closest = 0;
    for (int i = 0; i < SEEDS; i++)
        closest = fmax(closest, outside_rouge_l(seeds[i].question, question));
    for (int i = 0; i < r->n_kept; i++)
        closest = fmax(closest, outside_rouge_l(r->kept[i].question, question));
    for (size_t j = 0; j < index; j++)
        if (!strcmp(text_of(json_array_get(r->rows, j), "question"), question))
            return 1;
    double found = number_of(json_array_get(r->rows, index), "nearest_f1");
    if (fabs(found - closest) > 1e-12)
        fail_msg("r%d-a%zu: ROUGE-L with the closest question is %.17g, by the method %.17g", r->number, index, found,
                 closest);
    return closest > 0.7;
}

/* Verdicts about questions and whether there is an answer to copy or not; kept ones go behind r->kept. */
static int check_verdicts(struct round *r, int most_words, int most_kept)
{
    size_t i;
    const json_t *row;
    int kept = 0;
    json_array_foreach(r->rows, i, row)
    {
        const char *question = text_of(row, "question"), *reason = text_of(row, "reason"), *wanted = reason;
        int again = repeats(r, i, question);
        if (!truth_of(json_object_get(row, "ask"), "ended"))
            wanted = "question_unended";
        else if (count_words(question) > most_words)
            wanted = "question_long";
        else if (again)
            wanted = "question_repeat";
        else if (strncmp(reason, "answer_", 7) && strncmp(reason, "question_repetitive", 19))
            wanted = kept < most_kept ? "kept" : "enough";
        if (strcmp(reason, wanted))
            fail_msg("%s: %s, by the method %s", text_of(row, "id"), reason, wanted);
        assert_int_equal(truth_of(row, "kept"), !strcmp(reason, "kept"));
        if (!truth_of(row, "kept"))
            continue;
        struct pair *p = &r->kept[r->n_kept++];
        p->question = question;
        p->answer = text_of(row, "answer");
        snprintf(p->name, sizeof p->name, "r%d-a%zu", r->number, i);
        kept++;
    }
    return kept;
}

/* The weights of a round are those of `isara train` on the pairs from that start. */
static void check_weights(const char *run, int round, const char *start, const struct pair *kept, int n_kept)
{
    FILE *out = fopen(path_of("rows.jsonl"), "w");
    for (int i = 0; i < SEEDS + n_kept; i++) {
        const struct pair *p = i < SEEDS ? &seeds[i] : &kept[i - SEEDS];
        char prompt[1024], completion[1024];
        snprintf(prompt, sizeof prompt, "Question: %s\nAnswer:", p->question);
        snprintf(completion, sizeof completion, " %s", p->answer);
        json_t *row = json_pack("{s:s, s:s}", "prompt", prompt, "completion", completion);
        char *line = json_dumps(row, 0);
        fprintf(out, "%s\n", line);
        free(line);
        json_decref(row);
    }
    assert_int_equal(fclose(out), 0);
    isara("train --model %s --data %s/rows.jsonl --output %s/trained --per-device-train-batch-size 3 --learning-rate "
          "3e-4 --max-steps 5 --dtype f32",
          start, root, root);
    char command[2048];
    snprintf(command, sizeof command,
             "cmp %s/trained/model.safetensors %s/%s/round-%d/model/model.safetensors && rm -r %s/trained", root, root,
             run, round, root);
    if (system(command))
        fail_msg("round %d: its weights are not those of isara train on %d rows from %s", round, SEEDS + n_kept, start);
}

static void test_rounds(void **state)
{
    (void)state;
    static struct pair kept[MOST];
    int n_kept = 0;
    isara(ALIGN "--rounds 2 --attempts 16 --pool grown --start last --holdout 0 --samples 0 --max-steps 5 "
                "--question-max-words 17",
          root, root, "rounds");
    json_t *metrics = json_file(path_of("rounds/metrics.json"));
    for (int t = 1; t <= 2; t++) {
        static struct round r;
        r = (struct round){.number = t,
                           .n_kept = n_kept,
                           .kept = kept,
                           .rows = lines_of(path_of("rounds/round-%d/generated.jsonl", t), MOST)};
        memcpy(r.pool, seeds, sizeof seeds);
        memcpy(r.pool + SEEDS, kept, (size_t)n_kept * sizeof *kept);
        r.n_pool = SEEDS + n_kept;
        assert_int_equal(json_array_size(r.rows), 16);
        check_contexts(&r);
        int here = check_verdicts(&r, 17, MOST);
        assert_int_equal(whole_of(json_array_get(json_object_get(metrics, "rounds"), (size_t)t - 1), "kept"), here);
        assert_true(here > 0 && here < 16);
        n_kept = r.n_kept;
        check_weights("rounds", t, t == 1 ? MODEL : path_of("rounds/round-1/model"), kept, n_kept);
    }
}

static void test_count_kept(void **state)
{
    (void)state;
    static struct pair kept[MOST];
    isara(ALIGN "--rounds 1 --attempts 5 --count kept --holdout 0 --samples 0 --max-steps 1 --question-max-words 15",
          root, root, "count");
    struct round r = {.number = 1, .kept = kept, .rows = lines_of(path_of("count/round-1/generated.jsonl"), MOST)};
    memcpy(r.pool, seeds, sizeof seeds);
    r.n_pool = SEEDS;
    check_contexts(&r);
    assert_int_equal(check_verdicts(&r, 15, 5), 5);
    assert_true(json_array_size(r.rows) > 5 && json_array_size(r.rows) % 5 == 0);
}

/* --stop-novelty at, just below and just above the share that is kept; and what is held out. */
static void test_alpha_and_holdout(void **state)
{
    (void)state;
    double share = 0;
    int held[3];
    assert_int_equal(outside_draw(0, 4, UINT64_MAX, SEEDS, 3, held), 3);
    for (int i = 0; i < 4; i++) {
        const double alphas[] = {0, share, nextafter(share, 0), nextafter(share, 1)};
        double alpha = alphas[i];
        char name[16];
        snprintf(name, sizeof name, "alpha-%d", i);
        isara(ALIGN "--rounds 1 --attempts 8 --holdout 3 --samples 0 --max-steps 1 --question-max-words 16 "
                    "--stop-novelty %.17g",
              root, root, name, alpha);
        json_t *metrics = json_file(path_of("%s/metrics.json", name));
        share = number_of(json_array_get(json_object_get(metrics, "rounds"), 0), "share");
        assert_true(share > 0 && share < 1);
        assert_int_equal(whole_of(metrics, "novelty_ran_out"), i == 3);
        assert_int_equal(access(path_of("%s/round-1/model/model.safetensors", name), F_OK), i == 3 ? -1 : 0);
        json_t *measured = lines_of(path_of("%s/arms/pretrained.jsonl", name), MOST), *row;
        size_t at;
        assert_int_equal(json_array_size(measured), 3);
        json_array_foreach(measured, at, row)
        {
            int is_held = 0;
            for (int h = 0; h < 3; h++)
                is_held += !strcmp(text_of(row, "question"), seeds[held[h]].question);
            if (is_held != 1)
                fail_msg("measured on a question that was not held out: %s", text_of(row, "question"));
        }
    }
}

/* --- the arms --- */
struct measured {
    const json_t *entry;
    json_t *rows;
};

/* Counts, changes and their p-values before any correction. */
static void check_arm(const struct measured *arm, const struct measured *base, double *p, double *p_flags)
{
    const json_t *judge = json_object_get(arm->entry, "judge");
    double d[TESTS], mean = 0;
    int fewer = 0, more = 0;
    for (int i = 0; i < TESTS; i++) {
        const json_t *mine = json_array_get(arm->rows, (size_t)i), *other = json_array_get(base->rows, (size_t)i);
        assert_string_equal(text_of(mine, "question"), tests[i].question);
        d[i] = number_of(mine, "reference_logprob") / number_of(mine, "reference_tokens") -
               number_of(other, "reference_logprob") / number_of(other, "reference_tokens");
        mean += d[i] / TESTS;
        fewer += truth_of(other, "flagged") && !truth_of(mine, "flagged");
        more += truth_of(mine, "flagged") && !truth_of(other, "flagged");
    }
    *p = outside_wilcoxon(d, TESTS);
    *p_flags = outside_mcnemar(fewer, more);
    assert_int_equal(whole_of(judge, "no_longer_flagged"), fewer);
    assert_int_equal(whole_of(judge, "newly_flagged"), more);
    if (fabs(number_of(arm->entry, "change") - mean) > 1e-12)
        fail_msg("%s: change %g, by the method %g", text_of(arm->entry, "name"), number_of(arm->entry, "change"), mean);
    assert_true(fabs(number_of(arm->entry, "p_wilcoxon") - *p) < 1e-12);
    assert_true(fabs(number_of(judge, "p_mcnemar") - *p_flags) < 1e-12);
}

static void check_holm(const struct measured *arms, int n, const double *p, const char *key, int of_flags)
{
    double wanted[ARMS];
    outside_holm(p, n, wanted);
    for (int i = 0; i < n; i++) {
        const json_t *entry = of_flags ? json_object_get(arms[i].entry, "judge") : arms[i].entry;
        if (fabs(number_of(entry, key) - wanted[i]) > 1e-12)
            fail_msg("%s: %s %g, by the method %g", text_of(arms[i].entry, "name"), key, number_of(entry, key),
                     wanted[i]);
    }
}

/* The last round beside the arm at `index` of "last_round_against". */
static void check_against(const json_t *against, size_t index, const struct measured *arm, const struct measured *last)
{
    const json_t *row = json_array_get(against, index);
    int fewer = 0, more = 0;
    for (size_t i = 0; i < TESTS; i++) {
        int mine = truth_of(json_array_get(last->rows, i), "flagged"),
            other = truth_of(json_array_get(arm->rows, i), "flagged");
        fewer += other && !mine;
        more += mine && !other;
    }
    assert_string_equal(text_of(row, "arm"), text_of(arm->entry, "name"));
    assert_int_equal(whole_of(row, "no_longer_flagged"), fewer);
    assert_int_equal(whole_of(row, "newly_flagged"), more);
}

/* isara eval's arm answers as align's does, and both show the nearest pair last. */
static void check_icl_knn(const struct measured *arm)
{
    isara("eval --task qa --model " MODEL " --arm icl-knn --seeds %s/seeds.jsonl --test %s/test.jsonl --output %s/eval "
          "--retriever bm25 --k 4 --dtype f32 --num-beams 1 --max-new-tokens 40",
          root, root, root);
    json_t *journal = lines_of(path_of("eval/journal.jsonl"), MOST), *line;
    size_t at;
    int n = 0;
    json_array_foreach(journal, at, line)
    {
        const json_t *row = json_object_get(line, "row"), *contexts = json_object_get(row, "contexts");
        if (!text_of(line, "stage") || strcmp(text_of(line, "stage"), "answer"))
            continue;
        int wanted[K];
        int i = whole_of(line, "index");
        nearest_last(seeds, SEEDS, tests[i].question, wanted);
        for (int k = 0; k < K; k++)
            assert_int_equal(json_integer_value(json_array_get(contexts, (size_t)k)), wanted[k]);
        assert_string_equal(text_of(row, "text"), text_of(json_array_get(arm->rows, (size_t)i), "answer"));
        n++;
    }
    assert_int_equal(n, TESTS);
}

static void test_arms(void **state)
{
    (void)state;
    isara(ALIGN "--rounds 1 --attempts 8 --max-steps 5 --test %s/test.jsonl --judge models/miniature-judge --baselines",
          root, root, "arms", root);
    json_t *metrics = json_file(path_of("arms/metrics.json")), *list = json_object_get(metrics, "arms"), *entry;
    static const char *const names[] = {"pretrained", "icl-knn",         "icl-random",
                                        "sft-seeds",  "sft-seeds-steps", "round-1"};
    struct measured arms[ARMS];
    double p[ARMS], p_flags[ARMS];
    size_t i;
    assert_int_equal(json_array_size(list), 6);
    json_array_foreach(list, i, entry)
    {
        assert_string_equal(text_of(entry, "name"), names[i]);
        arms[i] = (struct measured){entry, lines_of(path_of("arms/arms/%s.jsonl", names[i]), MOST)};
        assert_int_equal(json_array_size(arms[i].rows), TESTS);
        if (i)
            check_arm(&arms[i], &arms[0], &p[i - 1], &p_flags[i - 1]);
    }
    check_holm(arms + 1, 5, p, "p_holm", 0);
    check_holm(arms + 1, 5, p_flags, "p_mcnemar_holm", 1);
    for (size_t k = 1; k < 5; k++)
        check_against(json_object_get(metrics, "last_round_against"), k - 1, &arms[k], &arms[5]);
    check_icl_knn(&arms[1]);
}

static int setup(void **state)
{
    (void)state;
    if (access(MODEL "/model.safetensors", R_OK))
        return 0;
    /* in memory where that can be: thousands of commits wait for the disk otherwise */
    snprintf(root, sizeof root, "/dev/shm/isara-outside-core-%ld", (long)getpid());
    char command[600];
    snprintf(command, sizeof command, "mkdir -m 700 %s 2>/dev/null", root);
    if (system(command))
        snprintf(root, sizeof root, "%s", check_tmpdir("outside_core"));
    copy_pairs(seeds, "models/seeds.jsonl", "seeds.jsonl", SEEDS);
    copy_pairs(tests, "models/test.jsonl", "test.jsonl", TESTS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s", root);
    json_decref(documents);
    return *root ? system(command) : 0;
}

static int need_model(void **state)
{
    (void)state;
    if (!*root)
        SKIP_TEST("models/miniature is not there");
    return 0;
}

int main(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test_setup(test_rounds, need_model),
        cmocka_unit_test_setup(test_count_kept, need_model),
        cmocka_unit_test_setup(test_alpha_and_holdout, need_model),
        cmocka_unit_test_setup(test_arms, need_model),
    };
    return cmocka_run_group_tests(list, setup, teardown);
}
