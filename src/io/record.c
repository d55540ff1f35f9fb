/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes in the order of trial: the first whose question (and answer) a record has is the one. */
#include "io/record.h"

#include "io/jsontext.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TRUTHFULQA " type category correct_answers incorrect_answers source best_incorrect_answer "
static const struct record_shape shapes[] = {
    {"messages", "messages", NULL, NULL, RECORD_TURNS, " tools "},
    {"conversations", "conversations", NULL, NULL, RECORD_TURNS, " system tools "},
    {"conversations", "conversation", NULL, NULL, RECORD_TURNS, " system tools "},
    {"prompt-completion turns", "prompt", NULL, "completion", RECORD_TURNS, " tools chat_template_kwargs "},
    {"prompt-chosen turns", "prompt", NULL, "chosen", RECORD_TURNS, " rejected tools chat_template_kwargs "},
    {"prompt-response turns", "prompt", NULL, "response", RECORD_TURNS, " tools "},
    {"prompt-answer turns", "prompt", NULL, "answer", RECORD_TURNS, " tools "},
    {"prompt turns", "prompt", NULL, NULL, RECORD_TURNS, " tools "},
    {"chosen turns", "chosen", NULL, NULL, RECORD_TURNS, " rejected "},
    {"self-instruct", "instances", NULL, NULL, RECORD_INSTANCES, " instruction name is_classification motivation_app "},
    {"beavertails", "prompt", NULL, "response", RECORD_SAFETY, " is_safe category "},
    {"truthfulqa", "question", NULL, "best_answer", RECORD_PAIR, TRUTHFULQA},
    {"question-answer", "question", NULL, "answer", RECORD_PAIR, ""},
    {"question-response", "question", NULL, "response", RECORD_PAIR, ""},
    {"question-output", "question", NULL, "output", RECORD_PAIR, ""},
    {"question-completion", "question", NULL, "completion", RECORD_PAIR, ""},
    {"prompt-response", "prompt", NULL, "response", RECORD_PAIR, ""},
    {"prompt-completion", "prompt", NULL, "completion", RECORD_PAIR, ""},
    {"prompt-answer", "prompt", NULL, "answer", RECORD_PAIR, ""},
    {"prompt-output", "prompt", NULL, "output", RECORD_PAIR, ""},
    {"prompt-chosen", "prompt", NULL, "chosen", RECORD_PAIR, " rejected "},
    {"question-chosen", "question", NULL, "chosen", RECORD_PAIR, " rejected "},
    {"instruction-output", "instruction", "input", "output", RECORD_PAIR,
     " generator dataset datasplit text system history "},
    {"instruction-response", "instruction", "input", "response", RECORD_PAIR, ""},
    {"instruction-answer", "instruction", "input", "answer", RECORD_PAIR, ""},
    {"instruction-completion", "instruction", "input", "completion", RECORD_PAIR, ""},
    {"query-response", "query", NULL, "response", RECORD_PAIR, ""},
    {"query-answer", "query", NULL, "answer", RECORD_PAIR, ""},
    {"input-output", "input", NULL, "output", RECORD_PAIR, ""},
    {"input-response", "input", NULL, "response", RECORD_PAIR, ""},
    {"input-answer", "input", NULL, "answer", RECORD_PAIR, ""},
    {"input-target", "input", NULL, "target", RECORD_PAIR, ""},
    {"user-assistant", "user", NULL, "assistant", RECORD_PAIR, ""},
    {"question", "question", NULL, NULL, RECORD_PAIR, ""},
    {"prompt", "prompt", NULL, NULL, RECORD_PAIR, " label focus note type "},
    {"instruction", "instruction", "input", NULL, RECORD_PAIR, " dataset "},
    {"query", "query", NULL, NULL, RECORD_PAIR, ""},
    {"input", "input", NULL, NULL, RECORD_PAIR, ""},
};
/* Dolly's: the context stands where others have the input. */
static const struct record_shape dolly[] = {
    {"instruction-context-response", "instruction", "context", "response", RECORD_PAIR, ""},
    {"instruction-context-output", "instruction", "context", "output", RECORD_PAIR, ""},
    {"instruction-context-answer", "instruction", "context", "answer", RECORD_PAIR, ""},
    {"instruction-context", "instruction", "context", NULL, RECORD_PAIR, ""},
};

