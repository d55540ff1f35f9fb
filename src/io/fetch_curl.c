/* SPDX-License-Identifier: Apache-2.0 */
#include "io/fetch.h"

#include "base/build.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "io/authorities.h"
#include "io/http_text.h"
#include "io/jsontext.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REDIRECT = 10, MAX_SAID = 2000 };

struct fetch {
    CURL *curl;
    const struct fetch_request *request;
    struct fetch_answer *answer;
    struct error *err;
    int rc;              /* of take */
    char said[MAX_SAID]; /* the beginning of an error's body */
    size_t n_said;
};

static size_t take_body(char *bytes, size_t size, size_t n, void *user)
{
    struct fetch *f = user;
    long status = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    f->answer->status = status;
    if (status == 200 || status == 206) {
        f->rc = f->request->take(f->request->user, f->answer, bytes, size * n, f->err);
        return f->rc ? 0 : size * n;
    }
    size_t room = MAX_SAID - 1 - f->n_said, some = size * n < room ? size * n : room;
    memcpy(f->said + f->n_said, bytes, some);
    f->n_said += some;
    return some == size * n ? some : 0; /* the rest of a long page is not waited for */
}

static size_t take_header(char *line, size_t size, size_t n, void *user)
{
    struct fetch *f = user;
    fetch_header(f->answer, line, size * n, time(NULL));
    return size * n;
}

static int stop_when_interrupted(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return interrupt_requested();
}

int fetch_open(struct fetch **out, struct error *err)
{
    struct fetch *f = mem_calloc(1, sizeof *f);
    CURL *c = f ? curl_easy_init() : NULL;
    *out = NULL;
    if (!c) {
        mem_free(f);
        return error_set_nomem(err, sizeof *f, "a connection");
    }
    f->curl = c;
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    const char *authorities = authorities_file(curl_version_info(CURLVERSION_NOW)->cainfo);
    if (authorities)
        curl_easy_setopt(c, CURLOPT_CAINFO, authorities);
    *out = f;
    return 0;
}

void fetch_close(struct fetch *f)
{
    if (!f)
        return;
    curl_easy_cleanup(f->curl);
    mem_free(f);
}

/* One part of a URL; curl_free it. */
static char *part_of(const char *url, CURLUPart part)
{
    CURLU *u = curl_url();
    char *text = NULL;
    if (u && !curl_url_set(u, CURLUPART_URL, url, 0))
        curl_url_get(u, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0);
    curl_url_cleanup(u);
    return text;
}

static int same_part(const char *a, const char *b, CURLUPart part)
{
    char *x = part_of(a, part), *y = part_of(b, part);
    int same = x && y && !strcasecmp(x, y);
    curl_free(x);
    curl_free(y);
    return same;
}

static int same_origin(const char *a, const char *b)
{
    return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) && same_part(a, b, CURLUPART_PORT);
}

/* 0, 1 for what may pass, or an error code. */
static int transfer_failed(struct fetch *f, const char *url, CURLcode code)
{
    char shown[300];
    int rc = interrupt_check(f->err);
    if (rc || f->rc)
        return rc ? rc : f->rc;
    http_shown(url, shown, sizeof shown);
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return error_set(f->err, ERROR_USAGE, "%s: wanted an address of http:// or https://", shown);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(f->err, ERROR_UNAVAILABLE, "%s: %s", shown, curl_easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: /* in the middle of a file it may pass */
        error_set(f->err, ERROR_UNAVAILABLE, "%s: %s; no network? HF_ENDPOINT names another hub", shown,
                  curl_easy_strerror(code));
        return f->request->from ? 1 : ERROR_UNAVAILABLE;
    default: error_set(f->err, ERROR_UNAVAILABLE, "%s: %s", shown, curl_easy_strerror(code)); return 1;
    }
}

