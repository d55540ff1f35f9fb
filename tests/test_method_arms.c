/* SPDX-License-Identifier: Apache-2.0 */
/* What the aligned model is compared with: the arms, their models, prompts and judge. */
#include "tests/check.h"
#include "tests/file_schema.h"
#include "tests/tiny_align.h"

#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "report/files.h"
#include "report/sections.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Another threshold is applied to the stored probabilities; another judge at the same path is refused. */
static void thresholds_move_and_judges_do_not(struct align_options *o)
{
    struct align_result r;
    long flagged[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        o->threshold = i;
        tiny_align(o, 1, &r);
        for (int k = 0; k < 6; k++) {
            flagged[i] += r.report.arms[k].n_flagged;
            assert_int_equal(r.report.arms[k].n_judged, 6);
        }
        align_result_free(&r);
    }
    assert_true(flagged[0] == 36 && flagged[1] == 0);
    char path[1200], other[1300];
    struct error err;
    snprintf(path, sizeof path, "%s/model.safetensors", tiny.judge);
    snprintf(other, sizeof other, "%s.kept", path);
    assert_int_equal(rename(path, other), 0);
    struct buf weights = BUF_INIT;
    assert_int_equal(file_read(&weights, other, 1 << 26, NULL), 0);
    weights.data[weights.len - 1] ^= 1;
    assert_int_equal(file_write(path, weights.data, weights.len, NULL), 0);
    buf_free(&weights);
    struct device *d = tiny_device(1);
    assert_int_equal(method_align(d, o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "judge/weights has changed"));
    align_result_free(&r);
    device_close(d);
    assert_int_equal(rename(other, path), 0);
}

static void arms_with_a_test_set_and_a_judge(void **state)
{
    (void)state;
    char output[1100];
    static const char *const names[] = {"pretrained", "icl-knn",         "icl-random",
                                        "sft-seeds",  "sft-seeds-steps", "round-1"};
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/arms", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 1;
    o.test = tiny.test;
    o.judge = tiny.judge;
    o.baselines = 1;
    o.pool = ALIGN_POOL_GROWN;
    o.start = ALIGN_START_LAST;
    o.retriever = RETRIEVER_BM25;
    o.ask_contexts = ALIGN_CONTEXTS_ANCHOR;
    tiny_align(&o, 2, &r);
    assert_int_equal(r.report.n_arm, 6);
    for (int i = 0; i < 6; i++) {
        const struct report_arm *x = &r.report.arms[i];
        assert_string_equal(x->name, names[i]);
        assert_int_equal(x->n, 6);
        assert_int_equal(x->n_judged, 6);
        assert_true(x->rate_low <= x->rate && x->rate <= x->rate_high);
        double share = x->rate;
        double zz = 3.841458820694124 / 6; /* Wilson's interval at 95 %, from its definition */
        double half = sqrt(share * (1 - share) * zz + zz * zz / 4) / (1 + zz);
        assert_true(fabs(x->rate_high - x->rate_low - 2 * half) < 1e-9);
        assert_true(x->n_answered == 6 && x->n_cut >= 0 && x->n_cut <= 6 && isnan(x->to.p_flags) == !i);
    }
    assert_non_null(strstr(r.summary.data, "above 0.5 (strictly)"));
    assert_non_null(strstr(r.summary.data, "mode safe, "));
    json_t *metrics = json_loads(r.json.data, 0, NULL);
    assert_int_equal(json_string_length(json_object_get(metrics, "judge_sha256")), 64);
    json_t *against = json_object_get(metrics, "last_round_against"), *row;
    size_t at;
    assert_int_equal(json_array_size(against), 4);
    json_array_foreach(against, at, row)
    { /* what is flagged less and more is the difference of the counts */
        assert_string_equal(json_string_value(json_object_get(row, "arm")), names[at + 1]);
        json_int_t less = json_integer_value(json_object_get(row, "no_longer_flagged"));
        json_int_t more = json_integer_value(json_object_get(row, "newly_flagged"));
        assert_int_equal(less - more, r.report.arms[at + 1].n_flagged - r.report.arms[5].n_flagged);
    }
    json_decref(metrics);
    assert_int_equal(r.report.arms[4].steps, r.report.arms[5].steps); /* as many steps */
    assert_true(r.report.arms[3].steps < r.report.arms[5].steps);
    align_result_free(&r);
    thresholds_move_and_judges_do_not(&o);
}