size_t record_fold_name(const char *name, char *out, size_t n)
{
    size_t k = 0, end = strlen(name);
    while (end && name[end - 1] == ' ')
        end--;
    while (*name == ' ' && end) {
        name++;
        end--;
    }
    for (size_t i = 0; i < end && k + 1 < n; i++) {
        char c = name[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        out[k++] = c == ' ' || c == '-' ? '_' : c;
    }
    out[k] = 0;
    return end < n ? k : 0;
}

int record_fold_names(json_t *record)
{
    const char *name;
    json_t *value;
    void *next;
    char spelled[RECORD_MAX_NAME];
    int rc = 0;
    json_object_foreach_safe(record, next, name, value)
    {
        if (!record_fold_name(name, spelled, sizeof spelled) || !strcmp(spelled, name) ||
            json_object_get(record, spelled))
            continue;
        rc |= json_object_set(record, spelled, value);
        if (!rc)
            json_object_del(record, name);
    }
    return rc ? -1 : 0;
}

void record_keys(const json_t *record, struct buf *out)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        buf_printf(out, "%s\"%s\"", out->len ? ", " : "", key);
    }
    if (!out->len)
        buf_puts(out, "none");
}

int record_refuse(const json_t *record, struct error *err)
{
    struct buf keys = BUF_INIT;
    record_keys(record, &keys);
    int rc = error_set(err, ERROR_DATA,
                       "wanted fields such as \"question\" and \"answer\" (docs/FORMATS.md lists all), found %.300s; "
                       "--question-field and --answer-field name others",
                       buf_text(&keys));
    buf_free(&keys);
    return rc;
}

const char *record_id(const json_t *record, long number, char room[24])
{
    const json_t *id = json_object_get(record, "id");
    if (json_is_string(id))
        return json_string_value(id);
    snprintf(room, 24, "%lld", json_is_integer(id) ? (long long)json_integer_value(id) : (long long)number);
    return room;
}

int record_has(const json_t *record, const char *field)
{
    const json_t *v = json_object_get(record, field);
    return v && !json_is_null(v);
}

int record_flag(const json_t *value)
{
    static const char *const words[2][6] = {{"false", "no", "0", "f", "n", NULL}, {"true", "yes", "1", "t", "y", NULL}};
    if (json_is_boolean(value))
        return json_is_true(value);
    if (json_is_integer(value))
        return json_integer_value(value) == 0 || json_integer_value(value) == 1 ? (int)json_integer_value(value) : -1;
    for (int yes = 0; yes < 2 && json_is_string(value); yes++)
        for (int i = 0; words[yes][i]; i++)
            if (!strcasecmp(words[yes][i], json_string_value(value)))
                return yes;
    return -1;
}

int record_is_left_out(const json_t *record)
{
    return record_flag(json_object_get(record, "kept")) == 0;
}

static int is_text_part(const char *type)
{
    return !strcmp(type, "text") || !strcmp(type, "input_text") || !strcmp(type, "output_text");
}

static int put_parts(const json_t *parts, struct buf *out)
{
    const json_t *part;
    size_t i;
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_is_string(part) ? part : json_object_get(part, "text");
        if (!json_is_string(text) || (type && !is_text_part(type)))
            return -1;
        buf_append(out, json_string_value(text), json_string_length(text));
    }
    return 0;
}

int record_text(const json_t *value, struct buf *out)
{
    if (json_is_array(value) && json_array_size(value))
        return put_parts(value, out);
    if (json_is_number(value))
        return jsontext_dump(out, value, 0, NULL) ? -1 : 0;
    if (!json_is_string(value))
        return -1;
    buf_append(out, json_string_value(value), json_string_length(value));
    return 0;
}

static int is_turns(const json_t *value)
{
    const json_t *first = json_array_get(value, 0);
    return json_object_get(first, "role") || json_object_get(first, "from");
}

