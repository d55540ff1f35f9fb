/* SPDX-License-Identifier: Apache-2.0 */
/* serve/http: who may call, what a request may be, answers at once, later, in pieces, clients that go, are slow or
 * hostile. No model is needed. */
#include "tests/check.h"

#include "tests/http_client.h"

#include "base/clock.h"
#include "serve/http.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http_server *server;
static int port;
static pthread_t tender;
static _Atomic int over;
static struct http_exchange *_Atomic kept;

static void echo(void *user, struct http_exchange *x)
{
    size_t n;
    const char *text = http_body(x, &n);
    struct buf body = BUF_INIT;
    (void)user;
    buf_printf(&body, "%s %s:", http_path(x), http_query(x, "q") ? http_query(x, "q") : "");
    buf_append(&body, text, n);
    http_answer(x, 200, "text/plain", &body);
}

static void keep(void *user, struct http_exchange *x)
{
    (void)user;
    kept = x;
}

static void *write_pieces(void *user)
{
    struct http_exchange *x = user;
    char piece[16];
    http_begin(x, 200, "text/event-stream");
    for (int i = 0; i < 50; i++) {
        http_write(x, piece, (size_t)snprintf(piece, sizeof piece, "%d,", i));
        if (i % 10 == 0)
            usleep(1000);
    }
    http_end(x);
    return NULL;
}

static void pieces(void *user, struct http_exchange *x)
{
    pthread_t t;
    (void)user;
    assert_int_equal(pthread_create(&t, NULL, write_pieces, x), 0);
    pthread_detach(t);
}

/* More than a socket holds, for those who do not read it. */
static void large(void *user, struct http_exchange *x)
{
    struct buf body = BUF_INIT;
    (void)user;
    for (int i = 0; i < 1 << 18; i++)
        buf_append(&body, "0123456789abcdef", 16);
    http_answer(x, 200, "text/plain", &body);
}

static const struct http_route routes[] = {{"GET", "/open", 1, echo},     {"POST", "/echo", 0, echo},
                                           {"GET", "/files/*", 0, echo},  {"GET", "/keep", 0, keep},
                                           {"GET", "/pieces", 0, pieces}, {"GET", "/large", 0, large}};

static void *tend(void *user)
{
    (void)user;
    while (!over) {
        http_tend(server);
        usleep(5000);
    }
    return NULL;
}

static void start_server(const struct http_options *o)
{
    struct error err = {0};
    int rc = http_open(&server, o, &(struct http_routes){routes, sizeof routes / sizeof *routes, NULL}, &err);
    if (rc)
        fail_msg("%s", err.message);
    port = http_port(server);
    over = 0;
    assert_int_equal(pthread_create(&tender, NULL, tend, NULL), 0);
}

static void stop_server(void)
{
    over = 1;
    pthread_join(tender, NULL);
    http_close(server);
    server = NULL;
}

static int start_plain(void **state)
{
    struct http_options o;
    (void)state;
    http_options_default(&o);
    o.port = 0;
    o.max_body = 1;
    start_server(&o);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stop_server();
    return 0;
}

/* status, and a part of the body */
static void want(int status, const char *part, const char *method_and_path, const char *head, const char *body)
{
    struct client_answer a;
    int found = client_call(port, method_and_path, head, body, &a);
    if (found != status || !strstr(buf_text(&a.body), part))
        fail_msg("%s %s: wanted %d and '%s', found %d and '%.300s'", method_and_path, head, status, part, found,
                 buf_text(&a.body));
    client_free(&a);
}

static void answers(void **state)
{
    (void)state;
    want(200, "/echo :{\"a\": 1}", "POST /echo", "", "{\"a\": 1}");
    want(200, "/echo :", "POST /echo", "", "");
    want(200, "/files/a/b here:", "GET /files/a/b?q=here", "", NULL);
    want(404, "\"code\": \"not_found\"", "GET /nothing", "", NULL);
    want(405, "method_not_allowed", "GET /echo", "", NULL);
    want(405, "method_not_allowed", "PUT /echo", "", "x");
}

static void in_pieces(void **state)
{
    (void)state;
    want(200, "0,1,2,3,4,5,6,7,8,9,10,", "GET /pieces", "", NULL);
    want(200, ",47,48,49,", "GET /pieces", "", NULL);
}