static void expect_file(const char *directory, const char *name, const char *wanted)
{
    char path[1400];
    struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(file_read(&text, path, 1 << 24, NULL), 0);
    if (!strstr(buf_text(&text), wanted))
        fail_msg("%s: wanted \"%s\", found\n%s", name, wanted, buf_text(&text));
    buf_free(&text);
}

/* What isara report writes of the tree. */
static void expect_files(const struct report_run *r)
{
    char output[1100], row[200];
    struct document d;
    struct error err = {0};
    snprintf(output, sizeof output, "%s/files", tiny.root);
    report_run_document(&d, r);
    if (report_files_write(r, &d, output, &err))
        fail_msg("%s", err.message);
    assert_true(r->n_curve > 3 && r->curves[0].n == r->rounds[0].steps && r->curves[0].steps[0].loss > 0);
    assert_true(r->n_attempt > 0 && r->rounds[0].asked_tokens > 0 && r->n_beside == r->n_item);
    snprintf(row, sizeof row, "\r\nround-1,%ld,", r->rounds[0].steps);
    expect_file(output, "tables/arms.csv", row);
    expect_file(output, "tables/attempts.tex", "\\end{tabular}");
    expect_file(output, "README.md", "---\nlibrary_name: transformers\n");
    expect_file(output, "README.md", "model-index:\n- name: \"alone\"\n");
    expect_file(output, "dataset_card.md", "    path: generated.jsonl\n---\n");
    expect_file(output, "generated.jsonl", "{\"id\": \"r2-a0\"");
    expect_file(output, ".eval_results/isara.yaml", "    task_id: flagged_rate\n");
    expect_file(output, "metrics.json", "\"arms\"");
    document_free(&d);
}

/* Both renderings of what a run's directory says now. */
static void expect_results(const char *output, const char *metrics, const char *summary)
{
    struct report_run r;
    struct error err = {0};
    struct buf text = BUF_INIT, object = BUF_INIT;
    json_t *json = NULL;
    if (method_results(output, &r, &err))
        fail_msg("%s", err.message);
    assert_int_equal(report_run_json(&r, &json, &err), 0);
    assert_int_equal(jsontext_dump(&object, json, 1, &err), 0);
    file_schema_check(file_schema("metrics.json"), json, NULL);
    report_run_text(&r, &text);
    assert_string_equal(object.data, metrics);
    assert_string_equal(text.data, summary);
    expect_files(&r);
    json_decref(json);
    buf_free(&text);
    buf_free(&object);
    report_run_free(&r);
}

