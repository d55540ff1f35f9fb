/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hub_client.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PAUSE = 60, MAX_RETRY_AFTER = 300, MAX_TOKEN = 1000 };

static const char *setting(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static int is_true(const char *name)
{
    const char *v = setting(name);
    return v && (!strcmp(v, "1") || !strcasecmp(v, "true") || !strcasecmp(v, "yes") || !strcasecmp(v, "on"));
}

int hub_is_offline(void)
{
    return is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
}

int hub_shows_progress(void)
{
    return !is_true("HF_HUB_DISABLE_PROGRESS_BARS");
}

/* Where huggingface_hub keeps the token that its login stores; NULL: nowhere, or out of memory. */
static char *token_path(void)
{
    const char *path = setting("HF_TOKEN_PATH"), *hf = setting("HF_HOME"), *cache = setting("XDG_CACHE_HOME"),
               *home = setting("HOME");
    struct buf b = BUF_INIT;
    if (path)
        buf_puts(&b, path);
    else if (hf)
        buf_printf(&b, "%s/token", hf);
    else if (cache)
        buf_printf(&b, "%s/huggingface/token", cache);
    else if (home)
        buf_printf(&b, "%s/.cache/huggingface/token", home);
    return buf_take(&b);
}

static int read_token_file(struct buf *out, struct error *err)
{
    char *path = token_path();
    int rc = path && file_exists(path) ? file_read_regular(out, path, MAX_TOKEN, err) : 0;
    mem_free(path);
    return rc;
}

/* Without blanks around it; what would break a header's line is refused. */
static int take_token(struct hub_client *c, const char *text, struct error *err)
{
    size_t skip = strspn(text, " \t\r\n"), n = strlen(text + skip);
    text += skip;
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    if (!n)
        return 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 127)
            return error_set(
                err, ERROR_CONFIG,
                "the token in HF_TOKEN or its file has a blank, a line end or another sign that no token has");
    if (n > MAX_TOKEN)
        return error_set(err, ERROR_CONFIG, "the token in HF_TOKEN or its file has %zu bytes, more than any", n);
    c->token = mem_strndup(text, n);
    return c->token ? 0 : error_set_nomem(err, n, "a token");
}

static int find_token(struct hub_client *c, struct error *err)
{
    struct buf file = BUF_INIT;
    const char *given = setting("HF_TOKEN") ? setting("HF_TOKEN") : setting("HUGGING_FACE_HUB_TOKEN");
    if (given)
        return take_token(c, given, err);
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return 0;
    int rc = read_token_file(&file, err);
    if (!rc && file.data)
        rc = take_token(c, file.data, err);
    buf_free(&file);
    return rc;
}

static int find_endpoint(struct hub_client *c, struct error *err)
{
    const char *given = setting("HF_ENDPOINT") ? setting("HF_ENDPOINT") : "https://huggingface.co";
    if (strncasecmp(given, "http://", 7) && strncasecmp(given, "https://", 8))
        return error_set(err, ERROR_CONFIG, "HF_ENDPOINT is \"%s\", wanted https://HOST or http://HOST:PORT", given);
    c->endpoint = mem_strdup(given);
    if (!c->endpoint)
        return error_set_nomem(err, strlen(given), "an address");
    for (size_t n = strlen(c->endpoint); n && c->endpoint[n - 1] == '/';)
        c->endpoint[--n] = 0;
    http_shown(c->endpoint, c->shown, sizeof c->shown);
    return 0;
}

int hub_client_open(struct hub_client *c, const char *name, const struct http_clock *clock, struct error *err)
{
    const char *timeout = setting("HF_HUB_DOWNLOAD_TIMEOUT");
    *c = (struct hub_client){
        .name = name, .timeout = timeout ? strtod(timeout, NULL) : 10, .pause = 1, .tries = 6, .clock = clock};
    if (!(c->timeout > 0 && c->timeout < 1e6))
        return error_set(err, ERROR_CONFIG, "HF_HUB_DOWNLOAD_TIMEOUT is \"%s\", wanted seconds", timeout);
    int rc = find_endpoint(c, err);
    if (!rc)
        rc = find_token(c, err);
    return rc ? rc : fetch_open(&c->fetch, err);
}

void hub_client_close(struct hub_client *c)
{
    fetch_close(c->fetch);
    mem_free(c->endpoint);
    mem_free(c->token);
    *c = (struct hub_client){0};
}

