/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: every row is options that align has, what is given goes over it, contexts are mixed as generated-contexts
 * says, and a run is continued under any name whose options are the same. */
#include "check.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "method/fields.h"
#include "tiny_align.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_what_it_needs(struct align_options *o, const struct recipe *r)
{
    if (r->needs && !strcmp(r->needs, "principles"))
        o->principles = "unused";
    if (r->needs && !strcmp(r->needs, "reward"))
        o->reward = "unused";
}

static void every_recipe_sets_options_that_there_are(void **state)
{
    (void)state;
    struct buf names = BUF_INIT;
    for (int i = 0; i < align_n_recipe; i++) {
        const struct recipe *r = &align_recipes[i];
        struct align_options o;
        struct error err = {0};
        tiny_align_options(&o, "unused");
        if (align_recipe_apply(&o, r->name, &err))
            fail_msg("%s: %s", r->name, err.message);
        if (r->needs) {
            assert_int_equal(align_recipe_check(&o, &err), ERROR_USAGE);
            assert_non_null(strstr(err.message, r->needs));
        }
        give_what_it_needs(&o, r);
        if (align_recipe_check(&o, &err) || align_options_check(&o, &err))
            fail_msg("%s: %s", r->name, err.message);
        assert_string_equal(o.recipe, r->name);
        assert_true(*r->help);
        json_t *switches = align_recipe_switches(&o);
        assert_int_equal(json_object_size(switches), r->n);
        for (int k = 0; k < r->n; k++)
            assert_string_equal(json_string_value(json_object_get(switches, r->settings[k].option)),
                                r->settings[k].value);
        json_decref(switches);
        buf_printf(&names, "%s%s", i ? "|" : "", r->name);
    }
    struct align_options rated = {.recipe = "rest", .score = SCORE_SELF};
    assert_int_equal(align_recipe_check(&rated, NULL), 0); /* the reward model would score nothing */
    assert_string_equal(buf_text(&names), ALIGN_RECIPES);  /* what --help lists */
    buf_free(&names);
}

/* What each rival is known for, by its paper; the table of recipes is not asked. */
static void each_rival_does_what_it_is_known_for(void **state)
{
    (void)state;
    struct align_options o[7];
    static const char *const names[] = {"self-instruct", "self-align", "rest",   "self-guide",
                                        "i-sheep",       "lima",       "distill"};
    for (int i = 0; i < 7; i++) {
        align_options_default(&o[i]);
        assert_int_equal(align_recipe_apply(&o[i], names[i], NULL), 0);
    }
    assert_true(o[0].k - o[0].generated_contexts == 6 && o[0].generated_contexts == 2); /* 6 seeds, 2 generated */
    assert_true(o[0].pool == ALIGN_POOL_GROWN && fabs((double)o[0].sift.threshold - 0.7) < 1e-6);
    assert_string_equal(align_recipe_find("self-align")->needs, "principles");
    assert_true(o[2].answers > 1 && o[2].score == SCORE_REWARD_MODEL && !o[2].keep_best && o[2].improve_steps > 1);
    double before = -1;
    for (const char *at = o[2].min_rank; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) { /* it rises */
        assert_true(strtod(at, NULL) > before);
        before = strtod(at, NULL);
    }
    assert_true(before > 0);
    assert_true(o[3].rounds == 1 && o[3].sift.noise && o[3].sift.deviations > 0);
    assert_true(o[4].score == SCORE_SELF && o[4].start == ALIGN_START_PRETRAINED && o[4].tune_on == ALIGN_TUNE_NEWEST);
    assert_true(o[4].min_rank && strtod(o[4].min_rank, NULL) > 0);
    assert_int_equal(o[5].attempts, 0);
    assert_true(o[6].tune_loss == ALIGN_LOSS_SOFT && !o[6].on_policy);
}

