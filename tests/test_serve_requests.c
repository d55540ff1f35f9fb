/* SPDX-License-Identifier: Apache-2.0 */
/* isara serve: wrong requests and what their errors say, fields that are ignored, too many at once, the tokenizer, an
 * encoder. */
#include "tests/check.h"

#include "tests/http_client.h"
#include "tests/served.h"

#include "io/jsontext.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void wrong_requests(void **state)
{
    static const struct {
        int status;
        const char *path, *body, *param;
    } all[] = {
        {400, "/v1/completions", "{", NULL},
        {400, "/v1/completions", "[1]", NULL},
        {400, "/v1/completions", "{\"prompt\":\"\"}", "prompt"},
        {400, "/v1/completions", "{}", "prompt"},
        {400, "/v1/completions", "{\"prompt\":[[1],[-5]]}", "prompt"},
        {400, "/v1/completions", "{\"prompt\":[1,\"x\"]}", "prompt"},
        {400, "/v1/completions", "{\"prompt\":[1,2048]}", "prompt"},
        {400, "/v1/completions", "{\"prompt\":{\"a\":1}}", "prompt"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":-1}", "max_tokens"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":512}", "max_tokens"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":1e99}", "max_tokens"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"temperature\":\"hot\"}", "temperature"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"top_p\":7,\"temperature\":1}", "top_p"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"n\":0}", "n"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"n\":3,\"best_of\":2}", "best_of"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"n\":200,\"temperature\":1}", NULL},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"stop\":[1]}", "stop"},
        {400, "/v1/completions", "{\"prompt\":\"x\",\"logprobs\":21}", "logprobs"},
        {404, "/v1/completions", "{\"prompt\":\"x\",\"model\":\"gpt-5\"}", "model"},
        {400, "/v1/chat/completions", "{\"messages\":[]}", "messages"},
        {400, "/v1/chat/completions", "{\"messages\":[5]}", "messages"},
        {400, "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
         "messages"},
        {400, "/v1/embeddings", "{\"input\":[]}", "input"},
        {400, "/tokenize", "{\"prompt\":5}", "prompt"},
        {400, "/detokenize", "{\"tokens\":[\"a\"]}", "tokens"},
        {404, "/v1/images", "{}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *answer = served_ask(all[i].path, all[i].body, all[i].status), *error = json_object_get(answer, "error");
        assert_true(json_string_length(json_object_get(error, "message")) > 0);
        assert_true(json_is_string(json_object_get(error, "type")));
        const char *param = json_string_value(json_object_get(error, "param"));
        if (all[i].param ? !param || strcmp(param, all[i].param) : param != NULL)
            fail_msg("%s: param is %s, wanted %s", all[i].body, param ? param : "null",
                     all[i].param ? all[i].param : "null");
        json_decref(answer);
    }
    json_t *fine = served_ask("/v1/completions",
                              "{\"prompt\":\"x\",\"max_tokens\":1,\"user\":\"me\",\"presence_penalty\":0,\"what\":[{}],"
                              "\"stop\":null,\"logit_bias\":null,\"suffix\":null,\"best_of\":null}",
                              200);
    json_decref(fine);
}

static void the_tokenizer(void **state)
{
    (void)state;
    json_t *ids = served_ask("/tokenize", "{\"prompt\":\"Hello you\",\"add_special_tokens\":false}", 200),
           *asked = json_pack("{s:O}", "tokens", json_object_get(ids, "tokens"));
    char *body = json_dumps(asked, 0);
    json_t *text = served_ask("/detokenize", body, 200), *info = served_ask("/tokenizer_info", NULL, 200),
           *models = served_ask("/v1/models", NULL, 200);
    assert_string_equal(json_string_value(json_object_get(text, "prompt")), "Hello you");
    assert_string_equal(json_string_value(json_object_get(info, "eos_token")), "<|endoftext|>");
    assert_true(json_is_string(json_object_get(info, "chat_template")));
    assert_int_equal(json_array_size(json_object_get(models, "data")), 2);
    json_decref(ids);
    json_decref(asked);
    json_decref(text);
    json_decref(info);
    json_decref(models);
    free(body);
}