/* 401 and 403: the hub does not say whether a model is there to those who may not see it. */
static int refuse_access(const struct hub_client *c, const struct fetch_answer *a, struct error *err)
{
    if (!strcmp(a->code, "GatedRepo"))
        return error_set(err, ERROR_PERMISSION, "%s: is gated (%ld): accept its terms at %s/%s%s, then pull again",
                         c->name, a->status, c->shown, c->name,
                         c->token
                             ? " with the account of your HF_TOKEN"
                             : ", set HF_TOKEN to a token of that account (https://huggingface.co/settings/tokens)");
    if (!c->token)
        return error_set(err, ERROR_PERMISSION,
                         "%s: %s says %ld: no such model, or a private or gated one. Look at the name; for a private "
                         "or gated one set HF_TOKEN (https://huggingface.co/settings/tokens)",
                         c->name, c->shown, a->status);
    return error_set(
        err, ERROR_PERMISSION,
        "%s: %s says %ld to your HF_TOKEN: the token is not valid, or its account may not read this model%s%s", c->name,
        c->shown, a->status, a->message[0] ? ": " : "", a->message);
}

static int refuse(const struct hub_client *c, const char *path, const struct fetch_answer *a, struct error *err)
{
    if (a->status == 401 || a->status == 403)
        return refuse_access(c, a, err);
    if (!strcmp(a->code, "RevisionNotFound"))
        return error_set(err, ERROR_NOINPUT,
                         "%s: has no such revision (%ld): look at %s/%s/tree/main for its branches and tags", c->name,
                         a->status, c->shown, c->name);
    if (a->status == 404)
        return error_set(err, ERROR_NOINPUT, "%s: %s%s says 404: no such model, revision or file%s%s", c->name,
                         c->shown, path, a->message[0] ? ": " : "", a->message);
    return error_set(err, ERROR_UNAVAILABLE, "%s: %s%s: status %ld%s%s", c->name, c->shown, path, a->status,
                     a->message[0] ? ": " : "", a->message);
}

/* Says why, and waits. */
static int pause_before(struct hub_client *c, double pause, double asked, struct error *err)
{
    double wait = asked >= 0 ? asked : pause;
    int longer = wait > MAX_RETRY_AFTER;
    wait = longer ? MAX_RETRY_AFTER : wait;
    const char *why = asked >= 0 ? " (Retry-After)" : "";
    if (longer)
        why = " (the server's Retry-After is longer than isara waits)";
    log_line(LOG_WARNING, "%s; trying again in %.1f s%s", err ? err->message : "no answer", wait, why);
    return http_wait(c->clock, http_now(c->clock) + wait, err);
}

int hub_client_get(struct hub_client *c, const char *path, const struct hub_sink *sink, struct fetch_answer *answer,
                   struct error *err)
{
    struct buf url = BUF_INIT;
    struct fetch_request r = {
        .endpoint = c->endpoint, .token = c->token, .timeout = c->timeout, .take = sink->take, .user = sink->user};
    uint64_t most = 0;
    double pause = c->pause;
    buf_printf(&url, "%s%s", c->endpoint, path);
    r.url = url.data;
    int rc = url.failed ? error_set_nomem(err, url.len, "an address") : 0;
    for (int tries = 1; !rc; tries++) {
        if ((rc = sink->begin(sink->user, &r.from, err)))
            break;
        if (r.from > most) { /* further than ever */
            tries = 1;
            pause = c->pause;
            most = r.from;
        }
        rc = fetch_get(c->fetch, &r, answer, err);
        int again = rc == 1 || (!rc && http_may_help(answer->status));
        if (!rc && !again && answer->status != 200 && answer->status != 206 && answer->status != 416)
            rc = refuse(c, path, answer, err);
        if (!again)
            break;
        if (!rc)
            refuse(c, path, answer, err);
        if (tries >= c->tries) {
            rc = err ? err->code : ERROR_UNAVAILABLE;
            error_prefix(err, "after %d tries without a byte more", tries);
            break;
        }
        rc = pause_before(c, pause, answer->retry_after, err);
        pause = pause * 2 < MAX_PAUSE ? pause * 2 : MAX_PAUSE;
    }
    buf_free(&url);
    return rc;
}

struct memory {
    struct buf *out;
    size_t max;
    const char *name;
};

static int begin_memory(void *user, uint64_t *from, struct error *err)
{
    (void)err;
    const struct memory *m = user;
    buf_reset(m->out);
    *from = 0;
    return 0;
}

static int take_memory(void *user, const struct fetch_answer *answer, const void *bytes, size_t n, struct error *err)
{
    (void)answer;
    const struct memory *m = user;
    if (n > m->max - m->out->len)
        return error_set(err, ERROR_DATA, "%s: the hub's answer is longer than %zu bytes", m->name, m->max);
    buf_append(m->out, bytes, n);
    return m->out->failed ? error_set_nomem(err, m->out->len + n, "the hub's answer") : 0;
}

int hub_client_read(struct hub_client *c, const char *path, size_t max, struct buf *out, struct error *err)
{
    struct fetch_answer answer;
    struct memory m = {out, max, c->name};
    return hub_client_get(c, path, &(struct hub_sink){begin_memory, take_memory, &m}, &answer, err);
}

void hub_encode(struct buf *out, const char *path)
{
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        int plain =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~/", *p);
        buf_printf(out, plain ? "%c" : "%%%02X", *p);
    }
}
