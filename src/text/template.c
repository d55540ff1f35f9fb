/* SPDX-License-Identifier: Apache-2.0 */
/* Every field is a string with holes {q} and {a}; nothing else in it means anything, so any text can stand in a
 * template. */
#include "text/template_parts.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static const char *const names[TEMPLATE_FIELDS] = {"pair",   "preamble",   "separator",    "ask",
                                                   "answer", "completion", "question_end", "answer_end"};

void template_free(struct template *t)
{
    if (!t)
        return;
    for (int i = 0; i < TEMPLATE_FIELDS; i++)
        mem_free(t->field[i]);
    template_chat_free(t->chat);
    mem_free(t);
}

static int fail_template(struct error *err, const char *name, const char *why)
{
    return error_set(err, ERROR_CONFIG, "%s: template: %s", name, why);
}

static int set_field(struct template *t, const char *key, const char *value, size_t n, const char *name,
                     struct error *err)
{
    int i = 0;
    while (i < TEMPLATE_FIELDS && strcmp(names[i], key))
        i++;
    if (i == TEMPLATE_FIELDS)
        return error_set(err, ERROR_CONFIG,
                         "%s: template: unknown field \"%.60s\" (known: pair, preamble, separator, ask, answer, "
                         "completion, question_end, answer_end)",
                         name, key);
    if (t->field[i])
        return error_set(err, ERROR_CONFIG, "%s: template: field \"%s\" is there twice", name, key);
    if (memchr(value, 0, n) || utf8_valid(value, n) != n)
        return error_set(err, ERROR_CONFIG, "%s: template: field \"%s\" is not UTF-8 text without NUL", name, key);
    t->field[i] = mem_strndup(value, n);
    return t->field[i] ? 0 : error_set_nomem(err, n, "a template");
}

/* --- the file --- */

static int read_json(struct template *t, const char *text, size_t n, const char *name, struct error *err)
{
    json_error_t why;
    const char *key;
    json_t *value, *doc = jsontext_document(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!doc && !why.text[0])
        return error_set_nomem(err, n, "a template");
    int rc = doc ? 0
                 : error_set(err, ERROR_CONFIG, "%s: template: line %d, column %d: %s", name, why.line, why.column,
                             why.text);
    if (!rc && json_object_get(doc, "chat")) {
        rc = template_chat_read(t, doc, name, err);
        json_decref(doc);
        return rc;
    }
    json_object_foreach(doc, key, value)
    {
        if (!rc && !json_is_string(value))
            rc = error_set(err, ERROR_CONFIG, "%s: template: field \"%.60s\": wanted a string", name, key);
        if (!rc)
            rc = set_field(t, key, json_string_value(value), json_string_length(value), name, err);
    }
    json_decref(doc);
    return rc;
}

/* A mapping of scalars and nothing else: events key, value, key, value, ... inside one mapping. */
static int read_events(struct template *t, yaml_parser_t *parser, const char *name, struct error *err)
{
    char *key = NULL;
    int rc = 0, depth = 0, done = 0;
    while (!rc && !done) {
        yaml_event_t e;
        if (!yaml_parser_parse(parser, &e)) {
            rc = error_set(err, ERROR_CONFIG, "%s: template: line %zu: %s", name, parser->problem_mark.line + 1,
                           parser->problem ? parser->problem : "not YAML");
            break;
        }
        size_t line = e.start_mark.line + 1;
        if (e.type == YAML_MAPPING_START_EVENT && !depth) {
            depth = 1;
        } else if (e.type == YAML_SCALAR_EVENT && depth && !key) {
            key = mem_strndup((char *)e.data.scalar.value, e.data.scalar.length);
            rc = key ? 0 : error_set_nomem(err, e.data.scalar.length, "a template");
        } else if (e.type == YAML_SCALAR_EVENT && depth) {
            rc = set_field(t, key, (char *)e.data.scalar.value, e.data.scalar.length, name, err);
            mem_free(key);
            key = NULL;
        } else if (e.type == YAML_STREAM_END_EVENT) {
            done = 1;
        } else if (e.type != YAML_MAPPING_END_EVENT && e.type != YAML_STREAM_START_EVENT &&
                   e.type != YAML_DOCUMENT_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT) {
            rc = error_set(err, ERROR_CONFIG, "%s: template: line %zu: wanted a mapping of strings", name, line);
        }
        yaml_event_delete(&e);
    }
    mem_free(key);
    return rc;
}

