/* SPDX-License-Identifier: Apache-2.0 */
/* results.json of an experiment made by hand is as its table in docs/FORMATS.md has it; and what holds files against
 * these tables finds each key that is missing, one too many and of another type, wherever it is. */
#include "tests/check.h"
#include "tests/file_schema.h"

#include "report/comparison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEY = 1000 };

static struct report_reason reason = {"question_repeat", "question repeats a kept one", 3};
static struct report_made made = {"isara",
                                  "model",
                                  1,
                                  {.number = 1,
                                   .attempts = 8,
                                   .parsed = 8,
                                   .kept = 5,
                                   .repeats = 3,
                                   .share = 0.625,
                                   .low = NAN,
                                   .high = NAN,
                                   .reasons = &reason,
                                   .n_reason = 1}};

/* One arm beside two controls, of which one has values of questions. */
static json_t *results_made_by_hand(void)
{
    static const unsigned long long seeds[] = {3};
    static const char *models[] = {"model"}, *controls[] = {"pretrained"}, *jobs[] = {"abc"};
    double value = 0.5;
    int rows = 6;
    struct report_beside beside[] = {
        {.control = "pretrained", .n = 6, .change = 0.5, .low = NAN, .high = NAN, .interval = "none", .dz = NAN},
        {.control = "other", .seeds_change = 0.25, .seeds_low = NAN, .seeds_high = NAN}};
    struct report_overlap overlap = {0.7, 1, 1, 2, 2, 0};
    struct report_arm_run run = {"model", 3, 12, 4, 2, jobs, 1, &overlap, 64};
    struct report_arm_of arm = {.name = "isara",
                                .kind = "isara",
                                .seeds = "",
                                .options = json_pack("{s:s, s:[s, s]}", "k", "2", "stop", "a", "b"),
                                .runs = &run,
                                .n_run = 1};
    struct report_measured measured = {.arm = "isara",
                                       .model = "model",
                                       .test = "",
                                       .metric = "qa.nll",
                                       .values = &value,
                                       .rows = &rows,
                                       .n = 1,
                                       .n_value = 1,
                                       .mean = 0.5,
                                       .sd = NAN,
                                       .low = NAN,
                                       .high = NAN,
                                       .beside = beside,
                                       .n_beside = 2};
    struct report_finding finding = {.arm = &measured, .control = &measured, .beside = beside, .n_arm = 1};
    struct report_power power = {&measured, 2, 1, 6, 0.25, NAN};
    struct report_comparison c = {.name = "arms.yaml",
                                  .sha256 = "abc",
                                  .about = json_pack("{s:s}", "authors", "A"),
                                  .random_seeds = seeds,
                                  .n_random_seed = 1,
                                  .models = models,
                                  .controls = controls,
                                  .n_model = 1,
                                  .n_control = 1,
                                  .arms = &arm,
                                  .n_arm = 1,
                                  .list = &measured,
                                  .n = 1,
                                  .findings = &finding,
                                  .n_finding = 1,
                                  .power = &power,
                                  .n_power = 1,
                                  .made = &made,
                                  .n_made = 1};
    json_t *o = NULL;
    assert_int_equal(report_comparison_json(&c, &o, NULL), 0);
    json_decref(arm.options);
    json_decref(c.about);
    return o;
}

static void results_are_as_documented(void **state)
{
    (void)state;
    const struct file_schema *s = file_schema("results.json");
    unsigned char *used = calloc((size_t)file_schema_rows(s), 1);
    json_t *o = results_made_by_hand();
    file_schema_check(s, o, used);
    file_schema_all_used(s, used);
    json_decref(o);
    free(used);
}

/* Every key of every object in it, in a fixed order; its object and itself. */
struct key {
    json_t *object;
    const char *name;
};

static void list_keys(json_t *v, struct key *keys, int *n)
{
    const char *name;
    json_t *item;
    size_t i;
    json_array_foreach(v, i, item) list_keys(item, keys, n);
    json_object_foreach(v, name, item)
    {
        assert_true(*n < MOST_KEY);
        keys[(*n)++] = (struct key){v, name};
        list_keys(item, keys, n);
    }
}

/* Is it of an object whose keys people choose? */
static int is_free(const struct key *k)
{
    return json_object_get(k->object, "authors") || json_object_get(k->object, "stop") ||
           json_object_get(k->object, "question_repeat");
}

enum fault { OTHER_TYPE, TAKEN_AWAY, ONE_MORE };

/* What is said of the n-th key with that fault; NULL: nothing. */
static const char *said_of(int n, enum fault fault, int *free, int *count)
{
    struct key keys[MOST_KEY], *k = &keys[n];
    json_t *o = results_made_by_hand();
    *count = 0;
    list_keys(o, keys, count);
    assert_true(n < *count);
    *free = is_free(k);
    if (fault == TAKEN_AWAY)
        json_object_del(k->object, k->name);
    else
        json_object_set_new(k->object, fault == ONE_MORE ? "more" : k->name, json_true()); /* no key may be true */
    const char *found = file_schema_fault(file_schema("results.json"), o, NULL);
    json_decref(o);
    return found;
}

static void every_fault_is_found(void **state)
{
    (void)state;
    int count = 1, free, optional = 0;
    for (int i = 0; i < count; i++) {
        const char *found = said_of(i, OTHER_TYPE, &free, &count);
        if (!free && (!found || !strstr(found, ": wanted ")))
            fail_msg("key %d as true: %s", i, found ? found : "nothing is said");
        found = said_of(i, ONE_MORE, &free, &count);
        if (!free && (!found || !strstr(found, "more: docs/FORMATS.md does not say what that is")))
            fail_msg("one more key beside key %d: %s", i, found ? found : "nothing is said");
        optional += !said_of(i, TAKEN_AWAY, &free, &count) && !free;
    }
    assert_true(count > 45);
    assert_int_equal(optional, 5 + 9); /* of a run; of a control with questions */
}

static void items_of_lists_are_looked_at(void **state)
{
    (void)state;
    const struct file_schema *s = file_schema("results.json");
    json_t *o = results_made_by_hand();
    json_array_append_new(json_object_get(o, "random_seeds"), json_real(0.5));
    assert_string_equal(file_schema_fault(s, o, NULL), "random_seeds[]: wanted integer ");
    json_object_set_new(o, "random_seeds", json_array());
    json_array_append_new(json_object_get(o, "results"), json_null());
    assert_string_equal(file_schema_fault(s, o, NULL), "results[]: wanted object");
    json_decref(o);
    assert_non_null(file_schema_fault(s, json_null(), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(results_are_as_documented),
                                       cmocka_unit_test(every_fault_is_found),
                                       cmocka_unit_test(items_of_lists_are_looked_at)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
