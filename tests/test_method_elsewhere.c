/* SPDX-License-Identifier: Apache-2.0 */
/* Models behind an endpoint that ask and answer in the model's place, against a server here: what it says hangs on the
 * request alone, so runs must not differ by when it says it, what fails on the way and where a run was broken. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"
#include "report/cards.h"
#include "report/sections.h"
#include "run/run.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum failure { NONE, BUSY, BROKEN, GARBAGE, RESET, LATE, KINDS };
static struct {
    struct MHD_Daemon *daemon;
    int socket;
    char url[64];
    pthread_mutex_t lock;
    int n, answered;    /* requests; those that were given a text */
    int every;          /* each so many-th request fails, in turn by every kind; 0: none */
    const char *poison; /* a request that holds this is refused; NULL: none */
    int no_text;        /* every answer lacks a text */
    int newer;          /* max_tokens is refused, as by OpenAI's newer models */
    char last[1 << 16]; /* body of the last request */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct body {
    char *text;
    size_t n;
};

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    if (status == 429)
        MHD_add_response_header(r, "Retry-After", "0.02");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result fail_by(struct MHD_Connection *c, enum failure kind)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    switch (kind) {
    case BUSY: return send_text(c, 429, "{\"error\":{\"message\":\"busy\"}}");
    case BROKEN: return send_text(c, 502, "<html>");
    case GARBAGE: return send_text(c, 200, "{\"choices\": [");
    case LATE: usleep(400000); return send_text(c, 200, "{}");
    default: setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    }
    return MHD_NO;
}

/* A text of the request's own, as a question or an answer. */
static json_t *answer_to(const char *url, const char *body)
{
    char hex[65], text[200];
    sha256_bytes(body, strlen(body), hex);
    int asks = strstr(body, "one more question") || strstr(body, "Question:\"");
    snprintf(text, sizeof text, asks ? " Question: why is %.4s %.4s so\nand more" : " It is %.6s of %.6s. ", hex,
             hex + 20);
    if (!strstr(url, "/chat/"))
        return json_pack("{s:[{s:s, s:s}]}", "choices", "text", text + (asks ? 10 : 0), "finish_reason", "stop");
    return json_pack("{s:[{s:{s:s, s:s}, s:s}], s:{s:i, s:i}}", "choices", "message", "role", "assistant", "content",
                     text, "finish_reason", "stop", "usage", "prompt_tokens", 100, "completion_tokens", 7);
}

static enum MHD_Result reply(struct MHD_Connection *c, const char *url, const char *body)
{
    pthread_mutex_lock(&server.lock);
    int n = ++server.n, fails = server.every && n % server.every == 0;
    int refused = server.poison && strstr(body, server.poison), older = server.newer && strstr(body, "\"max_tokens\"");
    server.answered += !fails && !refused && !older && !server.no_text;
    snprintf(server.last, sizeof server.last, "%s", body);
    pthread_mutex_unlock(&server.lock);
    if (fails)
        return fail_by(c, (enum failure)(1 + n / server.every % (KINDS - 1)));
    if (refused)
        return send_text(c, 400, "{\"error\":{\"message\":\"not this one\"}}");
    if (older)
        return send_text(c, 400,
                         "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this "
                         "model. Use 'max_completion_tokens' instead.\",\"type\":\"invalid_request_error\","
                         "\"param\":\"max_tokens\",\"code\":\"unsupported_parameter\"}}");
    if (server.no_text)
        return send_text(c, 200, "{\"choices\":[{\"message\":{\"content\":null}}]}");
    json_t *o = answer_to(url, body);
    char *text = json_dumps(o, 0);
    enum MHD_Result rc = send_text(c, 200, text);
    free(text);
    json_decref(o);
    return rc;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *data, size_t *n_data, void **state)
{
    struct body *b = *state;
    (void)user;
    (void)method;
    (void)version;
    if (!b) {
        *state = calloc(1, sizeof *b);
        return MHD_YES;
    }
    if (!*n_data)
        return reply(c, url, b->text ? b->text : "");
    b->text = realloc(b->text, b->n + *n_data + 1);
    memcpy(b->text + b->n, data, *n_data);
    b->n += *n_data;
    b->text[b->n] = 0;
    *n_data = 0;
    return MHD_YES;
}