/* Headers of one request: who asks, and the token where it may go. */
static int set_headers(struct fetch *f, const char *url, struct curl_slist **headers)
{
    const struct fetch_request *r = f->request;
    char line[1200], range[64];
    int n = r->token && same_origin(url, r->endpoint)
                ? snprintf(line, sizeof line, "Authorization: Bearer %s", r->token)
                : 0;
    if (n >= (int)sizeof line)
        return error_set(f->err, ERROR_CONFIG, "the token for %s is longer than any", r->endpoint);
    *headers = curl_slist_append(NULL, "User-Agent: isara");
    struct curl_slist *more = *headers && n ? curl_slist_append(*headers, line) : *headers;
    if (!more)
        return error_set_nomem(f->err, sizeof line, "a request");
    snprintf(range, sizeof range, "%llu-", (unsigned long long)r->from);
    curl_easy_setopt(f->curl, CURLOPT_RANGE, r->from ? range : NULL); /* copied */
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(f->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(r->timeout * 1000));
    curl_easy_setopt(f->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(f->curl, CURLOPT_LOW_SPEED_TIME, (long)(r->timeout * 6 + 1));
    return 0;
}

static void say_got(const struct fetch *f, const char *url, CURLcode code)
{
    char shown[300];
    double seconds = 0;
    http_shown(url, shown, sizeof shown);
    curl_easy_getinfo(f->curl, CURLINFO_TOTAL_TIME, &seconds);
    log_line(LOG_DEBUG, "GET %s: %s, status %ld, %.2f s", shown, code ? curl_easy_strerror(code) : "ended",
             f->answer->status, seconds);
}

static int get_once(struct fetch *f, const char *url)
{
    struct curl_slist *headers = NULL;
    int rc = set_headers(f, url, &headers);
    if (!rc) {
        curl_easy_setopt(f->curl, CURLOPT_URL, url);
        CURLcode code = curl_easy_perform(f->curl);
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &f->answer->status);
        say_got(f, url, code);
        int whole_page = code == CURLE_WRITE_ERROR && !f->rc && f->answer->status >= 300;
        if (code != CURLE_OK && !whole_page)
            rc = transfer_failed(f, url, code);
    }
    curl_slist_free_all(headers);
    return rc;
}

/* Where an answer sends us, or NULL; mem_free it. */
static int next_url(struct fetch *f, const char *url, char **next)
{
    char *to = NULL;
    char shown[300];
    *next = NULL;
    if (f->answer->status < 300 || f->answer->status > 399)
        return 0;
    curl_easy_getinfo(f->curl, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return 0;
    http_shown(to, shown, sizeof shown);
    if (!strncasecmp(url, "https:", 6) && strncasecmp(to, "https:", 6))
        return error_set(f->err, ERROR_UNAVAILABLE, "redirected from https to %s, which is not followed", shown);
    *next = mem_strdup(to);
    return *next ? 0 : error_set_nomem(f->err, strlen(to), "an address");
}

/* What an error's page says, when no header said it. */
static void read_said(struct fetch *f)
{
    struct fetch_answer *a = f->answer;
    f->said[f->n_said] = 0;
    if (a->status < 400 || a->message[0])
        return;
    json_error_t why;
    json_t *body = jsontext_document(f->said, f->n_said, 0, &why);
    const char *text = json_string_value(json_object_get(body, "error"));
    if (text || f->said[0] != '<')
        printable_copy(a->message, sizeof a->message, text ? text : f->said);
    json_decref(body);
    http_hide(a->message, f->request->token);
}

int fetch_get(struct fetch *f, const struct fetch_request *request, struct fetch_answer *answer, struct error *err)
{
    char *url = mem_strdup(request->url);
    int rc = url ? 0 : error_set_nomem(err, strlen(request->url), "an address");
    f->request = request;
    f->answer = answer;
    f->err = err;
    fetch_answer_begin(answer);
    for (int hop = 0; !rc; hop++) {
        char *next = NULL;
        f->rc = 0;
        f->n_said = 0;
        rc = get_once(f, url);
        if (!rc)
            rc = next_url(f, url, &next);
        if (rc || !next)
            break;
        mem_free(url);
        url = next;
        if (hop == MAX_REDIRECT)
            rc =
                error_set(err, ERROR_UNAVAILABLE, "%s: redirected more than %d times", request->endpoint, MAX_REDIRECT);
    }
    if (!rc)
        read_said(f);
    mem_free(url);
    return rc;
}
