/* SPDX-License-Identifier: Apache-2.0 */
/* Requests lie in slots, which one thread drives; connections are kept alive from one request to the next. A slot is
 * free, waits for its next try, or is in flight. */
#include "io/endpoint.h"

#include "base/buf.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/authorities.h"
#include "io/jsontext.h"

#include <curl/curl.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BODY = 16 << 20, MAX_PAUSE = 60, MAX_RETRY_AFTER = 300, POLL_MS = 100 };

struct slot {
    struct endpoint *of;
    CURL *curl;
    int request; /* -1: free */
    int flying, tries;
    double when, pause;    /* http_now() of the next try; what the one after it waits, if it fails */
    double retry_after;    /* seconds the last answer asked for, or -1 */
    struct buf sent, body; /* request and answer */
    struct error failure;  /* of the last try */
};
struct endpoint {
    struct endpoint_options o;
    char *url, *key;
    char shown[300]; /* the endpoint as messages name it */
    CURLM *multi;
    struct curl_slist *headers;
    double next;  /* http_now() before which no request may go out */
    int may_drop; /* an interrupt ends what is in flight */
    int newer;    /* the server wants max_completion_tokens */
    int tries;    /* that the last request to end has had */
    struct slot *slots;
    int n_slot;
};

static size_t take_body(char *bytes, size_t size, size_t n, void *user)
{
    struct slot *s = user;
    if (s->body.len + size * n > MAX_BODY)
        return 0;
    buf_append(&s->body, bytes, size * n);
    return s->body.failed ? 0 : size * n;
}

static size_t take_header(char *line, size_t size, size_t n, void *user)
{
    struct slot *s = user;
    static const char name[] = "retry-after:";
    size_t length = size * n;
    char value[64] = "";
    if (length >= sizeof name && length < sizeof name + sizeof value - 1 && !strncasecmp(line, name, sizeof name - 1)) {
        memcpy(value, line + sizeof name - 1, length - sizeof name + 1);
        s->retry_after = http_retry_after(value, time(NULL));
    }
    return length;
}

static int stop_when_interrupted(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct slot *s = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return s->of->may_drop && interrupt_requested();
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
    h->multi = curl_multi_init();
    if (o->key)
        buf_printf(&bearer, "Authorization: Bearer %s", o->key);
    if (!h->url || (o->key && !h->key) || !h->multi || bearer.failed ||
        add_header(h, "Content-Type: application/json") || (o->key && add_header(h, bearer.data))) {
        buf_free(&bearer);
        endpoint_close(h);
        return error_set_nomem(err, 64, "a connection");
    }
    buf_free(&bearer);
    for (size_t n = strlen(h->url); n && h->url[n - 1] == '/';)
        h->url[--n] = 0;
    *out = h;
    return 0;
}

static void free_slots(struct endpoint *h)
{
    for (int i = 0; i < h->n_slot; i++) {
        curl_easy_cleanup(h->slots[i].curl);
        buf_free(&h->slots[i].sent);
        buf_free(&h->slots[i].body);
    }
    mem_free(h->slots);
    h->slots = NULL;
    h->n_slot = 0;
}

void endpoint_close(struct endpoint *h)
{
    if (!h)
        return;
    free_slots(h);
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    mem_free(h->url);
    mem_free(h->key);
    mem_free(h);
}

static int open_slot(struct endpoint *h, struct slot *s)
{
    CURL *c = s->curl = curl_easy_init();
    *s = (struct slot){.of = h, .curl = c, .request = -1};
    if (!c)
        return -1;
    const char *authorities = authorities_file(curl_version_info(CURLVERSION_NOW)->cainfo);
    if (authorities)
        curl_easy_setopt(c, CURLOPT_CAINFO, authorities);
    curl_easy_setopt(c, CURLOPT_PRIVATE, s);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(h->o.timeout * 1000));
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    return 0;
}