static void done(void *user, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    struct body *b = *state;
    (void)user;
    (void)c;
    (void)why;
    if (b)
        free(b->text);
    free(b);
}

static char reference[1100];

static void options(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->who[ALIGN_ASKER] = (struct align_who){server.url, "m-ask"};
    o->who[ALIGN_ANSWERER] = (struct align_who){server.url, "m-answer"};
    o->there.at_once = 1;
    o->there.timeout = 0.2;
    o->there.pause = 0.01;
}

/* Callers wait in the socket while nobody serves it. */
static void serve(void)
{
    server.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
                                     handle, NULL, MHD_OPTION_NOTIFY_COMPLETED, done, NULL, MHD_OPTION_LISTEN_SOCKET,
                                     dup(server.socket), MHD_OPTION_END);
    assert_non_null(server.daemon);
}

static void rest(void)
{
    MHD_stop_daemon(server.daemon);
}

/* A child of a process with threads may find a lock of the allocator held, by a thread that it does not have. */
static void fork_without_threads(void)
{
    assert_int_equal(pthread_atfork(rest, serve, NULL), 0);
}

static void listen_here(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    server.socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.socket, (struct sockaddr *)&here, size), 0);
    assert_int_equal(listen(server.socket, 64), 0);
    assert_int_equal(getsockname(server.socket, (struct sockaddr *)&here, &size), 0);
    snprintf(server.url, sizeof server.url, "http://me:hush@127.0.0.1:%d/v1", ntohs(here.sin_port));
}

static int setup(void **state)
{
    listen_here();
    serve();
    fork_without_threads();
    int rc = tiny_align_reference(state, options, reference);
    assert_int_equal(server.n, 24); /* two rounds of six questions, and their answers */
    return rc;
}

static int teardown(void **state)
{
    rest();
    return tiny_align_teardown(state);
}

static void start(int every)
{
    server.n = server.answered = 0;
    server.every = every;
    server.poison = NULL;
    server.no_text = 0;
    server.newer = 0;
}

static void output_of(char path[1100], const char *name)
{
    snprintf(path, 1100, "%s/%s", tiny.root, name);
}

/* Failures of every kind, and texts that come in another order. */
static void what_fails_on_the_way_changes_nothing(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct report_run again;
    char path[1100];
    output_of(path, "rough");
    options(&o, path);
    o.there.at_once = 4;
    start(3);
    tiny_align(&o, 2, &r);
    tiny_align_same(reference, path);
    assert_true(server.n > 24 && server.answered == 24);
    assert_int_equal(r.report.n_elsewhere, 2);
    for (int k = 0; k < 2; k++) {
        const struct report_elsewhere *x = &r.report.elsewhere[k];
        assert_true(x->texts == 12 && !x->refused && !x->uncounted);
        assert_true(x->prompt_tokens == 1200 && x->completion_tokens == 84);
        assert_null(strstr(x->endpoint, "hush"));
    }
    long requests = r.report.elsewhere[0].requests + r.report.elsewhere[1].requests;
    assert_true(requests > 24 && requests <= server.n); /* libcurl itself goes on when a kept connection was dropped */
    assert_non_null(strstr(r.summary.data, "not self-alignment: asked by m-ask at http://127.0.0.1:"));
    align_result_free(&r);
    start(0);
    tiny_align(&o, 2, &r); /* nothing is left to ask */
    assert_int_equal(server.n, 0);
    align_result_free(&r);
    assert_int_equal(method_results(path, &again, NULL), 0);
    assert_true(again.n_elsewhere == 2 && again.elsewhere[1].texts == 12);
    report_run_free(&again);
}

/* Only what was in flight is asked for again. */
static void a_killed_run_pays_for_nothing_twice(void **state)
{
    (void)state;
    struct align_options o;
    char path[1100];
    enum { AT_ONCE = 3 };
    int kills = 0;
    output_of(path, "killed");
    options(&o, path);
    o.there.at_once = AT_ONCE;
    start(0);
    for (long after = 2; !tiny_align_until(&o, after, 0); after += 5)
        kills++;
    assert_true(kills > 3);
    if (server.answered > 24 + kills * (AT_ONCE - 1))
        fail_msg("%d texts were made for 24 after %d kills", server.answered, kills);
    tiny_align_same(reference, path);
}

