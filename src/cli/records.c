/* SPDX-License-Identifier: Apache-2.0 */
/* Records into a verb: one that cannot be used keeps the reason, and the others go on. */
#include "cli/parts.h"

#include "base/mem.h"
#include "base/log.h"
#include "io/record.h"
#include "text/pair.h"

#include <stdio.h>
#include <string.h>

static int grow(struct records *r, int *cap, struct error *err)
{
    int more = *cap ? *cap * 2 : 64;
    json_t **items = mem_resize(r->items, (size_t)more * sizeof *items);
    r->items = items ? items : r->items;
    char **errors = mem_resize(r->errors, (size_t)more * sizeof *errors);
    r->errors = errors ? errors : r->errors;
    long *numbers = mem_resize(r->numbers, (size_t)more * sizeof *numbers);
    r->numbers = numbers ? numbers : r->numbers;
    if (!items || !errors || !numbers)
        return error_set_nomem(err, (size_t)more * sizeof *items, "records");
    *cap = more;
    return 0;
}

struct record_source cli_source(const struct cli_values *v, const char *path)
{
    return (struct record_source){path, v->question_field, v->answer_field, 0};
}

int records_read(struct records *r, const struct cli_values *v, struct error *err)
{
    struct record_reader *reader = NULL;
    json_t *item = NULL;
    const char *path = v->input ? v->input : "-";
    int cap = 0, rc = record_reader_open(&reader, cli_source(v, path), err);
    *r = (struct records){0};
    while (!rc && (!v->limit || r->n < v->limit) && (rc = record_reader_next(reader, &item, err)) == 1) {
        rc = r->n == cap ? grow(r, &cap, err) : 0;
        if (rc) {
            json_decref(item);
            break;
        }
        r->items[r->n] = item;
        r->numbers[r->n] = record_reader_number(reader);
        r->errors[r->n++] = NULL;
        if (record_reader_odd(reader))
            records_fail(r, r->n - 1, record_reader_odd(reader));
    }
    if (rc >= 0)
        record_reader_warn(reader);
    record_reader_close(reader);
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
    mem_free(r->numbers);
    buf_free(&r->ignored);
    *r = (struct records){0};
}

json_t *records_id(const struct records *r, int i)
{
    json_t *id = json_object_get(r->items[i], "id");
    if (id && !json_is_null(id))
        return json_incref(id);
    return json_integer(r->numbers ? r->numbers[i] : i);
}

void records_fail(struct records *r, int i, const char *message)
{
    if (!r->errors[i])
        r->errors[i] = mem_strdup(message);
}

int records_foresee(const struct records *r)
{
    int first = -1, n = 0;
    for (int i = r->n - 1; i >= 0; i--)
        if (r->errors[i]) {
            first = i;
            n++;
        }
    if (!n)
        return 0;
    json_t *id = records_id(r, first);
    char *text = json_dumps(id, JSON_ENCODE_ANY);
    log_line(LOG_WARNING, "%d of %d records would fail, first the one with id %s: %s", n, r->n, text ? text : "",
             r->errors[first]);
    free(text);
    json_decref(id);
    return CLI_SOME_FAILED;
}

static int failed(struct records *r, int i, const struct error *reason)
{
    records_fail(r, i, reason->message);
    return -1;
}

void records_ignore(struct records *r, const char *field)
{
    static const char *const ours[] = {"id", "kept", "category", "source", "dataset", NULL};
    struct buf quoted = BUF_INIT;
    for (int i = 0; ours[i]; i++)
        if (!strcmp(ours[i], field))
            return;
    buf_printf(&quoted, "\"%.60s\"", field);
    if (r->ignored.len < 400 && !strstr(buf_text(&r->ignored), buf_text(&quoted)))
        buf_printf(&r->ignored, "%s%s", r->ignored.len ? ", " : "", buf_text(&quoted));
    buf_free(&quoted);
}

void records_ignore_others(struct records *r, int i, const char *const *fields)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->items[i], name, value)
    {
        int known = 0;
        for (int f = 0; fields[f]; f++)
            known |= !strcmp(fields[f], name);
        if (!known)
            records_ignore(r, name);
    }
}

void records_say_ignored(const struct records *r)
{
    if (r->ignored.len)
        log_line(LOG_WARNING, "not used: %s", buf_text(&r->ignored));
}