static void who_may_call(void **state)
{
    struct client_answer a;
    (void)state;
    struct http_options o = {.host = "127.0.0.1"};
    assert_true(http_host_fits(&o, "127.0.0.1:80"));
    assert_true(http_host_fits(&o, "192.168.1.2"));
    assert_true(http_host_fits(&o, "[::1]:8077"));
    assert_true(http_host_fits(&o, "LOCALHOST:1"));
    assert_false(http_host_fits(&o, "localhost.evil.org"));
    assert_false(http_host_fits(&o, "evil.org:8077"));
    assert_false(http_host_fits(&o, "127.0.0.1.evil.org"));
    assert_false(http_host_fits(&o, "[evil.org]"));
    assert_false(http_host_fits(&o, "["));
    assert_false(http_host_fits(&o, ""));
    strcpy(o.allow_host[o.n_allow_host++], "box.lan");
    assert_true(http_host_fits(&o, "box.lan:8077"));
    assert_true(http_origin_fits(&o, "http://127.0.0.1:8077", "127.0.0.1:8077"));
    assert_false(http_origin_fits(&o, "http://127.0.0.1:9000", "127.0.0.1:8077"));
    assert_false(http_origin_fits(&o, "null", "127.0.0.1:8077"));
    strcpy(o.allow_origin[o.n_allow_origin++], "https://app.example");
    assert_true(http_origin_fits(&o, "https://app.example", "127.0.0.1:8077"));
    assert_false(http_origin_fits(&o, "https://app.example.evil.org", "127.0.0.1:8077"));
    want(403, "Origin: pages of", "POST /echo", "Origin: https://evil.org\r\n", "x");
    want(403, "Origin: pages of", "OPTIONS /echo", "Origin: https://evil.org\r\n", NULL);
    int fd = client_connect(port);
    static const char rebound[] = "GET /open HTTP/1.1\r\nHost: evil.org\r\n\r\n",
                      two[] = "GET /open HTTP/1.1\r\nHost: localhost\r\nhost: evil.org\r\n\r\n";
    client_send(fd, rebound, sizeof rebound - 1);
    client_read(fd, &a);
    assert_int_equal(a.status, 403);
    client_free(&a);
    close(fd);
    fd = client_connect(port);
    client_send(fd, two, sizeof two - 1);
    client_read(fd, &a);
    assert_int_equal(a.status, 400);
    client_free(&a);
    close(fd);
}

static void with_a_key(void **state)
{
    struct http_options o;
    (void)state;
    assert_true(http_key_fits("k3y", "Bearer k3y"));
    assert_true(http_key_fits("k3y", "bearer k3y"));
    assert_false(http_key_fits("k3y", "Bearer k3"));
    assert_false(http_key_fits("k3y", "Bearer k3yy"));
    assert_false(http_key_fits("k3y", "k3y"));
    assert_false(http_key_fits("k3y", NULL));
    http_options_default(&o);
    o.port = 0;
    o.api_key = "k3y";
    strcpy(o.allow_origin[o.n_allow_origin++], "https://app.example");
    start_server(&o);
    want(200, "/open", "GET /open", "", NULL);
    want(401, "invalid_api_key", "POST /echo", "", "x");
    want(401, "invalid_api_key", "POST /echo", "Authorization: Bearer other\r\n", "x");
    want(200, ":x", "POST /echo", "Authorization: Bearer k3y\r\nOrigin: https://app.example\r\n", "x");
    want(204, "", "OPTIONS /echo", "Origin: https://app.example\r\n", NULL);
    stop_server();
}

static void too_large(void **state)
{
    char head[64 + 17000];
    (void)state;
    want(413, "request_too_large", "POST /echo", "Content-Length: 2000000\r\n", NULL);
    memcpy(head, "X: ", 3);
    memset(head + 3, 'a', 17000);
    strcpy(head + 3 + 17000, "\r\n");
    want(431, "header_too_large", "GET /open", head, NULL);
    /* in chunks, whose sum nobody says before */
    static char chunk[65536];
    struct client_answer a;
    int fd = client_connect(port);
    static const char begin[] = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    client_send(fd, begin, sizeof begin - 1);
    memset(chunk, 'x', sizeof chunk);
    for (int i = 0; i < 17; i++)
        if (client_send(fd, "10000\r\n", 7) || client_send(fd, chunk, sizeof chunk) || client_send(fd, "\r\n", 2))
            break;
    client_send(fd, "0\r\n\r\n", 5);
    client_read(fd, &a);
    assert_int_equal(a.status, 413);
    client_free(&a);
    close(fd);
}

static struct http_exchange *wait_kept(void)
{
    for (int i = 0; i < 2000 && !kept; i++)
        usleep(1000);
    struct http_exchange *x = kept;
    assert_non_null(x);
    kept = NULL;
    return x;
}

static void wait_gone(const struct http_exchange *x)
{
    for (int i = 0; i < 4000 && !http_gone(x); i++)
        usleep(1000);
    assert_true(http_gone(x));
}

static int open_keep(void)
{
    static const char request[] = "GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = client_connect(port);
    client_send(fd, request, sizeof request - 1);
    return fd;
}