static int fits(const json_t *record, const struct record_shape *s, int need_answer)
{
    int own = s->kind == RECORD_TURNS && (!strcmp(s->question, "prompt") || !strcmp(s->question, "chosen"));
    if (own && !is_turns(json_object_get(record, s->question)))
        return 0;
    if (own && need_answer && !s->answer && strcmp(s->question, "chosen") != 0)
        return 0;
    if (!record_has(record, s->question) || (s->answer && !record_has(record, s->answer)))
        return 0;
    if (s->kind == RECORD_SAFETY && !record_has(record, "is_safe"))
        return 0;
    return s->kind != RECORD_PAIR || s->answer || !need_answer;
}

const struct record_shape *record_shape(const json_t *record, int need_answer)
{
    if (record_has(record, "context") && !record_has(record, "input"))
        for (size_t i = 0; i < sizeof dolly / sizeof *dolly; i++)
            if (fits(record, &dolly[i], need_answer))
                return &dolly[i];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (fits(record, &shapes[i], need_answer))
            return &shapes[i];
    return NULL;
}

static const char *role_of(const char *side)
{
    static const char *const names[][2] = {{"human", "user"},    {"prompter", "user"},   {"gpt", "assistant"},
                                           {"bot", "assistant"}, {"model", "assistant"}, {"chatgpt", "assistant"},
                                           {"ai", "assistant"},  {"developer", "system"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(names[i][0], side))
            return names[i][1];
    static const char *const same[] = {"user", "assistant", "system"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!strcasecmp(same[i], side))
            return same[i];
    return side;
}

/* A copy of the turn in OpenAI's names, or NULL: it has no role, or there is no memory. */
static json_t *turn_of(json_t *turn)
{
    const json_t *role = json_object_get(turn, "role");
    json_t *content = json_object_get(turn, "content"), *copy;
    struct buf text = BUF_INIT;
    role = json_is_string(role) ? role : json_object_get(turn, "from");
    content = content ? content : json_object_get(turn, "value");
    if (!json_is_string(role) || !(copy = json_copy(turn)))
        return NULL;
    int rc = json_object_set_new(copy, "role", json_string(role_of(json_string_value(role))));
    if (!rc && content && record_text(content, &text))
        rc = json_object_set(copy, "content", content);
    else if (!rc && content)
        rc = json_object_set_new(copy, "content", json_stringn(buf_text(&text), text.len));
    if (!json_object_get(turn, "role"))
        json_object_del(copy, "from");
    if (!json_object_get(turn, "content"))
        json_object_del(copy, "value");
    if (rc || text.failed) {
        json_decref(copy);
        copy = NULL;
    }
    buf_free(&text);
    return copy;
}

static int add_turn(json_t *turns, json_t *turn, struct error *err)
{
    json_t *one = turn_of(turn);
    if (one && !json_array_append_new(turns, one))
        return 0;
    return error_set(err, ERROR_DATA, "turn %zu has no role", json_array_size(turns) + 1);
}

static int add_turns(json_t *turns, const json_t *list, struct error *err)
{
    json_t *turn;
    size_t i;
    int rc = 0;
    json_array_foreach(list, i, turn) rc = rc ? rc : add_turn(turns, turn, err);
    return rc;
}

/* A text of the record that is a turn: {"role": role, "content": value}. */
static int add_text_turn(json_t *turns, const char *role, json_t *value, struct error *err)
{
    json_t *turn = json_pack("{s:s, s:O}", "role", role, "content", value);
    int rc = turn ? add_turn(turns, turn, err) : error_set_nomem(err, 64, "a turn");
    json_decref(turn);
    return rc;
}

static int has_system(const json_t *list)
{
    const json_t *first = json_array_get(list, 0), *role = json_object_get(first, "role");
    role = role ? role : json_object_get(first, "from");
    return json_is_string(role) && !strcmp(role_of(json_string_value(role)), "system");
}

int record_turns(json_t **out, const json_t *record, const struct record_shape *shape, struct error *err)
{
    const json_t *list = json_object_get(record, shape->question);
    json_t *answer = shape->answer ? json_object_get(record, shape->answer) : NULL,
           *system = json_object_get(record, "system"), *turns = json_array();
    int rc = turns ? 0 : error_set_nomem(err, 64, "turns");
    *out = NULL;
    if (!rc && !json_is_array(list))
        rc = error_set(err, ERROR_DATA, "wanted a list of turns");
    if (!rc && json_string_length(system) && !has_system(list))
        rc = add_text_turn(turns, "system", system, err);
    if (!rc)
        rc = add_turns(turns, list, err);
    if (!rc && is_turns(answer))
        rc = add_turns(turns, answer, err);
    else if (!rc && answer)
        rc = add_text_turn(turns, "assistant", answer, err);
    if (!rc)
        *out = turns;
    else
        json_decref(turns);
    if (rc == ERROR_DATA)
        error_prefix(err, "\"%s\"", shape->question);
    return rc;
}

static void trim(struct buf *b)
{
    size_t from = 0;
    while (b->len && (unsigned char)b->data[b->len - 1] <= ' ')
        b->len--;
    while (from < b->len && (unsigned char)b->data[from] <= ' ')
        from++;
    if (from)
        memmove(b->data, b->data + from, b->len - from);
    b->len -= from;
    if (b->data)
        b->data[b->len] = 0;
}

/* A member that must be text, trimmed. 1 when it is there, 0, or an error code. */
static int text_member(const json_t *record, const char *name, struct buf *out, struct error *err)
{
    const json_t *value = name ? json_object_get(record, name) : NULL;
    if (!value || json_is_null(value))
        return 0;
    if (record_text(value, out))
        return out->failed ? error_set_nomem(err, out->len, "a text")
                           : error_set(err, ERROR_DATA, "\"%.80s\": wanted a text", name);
    if (out->failed)
        return error_set_nomem(err, out->len, "a text");
    trim(out);
    return 1;
}

static int first_turns(const json_t *turns, struct record_pair *out, struct error *err)
{
    const json_t *turn;
    size_t i;
    json_array_foreach(turns, i, turn)
    {
        const char *role = json_string_value(json_object_get(turn, "role"));
        int user = !strcmp(role, "user"), assistant = !strcmp(role, "assistant"), there;
        if (user && !out->has_question)
            there = out->has_question = text_member(turn, "content", &out->question, err);
        else if (assistant && out->has_question && !out->has_answer)
            there = out->has_answer = text_member(turn, "content", &out->answer, err);
        else
            there = 0;
        if (there < 0)
            return there;
        if (!strcmp(role, "system"))
            out->n_system += record_has(turn, "content");
        else
            out->n_more += !there;
    }
    return 0;
}

static int join_input(struct record_pair *out, const json_t *record, const char *name, struct error *err)
{
    struct buf input = BUF_INIT;
    int rc = text_member(record, name, &input, err);
    if (rc > 0 && input.len) {
        buf_putc(&out->question, '\n');
        buf_append(&out->question, input.data, input.len);
    }
    buf_free(&input);
    return rc < 0 ? rc : 0;
}

static int of_turns(struct record_pair *out, const json_t *record, const struct record_shape *shape, struct error *err)
{
    json_t *turns;
    int rc = record_turns(&turns, record, shape, err);
    rc = rc ? rc : first_turns(turns, out, err);
    json_decref(turns);
    return rc;
}

int record_pair(struct record_pair *out, const json_t *record, const struct record_shape *shape, struct error *err)
{
    const json_t *one = record;
    const char *question = shape->question, *input = shape->input, *answer = shape->answer;
    *out = (struct record_pair){0};
    if (shape->kind == RECORD_TURNS)
        return of_turns(out, record, shape, err);
    if (shape->kind == RECORD_INSTANCES) {
        const json_t *list = json_object_get(record, "instances");
        one = json_array_get(list, 0);
        out->n_more = json_array_size(list) > 1;
        question = "instruction";
        input = "input";
        answer = "output";
    }
    out->has_question = text_member(record, question, &out->question, err);
    out->has_answer = text_member(one, answer, &out->answer, err);
    out->n_system = json_string_length(json_object_get(record, "system")) > 0;
    out->n_more += json_array_size(json_object_get(record, "history")) > 0;
    if (out->has_question < 0 || out->has_answer < 0)
        return out->has_question < 0 ? out->has_question : out->has_answer;
    int rc = out->has_question ? join_input(out, one, input, err) : 0;
    return rc || !out->question.failed ? rc : error_set_nomem(err, out->question.len, "a question");
}

void record_pair_free(struct record_pair *p)
{
    buf_free(&p->question);
    buf_free(&p->answer);
}
