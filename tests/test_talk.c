/* SPDX-License-Identifier: Apache-2.0 */
/* Talking: pieces are whole characters and the answer, turns are the prompt's pairs, the oldest go when it is full, an
 * interruption ends an answer and nothing else. */
#include "check.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "talk/talk.h"
#include "tiny_align.h"

#include <signal.h>
#include <string.h>

static struct device *device;
static struct talker *talker;

/* Bytes of all kinds: hot, and no end before the last token. */
static int decoding(void *user, struct generate_options *o, struct error *err)
{
    (void)user;
    (void)err;
    o->do_sample = 1;
    o->top_k = 0;
    o->temperature = 3;
    o->max_new_tokens = o->min_new_tokens = 60;
    return 0;
}

static int setup(void **state)
{
    struct error err = {0};
    int rc = tiny_align_setup(state);
    struct talk_options o;
    talk_options_default(&o);
    o.model = tiny.model;
    o.dtype = DTYPE_F32;
    o.seed = 3;
    o.decoding = decoding;
    device = tiny_device(1);
    if (talker_open(&talker, device, &o, &err))
        fail_msg("%s", err.message);
    return rc;
}

static int teardown(void **state)
{
    talker_close(talker);
    device_close(device);
    return tiny_align_teardown(state);
}

struct heard {
    struct buf text;
    int pieces, interrupt_at;
};

static int hear(void *user, const char *text, size_t n)
{
    struct heard *h = user;
    assert_true(n > 0);
    assert_int_equal(utf8_valid(text, n), n);
    buf_append(&h->text, text, n);
    if (++h->pieces == h->interrupt_at)
        interrupt_request(SIGINT);
    return 0;
}

static void says(struct talk *talk, const char *message, struct heard *h, struct talk_answer *a)
{
    struct error err = {0};
    buf_reset(&h->text);
    h->pieces = 0;
    if (talker_answer(talker, talk, message, &(struct talk_sink){hear, h}, a, &err))
        fail_msg("%s", err.message);
    assert_string_equal(buf_text(&h->text), buf_text(&a->text));
}

static void pieces_are_whole_characters_and_the_answer(void **state)
{
    (void)state;
    struct talk talk = {0};
    struct heard h = {.text = BUF_INIT}, again = {.text = BUF_INIT};
    struct talk_answer a, b;
    says(&talk, "How do I clean a saw?", &h, &a);
    assert_true(h.pieces > 10);
    assert_int_equal(a.n_token, 60);
    assert_int_equal(a.cut, 1);
    assert_false(talker_is_chat(talker));
    says(&talk, "How do I clean a saw?", &again, &b); /* nothing was added to the talk */
    assert_string_equal(a.text.data, b.text.data);
    talk_answer_free(&b);
    assert_int_equal(talk_add(&talk, "How do I clean a saw?", &a, NULL), 0);
    says(&talk, "How do I clean a saw?", &again, &b); /* another prompt, another stream */
    assert_string_not_equal(a.text.data, b.text.data);
    talk_answer_free(&a);
    talk_answer_free(&b);
    talk_free(&talk);
    buf_free(&h.text);
    buf_free(&again.text);
}

static void what_was_said_is_not_computed_again(void **state)
{
    (void)state;
    struct talk talk = {0};
    struct heard h = {.text = BUF_INIT};
    struct talk_answer a;
    char message[301] = "";
    memset(message, 'w', 300);
    says(&talk, message, &h, &a);
    assert_int_equal(talk_add(&talk, message, &a, NULL), 0);
    talk_answer_free(&a);
    struct generate_stats before = talker_stats(talker);
    says(&talk, "And now?", &h, &a);
    struct generate_stats after = talker_stats(talker);
    assert_true(after.prompt_tokens - before.prompt_tokens > 300);
    assert_true(after.computed_prompt_tokens - before.computed_prompt_tokens <=
                after.prompt_tokens - before.prompt_tokens - 256); /* whole pages of 64 */
    talk_answer_free(&a);
    talk_free(&talk);
    buf_free(&h.text);
}

static void the_oldest_turns_go(void **state)
{
    (void)state;
    struct talk talk = {0};
    struct heard h = {.text = BUF_INIT};
    struct talk_answer a;
    struct error err = {0};
    char message[201] = "", longest[1000] = "";
    int dropped = 0, turns = 0;
    memset(message, 'm', 200);
    for (; turns < 6 && !dropped; turns++) {
        says(&talk, message, &h, &a);
        dropped = a.dropped;
        talk_drop(&talk, a.dropped);
        assert_int_equal(talk_add(&talk, message, &a, &err), 0);
        talk_answer_free(&a);
    }
    assert_int_equal(dropped, 1); /* 768 tokens, 60 of them new, and turns of 280 */
    assert_int_equal(turns, 3);
    assert_int_equal(talk.n, 2);
    assert_int_equal(talk.n_said, 3);
    /* one that leaves little room takes what there is, one that leaves none is refused */
    memset(longest, 'l', 715);
    says(&talk, longest, &h, &a);
    assert_int_equal(a.dropped, 2);
    assert_true(a.most >= 16 && a.most < 60);
    assert_int_equal(a.n_token, a.most);
    talk_answer_free(&a);
    memset(longest, 'l', 790);
    assert_int_equal(talker_answer(talker, &talk, longest, &(struct talk_sink){hear, &h}, &a, &err), ERROR_DATA);
    talk_answer_free(&a);
    talk_free(&talk);
    buf_free(&h.text);
}

static void an_interruption_ends_the_answer_only(void **state)
{
    (void)state;
    struct talk talk = {0};
    struct heard whole = {.text = BUF_INIT}, half = {.text = BUF_INIT, .interrupt_at = 5};
    struct talk_answer a, b;
    says(&talk, "How do I move the lamp?", &half, &a);
    interrupt_clear();
    assert_int_equal(a.interrupted, 1);
    assert_int_equal(half.pieces, 5);
    says(&talk, "How do I move the lamp?", &whole, &b);
    assert_int_equal(b.interrupted, 0);
    assert_true(b.text.len > a.text.len && !memcmp(a.text.data, b.text.data, a.text.len));
    talk_answer_free(&a);
    talk_answer_free(&b);
    buf_free(&whole.text);
    buf_free(&half.text);
}

static void a_runs_words_are_taken_apart(void **state)
{
    (void)state;
    char *file, *system;
    json_t *words = json_pack("{s:s, s:s}", "chat", "x", "system", "Be brief.");
    assert_int_equal(talk_words(words, &file, &system, NULL), 0);
    assert_string_equal(system, "Be brief.");
    assert_null(strstr(file, "system"));
    assert_non_null(strstr(file, "chat"));
    mem_free(file);
    mem_free(system);
    json_decref(words);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_whole_characters_and_the_answer),
        cmocka_unit_test(what_was_said_is_not_computed_again),
        cmocka_unit_test(the_oldest_turns_go),
        cmocka_unit_test(an_interruption_ends_the_answer_only),
        cmocka_unit_test(a_runs_words_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