static void clients_that_go(void **state)
{
    (void)state;
    int fd = open_keep(); /* before anything was answered */
    struct http_exchange *x = wait_kept();
    assert_false(http_gone(x));
    close(fd);
    wait_gone(x);
    http_error(x, 500, NULL, "for nobody");
    fd = open_keep(); /* in the middle of it */
    x = wait_kept();
    http_begin(x, 200, "text/event-stream");
    http_write(x, "one", 3);
    close(fd);
    wait_gone(x);
    http_write(x, "two", 3);
    http_end(x);
    for (int i = 0; i < 2000 && http_pending(server); i++)
        usleep(1000);
    assert_int_equal(http_pending(server), 0);
}

static void wait_for_nothing(void)
{
    for (int i = 0; i < 10000 && (http_pending(server) || http_counts(server).connections); i++)
        usleep(1000);
    assert_int_equal(http_pending(server), 0);
    assert_int_equal(http_counts(server).connections, 0);
}

/* Who does not read what is sent to him is cut, and so is who does not say what he wants. */
static void slow_clients(void **state)
{
    static const char request[] = "GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n",
                      begun[] = "POST /echo HTTP/1.1\r\nHo";
    struct http_options o;
    char piece[4096];
    (void)state;
    http_options_default(&o);
    o.port = 0;
    o.patience = 1;
    start_server(&o);
    int reader = client_connect(port), sender = client_connect(port);
    client_send(sender, begun, sizeof begun - 1);
    client_send(reader, request, sizeof request - 1);
    struct http_exchange *x = wait_kept();
    memset(piece, 'x', sizeof piece);
    http_begin(x, 200, "text/event-stream");
    for (int i = 0; i < 4096; i++) /* more than the sockets hold */
        http_write(x, piece, sizeof piece);
    wait_gone(x);
    http_end(x);
    assert_int_equal(recv(sender, piece, 1, 0), 0);
    wait_for_nothing();
    close(sender);
    close(reader);
    stop_server();
}

static void http_itself(int n)
{
    static const char *const odd[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /open\r\n\r\n",
        "GET /open HTTP/9.9\r\n\r\n",
        "GET /open HTTP/1.1\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: localhost\r\nHost: evil.org\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nshort",
        "GET /files/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /%00%ff?q=%zz&&==& HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: localhost\r\nAuthorization\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /pieces HTTP/1.0\r\n\r\n",
        "HEAD /open HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: localhost\r\n\r\nGET /open HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };
    for (int i = 0; i < n; i++) {
        int fd = client_connect(port);
        const char *text = odd[(size_t)i % (sizeof odd / sizeof *odd)];
        client_send(fd, text, strlen(text));
        if (i % 3 == 0)
            client_send(fd, "\0\xff\r\n", 4);
        if (i % 2)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static void hostile_requests(void **state)
{
    (void)state;
    http_itself(300);
    want(200, "/open", "GET /open", "", NULL);
    wait_for_nothing();
}

/* Malformed requests while the server ends: libmicrohttpd alone would fall over them. */
static void the_end_amid_hostile_requests(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n";
    (void)state;
    for (int round = 0; round < 3; round++) {
        int fds[40];
        start_plain(NULL);
        for (int i = 0; i < 40; i++) {
            fds[i] = client_connect(port);
            client_send(fds[i], text, sizeof text - 1);
        }
        stop_server();
        for (int i = 0; i < 40; i++)
            close(fds[i]);
    }
}

/* What is in flight ends as if nothing were; others come to a closed door. */
static void the_end(void **state)
{
    struct client_answer a;
    (void)state;
    int fd = open_keep();
    struct http_exchange *x = wait_kept();
    struct buf body = BUF_INIT;
    http_quiet(server);
    assert_int_equal(http_pending(server), 1);
    buf_puts(&body, "late");
    http_answer(x, 200, "text/plain", &body);
    client_read(fd, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(buf_text(&a.body), "late");
    client_free(&a);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers, start_plain, stop),
        cmocka_unit_test_setup_teardown(in_pieces, start_plain, stop),
        cmocka_unit_test_setup_teardown(who_may_call, start_plain, stop),
        cmocka_unit_test(with_a_key),
        cmocka_unit_test_setup_teardown(too_large, start_plain, stop),
        cmocka_unit_test_setup_teardown(clients_that_go, start_plain, stop),
        cmocka_unit_test(slow_clients),
        cmocka_unit_test_setup_teardown(hostile_requests, start_plain, stop),
        cmocka_unit_test_setup_teardown(the_end, start_plain, stop),
        cmocka_unit_test(the_end_amid_hostile_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
