/* SPDX-License-Identifier: Apache-2.0 */
/* A model's chat template as the method's template. Pairs are turns of user and assistant, the prompt that asks opens a
 * user's turn and leaves it open. The Jinja template is given a mark in the place of each text, and the texts are put
 * in afterwards: so it is known where people's words stand, and nothing in them can be taken for a turn's beginning or
 * end, whatever the template does with such words. A template that would change an ordinary text is refused. */
#include "text/template_parts.h"

#include "base/mem.h"
#include "text/chat.h"
#include "text/template_turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A mark: two private characters round a text's number. */
#define OPENS "\xee\x80\x80"
#define CLOSES "\xee\x80\x81"

struct template_chat {
    struct chat *chat;
    json_t *described;
    const char *system, *end; /* of described; system NULL: none */
    int system_turn;          /* the template has a place for one; else its text begins the first user turn */
};

/* --- conversations --- */

struct script {
    json_t *messages;
    const char **texts; /* by their marks' numbers; NULL: the one that the model is to write */
    size_t n, cap;
    int failed, plain; /* plain: the texts themselves in the marks' place */
};

static void script_free(struct script *s)
{
    json_decref(s->messages);
    mem_free(s->texts);
}

static void put_mark(struct script *s, const char *text, struct buf *content)
{
    if (s->n == s->cap) {
        const char **texts = mem_resize(s->texts, (2 * s->cap + 8) * sizeof *texts);
        s->failed |= !texts;
        if (!texts)
            return;
        s->texts = texts;
        s->cap = 2 * s->cap + 8;
    }
    s->texts[s->n++] = text;
    if (s->plain)
        template_put_people(content, NULL, text);
    else
        buf_printf(content, OPENS "%zu" CLOSES, s->n - 1);
}

/* A turn of n texts. */
static void add_turn(struct script *s, const char *role, const char *const *texts, size_t n)
{
    struct buf content = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        buf_puts(&content, i ? "\n\n" : "");
        put_mark(s, texts[i], &content);
    }
    json_t *turn = json_pack("{s:s, s:s}", "role", role, "content", buf_text(&content));
    s->failed |= content.failed || json_array_append_new(s->messages, turn);
    buf_free(&content);
}

static void add_turns(struct script *s, const struct template_chat *c, const struct template_prompt *p,
                      const char *answer)
{
    const char *first[3];
    size_t n = 0;
    s->messages = json_array();
    if (c->system)
        first[n++] = c->system;
    if (p->before)
        first[n++] = p->before;
    if (n && c->system_turn) {
        add_turn(s, "system", first, n);
        n = 0;
    }
    for (size_t i = 0; i < p->n; i++) {
        first[n++] = p->examples[i].question;
        add_turn(s, "user", first, n);
        add_turn(s, "assistant", &p->examples[i].answer, 1);
        n = 0;
    }
    first[n++] = p->question;
    add_turn(s, "user", first, n);
    if (answer)
        add_turn(s, "assistant", &answer, 1);
    s->failed |= !s->messages;
}

/* Thinking is switched off where the template knows that switch: what is asked for are answers. */
static int render(const struct template_chat *c, const struct script *s, int prompt, struct buf *out, struct error *err)
{
    json_t *conversation =
        json_pack("{s:O, s:{s:b}}", "messages", s->messages, "chat_template_kwargs", "enable_thinking", 0);
    int rc = conversation && !s->failed ? chat_render(c->chat, conversation, prompt, out, err)
                                        : error_set_nomem(err, 256, "a conversation");
    json_decref(conversation);
    return rc;
}

/* --- marks --- */

/* The mark at that place: its number, and where it ends; NULL: there is none. */
static const char *mark_at(const char *at, size_t *number)
{
    char *end;
    if (strncmp(at, OPENS, strlen(OPENS)))
        return NULL;
    *number = strtoul(at + strlen(OPENS), &end, 10);
    return strncmp(end, CLOSES, strlen(CLOSES)) ? NULL : end + strlen(CLOSES);
}

