/* SPDX-License-Identifier: Apache-2.0 */
/* Records to training rows. A record's fields say what it is; a record that is none of the known kinds, or lacks a
 * field, is an error that names file and line. Question-answer records (the seed formats) are put into align's own
 * template; everything else is taken as it is. */
#include "train/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/record.h"
#include "text/chat.h"
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

struct row_reader {
    struct row_maker make;
    struct template *template; /* opened at the first pair */
    struct chat *chat;         /* opened at the first conversation */
    int told_end;              /* that a template leaves the end of turn untrained */
    char id[40];               /* of the record */
    const char *where;         /* FILE:LINE */
    struct error *err;
};

static int bad_field(const struct row_reader *r, const char *key, const char *wanted)
{
    return error_set(r->err, ERROR_DATA, "%s: \"%s\": wanted %s", r->where, key, wanted);
}

static int need_string(const struct row_reader *r, const json_t *record, const char *key, const char **out)
{
    const json_t *v = json_object_get(record, key);
    if (!json_is_string(v))
        return bad_field(r, key, "a string");
    *out = json_string_value(v);
    return 0;
}

static int need_tokenizer(const struct row_reader *r)
{
    return r->make.tokenizer
               ? 0
               : error_set(r->err, ERROR_DATA, "%s: text, but the model has no tokenizer; give *_token_ids", r->where);
}

/* A record's own texts: special tokens written in them are tokens, as they are for generate. */
static int add_texts_as_given(struct row_reader *r, const char *prompt, const char *completion)
{
    const struct train_text row = {{prompt, strlen(prompt), NULL}, {completion, strlen(completion), NULL}, r->id, 0, 0};
    int rc = need_tokenizer(r);
    return rc ? rc : train_data_add(&r->make, &row, r->err);
}

/* A pair in the template of ask, answer and tune (docs/METHOD.md). */
static int add_pair(struct row_reader *r, const char *question, const char *answer)
{
    int rc = need_tokenizer(r);
    if (!rc && !r->template)
        rc = template_builtin(&r->template, r->err);
    return rc ? rc
              : train_data_add_answer(&r->make, r->template, &(struct train_answer){question, answer, r->id}, r->err);
}

static int read_ids(const struct row_reader *r, const json_t *record, const char *key, struct tokens *out)
{
    const json_t *list = json_object_get(record, key), *v;
    size_t i;
    if (!json_is_array(list))
        return bad_field(r, key, "a list of token ids");
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return bad_field(r, key, "a list of token ids");
        if (tokens_push(out, (int32_t)json_integer_value(v)))
            return error_set_nomem(r->err, out->n * 4, "token ids");
    }
    return 0;
}

static int add_token_ids(struct row_reader *r, const json_t *record)
{
    struct tokens ids = TOKENS_INIT;
    int rc = read_ids(r, record, "prompt_token_ids", &ids);
    size_t n_prompt = ids.n;
    if (!rc)
        rc = read_ids(r, record, "completion_token_ids", &ids);
    if (!rc)
        rc = train_data_add_ids(&r->make, ids.ids, (int)ids.n, (int)n_prompt, r->id, r->err);
    tokens_free(&ids);
    return rc;
}

/* A label is its name, or its id. */
static int label_index(const struct row_reader *r, const json_t *v)
{
    int n = r->make.desc->n_label < MODEL_MAX_LABEL ? r->make.desc->n_label : MODEL_MAX_LABEL;
    if (json_is_integer(v))
        return json_integer_value(v) >= 0 && json_integer_value(v) < n ? (int)json_integer_value(v) : -1;
    for (int i = 0; json_is_string(v) && i < n; i++)
        if (!strcmp(r->make.desc->labels[i], json_string_value(v)))
            return i;
    return -1;
}

static int add_label(const struct row_reader *r, const char *key, const json_t *v, int *labels)
{
    int at = label_index(r, v);
    if (at < 0) {
        char *found = json_dumps(v, JSON_ENCODE_ANY);
        int rc = error_set(r->err, ERROR_DATA, "%s: \"%s\": the model has no label %.100s", r->where, key,
                           found ? found : "");
        free(found);
        return rc;
    }
    *labels |= 1 << at;
    return 0;
}

/* "labels": a list; "label": one; "category": BeaverTails' object of booleans. */
static int read_labels(const struct row_reader *r, const json_t *record, int *labels)
{
    const json_t *list = json_object_get(record, "labels"), *one = json_object_get(record, "label"),
                 *category = json_object_get(record, "category"), *v;
    const char *name;
    size_t i;
    int rc = 0;
    *labels = 0;
    if (json_is_array(list)) {
        json_array_foreach(list, i, v) rc = rc ? rc : add_label(r, "labels", v, labels);
    } else if (json_is_string(one) || json_is_integer(one)) {
        rc = add_label(r, "label", one, labels);
    } else if (json_is_object(category)) {
        json_object_foreach((json_t *)(uintptr_t)category, name, list)
        {
            json_t *key = json_string(name);
            if (json_is_true(list))
                rc = rc ? rc : add_label(r, "category", key, labels);
            json_decref(key);
        }
    } else {
        return bad_field(r, "labels", "a list of labels (or \"label\", or BeaverTails' \"category\")");
    }
    if (!rc && r->make.desc->problem == PROBLEM_SINGLE_LABEL && (!*labels || *labels & (*labels - 1)))
        return bad_field(r, list ? "labels" : "label",
                         "exactly one label (the model's problem_type is single_label_classification)");
    return rc;
}

