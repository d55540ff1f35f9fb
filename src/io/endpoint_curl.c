/* SPDX-License-Identifier: Apache-2.0 */
/* One easy handle, one request at a time: the connection is kept alive between them. */
#include "io/endpoint.h"

#include "base/buf.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/jsontext.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BODY = 16 << 20, MAX_PAUSE = 60, MAX_RETRY_AFTER = 300 };

struct endpoint {
    struct endpoint_options o;
    char *url, *key;
    char shown[300]; /* the endpoint as messages name it */
    CURL *curl;
    struct curl_slist *headers;
    double next; /* http_now() before which no request may go out */
    struct buf body;
    double retry_after; /* seconds the last answer asked for, or -1 */
};

static size_t take_body(char *bytes, size_t size, size_t n, void *user)
{
    struct endpoint *h = user;
    if (h->body.len + size * n > MAX_BODY)
        return 0;
    buf_append(&h->body, bytes, size * n);
    return h->body.failed ? 0 : size * n;
}

static size_t take_header(char *line, size_t size, size_t n, void *user)
{
    struct endpoint *h = user;
    static const char name[] = "retry-after:";
    size_t length = size * n;
    char value[64] = "";
    if (length >= sizeof name && length < sizeof name + sizeof value - 1 && !strncasecmp(line, name, sizeof name - 1)) {
        memcpy(value, line + sizeof name - 1, length - sizeof name + 1);
        h->retry_after = http_retry_after(value, time(NULL));
    }
    return length;
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

static int add_header(struct endpoint *h, const char *line)
{
    struct curl_slist *more = curl_slist_append(h->headers, line);
    if (!more)
        return -1;
    h->headers = more;
    return 0;
}

int endpoint_open(struct endpoint **out, const struct endpoint_options *o, struct error *err)
{
    struct endpoint *h = mem_calloc(1, sizeof *h);
    struct buf bearer = BUF_INIT;
    if (!h)
        return error_set_nomem(err, sizeof *h, "a connection");
    h->o = *o;
    h->url = mem_strdup(o->url);
    h->key = o->key ? mem_strdup(o->key) : NULL;
    http_shown(o->url, h->shown, sizeof h->shown);
    h->curl = curl_easy_init();
    if (o->key)
        buf_printf(&bearer, "Authorization: Bearer %s", o->key);
    if (!h->url || (o->key && !h->key) || !h->curl || bearer.failed ||
        add_header(h, "Content-Type: application/json") || (o->key && add_header(h, bearer.data))) {
        buf_free(&bearer);
        endpoint_close(h);
        return error_set_nomem(err, 64, "a connection");
    }
    buf_free(&bearer);
    for (size_t n = strlen(h->url); n && h->url[n - 1] == '/';)
        h->url[--n] = 0;
    CURL *c = h->curl;
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(o->timeout * 1000));
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    *out = h;
    return 0;
}

void endpoint_close(struct endpoint *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    curl_slist_free_all(h->headers);
    buf_free(&h->body);
    mem_free(h->url);
    mem_free(h->key);
    mem_free(h);
}

/* User and password of the endpoint, alone and together. */
static void hide_login(const struct endpoint *h, char *text)
{
    const char *from = strstr(h->url, "://");
    from = from ? from + 3 : h->url;
    size_t n = strcspn(from, "/?#");
    while (n && from[n - 1] != '@')
        n--;
    char *login = n ? mem_strndup(from, n - 1) : NULL, *colon = login ? strchr(login, ':') : NULL;
    http_hide(text, login);
    http_hide(text, colon ? colon + 1 : NULL);
    mem_free(login);
}

