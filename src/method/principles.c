/* SPDX-License-Identifier: Apache-2.0 */
/* Principles: a text before the examples when a question is answered. Neither asking nor tuning sees it, so what it
 * brings about has to go into the weights. */
#include "method/parts.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "io/file.h"

#include <string.h>

enum { MOST_BYTES = 1 << 20 };

static int is_blank(const char *s)
{
    return !s[strspn(s, " \t\r\n\f\v")];
}

/* Beside it there must be room for a question and an answer without any example. */
static int check_room(const struct align *a, struct error *err)
{
    enum { QUESTION = 16 };
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    struct tokens ids = TOKENS_INIT;
    const struct template_prompt words = {.before = buf_text(&a->principles), .question = ""};
    int rc = template_write(a->speaker.template, &words, &text, &people, err);
    rc = rc ? rc : speaker_encode(&a->speaker, &text, &people, &ids, err);
    int room = a->speaker.desc.n_ctx - a->o.answer.max_new_tokens - QUESTION;
    if (!rc && (int)ids.n > room)
        rc =
            error_set(err, ERROR_DATA,
                      "%s: the principles have %zu tokens; wanted at most %d, so that a question and %d new tokens fit "
                      "into the context of %d; shorten them, or give a smaller --answer-max-new-tokens",
                      a->o.principles, ids.n, room, a->o.answer.max_new_tokens, a->speaker.desc.n_ctx);
    buf_free(&text);
    text_spans_free(&people);
    tokens_free(&ids);
    return rc;
}

int align_open_principles(struct align *a, struct error *err)
{
    const char *path = a->o.principles;
    if (!path)
        return 0;
    int rc = file_read(&a->principles, path, MOST_BYTES, err);
    const char *text = buf_text(&a->principles);
    size_t n = a->principles.len;
    if (!rc && (memchr(text, 0, n) || utf8_valid(text, n) != n))
        rc = error_set(err, ERROR_DATA, "%s: wanted a text of principles in UTF-8, found other bytes; save it as UTF-8",
                       path);
    if (!rc && is_blank(text))
        rc = error_set(err, ERROR_DATA,
                       "%s: wanted a text of principles, found none; write it, or leave --principles away", path);
    if (!rc)
        sha256_bytes(text, n, a->principles_sha256);
    return rc ? rc : check_room(a, err);
}

const char *align_principles(const struct align *a)
{
    return a->principles.len ? a->principles.data : NULL;
}
