/* SPDX-License-Identifier: Apache-2.0 */
/* A run's files against its journal: the same as long as nobody changes either; one changed row is found. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "answer/seeds.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "report/sections.h"
#include "report/tables.h"

#include <sqlite3.h>
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

static void change(const char *sql)
{
    char path[1200], *why = NULL;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/run.db", output);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why))
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

/* One change, found by what it says, and taken back. */
static void expect_found(const char *make, const char *take_back, const char *wanted)
{
    change(make);
    assert_true(verified(0, wanted) > 0);
    change(take_back);
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
    change("UPDATE attempt SET question = 'Other?' || substr(question, 7) WHERE idx = 2");
    assert_int_equal(file_read(&text, path, 1 << 20, NULL), 0);
    at = strstr(strstr(text.data, "\"r1-a2\""), "\"question\": \"");
    assert_non_null(at);
    memcpy(at + strlen("\"question\": \""), "Other?", 6);
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    buf_free(&text);
    assert_true(verified(100, "attempt r1-a2: generated again, it is another one") > 0);
}

static void one_round(struct align_options *o, const char *run)
{
    tiny_align_options(o, run);
    o->rounds = 1;
    o->attempts = 4;
    o->test = tiny.test;
    o->retriever = RETRIEVER_BM25;
}

static int setup(void **state)
{
    return tiny_align_reference(state, one_round, output);
}

/* A run's pairs in a format, read again by the reader of seeds. */
static void export_of(const char *run, const struct export_options *o, struct export_counts *n, struct seeds *pairs)
{
    struct buf text = BUF_INIT;
    struct error err = {0};
    char path[1200];
    snprintf(path, sizeof path, "%s/pairs.%s", tiny.root, o->format == EXPORT_CSV ? "csv" : "json");
    if (method_export(run, o, &text, n, &err) || file_write(path, text.data, text.len, &err) ||
        seeds_read(pairs, path, 1, &err))
        fail_msg("%s", err.message);
    buf_free(&text);
}

static void export(enum export_format format, int with_seeds, struct export_counts *n, struct seeds *pairs)
{
    export_of(output, &(struct export_options){format, with_seeds}, n, pairs);
}

static void what_was_kept_is_exported(void **state)
{
    (void)state;
    static const char *const names[] = {"messages",          "conversations",   "instruction-output",
                                        "prompt-completion", "question-answer", "prompt-chosen turns"};
    struct seeds made, pairs, given;
    struct export_counts n;
    char path[1300];
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(seeds_read(&made, path, 1, NULL), 0); /* what was not kept is left out */
    int kept = made.n;
    assert_true(kept > 1);
    for (int format = EXPORT_MESSAGES; format <= EXPORT_CSV; format++) {
        char question[300], answer[300];
        export(format, 0, &n, &pairs);
        assert_string_equal(pairs.format, names[format]);
        assert_true(pairs.n == kept && n.kept == kept && !n.seeds);
        for (int i = 0; i < kept; i++) {
            const struct seed *wanted = &made.items[i];
            int whole = format == EXPORT_PROMPT_COMPLETION; /* in the words of the built-in template */
            snprintf(question, sizeof question, whole ? "Question: %s\nAnswer:" : "%s", wanted->question);
            snprintf(answer, sizeof answer, "%s", wanted->answer);
            assert_string_equal(pairs.items[i].question, question);
            assert_string_equal(pairs.items[i].answer, answer);
            if (format == EXPORT_CSV)
                assert_string_equal(pairs.items[i].id, wanted->id);
        }
        seeds_free(&pairs);
    }
    export(EXPORT_ALPACA, 1, &n, &pairs);
    assert_int_equal(seeds_read(&given, tiny.seeds, 1, NULL), 0);
    assert_true(n.seeds == given.n && pairs.n == kept + given.n);
    for (int i = 0; i < given.n; i++)
        assert_string_equal(pairs.items[i].question, given.items[i].question);
    seeds_free(&pairs);
    change("UPDATE attempt SET kept = 0, reason = 'struck' WHERE round = 1 AND idx = 1 AND kept = 1");
    change("UPDATE round SET kept = kept - 1");
    export(EXPORT_CSV, 0, &n, &pairs);
    assert_true(pairs.n == kept - 1 && n.kept == kept - 1);
    for (int i = 0; i < pairs.n; i++)
        assert_true(strcmp(pairs.items[i].id, "r1-a1") != 0);
    change("UPDATE attempt SET kept = 1, reason = 'kept' WHERE round = 1 AND idx = 1");
    change("UPDATE round SET kept = kept + 1");
    seeds_free(&pairs);
    seeds_free(&given);
    seeds_free(&made);
}

