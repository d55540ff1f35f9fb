/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, routes, the page's own files and the report. */
#include "serve/view_parts.h"

#include "base/mem.h"
#include "report/html.h"
#include "report/sections.h"

#include <string.h>

/* Nothing but this server's own files, and no page around it but its own. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static void answer_text(struct http_exchange *x, const char *type, const char *text)
{
    struct buf body = BUF_INIT;
    buf_puts(&body, text);
    if (body.failed)
        http_error(x, 503, NULL, "out of memory");
    else
        http_answer(x, 200, type, &body);
}

static void html_page(void *view, struct http_exchange *x)
{
    (void)view;
    http_header(x, "Content-Security-Policy", policy);
    http_header(x, "Referrer-Policy", "no-referrer");
    answer_text(x, "text/html; charset=utf-8", page_view_html);
}

static void css_file(void *view, struct http_exchange *x)
{
    (void)view;
    answer_text(x, "text/css; charset=utf-8", page_view_css);
}

static void js_file(void *view, struct http_exchange *x)
{
    (void)view;
    answer_text(x, "text/javascript; charset=utf-8", page_view_js);
}

void view_report(void *user, struct http_exchange *x)
{
    const struct view *v = user;
    struct report_run r = {0};
    struct document d = {.arena = ARENA_INIT};
    struct buf body = BUF_INIT;
    struct error err = {0};
    int rc = method_results(v->directory, &r, &err);
    rc = rc ? rc : method_labels_recorded(&r, &err);
    if (!rc) {
        report_run_document(&d, &r);
        rc = document_check(&d, &err);
    }
    if (!rc)
        report_html(&d, &body);
    document_free(&d);
    report_run_free(&r);
    if (rc || body.failed) {
        buf_free(&body);
        view_fail(x, rc ? rc : ERROR_NOMEM, &err);
        return;
    }
    http_header(x, "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'");
    http_answer(x, 200, "text/html; charset=utf-8", &body);
}

/* Browsers ask for it whatever a page says. */
static void no_icon(void *view, struct http_exchange *x)
{
    struct buf none = BUF_INIT;
    (void)view;
    http_answer(x, 204, "image/x-icon", &none);
}

static const struct http_route routes[] = {
    {"GET", "/favicon.ico", 1, no_icon},        {"GET", "/", 1, html_page},
    {"GET", "/view.css", 1, css_file},          {"GET", "/view.js", 1, js_file},
    {"GET", "/report", 1, view_report},         {"GET", "/api/run", 1, view_run},
    {"GET", "/api/attempts", 1, view_attempts}, {"GET", "/api/attempt", 1, view_attempt},
    {"POST", "/api/review", 1, view_review},    {"GET", "/api/judge", 1, view_judge_next},
    {"POST", "/api/judge", 1, view_judge},      {"POST", "/api/judge/undo", 1, view_judge_undo},
};

static int check_address(const struct http_options *h, struct error *err)
{
    if (h->api_key)
        return error_set(err, ERROR_USAGE, "--api-key: a page in a browser cannot give one; leave it out");
    if (!strncmp(h->host, "127.", 4) || !strcmp(h->host, "localhost") || !strcmp(h->host, "::1"))
        return 0;
    return error_set(
        err, ERROR_USAGE,
        "--host %.80s: whoever reaches the page may change the run; wanted an address of this machine alone, "
        "127.0.0.1",
        h->host);
}

int view_open(struct view **out, const char *directory, const struct http_options *h, struct error *err)
{
    struct view *v = *out = mem_calloc(1, sizeof *v);
    int rc = v ? check_address(h, err) : error_set_nomem(err, sizeof *v, "a page");
    if (v && !(v->directory = mem_strdup(directory)))
        rc = error_set_nomem(err, strlen(directory), "a path");
    for (size_t n = v && v->directory ? strlen(v->directory) : 0; n > 1 && v->directory[n - 1] == '/';)
        v->directory[--n] = 0; /* its last part is the page's name */
    rc = rc ? rc : run_open_readonly(&v->run, directory, err);
    rc = rc ? rc : run_check(v->run, &(struct run_bounds){.reason = sift_reason_find}, err);
    rc = rc ? rc : look_open(&v->look, v->run, err);
    rc = rc ? rc : http_open(&v->http, h, &(struct http_routes){routes, (int)(sizeof routes / sizeof *routes), v}, err);
    if (rc) {
        view_close(v);
        *out = NULL;
    }
    return rc;
}

int view_port(const struct view *v)
{
    return http_port(v->http);
}

void view_tend(struct view *v)
{
    http_tend(v->http);
}

void view_close(struct view *v)
{
    if (!v)
        return;
    http_close(v->http);
    look_close(v->look);
    run_close(v->run);
    run_close(v->beside);
    mem_free(v->directory);
    mem_free(v);
}
