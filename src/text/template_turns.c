/* SPDX-License-Identifier: Apache-2.0 */
#include "text/template_turns.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* 26 Jul 2024, which Llama 3's templates print when there is no clock. */
enum { USUAL_DAY = 1721952000 };

int64_t turns_day(void)
{
    const char *date = getenv("SOURCE_DATE_EPOCH");
    return date && *date ? strtoll(date, NULL, 10) : USUAL_DAY;
}

static size_t without_space(const char *s, size_t n)
{
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    return n;
}

/* The special token that a text begins with, else its first line; "\n" when there is nothing. */
static int first_mark(const struct turns *t, const char *text, char **mark, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    text += strspn(text, " \t\r\n");
    size_t line = strcspn(text, "\r\n");
    int rc = tokenizer_encode(t->tokenizer, text, strlen(text), TOKENIZER_PARSE_SPECIAL, &ids, err);
    const char *token = !rc && ids.n && tokenizer_is_special(t->tokenizer, ids.ids[0])
                            ? tokenizer_token(t->tokenizer, ids.ids[0], NULL)
                            : NULL;
    tokens_free(&ids);
    if (rc)
        return rc;
    if (token)
        *mark = mem_strdup(token);
    else
        *mark = line ? mem_strndup(text, without_space(text, line)) : mem_strdup("\n");
    return *mark ? 0 : error_set_nomem(err, 64, "a template");
}

int turns_read(struct turns *t, const struct turns_seen *seen, struct error *err)
{
    const char *eos = json_string_value(json_object_get(t->special, "eos_token")), *whole = buf_text(seen->whole);
    size_t before = (size_t)(seen->answer - whole), prompt = seen->prompt->len,
           end = without_space(seen->after, strlen(seen->after));
    int begins = prompt <= before && !memcmp(whole, buf_text(seen->prompt), prompt);
    t->lead = begins ? mem_strndup(whole + prompt, before - prompt) : mem_strdup("");
    if (!begins)
        log_line(LOG_WARNING, "the chat template begins an answer otherwise than it asks for one (it may want thoughts "
                              "first); answers are taken to stand behind what asks");
    if (!end && !eos)
        return error_set(err, ERROR_UNAVAILABLE,
                         "the chat template does not end an answer, and the tokenizer has no eos_token that would");
    t->end = end ? mem_strndup(seen->after, end) : mem_strdup(eos);
    if (!t->lead || !t->end)
        return error_set_nomem(err, 64, "a template");
    int rc = first_mark(t, t->end, &t->answer_end, err);
    return rc ? rc : first_mark(t, seen->behind, &t->question_end, err);
}

int turns_describe(const struct turns *t, json_t *described)
{
    return json_object_set_new(described, "lead", json_string(t->lead)) ||
                   json_object_set_new(described, "end", json_string(t->end)) ||
                   json_object_set_new(described, "question_end", json_string(t->question_end)) ||
                   json_object_set_new(described, "answer_end", json_string(t->answer_end))
               ? -1
               : 0;
}

void turns_free(struct turns *t)
{
    mem_free(t->lead);
    mem_free(t->end);
    mem_free(t->question_end);
    mem_free(t->answer_end);
}