static int has_question(const struct seeds *s, const char *question)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->items[i].question, question))
            return 1;
    return 0;
}

/* A run over the seeds with three held out; its directory. */
static const char *run_held(const char *name, const char *test, int keep_test_overlap)
{
    static char run[1300];
    struct align_options o;
    struct align_result r;
    snprintf(run, sizeof run, "%s/%s", tiny.root, name);
    one_round(&o, run);
    o.holdout = test ? 3 : -1; /* one in eight of 24 */
    o.test = test;
    o.keep_test_overlap = keep_test_overlap;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    return run;
}

/* Which seeds are held out a run without a test set says: it is measured on them. */
static void what_was_held_out_is_not_exported(void **state)
{
    (void)state;
    const struct export_options o = {EXPORT_ALPACA, 1};
    struct seeds given, held, pairs;
    struct export_counts n;
    char path[1400], test[1100];
    struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "%s/arms/pretrained.jsonl", run_held("held", NULL, 0));
    assert_int_equal(seeds_read(&given, tiny.seeds, 1, NULL), 0);
    assert_int_equal(seeds_read(&held, path, 0, NULL), 0);
    assert_int_equal(held.n, 3);
    int tested = 0;
    while (has_question(&held, given.items[tested].question))
        tested++;
    snprintf(test, sizeof test, "%s/words.jsonl", tiny.root); /* the same words, not the same text */
    buf_printf(&text, "{\"question\":\"%s !\",\"answer\":\"Yes.\"}\n", given.items[tested].question);
    assert_int_equal(file_write(test, text.data, text.len, NULL), 0);
    for (int k = 0; k < 3; k++) {
        static const char *const names[] = {"held", "tested", "both"};
        snprintf(path, sizeof path, "%s/%s", tiny.root, names[k]);
        export_of(k ? run_held(names[k], test, k == 2) : path, &o, &n, &pairs);
        assert_int_equal(n.seeds, given.n - 3 - (k == 1));
        for (int i = 0; i < given.n; i++)
            assert_int_equal(has_question(&pairs, given.items[i].question),
                             !has_question(&held, given.items[i].question) && (k != 1 || i != tested));
        seeds_free(&pairs);
    }
    buf_free(&text);
    seeds_free(&held);
    seeds_free(&given);
}

static void preferences_are_the_last_answers_over_the_first(void **state)
{
    (void)state;
    struct report_run r;
    struct export_counts n;
    struct seeds pairs;
    struct error err = {0};
    int wanted = 0;
    assert_int_equal(method_results(output, &r, &err), 0);
    export(EXPORT_DPO, 0, &n, &pairs);
    assert_string_equal(pairs.format, "prompt-chosen turns");
    for (int i = 0; i < r.n_sample; i++) {
        const char *before = r.samples[i].answers[0], *after = r.samples[i].answers[r.n_arm - 1];
        if (!before || !after || !*after || !strcmp(before, after))
            continue;
        assert_string_equal(pairs.items[wanted].question, r.samples[i].question);
        assert_string_equal(pairs.items[wanted].answer, after);
        wanted++;
    }
    assert_true(wanted > 0 && n.preferences == wanted && pairs.n == wanted);
    seeds_free(&pairs);
    report_run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_changed_row_is_found),
                                       cmocka_unit_test(keys_that_another_build_did_not_write_are_not_missed),
                                       cmocka_unit_test(people_label_a_blind_sheet),
                                       cmocka_unit_test(what_was_kept_is_exported),
                                       cmocka_unit_test(what_was_held_out_is_not_exported),
                                       cmocka_unit_test(preferences_are_the_last_answers_over_the_first),
                                       cmocka_unit_test(a_changed_attempt_is_generated_again)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
