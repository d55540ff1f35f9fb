/* SPDX-License-Identifier: Apache-2.0 */
/* isara serve over the miniature: what it answers is what isara generate, score and embed write, whatever else is in
 * flight; log-probabilities, streams, chat, an adapter; a client that goes. */
#include "tests/check.h"

#include "tests/http_client.h"
#include "tests/served.h"

#include "base/base64.h"
#include "io/file.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A stream's events put together, in the form of an answer at once: choices with text and finish_reason; usage. */
static json_t *put_together(const struct buf *stream)
{
    json_t *all = json_pack("{s:[]}", "choices"), *choices = json_object_get(all, "choices");
    const char *at = buf_text(stream);
    int ended = 0;
    for (const char *end; (end = strstr(at, "\n\n")); at = end + 2) {
        struct buf event = BUF_INIT;
        assert_memory_equal(at, "data: ", 6);
        buf_append(&event, at + 6, (size_t)(end - at - 6));
        ended = !strcmp(event.data, "[DONE]");
        json_t *chunk = ended ? NULL : served_parse(&event);
        assert_null(json_object_get(chunk, "error"));
        for (size_t i = 0; i < json_array_size(json_object_get(chunk, "choices")); i++) {
            const json_t *c = served_choice(chunk, i), *reason = json_object_get(c, "finish_reason");
            size_t index = (size_t)json_integer_value(json_object_get(c, "index"));
            while (json_array_size(choices) <= index)
                json_array_append_new(choices, json_pack("{s:s}", "text", ""));
            json_t *to = json_array_get(choices, index);
            struct buf text = BUF_INIT;
            buf_puts(&text, served_text(to));
            buf_puts(&text, served_text(c));
            json_object_set_new(to, "text", json_string(buf_text(&text)));
            buf_free(&text);
            if (json_is_string(reason))
                json_object_set(to, "finish_reason", (json_t *)(uintptr_t)reason);
        }
        if (json_is_object(json_object_get(chunk, "usage")))
            json_object_set(all, "usage", json_object_get(chunk, "usage"));
        json_decref(chunk);
        buf_free(&event);
    }
    assert_true(ended);
    assert_int_equal(*at, 0);
    return all;
}

/* --- the same bits --- */
enum { N_KIND = 9 };
static const struct {
    const char *record; /* for isara generate */
    const char *body;   /* for the server; the model's name is put in */
    int adapted;
} kinds[N_KIND] = {
#define APPLES_TEXT "\"Question: How do I store apples?\\nAnswer:\""
#define APPLES "\"prompt\":" APPLES_TEXT
    {APPLES ",\"max_new_tokens\":20", APPLES ",\"max_tokens\":20", 0},
    {APPLES ",\"max_new_tokens\":40,\"stop\":[\"\\n\\n\",\"butter\"]",
     APPLES ",\"max_tokens\":40,\"stop\":[\"\\n\\n\",\"butter\"],\"temperature\":0", 0},
    {APPLES ",\"max_new_tokens\":16,\"do_sample\":true,\"temperature\":0.8,\"top_p\":0.9,\"num_return_sequences\":3",
     APPLES ",\"max_tokens\":16,\"temperature\":0.8,\"top_p\":0.9,\"n\":3,\"seed\":7", 0},
    {APPLES ",\"max_new_tokens\":12,\"num_beams\":4,\"num_return_sequences\":2",
     APPLES ",\"max_tokens\":12,\"num_beams\":4,\"n\":2", 0},
    {"\"prompt\":\"Question: May I\",\"max_new_tokens\":24,\"repetition_penalty\":1.3,\"no_repeat_ngram_size\":3",
     "\"prompt\":\"Question: May I\",\"max_tokens\":24,\"repetition_penalty\":1.3,\"no_repeat_ngram_size\":3", 0},
    {"\"prompt_token_ids\":[20,30,40,50],\"max_new_tokens\":17", "\"prompt\":[20,30,40,50],\"max_tokens\":17", 0},
    {APPLES ",\"max_new_tokens\":9,\"do_sample\":true,\"top_k\":0",
     APPLES ",\"max_tokens\":9,\"temperature\":1,\"top_k\":-1,\"seed\":7", 0},
    {APPLES ",\"max_new_tokens\":20", APPLES ",\"max_tokens\":20", 1},
    {"\"messages\":[{\"role\":\"user\",\"content\":\"How do I store apples?\"}],\"max_new_tokens\":14",
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"How do I \"},"
     "{\"type\":\"text\",\"text\":\"store apples?\"}]}],\"max_completion_tokens\":14",
     0},
};
static json_t *expected[N_KIND];

