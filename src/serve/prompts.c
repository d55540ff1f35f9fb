/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a body: a string, several, token ids, or several lists of them. */
#include "serve/parts.h"

#include <string.h>

int prompts_check_ids(const struct prompt *p, struct error *err)
{
    int n_vocab = model_desc(p->ask->model->model)->n_vocab;
    for (size_t i = 0; i < p->ids.n; i++)
        if (p->ids.ids[i] < 0 || p->ids.ids[i] >= n_vocab)
            return error_set(err, ERROR_DATA, "token %zu is %d; wanted an id from 0 to %d", i, (int)p->ids.ids[i],
                             n_vocab - 1);
    return 0;
}

static int read_ids(struct prompt *p, const json_t *ids, struct error *err)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return error_set(err, ERROR_DATA, "wanted token ids, found another thing at %zu", i);
        if (tokens_push(&p->ids, (int32_t)value))
            return error_set_nomem(err, json_array_size(ids) * 4, "token ids");
    }
    return 0;
}

int prompts_text(struct prompt *p, const json_t *text, struct error *err)
{
    const json_t *special = json_object_get(p->ask->body, "add_special_tokens");
    int flags = TOKENIZER_PARSE_SPECIAL | (json_is_false(special) ? 0 : TOKENIZER_ADD_SPECIAL);
    const struct tokenizer *t = p->ask->model->tokenizer;
    if (!t)
        return error_set(err, ERROR_DATA, "the model has no tokenizer; give token ids");
    p->text = json_string_value(text);
    return tokenizer_encode(t, p->text, json_string_length(text), flags, &p->ids, err);
}

static int read_prompt(struct prompt *p, const json_t *v, struct error *err,
                       int (*text)(struct prompt *, const json_t *, struct error *))
{
    int rc;
    if (json_is_string(v))
        rc = text(p, v, err);
    else if (json_is_array(v))
        rc = read_ids(p, v, err);
    else
        rc = error_set(err, ERROR_DATA, "wanted a string or a list of token ids");
    rc = rc ? rc : prompts_check_ids(p, err);
    return rc || p->ids.n ? rc : error_set(err, ERROR_DATA, "is empty");
}

int prompts_read(struct ask *a, const char *name, int (*text)(struct prompt *p, const json_t *text, struct error *err))
{
    struct error err = {0};
    const json_t *v = json_object_get(a->body, name);
    int one = !json_is_array(v) || json_is_integer(json_array_get(v, 0));
    size_t n = one ? 1 : json_array_size(v);
    if (!v || n < 1 || n > API_MAX_PROMPTS)
        return ask_wrong(a, name, "1 to 4096 texts or lists of token ids");
    if (ask_prompts(a, (int)n))
        return -1;
    for (size_t i = 0; i < n; i++) {
        int rc = read_prompt(&a->prompts[i], one ? v : json_array_get(v, i), &err, text);
        if (!rc)
            continue;
        error_prefix(&err, "%s %zu", name, i);
        ask_refuse(a, status_of(rc), name, &err);
        return -1;
    }
    return 0;
}
