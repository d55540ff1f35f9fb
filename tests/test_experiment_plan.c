/* SPDX-License-Identifier: Apache-2.0 */
/* Experiments before anything is computed: what is wrong with a file is said by its line, arms share their jobs, and
 * designs multiply arms. Expected numbers of jobs are counted by hand beside each file. */
#include "check.h"

#include "experiment/experiment.h"
#include "io/file.h"
#include "tiny_align.h"

#include <stdlib.h>
#include <string.h>

static char file[1200];

static int plan(const char *yaml, json_t **json, struct error *err)
{
    struct buf text = BUF_INIT;
    snprintf(file, sizeof file, "%s/experiment.yaml", tiny.root);
    assert_int_equal(file_write(file, yaml, strlen(yaml), NULL), 0);
    *err = (struct error){0};
    *json = NULL;
    int rc = experiment_run(&(struct experiment_options){.file = file, .threads = 1, .dry_run = 1}, &text, json, err);
    buf_free(&text);
    return rc;
}

#define FILES "model: model\nseeds: seeds.jsonl\ntest: test.jsonl\n"

static const struct {
    const char *yaml, *line, *said;
} faults[] = {
    {"", ":1: ", "found nothing"},
    {"model: [model\n", ":2: ", "not YAML"},
    {"- a\n", ":1: ", "found a list"},
    {FILES, ":1: ", "\"arms\" is missing"},
    {"model: model\nseeds: seeds.jsonl\narms: [pretrained]\n", ":1: ", "\"test\" is missing"},
    {FILES "arms: [pretrained]\nrouds: 2\n", ":5: ", "\"rouds\": no such key"},
    {FILES "arms: [pretrained]\nmodel: model\n", ":5: ", "model stands on line 1 already"},
    {FILES "arms: [pretrained]\nrounds: two\n", "", ""},
    {FILES "arms:\n  - isara\nrounds: two\n", ":6: ", "rounds"},
    {FILES "arms: [isaro]\n", ":4: ", "found \"isaro\""},
    {FILES "arms:\n  - {kind: isara}\n", ":5: ", "an arm without a name"},
    {FILES "arms:\n  - isara\n  - {name: isara, rounds: 3}\n", ":6: ", "on line 5 already"},
    {FILES "arms:\n  - {name: a, kind: isora}\n", ":5: ", "found \"isora\""},
    {FILES "arms:\n  - pretrained\n  - {name: pretrained-2, kind: pretrained, rounds: 3}\n",
     ":6: ", "no option of what this arm does"},
    {FILES "arms:\n  - {name: s, kind: sft-seeds, budget: steps}\n", ":5: ", "wanted \"as\""},
    {FILES "arms:\n  - isara\n  - {name: s, kind: sft-real}\n", ":6: ", "wanted \"pairs\""},
    {FILES "arms: [isara]\nrecipe: none-such\n", ":5: ", "none-such"},
    {FILES "arms: [isara]\nrandom_seeds: 3\n", ":5: ", "wanted a list"},
    {FILES "arms: [isara]\nrandom_seeds: [1, 1]\n", ":5: ", "stands twice"},
    {FILES "arms: [isara]\ncontrol: isora\n", ":5: ", "found \"isora\""},
    {FILES "arms: [isara]\nmetrics: [qaa]\n", ":5: ", "found \"qaa\""},
    {FILES "arms: [isara]\nmetrics: [diversity]\n", ":5: ", "found \"diversity\""},
    {FILES "arms: [isara]\nmetrics:\n  - {task: qa, rounds: 2}\n", ":6: ", "no option of isara eval"},
    {FILES "arms: [isara]\ndesigns: [sizes]\n", ":5: ", "found \"sizes\""},
    {FILES "arms: [isara]\ndesigns: [size-series]\n", ":1: ", "at least two models"},
    {FILES "arms: [isara]\ndesigns: [cross-category]\n", ":2: ", "at least two categories"},
    {FILES "arms: [isara]\nabout: &a\n  b: *a\n", ":5: ", "wanted at most"},
    {FILES "arms: [isara]\nablate: {eval-k: [1]}\n", ":5: ", "no option of isara align"},
    {"model: model\nseeds: none.jsonl\ntest: test.jsonl\narms: [isara]\n", ":2: ", "no such file"},
    {FILES "arms: [isara]\nseed_counts: [99]\n", "", "wanted 99 pairs"},
    {FILES "arms: [isara]\n---\narms: [isara]\n", ":6: ", "second document"},
    {FILES "arms: [isara]\nrandom_seeds: [0]\nrandom-seeds: [1]\n", ":6: ", "stands on line 5 already"},
    {FILES "arms: [isara]\nlearning-rate: 1\nlearning_rate: 2\n", ":6: ", "stands on line 5 already"},
    {FILES "arms:\n  - {name: a, k: 1,\n     ask-top-k: 2, ask_top_k: 3}\n", ":6: ", "stands on line 6 already"},
    {FILES "arms: [isara]\nrounds: [1, 2]\n", ":5: ", "wanted one value, found a list of 2"},
    {FILES "arms: [{name: \"a\\nb\"}]\n", ":4: ", "wanted one line of text"},
    {FILES "arms: [isara, pretrained]\ncontrol: [isara, isara]\n", ":5: ", "stands twice"},
    {FILES "arms: [isara]\njudge:\n", ":5: ", "found nothing"},
    {FILES "arms: [isara]\nanswer-field: \"\"\n", ":5: ", "wanted the name of a field, found nothing"},
    {FILES "metrics: [qa]\narms: [isara]\nquestion_field: none\n", "", ""},
    {FILES "arms: [isara]\nmetrics: [beavertails]\n", ":5: ", "wants a judge, found none"},
    {FILES "arms: [isara]\njudge: judge\nmetrics: [utility]\n", ":6: ", "reference: FILE"},
    {FILES "arms: [icl-knn]\nretriever: encoder\n", ":4: ", "wants encoder: DIR"},
    {FILES "arms: [pretrained]\nablate: {k: [1]}\n", ":5: ", "wanted an arm of kind isara"},
    {FILES "arms: [isara]\nablate: {k: [1, 1]}\n", ":4: ", "two arms \"isara/k=1\""},
    {FILES "arms: [isara, {name: isara/k=1, k: 2}]\nablate: {k: [1]}\n", ":4: ", "two arms \"isara/k=1\""},
    {"models: [model, model]\nseeds: seeds.jsonl\ntest: test.jsonl\narms: [isara]\n", ":1: ", "stands twice"},
};