/* The directory alone says what the run said, without model, seeds and test set. */
static void a_directory_says_what_its_run_said(void **state)
{
    (void)state;
    static const char *const parts[] = {"model", "seeds", "test"};
    char output[1100], path[1300];
    struct align_options o;
    struct align_result r;
    struct report_run unfinished;
    struct error err = {0};
    json_t *manifest;
    snprintf(output, sizeof output, "%s/alone", tiny.root);
    snprintf(path, sizeof path, "%s/manifest.json", output);
    tiny_align_options(&o, output);
    o.attempts = 4;
    o.test = tiny.test;
    o.baselines = 1;
    o.judge = tiny.judge;
    o.retriever = RETRIEVER_BM25;
    o.review = 1;
    tiny_align(&o, 1, &r); /* stops before it tunes */
    align_result_free(&r);
    assert_int_equal(method_results(output, &unfinished, &err), 0);
    assert_int_equal(unfinished.n_round, 0);
    assert_true(isnan(unfinished.arms[0].logprob));
    assert_string_equal(unfinished.arms[0].name, "pretrained");
    report_run_free(&unfinished);

    o.review = 0;
    o.resume = 1;
    tiny_align(&o, 1, &r);
    o.threshold = 0.25;
    align_result_free(&r);
    tiny_align(&o, 1, &r);
    assert_int_equal(jsontext_load(&manifest, path, 1 << 20, &err), 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        json_object_set_new(json_object_get(manifest, parts[i]), "path", json_string("/nowhere"));
    assert_int_equal(jsontext_write(path, manifest, &err), 0);
    json_decref(manifest);
    assert_true(r.report.threshold == 0.25 && r.report.n_sample > 0 && r.report.last.n > 3);
    expect_results(output, r.json.data, r.summary.data);
    align_result_free(&r);

    snprintf(path, sizeof path, "%s/arms/pretrained.jsonl", output);
    assert_int_equal(file_write(path, "{\"answer\": 1}\n", 14, &err), 0);
    assert_int_equal(method_results(output, &unfinished, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "arms/pretrained.jsonl:1: wanted \"question\""));
    report_run_free(&unfinished);
}

/* A control's model is looked at as a round's is: changed, added to, taken away. */
static void a_controls_model_is_what_it_was(void **state)
{
    (void)state;
    static const char config[] = "baseline-sft-seeds/model/config.json";
    char output[1100], path[1400], model[1300], was[65], is[65];
    struct align_options o;
    struct align_result r;
    struct error err;
    struct buf text = BUF_INIT;
    struct device *d = tiny_device(1);
    snprintf(output, sizeof output, "%s/control", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 1;
    o.attempts = 2;
    o.test = tiny.test;
    o.baselines = 1;
    o.retriever = RETRIEVER_BM25;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    snprintf(path, sizeof path, "%s/%s", output, config);
    assert_int_equal(file_read(&text, path, 1 << 20, NULL), 0);
    buf_putc(&text, '\n');
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "baseline-sft-seeds/model/config.json: was changed since the run made it"));
    align_result_free(&r);

    snprintf(model, sizeof model, "%s/baseline-sft-seeds/model", output);
    tiny_align_hash(model, "model.safetensors", was);
    assert_int_equal(tree_remove(model, NULL), 0);
    tiny_align(&o, 1, &r); /* made again, with its configuration */
    align_result_free(&r);
    tiny_align_hash(model, "model.safetensors", is);
    assert_string_equal(is, was);

    snprintf(path, sizeof path, "%s/model.safetensors", model);
    buf_reset(&text);
    assert_int_equal(file_read(&text, path, 1 << 26, NULL), 0);
    text.data[text.len - 1] ^= 1;
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "baseline-sft-seeds/model: was changed since the run made it"));
    align_result_free(&r);
    buf_free(&text);
    device_close(d);
}

/* Twenty examples are asked for and do not fit: what is stored is what stood in the prompt, for the nearest and for the
 * random ones. */
static void an_arms_examples_are_those_that_fitted(void **state)
{
    (void)state;
    static const char *const names[] = {"icl-knn", "icl-random", "pretrained"};
    char output[1100], path[1200];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/examples", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 1;
    o.attempts = 2;
    o.k = 20;
    o.test = tiny.test;
    o.baselines = 1;
    o.retriever = RETRIEVER_BM25;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    for (int k = 0; k < 3; k++) {
        size_t rows = 0;
        struct jsonl *in;
        json_t *row;
        snprintf(path, sizeof path, "%s/arms/%s.jsonl", output, names[k]);
        assert_int_equal(jsonl_open(&in, path, NULL), 0);
        for (; jsonl_next(in, &row, NULL) == 1; rows++) {
            const json_t *contexts = json_object_get(row, "contexts");
            size_t n = json_array_size(contexts);
            assert_true(k == 2 ? !contexts : n > 0 && n < 20);
            assert_int_equal(json_integer_value(json_object_get(row, "contexts_dropped")), k == 2 ? 0 : 20 - (int)n);
            for (size_t c = 0; c < n; c++)
                assert_int_equal(strncmp(json_string_value(json_array_get(contexts, c)), "seed-", 5), 0);
            json_decref(row);
        }
        assert_int_equal(rows, 6);
        jsonl_close(in);
    }
}

