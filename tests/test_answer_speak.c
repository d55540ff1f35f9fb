/* SPDX-License-Identifier: Apache-2.0 */
/* What speaks, over the bundled miniature: an error is a row's or the whole's and never an empty answer; stops and cues
 * are taken whole or refused. */
#include "tests/check.h"

#include "answer/speak.h"
#include "base/mem.h"

#include <string.h>

enum { N = 3, LONG = 1, WORDS = 4000 };
static struct device *device;
static const char *questions[N] = {"How long should I sleep?", NULL, "Is coffee good for me?"};
static char long_question[WORDS * 6 + 1];

struct got {
    char *text[N];
    char error[N][200];
    int unfit[N], n;
};

static int put(void *user, int i, const struct spoken *t, struct error *err)
{
    struct got *g = user;
    (void)err;
    g->n++;
    assert_true(!t->text == (t->error != NULL));
    g->text[i] = t->text ? mem_strdup(t->text) : NULL;
    g->unfit[i] = t->unfit;
    snprintf(g->error[i], sizeof g->error[i], "%s", t->error ? t->error : "");
    return 0;
}

static void got_free(struct got *g)
{
    for (int i = 0; i < N; i++)
        mem_free(g->text[i]);
}

static struct speaker open_with(const char *template)
{
    struct speaker s;
    struct error err = {0, ""};
    if (speaker_open(
            &s, device,
            &(struct speaker_options){.model = "models/miniature", .template_file = template, .dtype = DTYPE_F32},
            &err))
        fail_msg("%s", err.message);
    return s;
}

static struct generate_options decode(void)
{
    struct generate_options o;
    generate_options_default(&o);
    o.max_new_tokens = 12;
    return o;
}

static int answer(struct speaker *s, struct got *g, int skip, struct error *err)
{
    struct generate_options o = decode();
    const struct speak_job job = {
        .stage = "answer", .unit = "answers", .options = &o, .stream = STREAM_EVALUATE, .put = put, .user = g};
    struct speak_item items[N] = {{0}};
    int n = 0;
    for (int i = 0; i < N; i++)
        if (i != skip)
            items[n++] = (struct speak_item){.index = i, .question = questions[i]};
    return speaker_generate(s, &job, items, n, err);
}

static void a_prompt_that_does_not_fit_is_its_rows_error(void **state)
{
    (void)state;
    struct speaker s = open_with(NULL);
    struct got all = {0}, others = {0};
    struct error err = {0, ""};
    assert_int_equal(answer(&s, &all, -1, &err), 0);
    assert_int_equal(answer(&s, &others, LONG, &err), 0);
    assert_int_equal(all.n, N);
    assert_null(all.text[LONG]);
    assert_true(all.unfit[LONG]);
    assert_non_null(strstr(all.error[LONG], "12 new ones do not fit into the context"));
    for (int i = 0; i < N; i++)
        if (i != LONG)
            assert_string_equal(all.text[i], others.text[i]);
    got_free(&all);
    got_free(&others);
    speaker_close(&s);
}

static void an_answer_that_does_not_fit_has_no_score(void **state)
{
    (void)state;
    struct speaker s = open_with(NULL);
    struct speak_item items[N];
    struct speak_score scores[N], alone;
    for (int i = 0; i < N; i++)
        items[i] = (struct speak_item){.index = i, .question = questions[i], .answer = "Eight hours."};
    assert_int_equal(speaker_score(&s, &(struct score_job){.room = 1}, items, N, scores, NULL), 0);
    assert_true(scores[LONG].n_token == 0 && scores[LONG].dropped == -1);
    assert_int_equal(speaker_score(&s, &(struct score_job){.room = 1}, &items[2], 1, &alone, NULL), 0);
    assert_true(scores[2].n_token > 0 && scores[2].n_token == alone.n_token && scores[2].logprob == alone.logprob &&
                alone.logprob < 0);
    items[0].answer = long_question; /* the prompt fits, the answer does not */
    assert_int_equal(speaker_score(&s, &(struct score_job){.room = 1}, items, 1, scores, NULL), 0);
    assert_true(scores[0].n_token == 0 && scores[0].dropped == 0);
    speaker_close(&s);
}

