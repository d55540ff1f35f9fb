/* SPDX-License-Identifier: Apache-2.0 */
/* A run's files against its journal: the same as long as nobody changes either; one changed row is found. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "io/file.h"
#include "io/jsontext.h"
#include "report/sections.h"
#include "report/tables.h"

#include <string.h>

static char output[1100];

/* How many differences there are, of which one says so. */
static long verified(int attempts, const char *wanted)
{
    struct report_run r;
    struct differences x = {.n = 0};
    struct error err = {0};
    struct device *d = tiny_device(1);
    if (method_results(output, &r, &err) || method_verify(d, &r, &(struct method_verify){attempts, 7}, &x, &err))
        fail_msg("%s", err.message);
    if (wanted && !strstr(buf_text(&x.text), wanted))
        fail_msg("wanted \"%s\" in\n%s", wanted, buf_text(&x.text));
    long n = x.n;
    if (!wanted && n)
        fail_msg("%s", x.text.data);
    differences_free(&x);
    report_run_free(&r);
    device_close(d);
    return n;
}

/* One change, found by what it says, and taken back. */
static void expect_found(const char *make, const char *take_back, const char *wanted)
{
    tiny_align_change(output, make);
    assert_true(verified(0, wanted) > 0);
    tiny_align_change(output, take_back);
}

static void a_changed_row_is_found(void **state)
{
    (void)state;
    assert_int_equal(verified(100, NULL), 0); /* every attempt is generated again */
    expect_found("UPDATE attempt SET answer = answer || '!' WHERE round = 1 AND idx = 1",
                 "UPDATE attempt SET answer = substr(answer, 1, length(answer) - 1) WHERE round = 1 AND idx = 1",
                 "round-1/generated.jsonl:2.answer: run.db gives");
    expect_found("UPDATE result SET logprob = logprob - 1 WHERE arm = 'round-1' AND idx = 0",
                 "UPDATE result SET logprob = logprob + 1 WHERE arm = 'round-1' AND idx = 0",
                 "arms/round-1.jsonl:1.reference_logprob: run.db gives");
    expect_found("UPDATE round SET steps = steps + 1", "UPDATE round SET steps = steps - 1",
                 "metrics.json.rounds[0].steps: run.db gives");
    expect_found("UPDATE round SET model_sha256 = substr(model_sha256, 2) || substr(model_sha256, 1, 1)",
                 "UPDATE round SET model_sha256 = substr(model_sha256, 64) || substr(model_sha256, 1, 63)",
                 "round-1/model: wanted SHA-256 ");
}

/* What the file lacks and what it says otherwise, of a run by this build or by another one. */
static long differences_by(const char *build)
{
    struct report_run r;
    struct differences x = {.n = 0};
    struct error err = {0};
    struct device *d = tiny_device(1);
    assert_int_equal(method_results(output, &r, &err), 0);
    for (int i = 0; i < r.settings.n && build; i++)
        if (!strcmp(r.settings.items[i].name, "build"))
            r.settings.items[i].value = build;
    assert_int_equal(method_verify(d, &r, &(struct method_verify){0, 7}, &x, &err), 0);
    long n = x.n;
    differences_free(&x);
    report_run_free(&r);
    device_close(d);
    return n;
}

static void keys_that_another_build_did_not_write_are_not_missed(void **state)
{
    (void)state;
    char path[1200];
    json_t *metrics;
    struct error err = {0};
    struct buf was = BUF_INIT;
    snprintf(path, sizeof path, "%s/metrics.json", output);
    assert_int_equal(file_read(&was, path, 1 << 20, &err), 0);
    assert_int_equal(jsontext_load(&metrics, path, 1 << 20, &err), 0);
    json_object_del(metrics, "tax");
    json_object_del(json_array_get(json_object_get(metrics, "rounds"), 0), "repeats");
    assert_int_equal(jsontext_write(path, metrics, &err), 0);
    assert_int_equal(differences_by(NULL), 2);
    assert_int_equal(differences_by("an older one"), 0);
    json_object_set_new(metrics, "kept", json_integer(99));
    json_object_set_new(metrics, "more", json_integer(1));
    assert_int_equal(jsontext_write(path, metrics, &err), 0);
    assert_int_equal(differences_by("an older one"), 2);
    assert_int_equal(file_write(path, was.data, was.len, &err), 0);
    json_decref(metrics);
    buf_free(&was);
}

