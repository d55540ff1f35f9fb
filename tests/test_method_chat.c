/* SPDX-License-Identifier: Apache-2.0 */
/* The loop in a chat template: prompts of every step, a run that was broken off, other settings, the model that is
 * shipped. */
#include "check.h"

#include "base/mem.h"
#include "experiment/parts.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "text/chat.h"
#include "tiny_align.h"

#include <stdlib.h>
#include <string.h>

static const char config[] =
    "{\"eos_token\":\"</s>\",\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"chat_template\":\"{% for m in messages "
    "%}{{ '<|' + m.role + '|>\\n' + m.content + '</s>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|assistant|>\\n' }}{% endif %}\"}";
static const char rules[] = "Say what to wear.\n";
static char reference[1100], rules_file[1200];

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
}

static void chat_options(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->template_file = "chat";
    o->system = "Be careful.";
    o->principles = rules_file;
    o->attempts = 4;
    o->ask.max_new_tokens = 20;
    o->answer.max_new_tokens = 20;
    o->answer.num_beams = 1;
    o->answer.do_sample = 1;
    o->answer.min_new_tokens = 8; /* the model knows no such turns */
}

static int setup(void **state)
{
    char path[1300];
    struct align_options o;
    struct align_result r;
    int rc = tiny_align_setup(state);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", tiny.model);
    write_text(path, config);
    snprintf(rules_file, sizeof rules_file, "%s/rules.txt", tiny.root);
    write_text(rules_file, rules);
    snprintf(reference, sizeof reference, "%s/reference", tiny.root);
    chat_options(&o, reference);
    tiny_align(&o, 1, &r);
    if (r.rounds != 2)
        fail_msg("%s", r.summary.data);
    align_result_free(&r);
    return rc;
}

static void keep_text(void *user, const char *text)
{
    buf_puts(user, text);
}

static const char *after(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    if (!at)
        fail_msg("\"%s\" is not in \"%s\"", mark, text);
    return at + strlen(mark);
}

static int starts(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static int count(const char *text, const char *mark, const char *end)
{
    int n = 0;
    for (const char *at = strstr(text, mark); at && at < end; at = strstr(at + 1, mark))
        n++;
    return n;
}

static void prompts_are_turns(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct buf shown = BUF_INIT;
    chat_options(&o, NULL);
    o.preview = 1;
    o.sift.question_min_words = 0;
    o.show = keep_text;
    o.user = &shown;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    const char *asks = strchr(after(buf_text(&shown), "asks ("), '\n') + 1, *end = strstr(asks, "\n--- question:");
    assert_true(starts(asks, "<|system|>\nBe careful.</s>\n<|user|>\n"));
    assert_int_equal(count(asks, "<|user|>\n", end), o.k + 1);
    assert_int_equal(count(asks, "<|assistant|>\n", end), o.k);
    assert_true(!strncmp(end - strlen("</s>\n<|user|>\n"), "</s>\n<|user|>\n", strlen("</s>\n<|user|>\n")));
    const char *answers = strchr(after(end, "answers ("), '\n') + 1;
    end = strstr(answers, "\n--- answer:");
    assert_true(starts(answers, "<|system|>\nBe careful.\n\nSay what to wear.</s>\n<|user|>\n"));
    assert_int_equal(count(answers, "<|assistant|>\n", end), o.k + 1);
    assert_true(!strncmp(end - strlen("</s>\n<|assistant|>\n"), "</s>\n<|assistant|>\n", 19));
    buf_free(&shown);
}

static void a_run_that_was_broken_ends_with_the_same_bytes(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    char broken[1100];
    snprintf(broken, sizeof broken, "%s/broken", tiny.root);
    chat_options(&o, broken);
    assert_int_equal(tiny_align_until(&o, 7, 0), 0);
    assert_int_equal(tiny_align_until(&o, 14, 1), 0);
    struct device *d = tiny_device(2);
    o.system = "Be careless.";
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "template"));
    o.system = "Be careful.";
    if (method_align(d, &o, &r, &err))
        fail_msg("%s", err.message);
    align_result_free(&r);
    tiny_align_same(reference, broken);
    struct buf text = BUF_INIT;
    int same;
    if (method_replay(d, broken, "r2-a1", &same, &text, &err))
        fail_msg("%s", err.message);
    assert_int_equal(same, 1);
    buf_free(&text);
    device_close(d);
}

