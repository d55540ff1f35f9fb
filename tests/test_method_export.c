/* SPDX-License-Identifier: Apache-2.0 */
/* A run's pairs in the formats of other trainers: what was kept, each once, what the method was given, and what is
 * preferred. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "answer/seeds.h"
#include "base/buf.h"
#include "io/file.h"
#include "report/report.h"

#include <string.h>

static char output[1100];

static int setup(void **state)
{
    return tiny_align_reference(state, tiny_align_one_round, output);
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
    tiny_align_change(output,
                      "UPDATE attempt SET kept = 0, reason = 'struck' WHERE round = 1 AND idx = 1 AND kept = 1");
    tiny_align_change(output, "UPDATE round SET kept = kept - 1");
    export(EXPORT_CSV, 0, &n, &pairs);
    assert_true(pairs.n == kept - 1 && n.kept == kept - 1);
    for (int i = 0; i < pairs.n; i++)
        assert_true(strcmp(pairs.items[i].id, "r1-a1") != 0);
    tiny_align_change(output, "UPDATE attempt SET kept = 1, reason = 'kept' WHERE round = 1 AND idx = 1");
    tiny_align_change(output, "UPDATE round SET kept = kept + 1");
    seeds_free(&pairs);
    seeds_free(&given);
    seeds_free(&made);
}

static void a_pair_is_exported_once(void **state)
{
    (void)state;
    struct export_counts all, n;
    struct seeds pairs;
    char run[1200];
    snprintf(run, sizeof run, "%s/once", tiny.root);
    tiny_align_copy(output, run);
    export(EXPORT_CSV, 0, &all, &pairs);
    seeds_free(&pairs);
    tiny_align_change(run, "UPDATE attempt SET (question, answer) = (SELECT question, answer FROM attempt WHERE kept "
                           "ORDER BY idx LIMIT 1) WHERE idx = (SELECT max(idx) FROM attempt WHERE kept)");
    export_of(run, &(struct export_options){EXPORT_CSV, 0}, &n, &pairs);
    assert_true(all.kept > 1 && n.kept == all.kept - 1 && pairs.n == n.kept);
    seeds_free(&pairs);
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
    tiny_align_one_round(&o, run);
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

static void seeds_that_have_changed_are_refused(void **state)
{
    (void)state;
    struct buf was = BUF_INIT, out = BUF_INIT;
    struct export_counts n;
    struct error err = {0};
    assert_int_equal(file_read(&was, tiny.seeds, 1 << 20, NULL), 0);
    assert_int_equal(file_write(tiny.seeds, was.data, strcspn(was.data, "\n"), NULL), 0); /* the first alone */
    assert_int_equal(method_export(output, &(struct export_options){EXPORT_CSV, 1}, &out, &n, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "has changed since the run"));
    assert_int_equal(file_write(tiny.seeds, was.data, was.len, NULL), 0);
    buf_free(&was);
    buf_free(&out);
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

/* The judge's verdict as run.db has it: one probability, a float of 0 or 1. */
static void what_is_the_same_or_worse_is_no_preference(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        int left_out;
    } cases[] = {{"probabilities = x'00000000'", "probabilities = x'0000803f'", 1},
                 {"probabilities = x'0000803f'", "probabilities = x'0000803f'", 0},
                 {"probabilities = x'0000803f'", "probabilities = x'00000000'", 0},
                 {"text = 'So.'", "text = 'So.'", 1},
                 {"text = 'So.'", "text = 'No.'", 0}};
    struct export_counts all, n;
    struct seeds pairs;
    char run[1200], sql[300];
    export(EXPORT_DPO, 0, &all, &pairs);
    seeds_free(&pairs);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(run, sizeof run, "%s/case-%zu", tiny.root, i);
        tiny_align_copy(output, run);
        snprintf(sql, sizeof sql, "UPDATE result SET %s WHERE arm = 'pretrained' AND idx = 0", cases[i].before);
        tiny_align_change(run, sql);
        snprintf(sql, sizeof sql, "UPDATE result SET %s WHERE arm = 'round-1' AND idx = 0", cases[i].after);
        tiny_align_change(run, sql);
        export_of(run, &(struct export_options){EXPORT_DPO, 0}, &n, &pairs);
        assert_int_equal(n.left_out, all.left_out + cases[i].left_out);
        assert_int_equal(n.preferences, all.preferences - cases[i].left_out);
        seeds_free(&pairs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_kept_is_exported),
                                       cmocka_unit_test(a_pair_is_exported_once),
                                       cmocka_unit_test(what_was_held_out_is_not_exported),
                                       cmocka_unit_test(seeds_that_have_changed_are_refused),
                                       cmocka_unit_test(preferences_are_the_last_answers_over_the_first),
                                       cmocka_unit_test(what_is_the_same_or_worse_is_no_preference)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