/* At least n slots, all of them free. Handles point to their slots, so there are new ones when more are wanted. */
static int want_slots(struct endpoint *h, int n, struct error *err)
{
    if (n <= h->n_slot)
        return 0;
    free_slots(h);
    h->slots = mem_calloc((size_t)n, sizeof *h->slots);
    int failed = !h->slots;
    for (; !failed && h->n_slot < n; h->n_slot++)
        failed = open_slot(h, &h->slots[h->n_slot]);
    return failed ? error_set_nomem(err, (size_t)n * sizeof *h->slots, "connections") : 0;
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
static void said(const struct slot *s, char text[200])
{
    json_t *body = s->body.len ? json_loadb(s->body.data, s->body.len, 0, NULL) : NULL;
    const json_t *error = json_object_get(body, "error");
    const char *message = json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    char whole[1024];
    snprintf(whole, sizeof whole, "%.1000s", message ? message : buf_text(&s->body));
    http_hide(whole, s->of->key);
    hide_login(s->of, whole);
    snprintf(text, 200, "%.190s", whole);
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    json_decref(body);
}

/* What came of a try. */
enum outcome { ANSWERED, AGAIN, REFUSED, FAILED };

/* One work at a time. */
struct working {
    struct endpoint *h;
    const struct endpoint_work *w;
    char shown[400];
    int begun; /* requests taken so far */
    int rc;    /* 0: goes on; else nothing is sent any more */
    struct error *err;
};

static enum outcome fail(struct slot *s, enum outcome outcome, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static enum outcome fail(struct slot *s, enum outcome outcome, int code, const char *format, ...)
{
    va_list list;
    char text[600];
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    error_set(&s->failure, code, "%s", text);
    return outcome;
}

static enum outcome by_status(struct slot *s, long status, const char *shown)
{
    char text[200];
    said(s, text);
    int only_this = status == 400 || status == 413 || status == 422;
    enum outcome outcome = only_this ? REFUSED : FAILED;
    return fail(s, http_may_help(status) ? AGAIN : outcome, ERROR_UNAVAILABLE, "%s: status %ld: %s", shown, status,
                text);
}

/* Of a try that has ended; the reason is the slot's failure. */
static enum outcome look(struct slot *s, CURLcode code, const char *shown, json_t **answer)
{
    long status = 0;
    char text[200];
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
        return fail(s, FAILED, ERROR_USAGE, "%s: wanted http://HOST[:PORT]/v1 or https://...", shown);
    if (code != CURLE_OK)
        return fail(s, AGAIN, ERROR_UNAVAILABLE, "%s: %s", shown,
                    code == CURLE_WRITE_ERROR ? "the answer is longer than 16 MiB" : curl_easy_strerror(code));
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return by_status(s, status, shown);
    if (s->body.len && !memchr(s->body.data, 0, s->body.len)) {
        http_hide(s->body.data, s->of->key);
        s->body.len = strlen(s->body.data);
    }
    if (jsontext_parse(answer, jsontext_whole(buf_text(&s->body), s->body.len, shown), NULL, NULL)) {
        said(s, text);
        return fail(s, AGAIN, ERROR_UNAVAILABLE, "%s: the answer is not JSON: %.80s", shown, text);
    }
    return ANSWERED;
}

/* A server that says how long it is busy is busy for all. */
static void wait_for_next_try(struct slot *s)
{
    struct endpoint *h = s->of;
    double now = http_now(h->o.clock), wanted = s->retry_after >= 0 ? s->retry_after : s->pause;
    const char *why = s->retry_after >= 0 ? " (Retry-After)" : "";
    if (s->retry_after > MAX_RETRY_AFTER)
        why = " (the server's Retry-After is longer than isara waits)";
    wanted = wanted < MAX_RETRY_AFTER ? wanted : MAX_RETRY_AFTER;
    log_line(LOG_WARNING, "%s; trying again in %.1f s%s", s->failure.message, wanted, why);
    s->when = now + wanted;
    if (s->retry_after >= 0)
        h->next = fmax(h->next, s->when);
    s->pause = fmin(s->pause * 2, MAX_PAUSE);
}

static void end_work(struct working *x, int rc)
{
    if (!x->rc)
        x->rc = rc;
}

static int hand_over(struct working *x, const struct slot *s, const json_t *answer)
{
    const struct endpoint_answer a = {answer, answer ? NULL : s->failure.message, s->tries};
    struct error second;
    return x->w->put(x->w->user, s->request, &a, x->rc ? &second : x->err);
}

static int give_up(struct working *x, const struct slot *s, enum outcome outcome)
{
    error_set(x->err, s->failure.code, "%s", s->failure.message);
    if (outcome == AGAIN)
        error_prefix(x->err, "after %d tries", s->tries);
    return s->failure.code;
}

static void say_tried(const struct slot *s, CURLcode code, const char *shown)
{
    long status = 0;
    double seconds = 0;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(s->curl, CURLINFO_TOTAL_TIME, &seconds);
    log_line(LOG_DEBUG, "%s: request %d, try %d: %s, status %ld, %zu bytes sent, %zu received, %.2f s", shown,
             s->request, s->tries, code ? curl_easy_strerror(code) : "ended", status, s->sent.len, s->body.len,
             seconds);
}

/* Whether the body had the older one. */
static int take_newer_name(json_t *body)
{
    json_t *most = json_object_get(body, "max_tokens");
    return most && !json_object_set(body, "max_completion_tokens", most) && !json_object_del(body, "max_tokens");
}

static int put_body(struct slot *s, const json_t *body, struct error *err)
{
    buf_reset(&s->sent);
    int rc = jsontext_dump(&s->sent, body, 0, err);
    if (!rc && s->sent.failed)
        rc = error_set_nomem(err, s->sent.len, "a request");
    if (!rc) {
        curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->sent.len);
        curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, s->sent.data);
    }
    return rc;
}