/* What apply_chat_template makes of a question by the files of a run's model. */
static void shipped_prompt(const char *run, struct buf *out)
{
    char path[1300];
    struct tokenizer *tok = NULL;
    struct chat *chat = NULL;
    struct error err = {0};
    json_t *asked = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", "Why so?");
    snprintf(path, sizeof path, "%s/round-1/model", run);
    buf_reset(out);
    if (tokenizer_open(&tok, path, &err) || chat_open(&chat, tok, &err) || chat_render(chat, asked, 1, out, &err))
        fail_msg("%s", err.message);
    chat_close(chat);
    tokenizer_close(tok);
    json_decref(asked);
}

static void a_model_ships_the_prompt_that_it_was_tuned_on(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct buf text = BUF_INIT;
    char plain[1100], path[1300];
    shipped_prompt(reference, &text);
    assert_string_equal(text.data, "<|system|>\nBe careful.</s>\n<|user|>\nWhy so?</s>\n<|assistant|>\n");
    snprintf(plain, sizeof plain, "%s/plain", tiny.root);
    tiny_align_options(&o, plain);
    o.rounds = 1;
    o.attempts = 0;
    o.samples = 0;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    shipped_prompt(plain, &text);
    assert_string_equal(text.data, "Question: Why so?\nAnswer:");
    /* not the base model's, which is left nowhere */
    snprintf(path, sizeof path, "%s/round-1/model/tokenizer_config.json", plain);
    buf_reset(&text);
    assert_int_equal(file_read(&text, path, 1 << 20, NULL), 0);
    assert_null(strstr(text.data, "<|"));
    buf_free(&text);
}

static void scores_and_teachers_speak_in_turns_too(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char run[1100];
    snprintf(run, sizeof run, "%s/scored", tiny.root);
    chat_options(&o, run);
    o.rounds = 1;
    o.attempts = 3;
    o.samples = 0;
    o.score = SCORE_SELF;
    o.tune_loss = ALIGN_LOSS_SOFT;
    tiny_align(&o, 1, &r);
    assert_int_equal(r.rounds, 1);
    align_result_free(&r);
}

/* The rows of a tuning on the seeds are the loop's own. */
static void an_experiments_rows_are_the_methods(void **state)
{
    (void)state;
    char path[1300];
    struct error err = {0};
    struct buf text = BUF_INIT;
    json_error_t why;
    const struct input seeds = {.path = tiny.seeds}, test = {.path = tiny.test};
    struct job j = {.template = "chat", .system = "Be careful.", .model = tiny.model, .seeds = &seeds, .test = &test};
    snprintf(path, sizeof path, "%s/rows.jsonl", tiny.root);
    if (rows_write(&j, path, 0, &err) || file_read(&text, path, 1 << 20, &err))
        fail_msg("%s", err.message);
    json_t *first = jsontext_document(text.data, strcspn(text.data, "\n"), 0, &why), *id;
    struct buf spelled = BUF_INIT;
    static const char *const parts[] = {"prompt_token_ids", "completion_token_ids"};
    for (int i = 0; i < 2; i++) {
        size_t k;
        buf_puts(&spelled, i ? "=>" : "");
        json_array_foreach(json_object_get(first, parts[i]), k, id) /* one byte a token, and </s> */
        {
            if (json_integer_value(id) == 256)
                buf_puts(&spelled, "[end]");
            else
                buf_putc(&spelled, (char)json_integer_value(id));
        }
    }
    assert_string_equal(spelled.data, "<|system|>\nBe careful.[end]\n<|user|>\nHow do I clean a kettle?[end]\n"
                                      "<|assistant|>\n=>To clean a kettle, wear thick gloves and ask a friend to hold "
                                      "it.[end]");
    json_decref(first);
    buf_free(&spelled);
    buf_free(&text);
}

static void a_system_turn_wants_the_chat_template(void **state)
{
    (void)state;
    struct align_options o;
    struct error err = {0};
    struct device *d = tiny_device(1);
    chat_options(&o, "unused");
    o.template_file = NULL;
    assert_int_equal(method_check(d, &o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "--template chat"));
    device_close(d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_turns),
        cmocka_unit_test(a_run_that_was_broken_ends_with_the_same_bytes),
        cmocka_unit_test(a_model_ships_the_prompt_that_it_was_tuned_on),
        cmocka_unit_test(scores_and_teachers_speak_in_turns_too),
        cmocka_unit_test(an_experiments_rows_are_the_methods),
        cmocka_unit_test(a_system_turn_wants_the_chat_template),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
