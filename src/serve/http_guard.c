/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call. A page of the world that a browser shows can send requests to this machine: by its Origin header it is
 * known. With a name of its own that it lets point here (DNS rebinding) it would be of the same origin: by its Host
 * header it is known, since addresses and "localhost" cannot be made to point elsewhere. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct name { /* of a machine, without a port */
    const char *text;
    size_t n;
    int bracketed;
};

/* "name", "name:80", "1.2.3.4:80", "[::1]:80". */
static struct name without_port(const char *host)
{
    const char *end = host + strlen(host), *colon;
    if (*host == '[') {
        end = strchr(host, ']');
        return (struct name){host + 1, end ? (size_t)(end - host - 1) : 0, 1};
    }
    colon = strchr(host, ':');
    return (struct name){host, (size_t)((colon ? colon : end) - host), 0};
}

static int is(struct name a, const char *b)
{
    return strlen(b) == a.n && !strncasecmp(a.text, b, a.n);
}

static int is_address(struct name a)
{
    char text[64];
    unsigned char bytes[16];
    if (!a.n || a.n >= sizeof text)
        return 0;
    memcpy(text, a.text, a.n);
    text[a.n] = 0;
    return inet_pton(a.bracketed ? AF_INET6 : AF_INET, text, bytes) == 1;
}

int http_host_fits(const struct http_options *o, const char *host)
{
    struct name name = without_port(host);
    int fits = is_address(name) || is(name, "localhost") || is(name, o->host);
    for (int i = 0; i < o->n_allow_host; i++)
        fits |= is(name, o->allow_host[i]);
    return fits;
}

int http_origin_fits(const struct http_options *o, const char *origin, const char *host)
{
    const char *at = strstr(origin, "://");
    if (at && !strcasecmp(at + 3, host))
        return 1;
    for (int i = 0; i < o->n_allow_origin; i++)
        if (!strcmp(o->allow_origin[i], "*") || !strcasecmp(o->allow_origin[i], origin))
            return 1;
    return 0;
}

int http_key_fits(const char *key, const char *authorization)
{
    static const char bearer[] = "Bearer ";
    size_t n = strlen(key), skip = sizeof bearer - 1;
    if (!authorization || strncasecmp(authorization, bearer, skip))
        return 0;
    size_t given = strlen(authorization + skip);
    int differs = given != n;
    for (size_t i = 0; i < n; i++)
        differs |= key[i] ^ (i < given ? authorization[skip + i] : 0);
    return !differs;
}
