/* SPDX-License-Identifier: Apache-2.0 */
#include "io/fetch.h"

#include "base/printable.h"
#include "io/http_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fetch_answer_begin(struct fetch_answer *a)
{
    *a = (struct fetch_answer){.from = -1, .retry_after = -1};
}

/* The value of a line with that name, without blanks around it; NULL: another line, or one too long. */
static const char *value_of(const char *line, size_t n, const char *name, char out[400])
{
    size_t k = strlen(name);
    if (n <= k || strncasecmp(line, name, k) || line[k] != ':')
        return NULL;
    line += k + 1;
    n -= k + 1;
    while (n && (*line == ' ' || *line == '\t')) {
        line++;
        n--;
    }
    while (n && strchr(" \t\r\n", line[n - 1]))
        n--;
    if (n >= 400 || memchr(line, 0, n))
        return NULL;
    memcpy(out, line, n);
    out[n] = 0;
    return out;
}

/* Plain digits; -1 for anything else. */
static int64_t whole_number(const char *s)
{
    char *end;
    errno = 0;
    long long v = *s >= '0' && *s <= '9' ? strtoll(s, &end, 10) : -1;
    return v < 0 || errno || (*end && !strchr("-/ ", *end)) ? -1 : v;
}

static void copy_text(char *out, size_t size, const char *value)
{
    size_t n = strlen(value) < size ? strlen(value) : size - 1;
    memcpy(out, value, n);
    out[n] = 0;
    printable(out);
}

void fetch_header(struct fetch_answer *a, const char *line, size_t n, time_t now)
{
    char value[400];
    if (n >= 5 && !strncasecmp(line, "HTTP/", 5))
        fetch_answer_begin(a);
    else if (value_of(line, n, "Content-Range", value))
        a->from = strncasecmp(value, "bytes ", 6) ? -1 : whole_number(value + 6);
    else if (value_of(line, n, "Retry-After", value))
        a->retry_after = http_retry_after(value, now);
    else if (value_of(line, n, "X-Error-Code", value))
        copy_text(a->code, sizeof a->code, value);
    else if (value_of(line, n, "X-Error-Message", value))
        copy_text(a->message, sizeof a->message, value);
}
