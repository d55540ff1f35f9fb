/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_text.h"

#include "base/clock.h"
#include "base/interrupt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double machine_now(void *user)
{
    (void)user;
    return clock_now();
}

static void machine_nap(void *user, double seconds)
{
    (void)user;
    nanosleep(&(struct timespec){0, (long)(seconds * 1e9)}, NULL);
}

static const struct http_clock machine = {machine_now, machine_nap, NULL};

double http_now(const struct http_clock *c)
{
    c = c ? c : &machine;
    return c->now(c->user);
}

int http_wait(const struct http_clock *c, double when, struct error *err)
{
    int rc;
    c = c ? c : &machine;
    while (!(rc = interrupt_check(err))) {
        double left = when - c->now(c->user);
        if (left <= 0)
            return 0;
        c->nap(c->user, left > 0.1 ? 0.1 : left);
    }
    return rc;
}

void http_hide(char *text, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;
    for (char *at = text; n >= 4 && (at = strstr(at, secret)); at += 3) {
        size_t rest = strlen(at + n) + 1;
        memcpy(at, "***", 3);
        memmove(at + 3, at + n, rest);
    }
}

int http_may_help(long status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

void http_shown(const char *endpoint, char *out, size_t size)
{
    const char *scheme = strstr(endpoint, "://"), *host = scheme ? scheme + 3 : endpoint;
    size_t end = strcspn(host, "?#"), authority = strcspn(host, "/?#");
    for (size_t at = authority; at-- > 0;) /* the last @ before the path: passwords may hold others */
        if (host[at] == '@') {
            snprintf(out, size, "%.*s%.*s", (int)(host - endpoint), endpoint, (int)(end - at - 1), host + at + 1);
            return;
        }
    snprintf(out, size, "%.*s%.*s", (int)(host - endpoint), endpoint, (int)end, host);
}

double http_retry_after(const char *value, time_t now)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S", "%A, %d-%b-%y %H:%M:%S", "%a %b %d %H:%M:%S %Y"};
    char *end;
    value += strspn(value, " \t");
    double seconds = strtod(value, &end);
    if (end != value && !end[strspn(end, " \t\r\n")])
        return seconds >= 0 && isfinite(seconds) ? seconds : -1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm when = {0};
        if (strptime(value, forms[i], &when)) {
            double left = difftime(timegm(&when), now);
            return left > 0 ? left : 0;
        }
    }
    return -1;
}