/* Too little memory for a request is nothing that its text could stand for. */
static void memory_that_is_too_small_ends_the_call(void **state)
{
    (void)state;
    struct speaker s = open_with(NULL);
    struct got g = {0};
    struct error err = {0, ""};
    s.o.engine = (struct generate_engine_options){
        .page = 64, .kv_dtype = DTYPE_F32, .memory_bytes = 1, .prefill_chunk = 512, .prefix_cache = 1};
    assert_int_equal(answer(&s, &g, LONG, &err), ERROR_FAILED);
    assert_non_null(strstr(err.message, "memory"));
    assert_int_equal(g.n, 0);
    speaker_close(&s);
}

/* {"pair": "WORDS...: {q}\nAnswer: {a}", "answer_end": MARK of n bytes} */
static char *template_with(const char *ask, int end)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"pair\": \"%s: {q}\\nAnswer: {a}\", \"answer_end\": \"", ask);
    for (int i = 0; i < end; i++)
        buf_putc(&b, (char)('a' + i % 26));
    buf_puts(&b, "\"}");
    return buf_take(&b);
}

static void a_stop_is_taken_whole_or_refused(void **state)
{
    (void)state;
    struct error err = {0, ""};
    for (int n = 100; n < 140; n++) {
        char *text = template_with("Question", n);
        struct speaker s = open_with(text);
        struct generate_options o = decode(), with;
        int rc = speaker_decoding(&s, 0, &o, &with, &err);
        assert_int_equal(rc, n < GENERATE_STOP_BYTES ? 0 : ERROR_CONFIG);
        assert_int_equal(o.n_stop, 0);
        if (!rc)
            assert_true(with.n_stop == 1 && (int)strlen(with.stop[0]) == n);
        else
            assert_non_null(strstr(err.message, "answer_end"));
        speaker_close(&s);
        mem_free(text);
    }
}

static void a_stop_for_which_there_is_no_place_is_refused(void **state)
{
    (void)state;
    struct error err = {0, ""};
    struct speaker s = open_with(NULL);
    struct generate_options o = decode(), with;
    for (o.n_stop = 0; o.n_stop < GENERATE_MAX_STOP; o.n_stop++)
        snprintf(o.stop[o.n_stop], sizeof o.stop[0], "stop %d", o.n_stop);
    assert_int_equal(speaker_decoding(&s, 1, &o, &with, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "question_end"));
    o.n_stop--;
    assert_int_equal(speaker_decoding(&s, 1, &o, &with, &err), 0);
    assert_int_equal(with.n_stop, GENERATE_MAX_STOP);
    assert_string_equal(with.stop[GENERATE_MAX_STOP - 1], "\n");
    speaker_close(&s);
}

/* Only the whole cue makes a question one that does not read back. */
static void a_long_cue_is_looked_for_whole(void **state)
{
    (void)state;
    static const char ask[] =
        "A question that somebody who is curious about the human body might ask a doctor who has time";
    char *text = template_with(ask, 5);
    struct speaker s = open_with(text);
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s: why?", ask);
    assert_false(prompt_question_parses(&s, b.data));
    assert_false(prompt_answer_parses(&s, b.data));
    b.data[80] = '-';
    assert_true(prompt_question_parses(&s, b.data));
    assert_true(prompt_answer_parses(&s, b.data));
    buf_free(&b);
    speaker_close(&s);
    mem_free(text);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < WORDS; i++)
        memcpy(long_question + (size_t)i * 6, i % 2 ? "sleep " : "doctor", 6);
    questions[LONG] = long_question;
    return device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL);
}

static int teardown(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_that_does_not_fit_is_its_rows_error),
        cmocka_unit_test(an_answer_that_does_not_fit_has_no_score),
        cmocka_unit_test(memory_that_is_too_small_ends_the_call),
        cmocka_unit_test(a_stop_is_taken_whole_or_refused),
        cmocka_unit_test(a_stop_for_which_there_is_no_place_is_refused),
        cmocka_unit_test(a_long_cue_is_looked_for_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