/* What stands behind the number's mark, and the mark itself; NULL: it is not there. */
static const char *find_mark(const struct buf *rendered, size_t number, const char **mark)
{
    size_t found;
    for (const char *at = strstr(buf_text(rendered), OPENS); at; at = strstr(at + 1, OPENS)) {
        const char *after = mark_at(at, &found);
        if (mark)
            *mark = at;
        if (after && found == number)
            return after;
    }
    return NULL;
}

/* Texts in the marks' place, up to the one that the model is to write. */
static int fill_marks(const struct script *s, const struct buf *rendered, struct buf *out, struct text_spans *people,
                      struct error *err)
{
    size_t seen = 0, number;
    while (seen < s->n && find_mark(rendered, seen, NULL))
        seen++;
    if (seen < s->n)
        return error_set(err, ERROR_UNAVAILABLE, "the chat template leaves out what is said");
    for (const char *at = buf_text(rendered), *after; *at;) {
        after = mark_at(at, &number);
        if (!after || number >= s->n) {
            buf_putc(out, *at++);
            continue;
        }
        if (!s->texts[number])
            break;
        template_put_people(out, people, s->texts[number]);
        at = after;
    }
    return out->failed ? error_set_nomem(err, out->len, "a prompt") : 0;
}

/* Blanks would begin a token of the question's first word. */
static void cut_blanks(struct buf *out, size_t from)
{
    while (out->len > from && (out->data[out->len - 1] == ' ' || out->data[out->len - 1] == '\t'))
        out->data[--out->len] = 0;
}

int template_chat_write(const struct template_chat *c, const struct template_prompt *p, struct buf *out,
                        struct text_spans *people, struct error *err)
{
    struct script s = {.messages = NULL};
    struct buf rendered = BUF_INIT;
    size_t from = out->len;
    add_turns(&s, c, p, NULL);
    int rc = render(c, &s, p->question != NULL, &rendered, err);
    rc = rc ? rc : fill_marks(&s, &rendered, out, people, err);
    if (!rc && !p->question)
        cut_blanks(out, from);
    buf_free(&rendered);
    script_free(&s);
    return rc;
}

const char *template_chat_end(const struct template_chat *c)
{
    return c->end;
}

const char *template_chat_system(const struct template_chat *c)
{
    return c->system;
}

const char *template_chat_text(const struct template_chat *c)
{
    return json_string_value(json_object_get(c->described, "chat"));
}

int template_chat_has_system(const struct template_chat *c)
{
    return c->system_turn;
}

int template_chat_day(const struct template_chat *c, char day[32])
{
    const char *now = json_string_value(json_object_get(c->described, "now"));
    time_t seconds = now ? (time_t)strtoll(now, NULL, 10) : 0;
    struct tm when;
    return now && gmtime_r(&seconds, &when) && strftime(day, 32, "%d %b %Y", &when);
}

json_t *template_chat_described(const struct template_chat *c)
{
    return json_incref(c->described);
}

void template_chat_free(struct template_chat *c)
{
    if (c) {
        chat_close(c->chat);
        json_decref(c->described);
    }
    mem_free(c);
}

/* --- reading --- */

static int wants(const char *name, const char *field, const char *what, struct error *err)
{
    return error_set(err, ERROR_CONFIG, "%s: template: field \"%s\" of a chat template: wanted %s", name, field, what);
}

static int take_text(char **to, const json_t *described, const char *field, const char *name, struct error *err)
{
    const char *text = json_string_value(json_object_get(described, field));
    if (!text)
        return wants(name, field, "a string", err);
    *to = mem_strdup(text);
    return *to ? 0 : error_set_nomem(err, strlen(text), "a template");
}

static int take_completion(struct template *t, const json_t *described, const char *name, struct error *err)
{
    const char *lead = json_string_value(json_object_get(described, "lead"));
    struct buf text = BUF_INIT;
    if (!lead)
        return wants(name, "lead", "a string", err);
    buf_printf(&text, "%s{a}", lead);
    t->field[COMPLETION] = buf_take(&text);
    return t->field[COMPLETION] ? 0 : error_set_nomem(err, 64, "a template");
}

static int is_yes(const json_t *value)
{
    return json_is_string(value) && !strcmp(json_string_value(value), "yes");
}

