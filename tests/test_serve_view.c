/* SPDX-License-Identifier: Apache-2.0 */
/* The page on a run over HTTP: its files and their policy, the run as it stands, attempts found and paged, decisions
 * and judgements kept, everything that may not be refused. */
#include "tests/check.h"
#include "tests/http_client.h"
#include "tests/tiny_align.h"

#include "base/mem.h"
#include "run/run.h"
#include "serve/view.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char output[1100];
static struct view *view;
static pthread_t tender;
static _Atomic int over;

static void *tend(void *user)
{
    (void)user;
    while (!over) {
        view_tend(view);
        usleep(5000);
    }
    return NULL;
}

static void options(struct align_options *o)
{
    tiny_align_options(o, output);
    o->rounds = 1;
    o->attempts = 8;
    o->sift.answer_max_words = 5; /* so that some are rejected */
    o->review = 1;
}

static void open_view(void)
{
    struct http_options h;
    struct error err = {0, ""};
    http_options_default(&h);
    h.port = 0;
    if (view_open(&view, output, &h, &err))
        fail_msg("%s", err.message);
    over = 0;
    assert_int_equal(pthread_create(&tender, NULL, tend, NULL), 0);
}

static void close_view(void)
{
    over = 1;
    pthread_join(tender, NULL);
    view_close(view);
}

static int setup(void **state)
{
    struct align_options o;
    struct align_result r;
    int rc = tiny_align_setup(state);
    snprintf(output, sizeof output, "%s/viewed", tiny.root);
    options(&o);
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    open_view();
    return rc;
}

static int teardown(void **state)
{
    close_view();
    return tiny_align_teardown(state);
}

