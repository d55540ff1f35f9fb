/* SPDX-License-Identifier: Apache-2.0 */
#include "text/charsmap.h"

#include "base/utf8.h"

#include <string.h>

/* The parts of a unit, as darts.h of darts-clone packs them. */
static int has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t unit_label(uint32_t unit)
{
    return unit & (UINT32_C(1) << 31 | 0xff);
}

static uint32_t unit_offset(uint32_t unit)
{
    return unit >> 10 << ((unit & UINT32_C(1) << 9) >> 6);
}

static int is_leaf(uint32_t unit)
{
    return unit >> 31;
}

static uint32_t unit_value(uint32_t unit)
{
    return unit & 0x7fffffff;
}

const char *charsmap_read(struct charsmap *out, const void *bytes, size_t n, uint32_t *units)
{
    const unsigned char *p = bytes;
    uint32_t size;
    if (n < 4)
        return "it is cut off";
    memcpy(&size, p, 4);
    if (size > n - 4 || size % 4 || !size)
        return "the size of its trie is wrong";
    memcpy(units, p + 4, size);
    *out = (struct charsmap){units, size / 4, (const char *)p + 4 + size, n - 4 - size};
    if (!out->n_text || out->text[out->n_text - 1] || utf8_valid(out->text, out->n_text) != out->n_text)
        return "its replacements are not UTF-8 text that ends in NUL";
    for (size_t i = 0; i < out->n_unit; i++)
        if (is_leaf(units[i]) &&
            (unit_value(units[i]) >= out->n_text || (out->text[unit_value(units[i])] & 0xc0) == 0x80))
            return "its trie points outside the replacements";
    return NULL;
}

size_t charsmap_find(const struct charsmap *m, const char *text, size_t n, enum charsmap_want want,
                     const char **replacement)
{
    size_t length = 0, node = unit_offset(m->unit[0]);
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        node ^= byte;
        if (node >= m->n_unit || unit_label(m->unit[node]) != byte)
            break;
        uint32_t unit = m->unit[node];
        node ^= unit_offset(unit);
        if (!has_leaf(unit) || node >= m->n_unit || !is_leaf(m->unit[node]))
            continue;
        *replacement = m->text + unit_value(m->unit[node]);
        length = i + 1;
        if (want == CHARSMAP_SHORTEST)
            break;
    }
    return length;
}