/* Six prompts fit; who comes while they wait is told to come again, and later may. */
static void too_many(void **state)
{
    static const char body[] = "{\"prompt\":[[5],[6],[7],[8],[9],[10]],\"max_tokens\":400,\"eos_token_id\":[]}";
    struct served_options o;
    struct client_answer a;
    char request[300];
    (void)state;
    served_stop();
    serve_options_default(&o);
    fields_default(&generate_engine_fields, FIELD_PLAIN, &o.engine);
    o.model = "models/miniature";
    o.dtype = DTYPE_F32;
    o.max_queue = 6;
    served_start(&o);
    int n = snprintf(request, sizeof request,
                     "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
                     sizeof body - 1, body),
        fd = client_connect(served.port);
    client_send(fd, request, (size_t)n);
    for (int i = 0; i < 2000 && served_metric("texts_pending") < 6; i++)
        usleep(1000);
    assert_int_equal(client_call(served.port, "POST /v1/completions", "", "{\"prompt\":\"x\"}", &a), 429);
    assert_non_null(strstr(a.head.data, "\nRetry-After: 1"));
    assert_non_null(strstr(a.body.data, "rate_limit_exceeded"));
    client_free(&a);
    close(fd); /* nobody waits for the six any more */
    served_wait();
    json_decref(served_ask("/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":1}", 200));
    json_decref(served_ask("/v1/completions",
                           "{\"prompt\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"],\"max_tokens\":1}", 400));
}

static void refused_by_name(const char *path, const char *body, const char *words)
{
    json_t *answer = served_ask(path, body, 400), *error = json_object_get(answer, "error");
    if (!strstr(json_string_value(json_object_get(error, "message")), words))
        fail_msg("%s: wanted '%s', found '%s'", path, words, json_string_value(json_object_get(error, "message")));
    assert_string_equal(json_string_value(json_object_get(error, "param")), "model");
    assert_string_equal(json_string_value(json_object_get(error, "type")), "invalid_request_error");
    json_decref(answer);
}

/* It has no engine: vectors are sentence-transformers' (tools/golden_encoders.py), and what asks for texts is told why
 * there are none. */
static void an_encoder(void **state)
{
    struct served_options o;
    json_t *values;
    (void)state;
    served_stop();
    serve_options_default(&o);
    fields_default(&generate_engine_fields, FIELD_PLAIN, &o.engine);
    o.model = "tests/golden/families/bert";
    o.dtype = DTYPE_F32;
    served_start(&o);
    assert_int_equal(jsontext_load(&values, "tests/golden/families/bert/values.json", 1 << 20, NULL), 0);
    const json_t *text = json_array_get(json_object_get(values, "texts"), 1),
                 *mean = json_object_get(json_object_get(text, "pooled"), "mean");
    json_t *asked = json_pack("{s:O, s:b}", "input", json_object_get(text, "ids"), "normalize", 0);
    char *body = json_dumps(asked, 0);
    json_t *answer = served_ask("/v1/embeddings", body, 200);
    const json_t *found = json_object_get(json_array_get(json_object_get(answer, "data"), 0), "embedding");
    assert_int_equal(json_array_size(found), json_array_size(mean));
    for (size_t i = 0; i < json_array_size(mean); i++)
        assert_true(fabs(json_number_value(json_array_get(found, i)) - json_number_value(json_array_get(mean, i))) <
                    1e-5);
    refused_by_name("/v1/completions", "{\"prompt\":[5,6],\"max_tokens\":1}", "an encoder gives no completions");
    refused_by_name("/v1/completions", "{\"prompt\":[5,6],\"max_tokens\":0,\"echo\":true,\"logprobs\":1}",
                    "an encoder gives no completions");
    refused_by_name("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
                    "an encoder does not chat");
    served_wait(); /* of an engine that there is none of, /metrics says nothing is in flight */
    free(body);
    json_decref(answer);
    json_decref(asked);
    json_decref(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_requests),
        cmocka_unit_test(the_tokenizer),
        cmocka_unit_test(too_many),
        cmocka_unit_test(an_encoder),
    };
    return cmocka_run_group_tests(tests, served_set_up, served_tear_down);
}