/* What the server said of an error, without secrets and cut short: error.message of the body, or its first bytes. */
static void said(const struct endpoint *h, char text[200])
{
    json_t *body = h->body.len ? json_loadb(h->body.data, h->body.len, 0, NULL) : NULL;
    const json_t *error = json_object_get(body, "error");
    const char *message = json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    char whole[1024];
    snprintf(whole, sizeof whole, "%.1000s", message ? message : buf_text(&h->body));
    http_hide(whole, h->key);
    hide_login(h, whole);
    snprintf(text, 200, "%.190s", whole);
    for (char *s = text; *s; s++)
        *s = (unsigned char)*s < ' ' ? ' ' : *s;
    json_decref(body);
}

/* One try. 0 with *answer; 1 when another may help, the reason in err; or an error code. */
static int try_once(struct endpoint *h, const char *shown, json_t **answer, struct error *err)
{
    long status = 0;
    char text[200];
    buf_reset(&h->body);
    h->retry_after = -1;
    CURLcode code = curl_easy_perform(h->curl);
    int rc = interrupt_check(err);
    if (rc)
        return rc;
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
        return error_set(err, ERROR_USAGE, "%s: wanted http://HOST[:PORT]/v1 or https://...", shown);
    if (code != CURLE_OK) {
        error_set(err, ERROR_UNAVAILABLE, "%s: %s", shown,
                  code == CURLE_WRITE_ERROR ? "the answer is longer than 16 MiB" : curl_easy_strerror(code));
        return 1;
    }
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) {
        said(h, text);
        rc = error_set(err, ERROR_UNAVAILABLE, "%s: status %ld: %s", shown, status, text);
        return http_may_help(status) ? 1 : rc;
    }
    if (h->body.len && !memchr(h->body.data, 0, h->body.len)) {
        http_hide(h->body.data, h->key);
        h->body.len = strlen(h->body.data);
    }
    if (jsontext_parse(answer, jsontext_whole(buf_text(&h->body), h->body.len, shown), NULL, NULL)) {
        said(h, text);
        error_set(err, ERROR_UNAVAILABLE, "%s: the answer is not JSON: %.80s", shown, text);
        return 1;
    }
    return 0;
}

int endpoint_post(struct endpoint *h, const char *path, const json_t *body, json_t **answer, int *n_try,
                  struct error *err)
{
    struct buf url = BUF_INIT, text = BUF_INIT;
    buf_printf(&url, "%s%s", h->url, path);
    char shown[400];
    snprintf(shown, sizeof shown, "%s%s", h->shown, path);
    int rc = jsontext_dump(&text, body, 0, err), again = 1, tries = 0;
    if (!rc && (url.failed || text.failed))
        rc = error_set_nomem(err, text.len, "a request");
    if (!rc) {
        curl_easy_setopt(h->curl, CURLOPT_URL, url.data);
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text.len);
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, text.data);
    }
    for (double pause = h->o.pause; !rc && again && tries < h->o.tries;
         pause = pause * 2 < MAX_PAUSE ? pause * 2 : MAX_PAUSE) {
        if ((rc = http_wait(h->o.clock, h->next, err)))
            break;
        double began = http_now(h->o.clock);
        again = try_once(h, shown, answer, err);
        rc = again < 0 ? again : 0;
        tries++;
        double gap = h->o.per_minute > 0 ? 60 / h->o.per_minute : 0;
        h->next = began + gap;
        if (again == 1 && tries < h->o.tries) {
            double wanted = h->retry_after >= 0 ? h->retry_after : pause;
            wanted = wanted < MAX_RETRY_AFTER ? wanted : MAX_RETRY_AFTER;
            const char *why = h->retry_after >= 0 ? " (Retry-After)" : "";
            if (h->retry_after > MAX_RETRY_AFTER)
                why = " (the server's Retry-After is longer than isara waits)";
            log_line(LOG_WARNING, "%s; trying again in %.1f s%s", err ? err->message : "no answer", wanted, why);
            h->next = http_now(h->o.clock) + wanted > h->next ? http_now(h->o.clock) + wanted : h->next;
        }
    }
    if (!rc && again == 1)
        rc = error_prefix(err, "after %d tries", tries);
    if (n_try)
        *n_try = tries;
    buf_free(&url);
    buf_free(&text);
    return rc;
}
