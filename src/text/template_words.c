/* SPDX-License-Identifier: Apache-2.0 */
#include "text/template_parts.h"

#include <string.h>

int template_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t template_trimmed(const char *s, size_t n)
{
    while (n && template_is_space(s[n - 1]))
        n--;
    return n;
}

void template_put_people(struct buf *out, struct text_spans *people, const char *s)
{
    size_t from = out->len;
    while (template_is_space(*s))
        s++;
    buf_append(out, s, template_trimmed(s, strlen(s)));
    if (people && text_spans_add(people, from, out->len))
        out->failed = 1;
}