/* A server that refuses max_tokens and names max_completion_tokens is given that, from this request on. */
static int goes_again_by_newer_name(struct working *x, struct slot *s)
{
    struct error err = {0};
    if (!strstr(s->failure.message, "max_completion_tokens"))
        return 0;
    json_t *body = json_loadb(s->sent.data, s->sent.len, 0, NULL);
    const int goes = take_newer_name(body) && !put_body(s, body, &err);
    if (goes && !x->h->newer)
        log_line(LOG_INFO, "%s: takes max_completion_tokens instead of max_tokens", x->shown);
    x->h->newer |= goes;
    json_decref(body);
    return goes;
}

static void finish(struct working *x, struct slot *s, CURLcode code)
{
    json_t *answer = NULL;
    curl_multi_remove_handle(x->h->multi, s->curl);
    s->flying = 0;
    s->tries++;
    say_tried(s, code, x->shown);
    enum outcome outcome = look(s, code, x->shown, &answer);
    x->h->tries = s->tries;
    if (outcome == AGAIN && s->tries < x->h->o.tries && !x->rc && !interrupt_requested()) {
        wait_for_next_try(s);
        return;
    }
    if (outcome == REFUSED && !x->rc && goes_again_by_newer_name(x, s))
        return;
    if (outcome == ANSWERED || outcome == REFUSED)
        end_work(x, hand_over(x, s, answer));
    else if (outcome == AGAIN && interrupt_requested())
        end_work(x, interrupt_check(x->rc ? NULL : x->err));
    else if (!x->rc)
        end_work(x, give_up(x, s, outcome));
    json_decref(answer);
    s->request = -1;
}

/* Takes the next request that there is. */
static void fill(struct working *x, struct slot *s)
{
    struct endpoint *h = x->h;
    struct buf url = BUF_INIT;
    int i = x->begun++;
    json_t *body = x->w->body(x->w->user, i, x->err);
    json_t *newer = h->newer ? json_copy(body) : NULL;
    const json_t *sent = take_newer_name(newer) ? newer : body;
    int rc = body ? put_body(s, sent, x->err) : ERROR_NOMEM;
    json_decref(newer);
    json_decref(body);
    buf_printf(&url, "%s%s", h->url, x->w->path);
    if (!rc && url.failed)
        rc = error_set_nomem(x->err, url.len, "a request");
    if (!rc) {
        curl_easy_setopt(s->curl, CURLOPT_URL, url.data);
        s->request = i;
        s->tries = 0;
        s->when = 0;
        s->pause = h->o.pause;
    }
    end_work(x, rc);
    buf_free(&url);
}

static void launch(struct working *x, struct slot *s)
{
    struct endpoint *h = x->h;
    buf_reset(&s->body);
    s->retry_after = -1;
    h->next = http_now(h->o.clock) + (h->o.per_minute > 0 ? 60 / h->o.per_minute : 0);
    s->flying = 1;
    if (curl_multi_add_handle(h->multi, s->curl) != CURLM_OK) {
        s->flying = 0;
        end_work(x, error_set_nomem(x->err, 64, "a connection"));
    }
}

