/* SPDX-License-Identifier: Apache-2.0 */
#include "text/wordpiece.h"

#include "base/utf8.h"

#include <string.h>

/* The longest token at word[at..n), -1 when there is none; *end is where it ends. */
static int32_t longest(const struct wordpiece *w, struct buf *spelling, const char *word, size_t n, size_t at,
                       size_t *end)
{
    size_t k = at ? strlen(w->prefix) : 0, most = w->longest > k ? w->longest - k : 0;
    if (n - at > most) {
        n = at + most;
        while (n > at && ((unsigned char)word[n] & 0xc0) == 0x80)
            n--;
    }
    buf_reset(spelling);
    buf_append(spelling, w->prefix, k);
    buf_append(spelling, word + at, n - at);
    for (; n > at && !spelling->failed; n -= utf8_prev(word + at, n - at)) {
        int32_t id = vocab_find_model(w->vocab, spelling->data, k + n - at);
        if (id >= 0) {
            *end = n;
            return id;
        }
    }
    return -1;
}

int wordpiece_encode(const struct wordpiece *w, struct buf *spelling, const char *word, size_t n, struct tokens *out)
{
    size_t had = out->n, at = 0, end = 0;
    int known = utf8_count(word, n) <= w->max_chars;
    while (known && at < n) {
        int32_t id = longest(w, spelling, word, n, at, &end);
        if (spelling->failed || (id >= 0 && tokens_push(out, id)))
            return -1;
        known = id >= 0;
        at = end;
    }
    if (known)
        return 0;
    out->n = had;
    return tokens_push(out, w->unk);
}
