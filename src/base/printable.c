/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static int is_harmful(uint32_t cp)
{
    if (cp == '\t' || cp == '\n')
        return 0;
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

void printable(char *s)
{
    size_t n = strlen(s), to = 0, k;
    uint32_t cp;
    for (size_t at = 0; at < n; at += k) {
        k = utf8_decode(s + at, n - at, &cp);
        if (!k || is_harmful(cp)) {
            k = k ? k : 1;
            s[to++] = '?';
            continue;
        }
        memmove(s + to, s + at, k);
        to += k;
    }
    s[to] = 0;
}

const char *printable_copy(char *out, size_t size, const char *s)
{
    snprintf(out, size, "%s", s);
    printable(out);
    return out;
}