static int read_yaml(struct template *t, const char *text, size_t n, const char *name, struct error *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set_nomem(err, sizeof parser, "a template");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int rc = read_events(t, &parser, name, err);
    yaml_parser_delete(&parser);
    return rc;
}

/* --- what follows from the pair --- */

/* What asks for a question may end in a line feed that belongs to it; blanks would begin a token of the question's
 * first word. */
static size_t trimmed_blanks(const char *s, size_t n)
{
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    return n;
}

static int holes(const char *s, const char *hole)
{
    int count = 0;
    for (s = strstr(s, hole); s; s = strstr(s + 1, hole))
        count++;
    return count;
}

static int derive_field(struct template *t, enum template_field f, const char *a, size_t n, const char *b)
{
    if (t->field[f])
        return 0;
    struct buf text = BUF_INIT;
    buf_append(&text, a, n);
    buf_puts(&text, b);
    t->field[f] = buf_take(&text);
    return t->field[f] ? 0 : -1;
}

static int derive_answer_end(struct template *t, int asks)
{
    const char *ask = t->field[ASK];
    size_t n = asks ? strlen(ask) : template_trimmed(ask, strlen(ask));
    struct buf text = BUF_INIT;
    if (t->field[ANSWER_END])
        return 0;
    buf_puts(&text, n ? "\n" : t->field[SEPARATOR]);
    buf_append(&text, ask, n);
    t->field[ANSWER_END] = buf_take(&text);
    return t->field[ANSWER_END] ? 0 : -1;
}

static int complete(struct template *t, const char *name, struct error *err)
{
    const char *pair = t->field[PAIR];
    if (!pair)
        return fail_template(err, name,
                             "the field \"pair\" is missing, for example pair: \"Question: {q}\\nAnswer: {a}\"");
    if (holes(pair, "{q}") != 1 || holes(pair, "{a}") != 1 || strstr(pair, "{q}") > strstr(pair, "{a}"))
        return fail_template(err, name, "pair: wanted {q} once and then {a} once");
    size_t to_q = (size_t)(strstr(pair, "{q}") - pair), to_a = (size_t)(strstr(pair, "{a}") - pair),
           n = template_trimmed(pair, to_a);
    if (n < to_q + 3)
        n = to_q + 3;
    int asks = t->field[ASK] != NULL;
    if (derive_field(t, PREAMBLE, "", 0, "") || derive_field(t, SEPARATOR, "\n\n", 2, "") ||
        derive_field(t, ASK, pair, trimmed_blanks(pair, to_q), "") || derive_field(t, ANSWER, pair, n, "") ||
        derive_field(t, COMPLETION, pair + n, to_a - n, "{a}") || derive_field(t, QUESTION_END, "\n", 1, "") ||
        derive_answer_end(t, asks))
        return error_set_nomem(err, strlen(pair), "a template");
    if (holes(t->field[ANSWER], "{q}") != 1 || holes(t->field[ANSWER], "{a}"))
        return fail_template(err, name, "answer: wanted {q} once and no {a}");
    if (holes(t->field[COMPLETION], "{a}") != 1 || holes(t->field[COMPLETION], "{q}"))
        return fail_template(err, name, "completion: wanted {a} once and no {q}");
    if (!*t->field[QUESTION_END] || !*t->field[ANSWER_END])
        return fail_template(err, name, "question_end and answer_end must not be empty");
    return 0;
}

int template_read(struct template **out, const char *text, size_t n, const char *name, struct error *err)
{
    struct template *t = mem_calloc(1, sizeof *t);
    size_t at = 0;
    *out = NULL;
    if (!t)
        return error_set_nomem(err, sizeof *t, "a template");
    while (at < n && template_is_space(text[at]))
        at++;
    int rc = at < n && text[at] == '{' ? read_json(t, text, n, name, err) : read_yaml(t, text, n, name, err);
    if (!rc && !t->chat)
        rc = complete(t, name, err);
    if (rc)
        template_free(t);
    else
        *out = t;
    return rc;
}

int template_load(struct template **out, const char *path, struct error *err)
{
    struct buf text = BUF_INIT;
    *out = NULL;
    int rc = file_read(&text, path, 1 << 20, err);
    if (!rc)
        rc = template_read(out, text.data ? text.data : "", text.len, path, err);
    buf_free(&text);
    return rc;
}