/* Writes the records, runs the verb over them; its n lines. */
static void run_records(const char *verb, const char *records, const char *more, json_t **lines, int n)
{
    char in[600], out[600];
    struct error err = {0};
    struct buf text = BUF_INIT;
    snprintf(in, sizeof in, "%s/in.jsonl", served.dir);
    snprintf(out, sizeof out, "%s/out.jsonl", served.dir);
    unlink(out);
    assert_int_equal(file_write(in, records, strlen(records), &err), 0);
    served_command("%s --model %s --input %s --output %s %s", verb, served.model, in, out, more);
    assert_int_equal(file_read(&text, out, 1 << 20, &err), 0);
    const char *at = buf_text(&text);
    for (int i = 0; i < n; i++) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        lines[i] = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_non_null(lines[i]);
        at = end + 1;
    }
    buf_free(&text);
}

static json_t *run_verb(const char *verb, const char *record, const char *more)
{
    json_t *line;
    run_records(verb, record, more, &line, 1);
    return line;
}

/* Each record is number 0 of an input, as the prompt of a request is. */
static void make_expected(void)
{
    struct buf records = BUF_INIT;
    char more[700];
    for (int i = 0; i < N_KIND; i++)
        buf_printf(&records, "{\"id\":0,%s}\n", kinds[i].record);
    run_records("generate", records.data, "--seed 7", expected, N_KIND);
    buf_free(&records);
    for (int i = 0; i < N_KIND; i++) {
        char record[600];
        if (!kinds[i].adapted)
            continue;
        json_t *base = expected[i];
        snprintf(more, sizeof more, "--adapter %s", served.adapter);
        snprintf(record, sizeof record, "{%s}\n", kinds[i].record);
        expected[i] = run_verb("generate", record, more);
        assert_false(json_equal(json_object_get(base, "text"), json_object_get(expected[i], "text")));
        json_decref(base);
    }
}

static int differs(const json_t *a, const json_t *b)
{
    return !json_is_string(a) || !json_is_string(b) || strcmp(json_string_value(a), json_string_value(b));
}

/* Is it what isara generate wrote? In a client's thread, where nothing may be asserted. */
static int is_expected(int kind, const json_t *answer)
{
    const json_t *want = json_object_get(expected[kind], "sequences");
    size_t n = want ? json_array_size(want) : 1;
    int wrong = json_array_size(json_object_get(answer, "choices")) != n;
    for (size_t i = 0; i < n && !wrong; i++) {
        const json_t *w = json_object_get(want ? json_array_get(want, i) : expected[kind], "text");
        wrong = !json_is_string(w) || strcmp(served_text(served_choice(answer, i)), json_string_value(w));
    }
    if (!want)
        wrong |= differs(json_object_get(served_choice(answer, 0), "finish_reason"),
                         json_object_get(expected[kind], "finish_reason"));
    return !wrong;
}

struct caller {
    pthread_t thread;
    int number, wrong;
    char found[300];
};