static int need_conversation(const struct row_reader *r, const json_t *record, const char *prompt, const char *key,
                             struct buf *out)
{
    const char *response;
    int rc = need_string(r, record, key, &response);
    if (!rc && train_classify_text(out, prompt, response))
        rc = error_set_nomem(r->err, out->len, "a training row");
    return rc;
}

static int add_labelled(struct row_reader *r, const json_t *record)
{
    const char *text, *prompt;
    struct buf conversation = BUF_INIT;
    int labels = 0, n = r->make.data->n, rc = read_labels(r, record, &labels);
    if (!rc && record_has(record, "text")) {
        rc = need_string(r, record, "text", &text);
    } else if (!rc && !(rc = need_string(r, record, "prompt", &prompt)) &&
               !(rc = need_conversation(r, record, prompt, "response", &conversation))) {
        text = conversation.data;
    }
    if (!rc && !(rc = need_tokenizer(r)))
        rc = train_data_add_plain(&r->make, text, r->id, r->err);
    if (!rc && r->make.data->n > n)
        r->make.data->rows[n].label = labels;
    buf_free(&conversation);
    return rc;
}

/* One of two answers that are turns (TRL's conversational preferences), after the prompt's turns or with the question's
 * turn before it. */
static int need_turns(const struct row_reader *r, const json_t *record, const char *key, struct buf *out)
{
    json_t *prompt = json_object_get(record, "prompt"), *answer = json_object_get(record, key), *one;
    if (json_is_string(prompt))
        one = json_pack("{s:[{s:s, s:O}], s:O}", "prompt", "role", "user", "content", prompt, "response", answer);
    else
        one = prompt ? json_pack("{s:O, s:O}", "prompt", prompt, "response", answer)
                     : json_pack("{s:O}", "messages", answer);
    const struct record_shape *shape = one ? record_shape(one, 1) : NULL;
    struct record_pair pair = {.n_more = 0};
    int rc = one ? 0 : bad_field(r, key, "turns");
    if (!rc && !shape)
        rc = bad_field(r, "prompt", "a text or turns");
    if (!rc && (rc = record_pair(&pair, one, shape, r->err)))
        error_prefix(r->err, "%s", r->where);
    if (!rc && (!pair.question.len || !pair.answer.len || pair.n_more))
        rc = bad_field(r, key, "one question and one answer; classifiers read no longer conversations");
    if (!rc && train_classify_text(out, pair.question.data, pair.answer.data))
        rc = error_set_nomem(r->err, out->len, "a training row");
    record_pair_free(&pair);
    json_decref(one);
    return rc;
}

/* {"prompt","chosen","rejected"}, texts or turns, or PKU-SafeRLHF's two responses and which is better. */
static int add_preference(struct row_reader *r, const json_t *record)
{
    const json_t *better = json_object_get(record, "better_response_id");
    const char *names[2] = {"chosen", "rejected"}, *prompt = NULL;
    struct buf texts[2] = {BUF_INIT, BUF_INIT};
    int turns = json_is_array(json_object_get(record, "chosen")),
        rc = turns ? 0 : need_string(r, record, "prompt", &prompt);
    if (!rc && better) {
        if (!json_is_integer(better) || json_integer_value(better) < 0 || json_integer_value(better) > 1)
            return bad_field(r, "better_response_id", "0 or 1");
        names[0] = json_integer_value(better) ? "response_1" : "response_0";
        names[1] = json_integer_value(better) ? "response_0" : "response_1";
    }
    for (int i = 0; i < 2 && !rc; i++)
        rc = turns ? need_turns(r, record, names[i], &texts[i])
                   : need_conversation(r, record, prompt, names[i], &texts[i]);
    rc = rc ? rc : need_tokenizer(r);
    if (!rc)
        rc = train_data_add_pair(&r->make, texts[0].data, texts[1].data, r->id, r->err);
    buf_free(&texts[0]);
    buf_free(&texts[1]);
    return rc;
}

/* A conversation in the model's own template: the assistant's turns are trained, each with its end. */
static int add_chat(struct row_reader *r, const json_t *record)
{
    struct chat_row row;
    int kept = r->make.data->n, rc = 0;
    if (!r->chat)
        rc = chat_open(&r->chat, r->make.tokenizer, r->err);
    if (rc || (rc = chat_row(r->chat, record, &row, r->err)))
        return rc;
    r->make.data->n_turn += row.n_turn;
    r->make.data->n_turn_skipped += row.n_skipped;
    if (row.end_untrained && !r->told_end)
        log_line(LOG_WARNING, "the chat template's {%% generation %%} block closes before the end of the turn, which "
                              "is not trained: the model will not learn to stop");
    r->told_end |= row.end_untrained;
    rc = train_data_add_masked(&r->make, row.ids.ids, row.target, (int)row.ids.n, r->id, r->err);
    r->make.data->n_boundary += !rc && row.crosses && r->make.data->n > kept;
    chat_row_free(&row);
    return rc;
}