static void an_unknown_recipe_is_refused_by_name(void **state)
{
    (void)state;
    struct align_options o;
    struct error err = {0};
    align_options_default(&o);
    assert_int_equal(align_recipe_apply(&o, "self_instruct", &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "isara, self-instruct"));
    assert_non_null(strstr(err.message, "\"self_instruct\""));
    assert_string_equal(o.recipe, "isara");
}

/* Contexts of every attempt of a round's generated.jsonl: how many are there, and how many of them generated. */
static int count_contexts(const char *run, int round, int *n_line, int of_line[][2])
{
    char path[2048], line[1 << 16];
    int most = 0;
    snprintf(path, sizeof path, "%s/round-%d/generated.jsonl", run, round);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (*n_line = 0; *n_line < 64 && fgets(line, sizeof line, f); ++*n_line) {
        json_t *row = json_loads(line, 0, NULL);
        const json_t *contexts = json_object_get(json_object_get(row, "ask"), "contexts"), *name;
        size_t i;
        int *to = of_line[*n_line];
        to[0] = (int)json_array_size(contexts);
        to[1] = 0;
        json_array_foreach((json_t *)contexts, i, name) to[1] += json_string_value(name)[0] == 'r';
        most = to[1] > most ? to[1] : most;
        json_decref(row);
    }
    fclose(f);
    return most;
}

struct shown {
    struct buf text;
};

static void keep_shown(void *user, const char *text)
{
    buf_puts(&((struct shown *)user)->text, text);
}

static void mixed_options(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->attempts = 12;
    o->k = 4;
    o->pool = ALIGN_POOL_GROWN;
    o->generated_contexts = 2;
}

static void contexts_are_mixed_as_wanted(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char run[2][1100];
    int lines[64][2], n;
    for (int i = 0; i < 2; i++) {
        snprintf(run[i], sizeof run[i], "%s/mixed-%d", tiny.root, i);
        mixed_options(&o, run[i]);
        tiny_align(&o, 1 + i, &r);
        assert_int_equal(r.rounds, 2);
        align_result_free(&r);
    }
    tiny_align_same(run[0], run[1]);
    assert_int_equal(count_contexts(run[0], 1, &n, lines), 0); /* nothing is generated yet: all are seeds */
    assert_int_equal(n, 12);
    for (int i = 0; i < n; i++)
        assert_int_equal(lines[i][0], 4);
    count_contexts(run[0], 2, &n, lines);
    assert_int_equal(n, 12);
    for (int i = 0; i < n; i++) {
        assert_int_equal(lines[i][0], 4);
        assert_int_equal(lines[i][1], 2);
    }
}

static void principles_stand_before_answers_only(void **state)
{
    (void)state;
    static const char text[] = "\nBe short.\nBe kind.\n\n";
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    struct shown shown = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/principles.txt", tiny.root);
    assert_int_equal(file_write(path, text, sizeof text - 1, &err), 0);
    tiny_align_options(&o, NULL);
    o.preview = 2;
    o.show = keep_shown;
    o.user = &shown;
    tiny_align(&o, 1, &r);
    assert_null(strstr(shown.text.data, "Be short."));
    align_result_free(&r);
    buf_reset(&shown.text);
    o.principles = path;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    /* attempt 0: the prompt that asks begins with a pair, the one that answers with the trimmed text and a blank line
     */
    const char *ask = strstr(shown.text.data, "prompt that asks"), *answer = strstr(shown.text.data, "that answers");
    assert_non_null(ask);
    assert_non_null(answer);
    assert_memory_equal(strchr(ask, '\n') + 1, "Question:", 9);
    assert_memory_equal(strchr(answer, '\n') + 1, "Be short.\nBe kind.\n\nQuestion:", 29);
    buf_free(&shown.text);
}