static void faults_are_named_by_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct error err;
        json_t *json;
        int rc = plan(faults[i].yaml, &json, &err);
        json_decref(json);
        if (!*faults[i].said) {
            assert_int_equal(rc, 0); /* no arm reads it */
            continue;
        }
        if (!rc || !strstr(err.message, faults[i].said) || !strstr(err.message, faults[i].line))
            fail_msg("%s: wanted '%s' and '%s', found '%s'", faults[i].yaml, faults[i].line, faults[i].said,
                     err.message);
    }
}

/* What an alignment would refuse when its turn comes is refused before the first job. */
static void arms_that_contradict_themselves_are_refused_by_the_plan(void **state)
{
    (void)state;
    static const struct {
        const char *arm, *said;
    } arms[] = {{"answers-per-question: 4", "--answer-do-sample"},
                {"on-policy: true", "--tune-loss soft"},
                {"score: reward", "--reward DIR"},
                {"recipe: self-align", "--principles"},
                {"recipe: rest", "--reward"},
                {"reward: judge", "nothing reads it but --score reward"},
                {"answerer-endpoint: http://h/v1, answerer-model: m, score: self", "--score self: is what the model"},
                {"round: 9", "a: round: wanted one of its rounds (2), found 9"},
                {"kind: isara-one-round, as: b, round: 2", "wanted one of its rounds (1), found 2"},
                {"min-score: 1", "wanted --score reward|self"},
                {"score: self, min-score-rank: [0.2, 2]", "found \"0.2,2\""},
                {"score: self, min-score-rank: [0.2, x]", "found \"0.2,x\""}};
    for (size_t i = 0; i < sizeof arms / sizeof *arms; i++) {
        char yaml[400];
        struct error err;
        json_t *json;
        snprintf(yaml, sizeof yaml, FILES "arms:\n  - {name: b, kind: isara}\n  - {name: a, %s}\n", arms[i].arm);
        int rc = plan(yaml, &json, &err);
        json_decref(json);
        if (!rc || !strstr(err.message, arms[i].said) || !strstr(err.message, ".yaml:6: "))
            fail_msg("%s: wanted '%s', found '%s'", yaml, arms[i].said, err.message);
    }
}