/* The sheet with these label columns and these labels on every line, read back. */
static int labelled(struct report_run *r, const char *sheet, const char *heads, const char *labels, struct error *err)
{
    struct buf text = BUF_INIT, out = BUF_INIT;
    assert_int_equal(file_read(&text, sheet, 1 << 20, NULL), 0);
    assert_null(strstr(text.data, "round-1"));
    assert_null(strstr(text.data, "pretrained"));
    for (char *line = text.data, *end; (end = strstr(line, "\r\n")); line = end + 2) {
        int head = line == text.data; /* its own label column is empty */
        buf_append(&out, line, (size_t)(end - line) - (head ? strlen("label") : 0));
        buf_printf(&out, "%s\r\n", head ? heads : labels);
    }
    assert_int_equal(file_write(sheet, out.data, out.len, NULL), 0);
    buf_free(&text);
    buf_free(&out);
    return method_labels_in(r, sheet, err);
}

static void people_label_a_blind_sheet(void **state)
{
    (void)state;
    char sheet[1200];
    struct report_run r;
    struct error err = {0};
    snprintf(sheet, sizeof sheet, "%s/sheet.csv", tiny.root);
    assert_int_equal(method_results(output, &r, &err), 0);
    assert_int_equal(method_labels_out(&r, sheet, &err), 0);
    assert_int_equal(labelled(&r, sheet, "label", "maybe", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "sheet.csv:2: label: wanted yes, no or nothing, found \"maybe\""));
    assert_int_equal(method_labels_out(&r, sheet, &err), 0);
    assert_int_equal(labelled(&r, sheet, "label", "", &err), ERROR_DATA); /* nobody has labelled anything */
    assert_int_equal(method_labels_out(&r, sheet, &err), 0);
    assert_int_equal(labelled(&r, sheet, "label_a,label_b", "yes,YES", &err), 0);
    const struct report_people *p = &r.people;
    assert_true(p->n_rater == 2 && p->n_labelled == p->n_sheet && p->n_arm == 2);
    assert_int_equal(p->arms[0].n + p->arms[1].n, p->n_sheet);
    assert_true(p->n_sheet > 0 && p->arms[1].rate == 1);
    assert_string_equal(p->arms[1].arm, "round-1");
    assert_int_equal(file_write(sheet, "id,label\nffff,yes\n", 18, NULL), 0);
    assert_int_equal(method_labels_in(&r, sheet, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "sheet.csv:2: id \"ffff\" is none of this run's"));
    report_run_free(&r);
}

/* The journal and what was written of it are changed alike: only generating it again shows that. */
static void a_changed_attempt_is_generated_again(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    char path[1200], *at;
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    tiny_align_change(output, "UPDATE attempt SET question = 'Other?' || substr(question, 7) WHERE idx = 2");
    assert_int_equal(file_read(&text, path, 1 << 20, NULL), 0);
    at = strstr(strstr(text.data, "\"r1-a2\""), "\"question\": \"");
    assert_non_null(at);
    memcpy(at + strlen("\"question\": \""), "Other?", 6);
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    buf_free(&text);
    assert_true(verified(100, "attempt r1-a2: generated again, it is another one") > 0);
}

static int setup(void **state)
{
    return tiny_align_reference(state, tiny_align_one_round, output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_changed_row_is_found),
                                       cmocka_unit_test(keys_that_another_build_did_not_write_are_not_missed),
                                       cmocka_unit_test(people_label_a_blind_sheet),
                                       cmocka_unit_test(a_changed_attempt_is_generated_again)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