/* Of a round's attempts, how many have the same text of that name in both runs. */
static int count_same(const char *const runs[2], const char *name)
{
    char path[2048], line[1 << 16];
    char *texts[2][64] = {{NULL}};
    int n = 0, same = 0;
    for (int r = 0; r < 2; r++) {
        snprintf(path, sizeof path, "%s/round-1/generated.jsonl", runs[r]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        for (n = 0; n < 64 && fgets(line, sizeof line, f); n++) {
            json_t *row = json_loads(line, 0, NULL);
            const char *text = json_string_value(json_object_get(row, name));
            texts[r][n] = mem_strdup(text ? text : "");
            json_decref(row);
        }
        fclose(f);
    }
    for (int i = 0; i < n; i++) {
        same += !strcmp(texts[0][i], texts[1][i]);
        mem_free(texts[0][i]);
        mem_free(texts[1][i]);
    }
    return same;
}

static void principles_are_part_of_the_run(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    struct buf text = BUF_INIT;
    char path[1100], run[1100], plain[1100];
    int same;
    snprintf(plain, sizeof plain, "%s/not-ruled", tiny.root);
    snprintf(path, sizeof path, "%s/rules.txt", tiny.root);
    snprintf(run, sizeof run, "%s/ruled", tiny.root);
    assert_int_equal(file_write(path, "Be short.", 9, &err), 0);
    tiny_align_options(&o, run);
    o.rounds = 1;
    o.principles = path;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    o.principles = NULL;
    o.output = plain;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    assert_int_equal(count_same((const char *const[2]){run, plain}, "question"), o.attempts);
    assert_true(count_same((const char *const[2]){run, plain}, "answer") < o.attempts);
    o.principles = path;
    o.output = run;
    struct device *d = tiny_device(1);
    assert_int_equal(method_replay(d, run, "r1-a1", &same, &text, &err), 0);
    assert_int_equal(same, 1);
    assert_int_equal(file_write(path, "Be brief.", 9, &err), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "principles-sha256"));
    assert_int_equal(method_replay(d, run, "r1-a1", &same, &text, &err), ERROR_DATA);
    assert_int_equal(file_write(path, " \n", 2, &err), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "wanted a text of principles"));
    assert_int_equal(file_write(path, "\xff", 1, &err), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "UTF-8"));
    o.answer.max_new_tokens = 1000;
    assert_int_equal(file_write(path, "Be short.", 9, &err), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "shorten"));
    device_close(d);
    buf_free(&text);
}

/* The model is the one that --baselines tunes on the seeds, bit for bit, and the run goes on as any. */
static void without_attempts_the_seeds_are_tuned_on(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct report_run again;
    struct error err = {0};
    char run[1100], hex[2][65];
    snprintf(run, sizeof run, "%s/lima", tiny.root);
    tiny_align_options(&o, run);
    assert_int_equal(align_recipe_apply(&o, "lima", &err), 0);
    o.test = tiny.test;
    o.baselines = 1;
    for (int i = 0; i < 2; i++) {
        tiny_align(&o, 1, &r);
        assert_int_equal(r.rounds, 1);
        assert_non_null(strstr(r.summary.data, "no question was asked"));
        align_result_free(&r);
    }
    tiny_align_hash(run, "round-1/model/model.safetensors", hex[0]);
    tiny_align_hash(run, "baseline-sft-seeds/model/model.safetensors", hex[1]);
    assert_string_equal(hex[0], hex[1]);
    assert_int_equal(method_results(run, &again, &err), 0);
    assert_int_equal(again.tuned, 1);
    report_run_free(&again);
}

/* Round 1 is the model that --baselines tunes on the seeds, bit for bit; round 2 is answered without pairs, and its
 * rows have a teacher's lines where the loss is soft. */
