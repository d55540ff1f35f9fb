/* SPDX-License-Identifier: Apache-2.0 */
/* A finished run that is given more: it ends as one that was given it at once, and what stood there stays. */
#include "check.h"
#include "tiny_align.h"

#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "method/plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void path_of(char path[1100], const char *name)
{
    snprintf(path, 1100, "%s/%s", tiny.root, name);
}

static void align(const struct align_options *o)
{
    struct align_result r;
    tiny_align(o, 1, &r);
    align_result_free(&r);
}

static void refused(const struct align_options *o, int code, const char *says)
{
    struct align_result r;
    struct error err = {0, ""};
    struct device *d = tiny_device(1);
    int rc = method_check(d, o, &err); /* what --dry-run does */
    if (rc != code || !strstr(err.message, says))
        fail_msg("checked: wanted %d, \"%s\", found %d, \"%s\"", code, says, rc, err.message);
    rc = method_align(d, o, &r, &err);
    if (rc != code || !strstr(err.message, says))
        fail_msg("wanted %d, \"%s\", found %d, \"%s\"", code, says, rc, err.message);
    align_result_free(&r);
    device_close(d);
}

/* A run that may be gone on with, or begun, is no matter; nothing is written of it. */
static void what_a_start_would_refuse_is_found_beforehand(void **state)
{
    (void)state;
    char run[1100], other[1100];
    struct align_options o;
    struct align_result r;
    struct error err = {0, ""};
    struct device *d = tiny_device(1);
    path_of(run, "whole");
    path_of(other, "new/and/deep");
    tiny_align_options(&o, run);
    refused(&o, ERROR_CONFIG, "was begun with"); /* without its test set */
    o.output = other;
    if (method_check(d, &o, &err))
        fail_msg("%s", err.message);
    o.attempts_from = run;
    o.ask.top_k += 1;
    assert_int_equal(method_check(d, &o, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "asked and answered with another"));
    o.attempts_from = NULL;
    o.output = tiny.seeds; /* a file */
    o.preview = 1;
    assert_true(method_check(d, &o, &err) != 0);
    assert_non_null(strstr(err.message, "Not a directory"));
    assert_true(method_align(d, &o, &r, &err) != 0);
    assert_non_null(strstr(err.message, "Not a directory"));
    path_of(other, "new");
    assert_false(file_exists(other));
    assert_int_equal(plan_fits(&(struct plan){.peak = 2e9, .tune = 2e9, .machine = 1e9}, &err), ERROR_FAILED);
    assert_int_equal(plan_fits(&(struct plan){.peak = 1e9, .machine = 1e9}, NULL), 0);
    align_result_free(&r);
    device_close(d);
}

static void same_file(const char *a, const char *b, const char *name)
{
    char x[65], y[65];
    tiny_align_hash(a, name, x);
    tiny_align_hash(b, name, y);
    if (strcmp(x, y))
        fail_msg("%s differs between %s and %s", name, a, b);
}

static struct stat state_of(const char *run, const char *name)
{
    char path[2048];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", run, name);
    assert_int_equal(stat(path, &s), 0);
    return s;
}

/* One round with its controls; then another round, three samples and a judge. The control of as many steps is another
 * one by then. */
static void more_of_all_is_as_if_given_at_once(void **state)
{
    (void)state;
    static const char *const arms[] = {"pretrained",      "icl-knn",           "icl-random", "sft-seeds",
                                       "sft-seeds-steps", "sft-seeds-steps-1", "round-1",    "round-2"};
    char grown[1100], whole[1100], name[64];
    struct align_options o;
    path_of(grown, "grown");
    path_of(whole, "whole");
    tiny_align_options(&o, grown);
    o.test = tiny.test;
    o.baselines = 1;
    o.rounds = 1;
    align(&o);
    struct stat before = state_of(grown, "round-1/model/model.safetensors");
    o.rounds = 2;
    o.samples = 3;
    o.judge = tiny.judge;
    align(&o);
    struct stat after = state_of(grown, "round-1/model/model.safetensors");
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    assert_int_equal(before.st_ino, after.st_ino);
    o.output = whole;
    align(&o);
    tiny_align_same(grown, whole);
    for (size_t i = 0; i < sizeof arms / sizeof *arms; i++) {
        snprintf(name, sizeof name, "arms/%s.jsonl", arms[i]);
        same_file(grown, whole, name);
    }
    o.output = grown;
    align(&o); /* it holds from now on */
    o.rounds = 1;
    refused(&o, ERROR_CONFIG, "was begun with rounds 2, now 1");
}

static const json_t *test_of(json_t *manifest)
{
    return json_object_get(manifest, "test");
}