/* What is needed to render. */
static int begin(struct template_chat **out, json_t *described, const char *name, struct error *err)
{
    const json_t *system = json_object_get(described, "system");
    const char *now = json_string_value(json_object_get(described, "now"));
    const struct chat_source source = {.name = name,
                                       .text = json_string_value(json_object_get(described, "chat")),
                                       .special = json_object_get(described, "special_tokens"),
                                       .now = now ? strtoll(now, NULL, 10) : turns_day()};
    struct template_chat *c = *out = mem_calloc(1, sizeof *c);
    if (!c)
        return error_set_nomem(err, sizeof *c, "a template");
    c->described = json_incref(described);
    c->system = json_string_value(system);
    c->end = json_string_value(json_object_get(described, "end"));
    c->system_turn = is_yes(json_object_get(described, "system_turn"));
    if (!source.text)
        return wants(name, "chat", "a string", err);
    if (!json_is_object(source.special))
        return wants(name, "special_tokens", "an object of strings", err);
    if (system && !c->system)
        return wants(name, "system", "a string", err);
    return chat_open_source(&c->chat, &source, err);
}

int template_chat_read(struct template *t, const json_t *described, const char *name, struct error *err)
{
    json_t *own = json_deep_copy(described);
    int rc = own ? begin(&t->chat, own, name, err) : error_set_nomem(err, 256, "a template");
    json_decref(own);
    if (!rc && !t->chat->end)
        rc = wants(name, "end", "a string", err);
    rc = rc ? rc : take_completion(t, described, name, err);
    rc = rc ? rc : take_text(&t->field[QUESTION_END], described, "question_end", name, err);
    rc = rc ? rc : take_text(&t->field[ANSWER_END], described, "answer_end", name, err);
    if (!rc && (!*t->field[QUESTION_END] || !*t->field[ANSWER_END]))
        rc = wants(name, "question_end, answer_end", "texts that are not empty", err);
    return rc;
}

/* --- what a template does with a conversation --- */

static const struct example probes[2] = {
    {"What is 2 + 2,\nor <b>two & \"two\"</b> = {{ 3 }}?", "It's FOUR, naïve reader:\n\n- 4 (vier)\n- 日本"},
    {"And 5 %?", "No."}};

/* The prompt that answers, or with the answer behind it, marks or texts in their place. */
static int probe(const struct template_chat *c, const struct template_prompt *p, const char *answer, int plain,
                 struct buf *out, struct error *err)
{
    struct script s = {.plain = plain};
    add_turns(&s, c, p, answer);
    int rc = render(c, &s, !answer, out, err);
    script_free(&s);
    return rc;
}

/* Texts as they are must come out as those that are put in for the marks do. */
static int check_says_all(const struct template_chat *c, const struct template_prompt *p, struct error *err)
{
    struct script s = {.messages = NULL};
    struct buf plain = BUF_INIT, rendered = BUF_INIT, filled = BUF_INIT;
    add_turns(&s, c, p, NULL);
    int rc = render(c, &s, 1, &rendered, err);
    rc = rc ? rc : fill_marks(&s, &rendered, &filled, NULL, err);
    rc = rc ? rc : probe(c, p, NULL, 1, &plain, err);
    if (!rc && strcmp(buf_text(&plain), buf_text(&filled)))
        rc = error_set(err, ERROR_UNAVAILABLE, "the chat template changes the words of what is said");
    script_free(&s);
    buf_free(&plain);
    buf_free(&rendered);
    buf_free(&filled);
    return rc;
}

static json_t *time_text(int64_t seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)seconds);
    return json_string(text);
}

static int has_system_turn(struct template_chat *c)
{
    static const char words[] = "Be brief.";
    const struct template_prompt p = {.before = words, .question = probes[0].question};
    struct buf text = BUF_INIT;
    c->system_turn = 1;
    int has = !probe(c, &p, NULL, 1, &text, NULL) && strstr(buf_text(&text), words);
    buf_free(&text);
    return has;
}