static void a_round_of_the_seeds_alone_teaches_the_next(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    char run[1100], path[1200], hex[3][65];
    for (int i = 0; i < 2; i++) {
        snprintf(run, sizeof run, "%s/again-%d", tiny.root, i);
        tiny_align_options(&o, run);
        assert_int_equal(align_recipe_apply(&o, "born-again", &err), 0);
        o.test = tiny.test;
        o.baselines = 1;
        o.stop_novelty = 0;
        tiny_align(&o, 1 + i, &r);
        assert_int_equal(r.rounds, 2);
        align_result_free(&r);
        tiny_align_hash(run, "round-2/model/model.safetensors", hex[i]);
    }
    assert_string_equal(hex[0], hex[1]);
    tiny_align_hash(run, "round-1/model/model.safetensors", hex[0]);
    tiny_align_hash(run, "baseline-sft-seeds/model/model.safetensors", hex[2]);
    assert_string_equal(hex[0], hex[2]);
    snprintf(path, sizeof path, "%s/round-1/teacher.jsonl", run);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/round-2/teacher.jsonl", run);
    assert_true(file_exists(path));
    json_t *rows = NULL, *row;
    size_t i;
    int answered = 0;
    snprintf(path, sizeof path, "%s/round-2/generated.jsonl", run);
    assert_int_equal(jsonl_load(&rows, path, &err), 0);
    assert_int_equal(json_array_size(rows), o.attempts);
    json_array_foreach(rows, i, row)
    {
        const json_t *facts = json_object_get(row, "answer_facts");
        assert_true(json_array_size(json_object_get(json_object_get(row, "ask"), "contexts")) > 0);
        if (json_is_string(json_object_get(row, "answer"))) {
            assert_int_equal(json_array_size(json_object_get(facts, "contexts")), 0);
            answered++;
        }
    }
    assert_true(answered > 0);
    json_decref(rows);
}

static void rounds_of_the_seeds_alone_want_others_behind_them(void **state)
{
    (void)state;
    struct align_options o;
    struct error err = {0};
    tiny_align_options(&o, "unused");
    assert_int_equal(align_recipe_apply(&o, "self-training", &err), 0);
    assert_int_equal(align_options_check(&o, &err), 0);
    o.seed_rounds = 2;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "seed_rounds"));
    o.seed_rounds = 1;
    o.score = SCORE_CONTEXT_GAIN;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "--answer-contexts nearest"));
}

static void mixing_wants_a_pool_that_grows(void **state)
{
    (void)state;
    struct align_options o;
    struct error err = {0};
    mixed_options(&o, "unused");
    assert_int_equal(align_options_check(&o, &err), 0);
    o.pool = ALIGN_POOL_SEEDS;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "generated_contexts"));
    mixed_options(&o, "unused");
    o.generated_contexts = 5;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    mixed_options(&o, "unused");
    o.ask_contexts = ALIGN_CONTEXTS_ANCHOR;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
}

static void a_run_goes_on_under_another_name_with_the_same_options(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    char run[1100], path[1200];
    json_t *resolved;
    snprintf(run, sizeof run, "%s/named", tiny.root);
    tiny_align_options(&o, run);
    o.rounds = 1;
    o.recipe = "sampled"; /* its options are those of tiny_align_options */
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    snprintf(path, sizeof path, "%s/config.resolved.json", run);
    assert_int_equal(jsontext_load(&resolved, path, 1 << 20, &err), 0);
    assert_string_equal(json_string_value(json_object_get(resolved, "recipe")), "sampled");
    assert_int_equal(json_integer_value(json_object_get(resolved, "ask-num-beams")), 1);
    json_decref(resolved);
    o.recipe = "isara";
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    o.ask.num_beams = 2;
    o.ask.do_sample = 0;
    struct device *d = tiny_device(1);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "ask-"));
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recipe_sets_options_that_there_are),
        cmocka_unit_test(each_rival_does_what_it_is_known_for),
        cmocka_unit_test(an_unknown_recipe_is_refused_by_name),
        cmocka_unit_test(contexts_are_mixed_as_wanted),
        cmocka_unit_test(principles_stand_before_answers_only),
        cmocka_unit_test(principles_are_part_of_the_run),
        cmocka_unit_test(without_attempts_the_seeds_are_tuned_on),
        cmocka_unit_test(a_round_of_the_seeds_alone_teaches_the_next),
        cmocka_unit_test(rounds_of_the_seeds_alone_want_others_behind_them),
        cmocka_unit_test(mixing_wants_a_pool_that_grows),
        cmocka_unit_test(a_run_goes_on_under_another_name_with_the_same_options),
    };
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
