/* SPDX-License-Identifier: Apache-2.0 */
/* The whole loop on a tiny model: what comes out, the same bytes for any number of threads, review, preview, an end for
 * want of new questions. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "base/buf.h"
#include "generate/fields.h"
#include "io/file.h"
#include "method/fields.h"
#include "train/fields.h"

#include <string.h>

static char reference[1100];

/* Every option that decides bits stands in config.resolved.json, for each phase. */
static void all_options_resolved(const char *run)
{
    static const struct {
        const struct field_table *table;
        const char *prefix;
    } all[] = {{&align_fields, ""},
               {&sift_fields, ""},
               {&generate_fields, "ask-"},
               {&generate_fields, "answer-"},
               {&train_fields, "train-"}};
    char path[2048], key[100];
    snprintf(path, sizeof path, "%s/config.resolved.json", run);
    json_t *resolved = json_load_file(path, 0, NULL);
    assert_non_null(resolved);
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (int i = 0; i < all[k].table->n; i++) {
            const struct field *f = &all[k].table->rows[i];
            if (f->type == FIELD_STRING && f->bits == FIELD_FREE)
                continue; /* a path: it stands there so that the file is a --config of its own */
            snprintf(key, sizeof key, "%s%s", all[k].prefix, f->name);
            if (!json_object_get(resolved, key) != (f->bits == FIELD_FREE))
                fail_msg("%s: wanted in config.resolved.json if it decides bits, and only then", key);
        }
    json_decref(resolved);
}

static void two_rounds_end_with_evidence(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    tiny_align_options(&o, reference);
    tiny_align(&o, 1, &r);
    all_options_resolved(reference);
    assert_int_equal(r.rounds, 2);
    assert_int_equal(r.report.n_arm, 3);
    assert_string_equal(r.report.arms[0].name, "pretrained");
    assert_string_equal(r.report.arms[2].name, "round-2");
    assert_int_equal(r.report.arms[2].n, 3); /* held-out seeds: one in eight of 24 */
    assert_true(r.report.arms[2].steps > 0 && strlen(r.report.arms[2].model_sha256) == 64);
    assert_non_null(strstr(r.summary.data, "round 2: "));
    assert_non_null(strstr(r.summary.data, "Side by side"));
    json_t *metrics = json_loads(r.json.data, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(json_object_get(metrics, "arms")), 3);
    json_decref(metrics);
    align_result_free(&r);
    tiny_align(&o, 1, &r); /* again: nothing is left to do, the same comes out */
    assert_int_equal(r.rounds, 2);
    align_result_free(&r);
}

/* Sampled and judged in eight bits, tuned in bf16. */
static void eight_bits_sample_what_bf16_learns(void **state)
{
    (void)state;
    char output[2][1100];
    struct align_options o;
    struct align_result r;
    for (int i = 0; i < 2; i++) {
        snprintf(output[i], sizeof output[i], "%s/q8-%d", tiny.root, i);
        tiny_align_options(&o, output[i]);
        o.dtype = DTYPE_Q8;
        tiny_align(&o, 1 + i, &r);
        assert_true(r.report.arms[2].steps > 0);
        align_result_free(&r);
    }
    tiny_align_same(output[0], output[1]);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/threads", tiny.root);
    tiny_align_options(&o, output);
    tiny_align(&o, 3, &r);
    align_result_free(&r);
    tiny_align_same(reference, output);
}

static void review_stops_and_struck_lines_are_not_trained_on(void **state)
{
    (void)state;
    char output[1100], path[2048];
    struct align_options o;
    struct align_result r;
    struct buf lines = BUF_INIT;
    snprintf(output, sizeof output, "%s/review", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 1;
    o.review = 1;
    tiny_align(&o, 1, &r);
    assert_int_equal(r.stopped_for_review, 1);
    align_result_free(&r);
    tiny_align(&o, 1, &r); /* without --resume it still waits */
    assert_int_equal(r.stopped_for_review, 1);
    align_result_free(&r);
    snprintf(path, sizeof path, "%s/round-1/review.jsonl", output);
    assert_int_equal(file_read(&lines, path, 1 << 20, NULL), 0);
    char *second = strchr(lines.data, '\n') + 1, id[16];
    assert_int_equal(sscanf(lines.data, "{\"id\": \"%15[^\"]", id), 1);
    assert_int_equal(file_write(path, second, strlen(second), NULL), 0);
    o.resume = 1;
    tiny_align(&o, 1, &r);
    assert_int_equal(r.rounds, 1);
    align_result_free(&r);
    buf_reset(&lines);
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(file_read(&lines, path, 1 << 20, NULL), 0);
    char *row = strstr(lines.data, id);
    assert_non_null(row);
    *strchr(row, '\n') = 0;
    assert_non_null(strstr(row, "\"reason\": \"struck\""));
    buf_free(&lines);
}

/* However many rounds: every one has its line, and the last line and hash are the last round's. */
static void seventy_rounds_have_seventy_lines(void **state)
{
    (void)state;
    char output[1100], wanted[200], sha256[65];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/rounds", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 70;
    o.attempts = 4;
    o.samples = 0;
    o.train.max_steps = 1;
    o.ask.max_new_tokens = o.answer.max_new_tokens = 12;
    o.answer.num_beams = 1;
    o.sift.threshold = 1;
    o.sift.question_min_words = 0;
    tiny_align(&o, 2, &r);
    if (r.rounds <= 57)
        fail_msg("only %d rounds: %s", r.rounds, r.summary.data);
    assert_int_equal(r.report.n_arm, r.rounds + 1);
    snprintf(wanted, sizeof wanted, "round-%d/model/model.safetensors", r.rounds);
    tiny_align_hash(output, wanted, sha256);
    assert_string_equal(r.report.arms[r.report.n_arm - 1].model_sha256, sha256);
    snprintf(wanted, sizeof wanted, "round-%d/model\nsha256 %s\n", r.rounds, sha256);
    assert_non_null(strstr(r.summary.data, wanted));
    align_result_free(&r);
}

static void novelty_that_runs_out_stops_the_loop(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/novelty", tiny.root);
    tiny_align_options(&o, output);
    o.sift.question_min_words = 90;
    o.stop_novelty = 0.1;
    tiny_align(&o, 1, &r);
    assert_true(r.novelty_ran_out == 1 && r.rounds == 0 && r.report.n_arm == 1);
    align_result_free(&r);
}

static void show(void *user, const char *text)
{
    buf_puts(user, text);
}

static void preview_shows_prompts_and_writes_nothing(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    struct buf text = BUF_INIT;
    snprintf(output, sizeof output, "%s/preview", tiny.root);
    tiny_align_options(&o, output);
    o.preview = 2;
    o.show = show;
    o.user = &text;
    tiny_align(&o, 1, &r);
    assert_non_null(strstr(text.data, "=== attempt 1: the prompt that asks"));
    assert_non_null(strstr(text.data, "Question: "));
    assert_non_null(strstr(text.data, "--- verdict: "));
    assert_false(file_exists(output));
    buf_free(&text);
    align_result_free(&r);
}

static int setup(void **state)
{
    int rc = tiny_align_setup(state);
    snprintf(reference, sizeof reference, "%s/reference", tiny.root);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_rounds_end_with_evidence),
        cmocka_unit_test(eight_bits_sample_what_bf16_learns),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(review_stops_and_struck_lines_are_not_trained_on),
        cmocka_unit_test(seventy_rounds_have_seventy_lines),
        cmocka_unit_test(novelty_that_runs_out_stops_the_loop),
        cmocka_unit_test(preview_shows_prompts_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
