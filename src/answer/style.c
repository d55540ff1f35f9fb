/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt styles besides the template. A primer is a text of solved pairs put before "\n\nQ: " and the question and
 * nothing else, as TruthfulQA and lm-eval ask their generation questions; the text is the user's own copy. lm-eval's
 * own YAML is a Jinja template in `question` and is rendered as one. */
#include "answer/style.h"

#include "base/mem.h"
#include "io/file.h"
#include "jinja/jinja.h"
#include "text/chat.h"

#include <string.h>
#include <yaml.h>

struct style {
    struct prompt_style style;
    struct buf primer;
    struct jinja *template; /* of a YAML primer; NULL: the text */
    struct chat *chat;
};

static int render_primer(const struct style *s, const char *question, struct buf *out, struct error *err)
{
    json_t *document = json_pack("{s:s}", "question", question);
    int rc = document ? jinja_render(s->template, document, 0, out, NULL, err) : error_set_nomem(err, 64, "a prompt");
    json_decref(document);
    return rc;
}

static int compose_primer(void *user, const struct example *examples, size_t n, const char *question, struct buf *out,
                          struct error *err)
{
    const struct style *s = user;
    (void)examples;
    (void)n;
    if (s->template)
        return render_primer(s, question, out, err);
    buf_append(out, s->primer.data, s->primer.len);
    buf_puts(out, "\n\nQ: ");
    buf_puts(out, question);
    return 0;
}

/* Examples are earlier turns. */
static int compose_chat(void *user, const struct example *examples, size_t n, const char *question, struct buf *out,
                        struct error *err)
{
    const struct style *s = user;
    json_t *messages = json_array(), *conversation;
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", examples[i].question));
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content", examples[i].answer));
    }
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", question));
    conversation = json_pack("{s:o}", "messages", messages);
    int rc =
        conversation ? chat_render(s->chat, conversation, 1, out, err) : error_set_nomem(err, 64, "a conversation");
    json_decref(conversation);
    return rc;
}

/* The value of a key of a YAML mapping at the top, or NULL. */
static char *yaml_value(const struct buf *text, const char *key)
{
    yaml_parser_t parser;
    yaml_event_t event;
    char *found = NULL;
    int wanted = 0, more = yaml_parser_initialize(&parser);
    if (more)
        yaml_parser_set_input_string(&parser, (const unsigned char *)text->data, text->len);
    while (more && !found && yaml_parser_parse(&parser, &event)) {
        if (event.type == YAML_SCALAR_EVENT && wanted)
            found = mem_strdup((const char *)event.data.scalar.value);
        wanted = event.type == YAML_SCALAR_EVENT && !strcmp((const char *)event.data.scalar.value, key);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return found;
}

/* doc_to_text is a template; one that does not ask the question at its end is no primer. */
static int primer_from_yaml(struct style *s, const char *path, struct error *err)
{
    static const char probe[] = "isara's own question?";
    char *value = yaml_value(&s->primer, "doc_to_text");
    struct buf shown = BUF_INIT;
    int rc = value
                 ? jinja_parse(&s->template, value, strlen(value), path, err)
                 : error_set(err, ERROR_DATA,
                             "%s: wanted doc_to_text, a Jinja template in question, as lm-eval's truthfulqa_gen has it",
                             path);
    if (!rc)
        rc = render_primer(s, probe, &shown, err);
    size_t n = sizeof probe - 1, cue = strlen("Q: ");
    if (!rc && (shown.len < n + cue || memcmp(shown.data + shown.len - n - cue, "Q: ", cue) ||
                memcmp(shown.data + shown.len - n, probe, n)))
        rc = error_set(
            err, ERROR_DATA,
            "%s: doc_to_text: wanted a text that ends in \"Q: \" and the question, found \"%.60s\" at its end", path,
            buf_text(&shown) + (shown.len > 60 ? shown.len - 60 : 0));
    buf_free(&shown);
    mem_free(value);
    return rc;
}

static int open_primer(struct style *s, const struct style_options *o, struct error *err)
{
    int rc = file_read(&s->primer, o->primer, 1 << 20, err);
    size_t n = rc ? 0 : strlen(o->primer);
    if (n > 5 && !strcmp(o->primer + n - 5, ".yaml"))
        rc = rc ? rc : primer_from_yaml(s, o->primer, err);
    while (s->primer.len && (unsigned char)s->primer.data[s->primer.len - 1] <= ' ')
        s->primer.data[--s->primer.len] = 0;
    if (!rc && s->primer.failed)
        rc = error_set_nomem(err, s->primer.len, "a primer");
    if (!rc && !s->primer.len)
        rc = error_set(err, ERROR_DATA, "%s: is empty; wanted solved pairs", o->primer);
    s->style = (struct prompt_style){.name = "primer",
                                     .compose = compose_primer,
                                     .user = s,
                                     .stop = o->original ? "Q:" : "\n\n",
                                     .score_cue = "\nA:",
                                     .score_prefix = " "};
    return rc;
}

int style_open(struct style **out, const struct style_options *o, const struct prompt_style **style, struct error *err)
{
    *style = NULL;
    if (!o->name || !strcmp(o->name, "template") || !strcmp(o->name, "zero-shot"))
        return 0;
    struct style *s = *out = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set_nomem(err, sizeof *s, "a prompt style");
    *style = &s->style;
    if (!strcmp(o->name, "primer"))
        return open_primer(s, o, err);
    s->style = (struct prompt_style){.name = "chat",
                                     .compose = compose_chat,
                                     .user = s,
                                     .stop = "",
                                     .score_cue = "",
                                     .score_prefix = "",
                                     .special = 1};
    return 0;
}

int style_attach(struct style *s, const struct tokenizer *t, struct error *err)
{
    return s && s->style.special ? chat_open(&s->chat, t, err) : 0;
}

void style_close(struct style *s)
{
    if (s) {
        chat_close(s->chat);
        buf_free(&s->primer);
        jinja_free(s->template);
    }
    mem_free(s);
}