/* The answer's JSON, of a status that is wanted. */
static json_t *call(const char *path, const char *body, int status)
{
    struct client_answer a;
    char line[300];
    snprintf(line, sizeof line, "%s %s", body ? "POST" : "GET", path);
    client_call(view_port(view), line, "", body, &a);
    if (a.status != status)
        fail_msg("%s: status %d, wanted %d: %s", line, a.status, status, buf_text(&a.body));
    json_t *value = json_loads(buf_text(&a.body), JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    client_free(&a);
    return value;
}

static void refused(const char *line, const char *head, const char *body, int status)
{
    struct client_answer a;
    client_call(view_port(view), line, head, body, &a);
    if (a.status != status)
        fail_msg("%s: status %d, wanted %d: %s", line, a.status, status, buf_text(&a.body));
    client_free(&a);
}

static void the_page_is_whole_and_may_load_nothing_else(void **state)
{
    (void)state;
    static const char *const paths[][2] = {{"GET /", "view.js"},
                                           {"GET /view.js", "textContent"},
                                           {"GET /view.css", ":focus-visible"},
                                           {"GET /report", "<h1>"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct client_answer a;
        assert_int_equal(client_call(view_port(view), paths[i][0], "", NULL, &a), 200);
        assert_non_null(strstr(a.body.data, paths[i][1]));
        assert_non_null(strstr(a.head.data, "nosniff"));
        if (i % 3 == 0)
            assert_non_null(strstr(a.head.data, "Content-Security-Policy: default-src 'none'"));
        assert_null(strstr(a.body.data, "innerHTML"));
        client_free(&a);
    }
}

/* A name of somebody else's that points here. */
static void rebound(void)
{
    static const char request[] = "GET /api/run HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    struct client_answer a;
    int fd = client_connect(view_port(view));
    assert_int_equal(client_send(fd, request, sizeof request - 1), 0);
    client_read(fd, &a);
    assert_int_equal(a.status, 403);
    client_free(&a);
    close(fd);
}

static void others_may_not_call(void **state)
{
    (void)state;
    static const char decision[] = "{\"action\": \"add\", \"round\": 1, \"question\": \"a?\", \"answer\": \"b\"}";
    struct http_options h;
    struct view *other = NULL;
    struct error err = {0, ""};
    refused("POST /api/review", "Origin: http://evil.example\r\n", decision, 403);
    rebound();
    refused("GET /api/nothing", "", NULL, 404);
    refused("GET /../run.db", "", NULL, 404);
    refused("POST /api/review", "", "[1]", 400);
    refused("POST /api/review", "", "{\"action\": \"burn\", \"id\": \"r1-a0\"}", 400);
    refused("POST /api/review", "", "{\"action\": \"strike\", \"id\": \"r1-a0; DROP\"}", 400);
    refused("POST /api/review", "", "{\"action\": \"strike\", \"id\": \"r9-a0\"}", 409);
    http_options_default(&h);
    h.port = 0;
    h.host = "0.0.0.0";
    assert_int_equal(view_open(&other, output, &h, &err), ERROR_USAGE);
    h.host = "127.0.0.1";
    h.api_key = "k";
    assert_int_equal(view_open(&other, output, &h, &err), ERROR_USAGE);
    h.api_key = NULL;
    assert_int_equal(view_open(&other, tiny.root, &h, &err), ERROR_NOINPUT);
}

static json_int_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static void attempts_are_found_and_paged(void **state)
{
    (void)state;
    json_t *run = call("/api/run", NULL, 200), *round = json_array_get(json_object_get(run, "rounds"), 0);
    assert_true(number(run, "review") == 1 && number(run, "seeds") > 0 && !json_is_true(json_object_get(run, "live")));
    assert_true(number(round, "attempts") == 8 && number(round, "asked") == 8);
    json_int_t kept = number(round, "kept"), seen = 0;
    json_t *all = call("/api/attempts?n=3&from=6", NULL, 200), *some = call("/api/attempts?reason=kept", NULL, 200),
           *others = call("/api/attempts?reason=rejected&round=1", NULL, 200);
    assert_true(number(all, "total") == 8 && json_array_size(json_object_get(all, "items")) == 2);
    assert_true(number(some, "total") == kept && number(others, "total") == 8 - kept && kept > 0 && kept < 8);
    json_t *first = json_array_get(json_object_get(some, "items"), 0);
    char path[100], words[8];
    snprintf(path, sizeof path, "/api/attempt?id=%s", json_string_value(json_object_get(first, "id")));
    json_t *one = call(path, NULL, 200), *contexts = json_object_get(one, "ask");
    assert_int_equal(json_array_size(contexts), 2); /* --k */
    assert_true(json_is_string(json_object_get(json_array_get(contexts, 0), "answer")));
    snprintf(words, sizeof words, "%.1s", json_string_value(json_object_get(first, "question")));
    snprintf(path, sizeof path, "/api/attempts?q=%%%02X", (unsigned char)words[0]);
    json_t *found = call(path, NULL, 200), *none = call("/api/attempts?q=%25%5F%25", NULL, 200);
    seen = number(found, "total");
    assert_true(seen > 0 && number(none, "total") == 0); /* a pattern's signs are only signs */
    refused("GET /api/attempt?id=r1-a99", "", NULL, 404);
    json_decref(run);
    json_decref(all);
    json_decref(some);
    json_decref(others);
    json_decref(one);
    json_decref(found);
    json_decref(none);
}

/* What is said on the page is what the run does. */
static void decisions_and_judgements_come_to_the_run(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    json_t *kept = call("/api/attempts?reason=kept", NULL, 200),
           *id = json_object_get(json_array_get(json_object_get(kept, "items"), 0), "id");
    char body[300];
    snprintf(body, sizeof body, "{\"action\": \"strike\", \"id\": \"%s\"}", json_string_value(id));
    json_decref(call("/api/review", body, 200));
    json_decref(call("/api/review",
                     "{\"action\": \"add\", \"round\": 1, \"question\": \"<script>?\", \"answer\": \"</script>\"}",
                     200));
    json_t *run = call("/api/run", NULL, 200), *decided = json_object_get(run, "decided"),
           *again = call("/api/attempts?round=1", NULL, 200), *own = json_array_get(json_object_get(again, "items"), 0);
    assert_true(number(decided, "struck") == 1 && number(decided, "added") == 1);
    assert_string_equal(json_string_value(json_object_get(own, "question")), "<script>?");
    json_decref(kept);
    json_decref(run);
    json_decref(again);

    struct run *working = NULL; /* while a process has the run, nothing is decided */
    assert_int_equal(run_open_beside(&working, output, NULL), 0);
    assert_int_equal(run_lock(working, NULL), 0);
    json_decref(call("/api/review", body, 409));
    run_unlock(working);
    run_close(working);

    options(&o);
    o.resume = 1;
    tiny_align(&o, 1, &r); /* the page stays open */
    assert_true(r.report.review.struck == 1 && r.report.review.added == 1);
    align_result_free(&r);
    json_t *next = call("/api/judge?rater=ann", NULL, 200), *pair = json_object_get(next, "pair");
    assert_true(json_is_object(pair));
    json_t *judged =
        json_pack("{s:s, s:O, s:O, s:{}}", "rater", "ann", "index", json_object_get(pair, "index"), "better",
                  json_object_get(json_array_get(json_object_get(pair, "answers"), 0), "id"), "bad");
    char *text = json_dumps(judged, 0);
    json_decref(call("/api/judge", text, 200));
    refused("POST /api/judge", "", "{\"rater\": \"../x\", \"index\": 0}", 400);
    refused("GET /api/judge?rater=%00", "", NULL, 400);
    struct client_answer a;
    assert_int_equal(client_call(view_port(view), "GET /report", "", NULL, &a), 200);
    assert_non_null(strstr(a.body.data, "Which of two answers people found better"));
    assert_null(strstr(a.body.data, "<script"));
    client_free(&a);
    json_decref(call("/api/judge/undo", "{\"rater\": \"ann\"}", 200));
    free(text);
    json_decref(judged);
    json_decref(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_whole_and_may_load_nothing_else),
        cmocka_unit_test(others_may_not_call),
        cmocka_unit_test(attempts_are_found_and_paged),
        cmocka_unit_test(decisions_and_judgements_come_to_the_run),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