static void an_interrupt_takes_what_is_in_flight(void **state)
{
    (void)state;
    struct align_options o;
    char path[1100];
    output_of(path, "stopped");
    options(&o, path);
    o.there.at_once = 3;
    start(0);
    for (long after = 2; !tiny_align_until(&o, after, 1); after += 9)
        ;
    assert_int_equal(server.answered, 24);
    tiny_align_same(reference, path);
}

static int refused(const struct align_options *o, const char *words)
{
    struct align_result r;
    struct error err = {0, ""};
    struct device *d = tiny_device(1);
    int rc = method_align(d, o, &r, &err);
    align_result_free(&r);
    device_close(d);
    if (!rc || !strstr(err.message, words))
        fail_msg("wanted \"%s\", found %d \"%s\"", words, rc, err.message);
    return rc;
}

static void what_wants_probabilities_is_refused_by_name(void **state)
{
    (void)state;
    struct align_options o;
    char path[1100];
    static const enum align_score scores[] = {SCORE_SELF, SCORE_LOGPROB, SCORE_CONTEXT_GAIN};
    static const char *const names[] = {"--score self", "--score logprob", "--score context-gain"};
    output_of(path, "never");
    start(0);
    for (int i = 0; i < 3; i++) {
        options(&o, path);
        o.score = scores[i];
        assert_int_equal(refused(&o, names[i]), ERROR_USAGE);
    }
    options(&o, path);
    o.tune_loss = ALIGN_LOSS_SOFT;
    assert_int_equal(refused(&o, "--tune-loss soft: wants"), ERROR_USAGE);
    o.on_policy = 1;
    assert_int_equal(refused(&o, "--on-policy: wants"), ERROR_USAGE);
    options(&o, path);
    o.who[ALIGN_ASKER].model = NULL;
    assert_int_equal(refused(&o, "wanted --asker-model NAME"), ERROR_USAGE);
    options(&o, path);
    o.who[ALIGN_ASKER].endpoint = NULL;
    assert_int_equal(refused(&o, "--asker-model: nothing reads it"), ERROR_USAGE);
    options(&o, path);
    o.who[ALIGN_ANSWERER].endpoint = "localhost:1/v1";
    assert_int_equal(refused(&o, "wanted http://HOST"), ERROR_USAGE);
    assert_false(file_exists(path));
    assert_int_equal(server.n, 0);
}

/* One that is refused is that attempt's error; when all are, nothing is kept of it. */
static void a_refusal_is_of_one_text_or_of_all(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char path[1100];
    output_of(path, "refused");
    options(&o, path);
    o.rounds = 1;
    o.attempts = 3;
    start(0);
    server.poison = "\"";
    assert_int_equal(refused(&o, "3 of 3 requests gave nothing that can be used"), ERROR_UNAVAILABLE);
    server.poison = NULL;
    server.no_text = 1;
    assert_int_equal(refused(&o, "the answer has no text: wanted choices[0].message.content"), ERROR_UNAVAILABLE);
    start(0);
    server.poison = "m-answer";
    assert_int_equal(refused(&o, "status 400: not this one"), ERROR_UNAVAILABLE); /* the questions are kept */
    assert_int_equal(server.n, 6);
    start(0);
    server.poison = strstr(server.last, "user\"");
    char *last = mem_strdup(strrchr(server.last, '{')); /* the last question of all */
    server.poison = last;
    tiny_align(&o, 1, &r);
    assert_int_equal(server.n, 3);
    assert_true(r.report.elsewhere[1].texts == 2 && r.report.elsewhere[1].refused == 1);
    assert_true(r.report.rounds[0].kept == 2 && !strcmp(r.report.rounds[0].reasons[0].name, "error"));
    align_result_free(&r);
    mem_free(last);
}