/* Whether it prints the date. */
static int tells_time(const struct template_chat *c, int *tells, struct error *err)
{
    enum { LATER = 400 * 86400 };
    const struct template_prompt p = {.question = probes[0].question};
    json_t *later = json_copy(c->described);
    struct template_chat *other = NULL;
    struct buf now = BUF_INIT, then = BUF_INIT;
    int rc = later && !json_object_set_new(later, "now", time_text(turns_day() + LATER))
                 ? begin(&other, later, "chat template", err)
                 : error_set_nomem(err, 256, "a template");
    if (!rc)
        other->system_turn = c->system_turn;
    rc = rc ? rc : probe(c, &p, NULL, 1, &now, err);
    rc = rc ? rc : probe(other, &p, NULL, 1, &then, err);
    *tells = !rc && strcmp(buf_text(&now), buf_text(&then));
    template_chat_free(other);
    json_decref(later);
    buf_free(&now);
    buf_free(&then);
    return rc;
}

/* What stands before and behind an answer, and behind a question; without a system turn, which some templates leave out
 * of a conversation that ends with an answer. */
static int read_turns(const struct template_chat *whole_template, struct turns *out, struct error *err)
{
    struct template_chat bare = *whole_template;
    const struct template_chat *c = &bare;
    const struct template_prompt one = {.question = "q"}, two = {.examples = probes, .n = 1, .question = "q"};
    struct buf prompt = BUF_INIT, whole = BUF_INIT, next = BUF_INIT;
    const char *answer = NULL, *after = NULL, *behind = NULL;
    bare.system = NULL;
    int rc = probe(c, &one, NULL, 0, &prompt, err);
    rc = rc ? rc : probe(c, &one, "a", 0, &whole, err);
    rc = rc ? rc : probe(c, &two, NULL, 0, &next, err);
    if (!rc) {
        after = find_mark(&whole, 1, &answer);
        behind = find_mark(&next, 2, NULL);
    }
    if (!rc && (!after || !behind))
        rc = error_set(err, ERROR_UNAVAILABLE, "the chat template leaves out what is said");
    if (!rc)
        rc = turns_read(out, &(struct turns_seen){&prompt, &whole, answer, after, behind}, err);
    buf_free(&prompt);
    buf_free(&whole);
    buf_free(&next);
    return rc;
}

/* Adds all that is found out by trying to described. */
static int explore(struct template_chat *c, const struct tokenizer *tok, struct error *err)
{
    const struct template_prompt p = {.examples = probes, .n = 2, .question = probes[0].question};
    struct turns turns = {.special = json_object_get(c->described, "special_tokens"), .tokenizer = tok};
    int tells = 0;
    c->system_turn = has_system_turn(c);
    int rc = tells_time(c, &tells, err);
    rc = rc ? rc : check_says_all(c, &p, err);
    rc = rc ? rc : read_turns(c, &turns, err);
    if (!rc && (json_object_set_new(c->described, "system_turn", json_string(c->system_turn ? "yes" : "no")) ||
                (tells && json_object_set_new(c->described, "now", time_text(turns_day()))) ||
                turns_describe(&turns, c->described)))
        rc = error_set_nomem(err, 256, "a template");
    turns_free(&turns);
    return rc;
}

int template_chat_open(struct template *t, const struct tokenizer *tok, const char *system, struct error *err)
{
    const struct tokenizer_info *info = tokenizer_info(tok);
    const char *source = info->source ? info->source : "tokenizer";
    struct template_chat *c = NULL;
    struct buf told = BUF_INIT;
    if (!info->chat_template)
        return error_set(err, ERROR_UNAVAILABLE,
                         "%s: has no chat template; leave --template chat away, or give a template file", source);
    if (system)
        template_put_people(&told, NULL, system);
    json_t *described = json_pack("{s:s, s:o*, s:s*}", "chat", info->chat_template, "special_tokens",
                                  chat_special_tokens(tok), "system", system ? buf_text(&told) : NULL);
    int rc = described ? begin(&c, described, source, err) : error_set_nomem(err, 256, "a template");
    if (!rc && (rc = explore(c, tok, err)) && rc != ERROR_NOMEM)
        error_prefix(err, "%s", source);
    rc = rc ? rc : template_chat_read(t, described, source, err);
    template_chat_free(c);
    json_decref(described);
    buf_free(&told);
    return rc;
}
