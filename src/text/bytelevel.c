/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-2's alphabet of bytes: the visible characters of Latin-1 stand for themselves, the other 68 bytes, in ascending
 * order, become U+0100, U+0101, ... */
#include "base/utf8.h"
#include "text/parts.h"

static int is_visible(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

/* How many bytes below b are not visible. */
static unsigned hidden_below(unsigned b)
{
    if (b <= 0x20)
        return b;
    if (b <= 0xa0)
        return 33 + (b - 0x7f); /* 0..0x20, then 0x7f.. */
    return 67;                  /* 0x7f..0xa0 are 34; only 0xad is left */
}

uint32_t byte_level_char(unsigned char byte)
{
    return is_visible(byte) ? byte : 0x100 + hidden_below(byte);
}

int byte_level_byte(uint32_t cp)
{
    if (cp < 0x100)
        return is_visible(cp) ? (int)cp : -1;
    if (cp > 0x143)
        return -1;
    unsigned k = cp - 0x100;
    if (k < 33)
        return (int)k;
    return k < 67 ? (int)(0x7f + k - 33) : 0xad;
}

void byte_level_write(struct buf *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        utf8_put(out, byte_level_char((unsigned char)bytes[i]));
}