int template_builtin(struct template **out, struct error *err)
{
    static const char text[] = "{\"pair\": \"Question: {q}\\nAnswer: {a}\"}";
    return template_read(out, text, sizeof text - 1, "built-in", err);
}

int template_chat(struct template **out, const struct tokenizer *tok, const char *system, struct error *err)
{
    struct template *t = mem_calloc(1, sizeof *t);
    *out = NULL;
    int rc = t ? template_chat_open(t, tok, system, err) : error_set_nomem(err, sizeof *t, "a template");
    if (rc)
        template_free(t);
    else
        *out = t;
    return rc;
}

void template_describe(const struct template *t, struct buf *out)
{
    json_t *o = t->chat ? template_chat_described(t->chat) : json_object();
    int failed = !o;
    for (int i = 0; i < TEMPLATE_FIELDS && !failed && !t->chat; i++)
        failed = json_object_set_new(o, names[i], json_string(t->field[i])) != 0;
    char *text = failed ? NULL : json_dumps(o, JSON_COMPACT);
    if (text)
        buf_puts(out, text);
    else
        out->failed = 1;
    free(text);
    json_decref(o);
}

/* --- writing --- */

/* A text with its places, and what goes there. */
struct filling {
    const char *text, *q, *a;
};

static void fill_places(struct filling f, struct buf *out, struct text_spans *people)
{
    for (const char *text = f.text; *text;) {
        if (f.q && !strncmp(text, "{q}", 3)) {
            template_put_people(out, people, f.q);
            text += 3;
        } else if (f.a && !strncmp(text, "{a}", 3)) {
            template_put_people(out, people, f.a);
            text += 3;
        } else {
            buf_putc(out, *text++);
        }
    }
}

int template_write(const struct template *t, const struct template_prompt *p, struct buf *out,
                   struct text_spans *people, struct error *err)
{
    if (t->chat)
        return template_chat_write(t->chat, p, out, people, err);
    if (p->before) {
        template_put_people(out, people, p->before);
        buf_puts(out, t->field[SEPARATOR]);
    }
    buf_puts(out, t->field[PREAMBLE]);
    for (size_t i = 0; i < p->n; i++) {
        fill_places((struct filling){t->field[PAIR], p->examples[i].question, p->examples[i].answer}, out, people);
        buf_puts(out, t->field[SEPARATOR]);
    }
    if (p->question)
        fill_places((struct filling){t->field[ANSWER], p->question, NULL}, out, people);
    else
        buf_puts(out, t->field[ASK]);
    return out->failed ? error_set_nomem(err, out->len, "a prompt") : 0;
}

void template_completion(const struct template *t, const char *answer, struct buf *out, struct text_spans *people)
{
    fill_places((struct filling){t->field[COMPLETION], NULL, answer}, out, people);
}

const char *template_end(const struct template *t)
{
    return t->chat ? template_chat_end(t->chat) : "";
}

int template_flags(const struct template *t)
{
    return t->chat ? TOKENIZER_PARSE_SPECIAL : TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
}

const char *template_system(const struct template *t)
{
    return t->chat ? template_chat_system(t->chat) : NULL;
}

int template_is_chat(const struct template *t)
{
    return t->chat != NULL;
}

/* --- reading what the model wrote --- */

const char *template_ask_stop(const struct template *t)
{
    return t->field[QUESTION_END];
}

const char *template_answer_stop(const struct template *t)
{
    return t->field[ANSWER_END];
}

static int cut_out(const char *s, size_t n, const char *mark, int at_eos, struct buf *out)
{
    const char *end = memmem(s, n, mark, strlen(mark));
    if (end)
        n = (size_t)(end - s);
    n = template_trimmed(s, n);
    while (n && template_is_space(*s)) {
        s++;
        n--;
    }
    buf_append(out, s, n);
    return end || at_eos;
}

int template_parse_question(const struct template *t, const char *generated, size_t n, int at_eos, struct buf *out)
{
    return cut_out(generated, n, t->field[QUESTION_END], at_eos, out);
}

int template_parse_answer(const struct template *t, const char *generated, size_t n, int at_eos, struct buf *out)
{
    const char *mark = t->field[ANSWER_END];
    size_t at = 0, k = strlen(mark);
    while (at < n && template_is_space(generated[at]))
        at++;
    if (*mark == '\n' && k > 1 && n - at >= k - 1 && !memcmp(generated + at, mark + 1, k - 1))
        return 1; /* the next question at once: an empty answer */
    return cut_out(generated, n, mark, at_eos, out);
}