/* A client's own way through the kinds; every fifth one goes away in the middle of a long answer. */
static void *call(void *user)
{
    struct caller *c = user;
    struct client_answer a;
    char body[900];
    for (int step = 0; step < 4; step++) {
        int i = (c->number * 4 + step * 7) % N_KIND, streams = (c->number + step) % 2;
        int chat = strstr(kinds[i].body, "messages") != NULL;
        if (c->number % 5 == 0 && step == 1) {
            static const char leaving[] =
                "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 59\r\n\r\n"
                "{\"prompt\":\"Question: May\",\"max_tokens\":400,\"stream\":true}  ";
            int fd = client_connect(served.port);
            client_send(fd, leaving, strlen(leaving));
            if (c->number % 2)
                recv(fd, body, 20, 0);
            close(fd);
            continue;
        }
        snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":%s,%s}", kinds[i].adapted ? "other" : "chatty",
                 streams ? "true" : "false", kinds[i].body);
        int status =
            client_call(served.port, chat ? "POST /v1/chat/completions" : "POST /v1/completions", "", body, &a);
        if (status != 200) {
            c->wrong++;
            snprintf(c->found, sizeof c->found, "%d: %.250s", status, buf_text(&a.body));
            continue;
        }
        json_t *answer = streams ? put_together(&a.body) : served_parse(&a.body);
        if (!is_expected(i, answer)) {
            c->wrong++;
            snprintf(c->found, sizeof c->found, "kind %d: another answer than isara generate's: %.200s", i,
                     buf_text(&a.body));
        }
        json_decref(answer);
        client_free(&a);
    }
    return NULL;
}