static int count(const json_t *plan, const char *verb, int *uses)
{
    const json_t *j;
    size_t i;
    int n = 0;
    *uses = 0;
    json_array_foreach(json_object_get(plan, "jobs"), i,
                       j) if (!strcmp(json_string_value(json_object_get(j, "verb")), verb))
    {
        n++;
        *uses += (int)json_integer_value(json_object_get(j, "uses"));
    }
    return n;
}

struct wanted {
    int align, train, eval, align_uses, train_uses, eval_uses;
};

static void check_plan(const char *yaml, const struct wanted *w)
{
    struct error err;
    json_t *json;
    int uses;
    if (plan(yaml, &json, &err))
        fail_msg("%s: %s", yaml, err.message);
    assert_int_equal(count(json, "align", &uses), w->align);
    assert_int_equal(uses, w->align_uses);
    assert_int_equal(count(json, "train", &uses), w->train);
    assert_int_equal(uses, w->train_uses);
    assert_int_equal(count(json, "eval", &uses), w->eval);
    assert_int_equal(uses, w->eval_uses);
    json_decref(json);
}

/* Numbers by round are one value, whether they are written as a list or with commas. */
static void a_list_of_numbers_is_one_value(void **state)
{
    (void)state;
    check_plan(FILES "metrics: [qa]\nscore: logprob\narms:\n  - {name: a, min-score-rank: [0.2, 0.4]}\n"
                     "  - {name: b, min-score-rank: \"0.2,0.4\"}\n  - {name: c, min-score-rank: 0.4}\n",
               &(struct wanted){.align = 2, .eval = 2, .align_uses = 3, .eval_uses = 3});
}

/* As any path of the file. */
static void an_ablated_path_is_looked_for_beside_the_file(void **state)
{
    (void)state;
    check_plan(FILES "metrics: [qa]\narms: [isara]\nablate: {principles: [seeds.jsonl]}\n",
               &(struct wanted){.align = 2, .eval = 2, .align_uses = 2, .eval_uses = 2});
}

/* Two random seeds: the pretrained model and the nearest seeds answer the same for both; the first and the last round
 * and as many as three rounds are of one alignment; options that say the default are none; who answers elsewhere makes
 * another one, how many requests are in flight does not. */
static void arms_share_what_they_have_in_common(void **state)
{
    (void)state;
    check_plan(FILES "random_seeds: [0, 1]\nmetrics: [qa]\narms:\n  - pretrained\n  - icl-knn\n  - icl-random\n"
                     "  - sft-seeds\n  - {name: again, kind: sft-seeds, learning-rate: 2e-5}\n"
                     "  - isara\n  - {name: first, round: 1}\n  - {name: third, rounds: 3}\n"
                     "  - {name: other, k: 3}\n"
                     "  - {name: taught, answerer-endpoint: http://h/v1, answerer-model: m}\n"
                     "  - {name: slowly, answerer-endpoint: http://h/v1, answerer-model: m, endpoint-requests: 1}\n",
               &(struct wanted){.align = 6,
                                .train = 2,
                                .eval = 1 + 1 + 2 + 2 + 2 + 2 + 2 + 2 + 2,
                                .align_uses = 12,
                                .train_uses = 4,
                                .eval_uses = 22});
}

/* What is asked and answered before anything is tuned is the same at another rate; with another k it is not. */
static void a_first_round_in_common_is_planned_once(void **state)
{
    (void)state;
    struct error err;
    json_t *json;
    const json_t *j;
    size_t i;
    double seconds[3] = {0};
    if (plan(FILES
             "metrics: [qa]\nrounds: 1\nattempts: 50000\narms:\n  - isara\n  - {name: other, learning-rate: 1e-3}\n"
             "  - {name: k3, k: 3}\n",
             &json, &err))
        fail_msg("%s", err.message);
    json_array_foreach(json_object_get(json, "jobs"), i, j)
    {
        static const char *const labels[] = {"isara", "other", "k3"};
        for (int k = 0; k < 3; k++)
            if (!strcmp(json_string_value(json_object_get(j, "verb")), "align") &&
                !strcmp(json_string_value(json_object_get(j, "label")), labels[k]))
                seconds[k] = json_number_value(json_object_get(j, "seconds"));
    }
    json_decref(json);
    assert_true(seconds[1] > 0);
    assert_true(seconds[1] < 0.7 * seconds[0]);
    assert_true(seconds[2] > 0.7 * seconds[0]);
}

