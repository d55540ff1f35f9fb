/* SPDX-License-Identifier: Apache-2.0 */
/* The normalizer Precompiled: sentencepiece's map as the tokenizers library applies it, which is not as sentencepiece
 * does. A cluster of characters (UAX 29) of less than six bytes is replaced as a whole by what the shortest of its
 * beginnings has; otherwise each character is looked at. */
#include "base/base64.h"
#include "base/utf8.h"
#include "text/parts.h"

#include <string.h>
#include <utf8proc.h>

int normalizer_read_map(struct reader *r, const json_t *o, struct charsmap *out)
{
    const char *what = "normalizer Precompiled: precompiled_charsmap", *text, *wrong = NULL;
    size_t n;
    struct buf bytes = BUF_INIT;
    const struct component c = {o, "normalizer Precompiled"};
    int rc = reader_text(r, &c, "precompiled_charsmap", NULL, &text, &n);
    if (rc)
        return rc;
    if (base64_decode(&bytes, text, n) && !bytes.failed)
        wrong = "it is not Base64";
    char *kept = wrong || bytes.failed ? NULL : arena_alloc(r->arena, bytes.len + 1);
    uint32_t *units = kept ? arena_alloc(r->arena, bytes.len + 4) : NULL;
    if (units) {
        memcpy(kept, bytes.data ? bytes.data : "", bytes.len);
        wrong = charsmap_read(out, kept, bytes.len, units);
    }
    buf_free(&bytes);
    if (wrong)
        return reader_fail(r, "%s: %s", what, wrong);
    return units ? 0 : reader_nomem(r);
}

/* The end of the cluster that begins at `at`. */
static size_t cluster(const char *s, size_t n, size_t at)
{
    utf8proc_int32_t state = 0;
    uint32_t before, cp;
    if (at + 1 == n || ((s[at] & 0x80) == 0 && (s[at + 1] & 0x80) == 0 && s[at] != '\r'))
        return at + 1;
    at += utf8_decode(s + at, n - at, &before);
    for (size_t k; at < n; at += k) {
        k = utf8_decode(s + at, n - at, &cp);
        if (!k || utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)cp, &state))
            break;
        before = cp;
    }
    return at;
}

void normalizer_map(const struct charsmap *m, const struct buf *text, struct buf *out)
{
    const char *s = text->data, *to;
    for (size_t at = 0, end; at < text->len; at = end) {
        end = cluster(s, text->len, at);
        if (end - at < 6 && charsmap_find(m, s + at, end - at, CHARSMAP_SHORTEST, &to)) {
            buf_puts(out, to);
            continue;
        }
        uint32_t cp;
        for (size_t i = at, k; i < end && (k = utf8_decode(s + i, end - i, &cp)); i += k) {
            if (charsmap_find(m, s + i, k, CHARSMAP_SHORTEST, &to))
                buf_puts(out, to);
            else
                buf_append(out, s + i, k);
        }
    }
}

/* Nmt: control characters go, and what is as good as a space becomes one. */
void normalizer_nmt(const struct buf *text, struct buf *out)
{
    uint32_t c;
    for (size_t i = 0, k; i < text->len && (k = utf8_decode(text->data + i, text->len - i, &c)); i += k) {
        if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
            continue;
        if (c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
            c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd)
            buf_putc(out, ' ');
        else
            buf_append(out, text->data + i, k);
    }
}