/* The text that the model would be given, and its end. */
static void completions_have_the_method_s_own_prompt(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char path[1100];
    output_of(path, "completions");
    options(&o, path);
    o.rounds = 1;
    o.attempts = 2;
    o.there.api = ELSEWHERE_COMPLETIONS;
    start(0);
    tiny_align(&o, 1, &r);
    json_t *body = json_loads(server.last, 0, NULL);
    const char *prompt = json_string_value(json_object_get(body, "prompt"));
    int pairs = 0;
    for (const char *at = prompt; (at = strstr(at, "Question: ")); at++)
        pairs++;
    assert_int_equal(pairs, 3); /* two examples, and what is to be answered */
    assert_string_equal(prompt + strlen(prompt) - 8, "\nAnswer:");
    assert_string_equal(json_string_value(json_array_get(json_object_get(body, "stop"), 0)), "\nQuestion:");
    assert_int_equal(json_integer_value(json_object_get(body, "max_tokens")), 30);
    assert_true(r.report.elsewhere[1].uncounted == 2); /* without usage */
    assert_true(json_number_value(json_object_get(body, "temperature")) == 0 && !json_object_get(body, "seed"));
    json_decref(body);
    align_result_free(&r);
}

/* One request of the asker and one of the answerer are refused; those after them have the name that is wanted. */
static void a_newer_name_of_the_limit_is_taken_up(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    char path[1100];
    output_of(path, "newer");
    options(&o, path);
    o.rounds = 1;
    o.attempts = 2;
    start(0);
    server.newer = 1;
    tiny_align(&o, 1, &r);
    json_t *body = json_loads(server.last, 0, NULL);
    assert_int_equal(server.answered, 4);
    assert_int_equal(server.n, 6);
    assert_int_equal(json_integer_value(json_object_get(body, "max_completion_tokens")), 30);
    assert_null(json_object_get(body, "max_tokens"));
    assert_true(!r.report.elsewhere[0].refused && !r.report.elsewhere[1].refused);
    json_decref(body);
    align_result_free(&r);
}

/* What was said elsewhere is not asked for again, and the rest of the journal is verified as ever. */
static void a_run_is_verified_without_asking(void **state)
{
    (void)state;
    struct report_run r;
    struct differences x = {0};
    struct device *d = tiny_device(1);
    struct error err = {0, ""};
    start(0);
    assert_int_equal(method_results(reference, &r, &err), 0);
    if (method_verify(d, &r, &(struct method_verify){.attempts = 3, .seed = 1}, &x, &err))
        fail_msg("%s", err.message);
    if (x.n)
        fail_msg("%s", buf_text(&x.text));
    assert_int_equal(server.n, 0);
    buf_free(&x.text);
    report_run_free(&r);
    device_close(d);
}

/* Whoever gets the model reads that it was not aligned by itself. */
static void the_card_says_whose_answers_they_are(void **state)
{
    (void)state;
    struct report_run r;
    struct document d = {0};
    struct buf card = BUF_INIT;
    assert_int_equal(method_results(reference, &r, NULL), 0);
    report_run_document(&d, &r);
    card_model(&card, &r, &d);
    assert_non_null(strstr(card.data, "- distillation\n"));
    assert_null(strstr(card.data, "- self-alignment"));
    assert_non_null(strstr(card.data, "so this is not self-alignment"));
    assert_non_null(strstr(card.data, "Not self-alignment. The attempts of this run were asked by m-ask"));
    assert_null(strstr(card.data, "hush"));
    buf_free(&card);
    document_free(&d);
    report_run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_on_the_way_changes_nothing),
        cmocka_unit_test(a_killed_run_pays_for_nothing_twice),
        cmocka_unit_test(an_interrupt_takes_what_is_in_flight),
        cmocka_unit_test(what_wants_probabilities_is_refused_by_name),
        cmocka_unit_test(a_refusal_is_of_one_text_or_of_all),
        cmocka_unit_test(completions_have_the_method_s_own_prompt),
        cmocka_unit_test(a_newer_name_of_the_limit_is_taken_up),
        cmocka_unit_test(a_run_is_verified_without_asking),
        cmocka_unit_test(the_card_says_whose_answers_they_are),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