/* Sends what may be sent by now. *due: when something else may be, or infinity. How many are in flight. */
static int send_due(struct working *x, double *due)
{
    int flying = 0;
    *due = INFINITY;
    for (int i = 0; i < x->w->at_once; i++) {
        struct slot *s = &x->h->slots[i];
        if (s->request < 0 && x->begun < x->w->n && !x->rc)
            fill(x, s);
        if (s->request >= 0 && !s->flying && !x->rc) {
            double when = fmax(s->when, x->h->next);
            if (when <= http_now(x->h->o.clock))
                launch(x, s);
            else
                *due = fmin(*due, when);
        }
        flying += s->flying;
    }
    return flying;
}

/* Lets those in flight go on, until one has ended or it is time to send another. */
static void drive(struct working *x, double due)
{
    struct endpoint *h = x->h;
    int running, left, ms = POLL_MS;
    CURLMsg *m;
    curl_multi_perform(h->multi, &running);
    for (m = curl_multi_info_read(h->multi, &left); m; m = curl_multi_info_read(h->multi, &left)) {
        char *s = NULL;
        CURLcode code = m->data.result; /* removing the handle ends the message */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
        finish(x, (struct slot *)(void *)s, code);
        ms = 0;
    }
    if (ms && isfinite(due) && !h->o.clock)
        ms = (int)fmax(1, fmin(ms, (due - http_now(NULL)) * 1000));
    if (ms)
        curl_multi_poll(h->multi, NULL, 0, ms, NULL);
}

static void drop_all(struct endpoint *h)
{
    for (int i = 0; i < h->n_slot; i++) {
        if (h->slots[i].flying)
            curl_multi_remove_handle(h->multi, h->slots[i].curl);
        h->slots[i].flying = 0;
        h->slots[i].request = -1;
    }
}

/* An interrupt before anything else that may have gone wrong by it. */
static void look_for_interrupt(struct working *x, int flying)
{
    if (x->rc || !interrupt_requested())
        return;
    end_work(x, interrupt_check(x->err));
    if (flying && !x->h->may_drop)
        log_line(LOG_WARNING, "%s: waiting for %d answer%s in flight; once more ends it at once", x->h->shown, flying,
                 flying == 1 ? "" : "s");
}

int endpoint_post_all(struct endpoint *h, const struct endpoint_work *w, struct error *err)
{
    struct working x = {.h = h, .w = w, .err = err};
    double due = 0;
    snprintf(x.shown, sizeof x.shown, "%s%s", h->shown, w->path);
    x.rc = want_slots(h, w->at_once, err);
    look_for_interrupt(&x, 0);
    for (int flying = 0; flying || !x.rc;) {
        flying = send_due(&x, &due);
        look_for_interrupt(&x, flying);
        if (flying && !(x.rc && h->may_drop))
            drive(&x, due);
        else if (x.rc || !isfinite(due))
            break;
        else
            end_work(&x, http_wait(h->o.clock, due, err));
    }
    drop_all(h);
    return x.rc;
}

/* --- one request --- */

struct one {
    const json_t *body;
    json_t *answer;
};

static json_t *one_body(void *user, int i, struct error *err)
{
    const struct one *x = user;
    (void)i;
    (void)err;
    return json_incref((json_t *)(uintptr_t)x->body);
}

static int one_put(void *user, int i, const struct endpoint_answer *a, struct error *err)
{
    struct one *x = user;
    (void)i;
    if (!a->json)
        return error_set(err, ERROR_UNAVAILABLE, "%s", a->refused);
    x->answer = json_incref((json_t *)(uintptr_t)a->json);
    return 0;
}

int endpoint_post(struct endpoint *h, const char *path, const json_t *body, json_t **answer, int *n_try,
                  struct error *err)
{
    struct one x = {body, NULL};
    const struct endpoint_work w = {path, 1, 1, one_body, one_put, &x};
    h->may_drop = 1;
    h->tries = 0;
    int rc = endpoint_post_all(h, &w, err);
    h->may_drop = 0;
    if (!rc)
        *answer = x.answer;
    if (n_try)
        *n_try = h->tries;
    return rc;
}
