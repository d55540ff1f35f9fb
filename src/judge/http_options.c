/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/http.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void http_options_default(struct http_options *o)
{
    *o = (struct http_options){.timeout = 60, .pause = 1, .tries = 6};
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