static double planned(const json_t *plan, const char *label)
{
    const json_t *j;
    size_t i;
    json_array_foreach(json_object_get(plan, "jobs"), i,
                       j) if (!strcmp(json_string_value(json_object_get(j, "label")),
                                      label)) return json_number_value(json_object_get(j, "seconds"));
    fail_msg("no job \"%s\"", label);
    return 0;
}

static void put_lines(const char *name, const char *head, const char *line, int n)
{
    struct buf text = BUF_INIT;
    char path[1200];
    buf_puts(&text, head);
    for (int i = 0; i < n; i++)
        buf_puts(&text, line);
    snprintf(path, sizeof path, "%s/%s", tiny.root, name);
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    buf_free(&text);
}

/* An evaluation reads the texts of its own test set, as often as it does: three times the text is three times the
 * time behind what every one takes to begin, every choice is scored, a judge is opened and reads. */
static void an_evaluation_is_planned_by_what_it_reads(void **state)
{
    (void)state;
    static const char yaml[] =
        FILES "judge: judge\narms: [pretrained]\nmetrics:\n  - qa\n  - beavertails\n"
              "  - {task: perplexity, name: a, test: a.txt}\n  - {task: perplexity, name: b, test: b.txt}\n"
              "  - {task: perplexity, name: c, test: c.jsonl}\n"
              "  - {task: truthfulqa, name: few, test: few.csv}\n  - {task: truthfulqa, name: many, test: many.csv}\n";
    static const char *const head = "Question,Best Answer,Correct Answers,Incorrect Answers,Source\n",
                             *const words = "no one at all has ever seen such a thing here; ";
    struct error err;
    json_t *json;
    put_lines("a.txt", "", "What is it? It is a day of the week.\n", 2000);
    put_lines("b.txt", "", "What is it? It is a day of the week.\n", 4000);
    put_lines("c.jsonl", "", "{\"text\": \"What is it? It is a day of the week.\"}\n", 6000);
    put_lines("few.csv", head, "Why?,Yes,Yes,No,a\n", 300);
    struct buf line = BUF_INIT;
    buf_puts(&line, "Why?,Yes,Yes; ");
    for (int i = 0; i < 8; i++)
        buf_puts(&line, words);
    buf_puts(&line, ",No,a\n");
    put_lines("many.csv", head, line.data, 300);
    buf_free(&line);
    if (plan(yaml, &json, &err))
        fail_msg("%s", err.message);
    double a = planned(json, "pretrained a"), b = planned(json, "pretrained b"), c = planned(json, "pretrained c");
    assert_true(b > a);
    assert_true((c - b) / (b - a) > 0.99 && (c - b) / (b - a) < 1.01);
    assert_true(planned(json, "pretrained many") > planned(json, "pretrained few"));
    const json_t *j;
    size_t i;
    double before = 0;
    json_array_foreach(json_object_get(json, "jobs"), i, j)
    {
        if (!strcmp(json_string_value(json_object_get(j, "label")), "pretrained beavertails")) /* waits for qa */
            continue;
        assert_true(json_number_value(json_object_get(j, "seconds")) >= before); /* the cheapest first */
        before = json_number_value(json_object_get(j, "seconds"));
    }
    assert_true(planned(json, "pretrained beavertails") > 0.05); /* another process's model */
    json_decref(json);
}

/* How an evaluation decodes is another evaluation of the same model; sampling depends on the random seed. */
static void an_evaluation_has_options_of_its_own(void **state)
{
    (void)state;
    check_plan(FILES "random_seeds: [0, 1]\nmetrics: [qa, {task: qa, name: wide, num-beams: 2}]\narms:\n"
                     "  - pretrained\n  - {name: sampled, kind: pretrained, eval-do-sample: true}\n",
               &(struct wanted){.eval = 2 + 2 * 2, .eval_uses = 8});
}

/* 2 models x (1 pretrained + isara with 4 and 8 seeds, plain and k = 1 and k = 2, and sft of the steps). */
static void designs_multiply_arms(void **state)
{
    (void)state;
    check_plan("models: [model, judge/../model]\nseeds: seeds.jsonl\ntest: test.jsonl\nmetrics: [qa]\n"
               "designs: [size-series, seed-counts]\nseed_counts: [4, 8]\nablate: {k: [1, 2]}\n"
               "arms: [pretrained, isara, {name: steps, kind: sft-seeds, budget: steps}]\n",
               &(struct wanted){.align = 6, .train = 2, .eval = 9, .align_uses = 12, .train_uses = 4, .eval_uses = 18});
}

