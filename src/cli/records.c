/* SPDX-License-Identifier: Apache-2.0 */
/* Records into a verb: one that cannot be used keeps the reason, and the others go on. */
#include "cli/parts.h"

#include "base/mem.h"
#include "io/jsonl.h"
#include "io/record.h"
#include "text/pair.h"

#include <string.h>

static int push(struct records *r, int *cap, json_t *item, struct error *err)
{
    if (r->n == *cap) {
        int more = *cap ? *cap * 2 : 64;
        json_t **items = mem_resize(r->items, (size_t)more * sizeof *items);
        if (items)
            r->items = items;
        char **errors = items ? mem_resize(r->errors, (size_t)more * sizeof *errors) : NULL;
        if (!errors) {
            json_decref(item);
            return error_set_nomem(err, (size_t)more * sizeof *items, "records");
        }
        r->errors = errors;
        *cap = more;
    }
    r->items[r->n] = item;
    r->errors[r->n++] = NULL;
    return 0;
}

int records_read(struct records *r, const char *path, int limit, struct error *err)
{
    struct jsonl *reader = NULL;
    json_t *item = NULL;
    const char *odd = NULL;
    int cap = 0, rc = jsonl_open(&reader, path, err);
    *r = (struct records){0};
    while (!rc && (!limit || r->n < limit) && (rc = jsonl_next_record(reader, &item, &odd, err)) == 1) {
        rc = record_fold_names(item) ? error_set_nomem(err, 64, "a record") : push(r, &cap, item, err);
        if (!rc && odd)
            records_fail(r, r->n - 1, odd);
    }
    jsonl_close(reader);
    return rc < 0 ? rc : 0;
}

void records_free(struct records *r)
{
    for (int i = 0; i < r->n; i++) {
        json_decref(r->items[i]);
        mem_free(r->errors[i]);
    }
    mem_free(r->items);
    mem_free(r->errors);
    *r = (struct records){0};
}

json_t *records_id(const struct records *r, int i)
{
    json_t *id = json_object_get(r->items[i], "id");
    return id && !json_is_null(id) ? json_incref(id) : json_integer(i);
}

void records_fail(struct records *r, int i, const char *message)
{
    if (!r->errors[i])
        r->errors[i] = mem_strdup(message);
}

static int failed(struct records *r, int i, const struct error *reason)
{
    records_fail(r, i, reason->message);
    return -1;
}

int records_check_fields(struct records *r, int i, const char *const *fields)
{
    const char *name;
    json_t *value;
    struct error reason = {0};
    if (r->errors[i])
        return -1;
    json_object_foreach(r->items[i], name, value)
    {
        int known = 0;
        for (int f = 0; fields[f]; f++)
            known |= !strcmp(fields[f], name);
        if (!known) {
            error_set(&reason, ERROR_DATA, "\"%s\": no such field; wanted %s, %s", name, fields[0], fields[1]);
            return failed(r, i, &reason);
        }
    }
    return 0;
}

static int push_ids(struct records *r, int i, const char *field, const json_t *ids, int n_vocab, struct tokens *out)
{
    struct error reason = {0};
    for (size_t j = 0; j < json_array_size(ids); j++) {
        const json_t *id = json_array_get(ids, j);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= n_vocab) {
            error_set(&reason, ERROR_DATA, "\"%s\"[%zu]: wanted a token id from 0 to %d", field, j, n_vocab - 1);
            return failed(r, i, &reason);
        }
        if (tokens_push(out, (int32_t)value)) {
            error_set_nomem(&reason, json_array_size(ids) * 4, "token ids");
            return failed(r, i, &reason);
        }
    }
    return 0;
}

const struct record_field record_prompt = {"prompt", "prompt_token_ids", 1};

int records_tokens(struct records *r, int i, const struct record_field *f, const struct tokenizer *t, int n_vocab,
                   struct tokens *out)
{
    struct error reason = {0};
    const json_t *text = json_object_get(r->items[i], f->text), *ids = json_object_get(r->items[i], f->ids);
    size_t before = out->n;
    if (r->errors[i])
        return -1;
    if (ids && text)
        error_set(&reason, ERROR_DATA, "wanted \"%s\" or \"%s\", found both", f->text, f->ids);
    else if (ids && !json_is_array(ids))
        error_set(&reason, ERROR_DATA, "\"%s\": wanted an array of token ids", f->ids);
    else if (ids && push_ids(r, i, f->ids, ids, n_vocab, out))
        return -1;
    else if (!ids && !json_is_string(text))
        error_set(&reason, ERROR_DATA, "wanted \"%s\" (a string) or \"%s\"", f->text, f->ids);
    else if (!ids && !t)
        error_set(&reason, ERROR_DATA, "\"%s\": the model has no tokenizer; give \"%s\"", f->text, f->ids);
    else if (!ids &&
             !tokenizer_encode(t, json_string_value(text), json_string_length(text),
                               TOKENIZER_PARSE_SPECIAL | (f->add_special ? TOKENIZER_ADD_SPECIAL : 0), out, &reason) &&
             out->n > before)
        for (size_t j = before; j < out->n; j++)
            if (out->ids[j] >= n_vocab) {
                error_set(&reason, ERROR_DATA, "\"%s\": token id %d is outside the model's vocabulary of %d", f->text,
                          (int)out->ids[j], n_vocab);
                break;
            }
    if (!reason.code && out->n == before)
        error_set(&reason, ERROR_DATA, "\"%s\" is empty", text ? f->text : f->ids);
    return reason.code ? failed(r, i, &reason) : 0;
}

int records_completion(struct records *r, int i, const struct tokenizer *t, int n_vocab, struct tokens *out)
{
    struct error reason = {0};
    const json_t *prompt = json_object_get(r->items[i], "prompt"), *text = json_object_get(r->items[i], "completion");
    const int flags = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
    static const struct record_field field = {"completion", "completion_token_ids", 0};
    struct tokens ids = TOKENS_INIT;
    if (!t || !json_is_string(text) || !json_string_length(text) ||
        json_object_get(r->items[i], "completion_token_ids"))
        return records_tokens(r, i, &field, t, n_vocab, out);
    const struct text_pair pair = {.prompt = {json_string_value(prompt), json_string_length(prompt), NULL},
                                   .completion = {json_string_value(text), json_string_length(text), NULL},
                                   .prompt_ids = out->ids,
                                   .n_prompt = pair_without_end(t, out->ids, out->n),
                                   .flags = flags};
    int rc = prompt ? pair_encode_completion(t, &pair, &ids, NULL, &reason)
                    : pair_encode_apart(t, &pair.completion, flags, &ids, &reason);
    for (size_t j = 0; j < ids.n && !rc; j++) {
        if (ids.ids[j] >= n_vocab)
            rc = error_set(&reason, ERROR_DATA, "\"completion\": token id %d is outside the model's vocabulary of %d",
                           (int)ids.ids[j], n_vocab);
        else if (tokens_push(out, ids.ids[j]))
            rc = error_set_nomem(&reason, ids.n * 4, "token ids");
    }
    tokens_free(&ids);
    return rc ? failed(r, i, &reason) : 0;
}