enum { ASKED = 16 };

/* The rows of round 1. */
static json_t *rows_of(const char *output)
{
    char path[1300];
    struct jsonl *in;
    json_t *row, *rows = json_array();
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(jsonl_open(&in, path, NULL), 0);
    while (jsonl_next(in, &row, NULL) == 1)
        json_array_append_new(rows, row);
    jsonl_close(in);
    assert_int_equal(json_array_size(rows), ASKED);
    return rows;
}

/* Where the same attempt has the same prompt: one of two seeds stands in it. */
static void another_seed_samples_other_questions(void **state)
{
    (void)state;
    static const char pairs[] = "{\"question\": \"Can I eat a mushroom?\", \"answer\": \"No.\"}\n"
                                "{\"question\": \"Do I need sleep?\", \"answer\": \"Yes.\"}\n";
    char output[1100], seeds[1100];
    json_t *rows[2];
    struct align_options o;
    struct align_result r;
    int same_prompt = 0, same_question = 0;
    snprintf(seeds, sizeof seeds, "%s/two.jsonl", tiny.root);
    assert_int_equal(file_write(seeds, pairs, sizeof pairs - 1, NULL), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(output, sizeof output, "%s/sampled-%d", tiny.root, i);
        tiny_align_options(&o, output);
        o.seeds = seeds;
        o.rounds = 1;
        o.attempts = ASKED;
        o.k = 1;
        o.holdout = 0;
        o.retriever = RETRIEVER_BM25;
        o.seed = (uint64_t)i;
        tiny_align(&o, 1, &r);
        align_result_free(&r);
        rows[i] = rows_of(output);
    }
    for (size_t i = 0; i < ASKED; i++) {
        const json_t *x = json_array_get(rows[0], i), *y = json_array_get(rows[1], i);
        if (!json_equal(json_object_get(json_object_get(x, "ask"), "contexts"),
                        json_object_get(json_object_get(y, "ask"), "contexts")))
            continue;
        same_prompt++;
        same_question += json_equal(json_object_get(x, "question"), json_object_get(y, "question"));
    }
    assert_in_range(same_prompt, 4, ASKED - 1);
    assert_in_range(same_question, 0, same_prompt / 2);
    json_decref(rows[0]);
    json_decref(rows[1]);
}

/* The rows of a control are the seeds whatever the seed of the run is: only their order can differ. */
static void another_seed_trains_in_another_order(void **state)
{
    (void)state;
    char output[1100], sha256[2][2][65];
    struct align_options o;
    struct align_result r;
    for (int shuffle = 0; shuffle < 2; shuffle++)
        for (int i = 0; i < 2; i++) {
            snprintf(output, sizeof output, "%s/order-%d-%d", tiny.root, shuffle, i);
            tiny_align_options(&o, output);
            o.rounds = 1;
            o.attempts = 2;
            o.test = tiny.test;
            o.baselines = 1;
            o.retriever = RETRIEVER_BM25;
            o.train.shuffle = shuffle;
            o.seed = (uint64_t)i;
            tiny_align(&o, 1, &r);
            assert_string_equal(r.report.arms[3].name, "sft-seeds");
            memcpy(sha256[shuffle][i], r.report.arms[3].model_sha256, 65);
            align_result_free(&r);
        }
    assert_string_equal(sha256[0][0], sha256[0][1]);
    assert_string_not_equal(sha256[1][0], sha256[1][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arms_with_a_test_set_and_a_judge),
        cmocka_unit_test(a_directory_says_what_its_run_said),
        cmocka_unit_test(a_controls_model_is_what_it_was),
        cmocka_unit_test(an_arms_examples_are_those_that_fitted),
        cmocka_unit_test(another_seed_samples_other_questions),
        cmocka_unit_test(another_seed_trains_in_another_order),
    };
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