/* Strikes what belongs to the shape. */
static void drop_shape(json_t *record, const struct record_shape *shape)
{
    const char *const names[] = {shape->question, shape->input, shape->answer, "system", "history", "instruction"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (names[k])
            json_object_del(record, names[k]);
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(record, next, name, value)
    {
        char spaced[64];
        snprintf(spaced, sizeof spaced, " %.60s ", name);
        if (strstr(shape->also, spaced) && strcmp(name, "tools") && strcmp(name, "chat_template_kwargs"))
            json_object_del(record, name);
    }
}

static void put_text(json_t *record, const char *name, const struct buf *text)
{
    json_object_set_new(record, name, json_stringn(buf_text(text), text->len));
}

/* Question and answer under these names, the latter where there is one. */
static void put_pair(struct records *r, int i, const struct record_shape *shape, const char *question,
                     const char *answer)
{
    struct record_pair pair;
    struct error reason = {0};
    if (record_pair(&pair, r->items[i], shape, &reason)) {
        failed(r, i, &reason);
    } else {
        drop_shape(r->items[i], shape);
        if (pair.has_question)
            put_text(r->items[i], question, &pair.question);
        if (answer && pair.has_answer)
            put_text(r->items[i], answer, &pair.answer);
    }
    record_pair_free(&pair);
}

static void put_messages(struct records *r, int i, const struct record_shape *shape)
{
    json_t *turns;
    struct error reason = {0};
    if (record_turns(&turns, r->items[i], shape, &reason)) {
        failed(r, i, &reason);
        return;
    }
    for (size_t n = json_array_size(turns); n; n--) {
        const char *role = json_string_value(json_object_get(json_array_get(turns, n - 1), "role"));
        if (strcmp(role, "assistant"))
            break;
        json_array_remove(turns, n - 1);
    }
    drop_shape(r->items[i], shape);
    json_object_set_new(r->items[i], "messages", turns);
}

static int has_either(const json_t *record, const char *one, const char *other)
{
    return record_has(record, one) || record_has(record, other);
}

/* Messages of which no answer is known: they are there to be answered, in the model's chat template. */
static int awaits_answer(const json_t *record)
{
    const json_t *list = json_object_get(record, "messages"), *turn;
    size_t i;
    json_array_foreach(list, i, turn)
    {
        const char *role = json_string_value(json_object_get(turn, "role"));
        if (role && !strcmp(role, "assistant"))
            return 0;
    }
    return list != NULL;
}

int records_as_prompt(struct records *r, int i, int chat)
{
    const struct record_shape *shape = r->errors[i] ? NULL : record_shape(r->items[i], 0);
    int own = has_either(r->items[i], "prompt_token_ids", "messages") ||
              json_is_string(json_object_get(r->items[i], "prompt"));
    if (!shape)
        return 0;
    if (own && (!record_has(r->items[i], "messages") || chat)) {
        for (const char *const *name = (const char *const[]){"completion", "response", "answer", "output", "chosen",
                                                             "rejected", "is_safe", NULL};
             *name; name++)
            json_object_del(r->items[i], *name);
        return 0;
    }
    if (!chat && awaits_answer(r->items[i]))
        return 0;
    if (chat && shape->kind == RECORD_TURNS)
        put_messages(r, i, shape);
    else
        put_pair(r, i, shape, "prompt", NULL);
    return !chat && shape->kind == RECORD_TURNS;
}

void records_as_pair(struct records *r, int i)
{
    const struct record_shape *shape = r->errors[i] ? NULL : record_shape(r->items[i], 1);
    const json_t *prompt = json_object_get(r->items[i], "prompt");
    if (shape && !has_either(r->items[i], "completion_token_ids", "prompt_token_ids") &&
        !(json_is_string(prompt) && json_is_string(json_object_get(r->items[i], "completion"))))
        put_pair(r, i, shape, "prompt", "completion");
}

void records_as_text(struct records *r, int i)
{
    const struct record_shape *shape = r->errors[i] ? NULL : record_shape(r->items[i], 0);
    if (shape && !has_either(r->items[i], "text", "token_ids"))
        put_pair(r, i, shape, "text", NULL);
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