/* Its seeds stay as they were held out; so nothing is tuned again. */
static void a_test_set_can_be_added(void **state)
{
    (void)state;
    char output[1100], path[1200];
    struct align_options o;
    json_t *manifest;
    path_of(output, "untested");
    tiny_align_options(&o, output);
    o.rounds = 1;
    align(&o);
    struct stat before = state_of(output, "round-1/model/model.safetensors");
    o.test = tiny.test;
    for (int i = 0; i < 2; i++) { /* the second time it is the run's own */
        align(&o);
        struct stat after = state_of(output, "round-1/model/model.safetensors");
        assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    }
    snprintf(path, sizeof path, "%s/manifest.json", output);
    assert_int_equal(jsontext_load(&manifest, path, 1 << 20, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(test_of(manifest), "questions")), 6);
    assert_string_equal(json_string_value(json_object_get(test_of(manifest), "path")), tiny.test);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(manifest, "seeds"), "held_out")), 3);
    json_decref(manifest);
    struct stat answers = state_of(output, "arms/round-1.jsonl");
    assert_true(answers.st_size > 0);
    o.test = NULL;
    refused(&o, ERROR_CONFIG, "was begun with test-sha256");
    o.test = tiny.seeds;
    refused(&o, ERROR_DATA, "questions are seeds that");
    o.keep_test_overlap = 1;
    refused(&o, ERROR_CONFIG, "was begun with");
}

/* A test set of one question that the run has kept. */
static void write_kept(const char *run, const char *path)
{
    char line[1 << 16];
    json_t *row = NULL;
    snprintf(line, sizeof line, "%s/round-1/generated.jsonl", run);
    FILE *f = fopen(line, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && !json_is_true(json_object_get(row, "kept"))) {
        json_decref(row);
        row = json_loads(line, 0, NULL);
    }
    fclose(f);
    assert_true(json_is_true(json_object_get(row, "kept")));
    json_t *test = json_pack("{s:O, s:s}", "question", json_object_get(row, "question"), "answer", "Yes.");
    assert_int_equal(json_dump_file(test, path, 0), 0);
    json_decref(test);
    json_decref(row);
}

/* What was kept before there was a test set cannot be left out any more; and nothing is changed by being refused. */
static void a_test_set_must_not_hold_what_was_tuned_on(void **state)
{
    (void)state;
    char run[1100], test[1100], before[65], after[65];
    struct align_options o;
    path_of(run, "kept-one");
    path_of(test, "kept.jsonl");
    tiny_align_options(&o, run);
    o.rounds = 1;
    align(&o);
    write_kept(run, test);
    tiny_align_hash(run, "config.resolved.json", before);
    o.test = test;
    refused(&o, ERROR_DATA, "1 kept questions of");
    tiny_align_hash(run, "config.resolved.json", after);
    assert_string_equal(before, after);
    o.keep_test_overlap = 1;
    align(&o);
}

/* Number of the run's exported pairs; none of them has one of these questions. */
static int export_without(const char *run, const json_t *rows)
{
    struct buf text = BUF_INIT;
    struct export_counts n;
    const json_t *row;
    size_t i;
    struct error err = {0, ""};
    if (method_export(run, &(struct export_options){EXPORT_MESSAGES, 1}, &text, &n, &err))
        fail_msg("%s", err.message);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        char *question = json_dumps(json_object_get(row, "question"), JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        if (strstr(text.data, question))
            fail_msg("%s: %s was held out and is exported", run, question);
        free(question);
    }
    buf_free(&text);
    return n.seeds;
}

/* What a run without a test set is measured on are its held-out seeds; they stay held out when it is given one. */
static void held_out_seeds_are_not_exported(void **state)
{
    (void)state;
    char run[1100], path[1200];
    struct align_options o;
    json_t *held;
    path_of(run, "exported");
    tiny_align_options(&o, run);
    o.rounds = 1;
    align(&o);
    snprintf(path, sizeof path, "%s/arms/pretrained.jsonl", run);
    assert_int_equal(jsonl_load(&held, path, NULL), 0);
    assert_int_equal(json_array_size(held), 3); /* of 24 */
    assert_int_equal(export_without(run, held), 21);
    o.test = tiny.test;
    align(&o);
    assert_int_equal(export_without(run, held), 21);
    json_decref(held);
}

/* Seeds were held out of the one that a test set was added to and not of the other; what is refused begins nothing. */
static void another_pool_of_seeds_asks_other_questions(void **state)
{
    (void)state;
    char donor[1100], output[1100];
    struct align_options o;
    path_of(donor, "donor");
    path_of(output, "taker");
    tiny_align_options(&o, donor);
    o.rounds = 1;
    align(&o);
    o.test = tiny.test;
    align(&o);
    o.output = output;
    o.attempts_from = donor;
    refused(&o, ERROR_CONFIG, "asked with another pool of seeds");
    o.attempts_from = NULL;
    o.k = 3; /* other options than those refused */
    align(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_of_all_is_as_if_given_at_once),
        cmocka_unit_test(a_test_set_can_be_added),
        cmocka_unit_test(a_test_set_must_not_hold_what_was_tuned_on),
        cmocka_unit_test(held_out_seeds_are_not_exported),
        cmocka_unit_test(another_pool_of_seeds_asks_other_questions),
        cmocka_unit_test(what_a_start_would_refuse_is_found_beforehand),
    };
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