/* Question and answer as align takes them; of a conversation the first ones, where the model has no template. */
static int add_first_pair(struct row_reader *r, const json_t *record, const struct record_shape *shape)
{
    struct record_pair pair;
    int turns = shape->kind == RECORD_TURNS, rc = record_pair(&pair, record, shape, r->err);
    if (!rc && turns && (!pair.question.len || !pair.answer.len))
        rc = error_set(r->err, ERROR_DATA,
                       "%s: no user's turn with an assistant's answer; other conversations need a chat template, and "
                       "the model has none",
                       r->where);
    else if (!rc && (!pair.question.len || !pair.answer.len))
        rc = error_set(r->err, ERROR_DATA, "%s: the %s is empty", r->where, pair.question.len ? "answer" : "question");
    r->make.data->n_first_pair += !rc && turns;
    r->make.data->n_turn_left += !rc && turns && (pair.n_more || pair.n_system);
    if (!rc)
        rc = add_pair(r, pair.question.data, pair.answer.data);
    record_pair_free(&pair);
    return rc;
}

static int add_turns(struct row_reader *r, const json_t *record, const struct record_shape *shape)
{
    json_t *turns;
    int rc = record_turns(&turns, record, shape, r->err);
    if (rc)
        return rc;
    json_t *conversation = json_copy((json_t *)(uintptr_t)record);
    rc = !conversation || json_object_set(conversation, "messages", turns)
             ? error_set_nomem(r->err, 64, "a conversation")
             : add_chat(r, conversation);
    json_decref(conversation);
    json_decref(turns);
    return rc;
}

static int add_question(struct row_reader *r, const json_t *record)
{
    const struct record_shape *shape = record_shape(record, 1);
    if (!shape)
        return error_set(
            r->err, ERROR_DATA,
            "%s: no known kind of record; wanted messages, prompt and completion, prompt_token_ids and "
            "completion_token_ids, text, "
            "question and answer, prompt and response, or instruction and output (docs/FORMATS.md lists all)",
            r->where);
    int rc = need_tokenizer(r);
    if (rc)
        return rc;
    return shape->kind == RECORD_TURNS && tokenizer_info(r->make.tokenizer)->chat_template
               ? add_turns(r, record, shape)
               : add_first_pair(r, record, shape);
}

static int add_record(struct row_reader *r, const json_t *record)
{
    const char *prompt, *completion;
    int rc;
    if (r->make.desc->task != MODEL_LM)
        return r->make.desc->task == MODEL_CLASSIFY ? add_labelled(r, record) : add_preference(r, record);
    if (record_flag(json_object_get(record, "is_safe")) == 0) {
        r->make.data->n_unsafe++;
        return 0;
    }
    if (record_has(record, "messages"))
        return add_question(r, record);
    if (record_has(record, "prompt_token_ids") || record_has(record, "completion_token_ids"))
        return add_token_ids(r, record);
    if (record_has(record, "text"))
        return (rc = need_string(r, record, "text", &completion)) ? rc : add_texts_as_given(r, "", completion);
    if (!record_has(record, "completion") || !record_has(record, "prompt") ||
        json_is_array(json_object_get(record, "prompt")))
        return add_question(r, record);
    if ((rc = need_string(r, record, "prompt", &prompt)) || (rc = need_string(r, record, "completion", &completion)))
        return rc;
    return add_texts_as_given(r, prompt, completion);
}

int train_data_read(struct train_data *out, struct record_source source, const struct row_maker *with,
                    struct error *err)
{
    struct record_reader *in = NULL;
    json_t *record = NULL;
    char room[24];
    struct row_reader r = {.make = *with, .err = err};
    *out = (struct train_data){0};
    r.make.data = out;
    int rc = record_reader_open(&in, source, err);
    while (!rc && (rc = record_reader_next(in, &record, err)) == 1) {
        r.where = record_reader_where(in);
        snprintf(r.id, sizeof r.id, "%s", record_id(record, record_reader_number(in), room));
        rc = record_reader_explain(in, add_record(&r, record), err);
        json_decref(record);
    }
    template_free(r.template);
    chat_close(r.chat);
    const struct record_count count = in ? record_reader_count(in) : (struct record_count){0};
    out->n_left_out = (int)count.n_left_out;
    record_reader_close(in);
    if (!rc && !out->n)
        rc = error_set(err, ERROR_DATA, "%s: no row with anything to train on (%ld records, %d dropped)", source.path,
                       count.n, out->n_dropped);
    if (rc)
        train_data_free(out);
    return rc;
}