static void same_bits_whatever_else_is_in_flight(void **state)
{
    enum { N = 20 };
    struct caller callers[N];
    (void)state;
    make_expected();
    for (int i = 0; i < N; i++) {
        callers[i] = (struct caller){.number = i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(callers[i].thread, NULL);
    for (int i = 0; i < N; i++)
        if (callers[i].wrong)
            fail_msg("%s", callers[i].found);
    served_wait();
    for (int i = 0; i < N_KIND; i++)
        json_decref(expected[i]);
}

/* --- log-probabilities --- */
static double number(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* n entries as isara score has those of all tokens but the first; the greatest in each place is the same number when it
 * is the token's own. */
static void check_echo(const json_t *answer, const json_t *scored, size_t n)
{
    const json_t *l = json_object_get(served_choice(answer, 0), "logprobs"),
                 *own = json_object_get(l, "token_logprobs"), *top = json_object_get(l, "top_logprobs"),
                 *tokens = json_object_get(l, "tokens"), *offsets = json_object_get(l, "text_offset"),
                 *want = json_object_get(scored, "token_logprobs");
    assert_int_equal(json_array_size(own), n);
    assert_int_equal(json_array_size(top), n);
    assert_int_equal(json_array_size(tokens), n);
    assert_true(json_is_null(json_array_get(own, 0)));
    for (size_t i = 1; i < n; i++) {
        const json_t *best = json_object_iter_value(json_object_iter(json_array_get(top, i)));
        const char *name = json_object_iter_key(json_object_iter(json_array_get(top, i)));
        if (i - 1 < json_array_size(want))
            assert_true(number(own, i) == number(want, i - 1));
        assert_true(json_number_value(best) >= number(own, i));
        assert_true((json_number_value(best) == number(own, i)) ==
                    !strcmp(name, json_string_value(json_array_get(tokens, i))));
        const char *text = served_text(served_choice(answer, 0)) + (size_t)number(offsets, i),
                   *token = json_string_value(json_array_get(tokens, i));
        assert_memory_equal(text, token, strlen(token));
    }
}

static void echo_with_log_probabilities(void **state)
{
    (void)state;
    static const char text[] = "\"Question: How do I store apples?\\nAnswer: It is a pie\"";
    char body[400];
    json_t *count, *scored, *answer, *other;
    snprintf(body, sizeof body, "{\"prompt\":%s}", text);
    count = served_ask("/tokenize", body, 200);
    const json_t *ids = json_object_get(count, "tokens");
    size_t n = json_array_size(ids);
    char *first = json_dumps(json_array_get(ids, 0), JSON_ENCODE_ANY), *rest;
    json_t *tail = json_deep_copy(ids);
    json_array_remove(tail, 0);
    rest = json_dumps(tail, 0);
    snprintf(body, sizeof body, "{\"prompt_token_ids\":[%s],\"completion_token_ids\":%s}\n", first, rest);
    scored = run_verb("score", body, "");
    snprintf(body, sizeof body, "{\"prompt\":%s,\"max_tokens\":1,\"temperature\":0,\"logprobs\":1,\"echo\":true}",
             text);
    answer = served_ask("/v1/completions", body, 200); /* as lm-eval: N + 1 entries */
    check_echo(answer, scored, n + 1);
    /* the engine's way to the same */
    snprintf(body, sizeof body, "{\"prompt\":[%s],\"max_tokens\":1,\"logprobs\":1,\"echo\":true,\"stop\":\"never\"}",
             text);
    other = served_ask("/v1/completions", body, 200);
    assert_true(json_equal(json_object_get(answer, "choices"), json_object_get(other, "choices")));
    json_decref(other);
    snprintf(body, sizeof body, "{\"prompt\":%s,\"max_tokens\":0,\"logprobs\":3,\"echo\":true}", text);
    other = served_ask("/v1/completions", body, 200);
    check_echo(other, scored, n);
    json_decref(other);
    json_decref(answer);
    /* tokens of the engine alone, and with what might have stood there */
    answer = served_ask("/v1/completions", "{" APPLES ",\"max_tokens\":8,\"logprobs\":0}", 200);
    other = served_ask("/v1/completions", "{" APPLES ",\"max_tokens\":8,\"logprobs\":4}", 200);
    const json_t *a = json_object_get(served_choice(answer, 0), "logprobs"),
                 *b = json_object_get(served_choice(other, 0), "logprobs");
    assert_int_equal(json_array_size(json_object_get(a, "token_logprobs")), 8);
    for (size_t i = 0; i < 8; i++) /* keys and values are bf16 in the engine alone */
        assert_true(fabs(number(json_object_get(a, "token_logprobs"), i) -
                         number(json_object_get(b, "token_logprobs"), i)) < 0.02);
    assert_true(json_equal(json_object_get(a, "tokens"), json_object_get(b, "tokens")));
    assert_int_equal(json_object_size(json_array_get(json_object_get(b, "top_logprobs"), 3)), 4);
    json_decref(answer);
    json_decref(other);
    json_decref(scored);
    json_decref(count);
    json_decref(tail);
    free(first);
    free(rest);
}

static void several_prompts(void **state)
{
    (void)state;
    json_t *answer =
        served_ask("/v1/completions",
                   "{\"prompt\":[[20,30,40,50]," APPLES_TEXT ",\"Question: May I\"],\"max_tokens\":5,\"n\":2}", 200);
    static const char *const bodies[] = {"{\"prompt\":[20,30,40,50],\"max_tokens\":5}", "{" APPLES ",\"max_tokens\":5}",
                                         "{\"prompt\":\"Question: May I\",\"max_tokens\":5}"};
    for (size_t i = 0; i < 6; i++) {
        json_t *one = served_ask("/v1/completions", bodies[i / 2], 200);
        assert_int_equal(json_integer_value(json_object_get(served_choice(answer, i), "index")), i);
        assert_string_equal(served_text(served_choice(answer, i)), served_text(served_choice(one, 0)));
        json_decref(one);
    }
    json_decref(answer);
}

static void chat_and_its_stream(void **state)
{
    struct client_answer a;
    (void)state;
    json_t *once =
        served_ask("/v1/chat/completions",
                   "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"max_tokens\":6,\"logprobs\":true,"
                   "\"top_logprobs\":2}",
                   200);
    const json_t *content = json_object_get(json_object_get(served_choice(once, 0), "logprobs"), "content");
    assert_int_equal(json_array_size(content), 6);
    for (size_t i = 0; i < 6; i++) {
        const json_t *entry = json_array_get(content, i),
                     *best = json_array_get(json_object_get(entry, "top_logprobs"), 0);
        assert_true(json_equal(json_object_get(entry, "token"), json_object_get(best, "token")));
        assert_true(json_equal(json_object_get(entry, "logprob"), json_object_get(best, "logprob")));
    }
    client_call(served.port, "POST /v1/chat/completions", "",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"max_tokens\":6,\"stream\":true,"
                "\"stream_options\":{\"include_usage\":true}}",
                &a);
    assert_int_equal(a.status, 200);
    json_t *stream = put_together(&a.body);
    assert_string_equal(served_text(served_choice(stream, 0)), served_text(served_choice(once, 0)));
    assert_true(json_equal(json_object_get(stream, "usage"), json_object_get(once, "usage")));
    json_decref(stream);
    json_decref(once);
    client_free(&a);
}

static void embeddings(void **state)
{
    (void)state;
    json_t *numbers = served_ask("/v1/embeddings", "{\"input\":[\"How do I store apples?\",[7,8,9]]}", 200),
           *packed = served_ask("/v1/embeddings",
                                "{\"input\":\"How do I store apples?\",\"encoding_format\":\"base64\"}", 200),
           *want = run_verb("embed", "{\"text\":\"How do I store apples?\"}\n", "");
    const json_t *a = json_object_get(json_array_get(json_object_get(numbers, "data"), 0), "embedding"),
                 *b = json_object_get(json_array_get(json_object_get(packed, "data"), 0), "embedding"),
                 *w = json_object_get(want, "embedding");
    struct buf bytes = BUF_INIT;
    assert_true(json_equal(a, w));
    assert_int_equal(base64_decode(&bytes, json_string_value(b), json_string_length(b)), 0);
    assert_int_equal(bytes.len, 4 * json_array_size(w));
    for (size_t i = 0; i < json_array_size(w); i++) {
        float x;
        memcpy(&x, bytes.data + 4 * i, 4);
        assert_true((double)x == number(w, i));
    }
    buf_free(&bytes);
    json_decref(served_ask("/v1/embeddings", "{\"input\":\"x\",\"dimensions\":3}", 400));
    json_decref(numbers);
    json_decref(packed);
    json_decref(want);
}

static void best_of_several(void **state)
{
    (void)state;
    static const char all[] = "{" APPLES ",\"max_tokens\":7,\"temperature\":1.5,\"seed\":5,\"n\":6,\"logprobs\":0}",
                      two[] = "{" APPLES ",\"max_tokens\":7,\"temperature\":1.5,\"seed\":5,\"n\":2,\"best_of\":6}";
    json_t *a = served_ask("/v1/completions", all, 200), *b = served_ask("/v1/completions", two, 200);
    double best = -INFINITY;
    const char *text = NULL;
    for (size_t i = 0; i < 6; i++) {
        const json_t *l = json_object_get(json_object_get(served_choice(a, i), "logprobs"), "token_logprobs");
        double sum = 0;
        for (size_t k = 0; k < json_array_size(l); k++)
            sum += number(l, k);
        sum /= (double)json_array_size(l);
        if (sum > best) {
            best = sum;
            text = served_text(served_choice(a, i));
        }
    }
    assert_int_equal(json_array_size(json_object_get(b, "choices")), 2);
    assert_string_equal(served_text(served_choice(b, 0)), text);
    json_decref(a);
    json_decref(b);
}

/* Its pages are free again, long before its 450 tokens would have been there. */
static void a_client_that_goes(void **state)
{
    static const char request[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 83\r\n\r\n"
        "{\"prompt\":\"Question: May I\",\"max_tokens\":450,\"stream\":true,\"n\":1,\"eos_token_id\":[]}";
    char byte;
    (void)state;
    double before = served_metric("texts_cancelled_total");
    int fd = client_connect(served.port);
    client_send(fd, request, strlen(request));
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    close(fd);
    served_wait();
    assert_true(served_metric("texts_cancelled_total") > before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_whatever_else_is_in_flight),
        cmocka_unit_test(echo_with_log_probabilities),
        cmocka_unit_test(several_prompts),
        cmocka_unit_test(chat_and_its_stream),
        cmocka_unit_test(embeddings),
        cmocka_unit_test(best_of_several),
        cmocka_unit_test(a_client_that_goes),
    };
    return cmocka_run_group_tests(tests, served_set_up, served_tear_down);
}
