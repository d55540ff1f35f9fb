/* SPDX-License-Identifier: Apache-2.0 */
#include "text/old_classes.h"

#include "base/utf8.h"
#include "text/old_tables.h"

#include <stddef.h>
#include <utf8proc.h>

static int in_ranges(const uint32_t (*range)[2], size_t n, uint32_t cp)
{
    size_t low = 0;
    while (low < n) {
        size_t middle = (low + n) / 2;
        if (cp > range[middle][1])
            low = middle + 1;
        else if (cp < range[middle][0])
            n = middle;
        else
            return 1;
    }
    return 0;
}
#define WITHIN(table, cp) in_ranges(table, sizeof(table) / sizeof *(table), cp)

int old_is_punctuation(uint32_t cp)
{
    return WITHIN(punctuation_lost, cp) || (utf8_is_punctuation(cp) && !WITHIN(punctuation_new, cp));
}

int old_is_mark(uint32_t cp)
{
    return WITHIN(mark_lost, cp) || (utf8_is_mark(cp) && !WITHIN(mark_new, cp));
}

int old_is_nonspacing(uint32_t cp)
{
    int now = utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_MN;
    return WITHIN(nonspacing_lost, cp) || (now && !WITHIN(nonspacing_new, cp));
}

int old_is_other(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    int now = c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO;
    return WITHIN(other_lost, cp) || (now && !WITHIN(other_new, cp));
}

int old_is_plain(uint32_t cp)
{
    return cp >= normal_new[0][0] && WITHIN(normal_new, cp);
}