/* Seeds of two categories, each measured on two tests: 2 alignments, 4 evaluations, and 2 of the pretrained model. */
static void categories_are_crossed(void **state)
{
    (void)state;
    check_plan("model: model\nseeds: {a: seeds.jsonl, b: test.jsonl}\ntest: {a: test.jsonl, b: seeds.jsonl}\n"
               "metrics: [qa]\ndesigns: cross-category\narms: [pretrained, isara]\n",
               &(struct wanted){.align = 2, .eval = 6, .align_uses = 2, .eval_uses = 6});
    struct error err;
    json_t *json;
    assert_int_equal(plan("model: model\nseeds: seeds.jsonl\ntest: {x: test.jsonl, y: seeds.jsonl}\nmetrics: [qa]\n"
                          "arms: [pretrained]\n",
                          &json, &err),
                     0);
    char *text = json_dumps(json, 0);
    assert_non_null(strstr(text, "\"pretrained qa of x\"")); /* a job's words say which test it reads */
    assert_non_null(strstr(text, "\"pretrained qa of y\""));
    free(text);
    json_decref(json);
}

static void put_file(const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", tiny.root, name);
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
}

/* Jobs are known by content: what stands in the fields that are named is what a file of the usual names holds, in the
 * bytes that files cut out of others have. A file without them is read by the names that it has. */
static void named_fields_are_what_a_file_of_usual_names_holds(void **state)
{
    (void)state;
    static const char arms[] = "metrics: [qa]\narms: [pretrained, icl-knn, isara, {name: real, kind: sft-real, pairs: "
                               "pairs.jsonl}]\n";
    static const char *const heads[] = {
        "seeds: usual.jsonl\ntest: usual-test.jsonl\n",
        "seeds: odd.csv\ntest: odd-test.jsonl\nquestion_field: frage\nanswer-field: Die Antwort\n"};
    json_t *json[2];
    put_file("usual.jsonl",
             "{\"question\": \"a; b?\", \"answer\": \"A.\"}\n{\"question\": \"c?\", \"answer\": \"C.\"}\n");
    put_file("odd.csv", "prompt;Die Antwort;Frage\nx;A.;\"a; b?\"\ny;C.;c?\n");
    put_file("usual-test.jsonl", "{\"id\": \"0\", \"question\": \"d?\", \"answer\": \"D.\"}\n");
    put_file("odd-test.jsonl", "{\"prompt\": \"no\", \"Frage\": \"d?\", \"Die_Antwort\": \"D.\"}\n");
    put_file("pairs.jsonl", "{\"question\": \"e?\", \"answer\": \"E.\"}\n");
    for (int i = 0; i < 2; i++) {
        char yaml[600];
        struct error err;
        snprintf(yaml, sizeof yaml, "model: model\n%s%s", heads[i], arms);
        if (plan(yaml, &json[i], &err))
            fail_msg("%s: %s", yaml, err.message);
    }
    const json_t *usual = json_object_get(json[0], "jobs"), *odd = json_object_get(json[1], "jobs");
    assert_int_equal(json_array_size(usual), 6);
    assert_int_equal(json_array_size(odd), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(usual, i), "hash")),
                            json_string_value(json_object_get(json_array_get(odd, i), "hash")));
    json_decref(json[0]);
    json_decref(json[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_named_by_line),
        cmocka_unit_test(arms_that_contradict_themselves_are_refused_by_the_plan),
        cmocka_unit_test(a_list_of_numbers_is_one_value),
        cmocka_unit_test(an_ablated_path_is_looked_for_beside_the_file),
        cmocka_unit_test(arms_share_what_they_have_in_common),
        cmocka_unit_test(a_first_round_in_common_is_planned_once),
        cmocka_unit_test(an_evaluation_is_planned_by_what_it_reads),
        cmocka_unit_test(an_evaluation_has_options_of_its_own),
        cmocka_unit_test(designs_multiply_arms),
        cmocka_unit_test(categories_are_crossed),
        cmocka_unit_test(named_fields_are_what_a_file_of_usual_names_holds),
    };
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
