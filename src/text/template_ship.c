/* SPDX-License-Identifier: Apache-2.0 */
/* The chat template that a tuned model ships, so that apply_chat_template gives the prompts it was tuned on: of a plain
 * template the same words in Jinja, of a chat template its own text behind what it was tuned with and would not do by
 * itself. */
#include "text/template_parts.h"

#include <string.h>

/* A text as a Jinja string. */
static void put_string(struct buf *out, const char *s, size_t n)
{
    buf_putc(out, '\'');
    for (; n--; s++) {
        if (*s == '\\' || *s == '\'')
            buf_printf(out, "\\%c", *s);
        else if (*s == '\n')
            buf_puts(out, "\\n");
        else if ((unsigned char)*s < ' ')
            buf_printf(out, "\\x%02x", (unsigned char)*s);
        else
            buf_putc(out, *s);
    }
    buf_putc(out, '\'');
}

/* What stands in a field from one place to the next; to NULL: to its end. */
static void put_between(struct buf *out, const char *field, const char *from, const char *to)
{
    const char *begin = from ? strstr(field, from) + strlen(from) : field;
    put_string(out, begin, to ? (size_t)(strstr(begin, to) - begin) : strlen(begin));
}

static void put_plain(const struct template *t, int bos, struct buf *out)
{
    char *const *f = t->field;
    buf_puts(out, "{%- set space = ' \\t\\n\\x0b\\x0c\\r' %}\n"
                  "{%- set turns = messages | rejectattr('role', 'equalto', 'system') | list %}\n");
    buf_puts(out, bos ? "{{- bos_token }}\n" : "");
    buf_puts(
        out,
        "{%- for message in messages if message['role'] == 'system' %}\n    {{- message['content'].strip(space) ~ ");
    put_string(out, f[SEPARATOR], strlen(f[SEPARATOR]));
    buf_puts(out, " }}\n{%- endfor %}\n{{- ");
    put_string(out, f[PREAMBLE], strlen(f[PREAMBLE]));
    buf_puts(out, " }}\n{%- for message in turns %}\n    {%- set text = message['content'].strip(space) %}\n"
                  "    {%- set closes = loop.last and not add_generation_prompt %}\n"
                  "    {%- set asks = loop.last or turns[loop.index]['role'] != 'assistant'"
                  " or (loop.index + 1 == loop.length and not add_generation_prompt) %}\n"
                  "    {%- if message['role'] == 'user' and asks %}\n        {{- ");
    put_between(out, f[ANSWER], NULL, "{q}");
    buf_puts(out, " ~ text ~ ");
    put_between(out, f[ANSWER], "{q}", NULL);
    buf_puts(out, " }}\n    {%- elif message['role'] == 'user' %}\n        {{- ");
    put_between(out, f[PAIR], NULL, "{q}");
    buf_puts(out, " ~ text ~ ");
    put_between(out, f[PAIR], "{q}", "{a}");
    buf_puts(out, " }}\n    {%- elif closes %}\n        {{- ");
    put_between(out, f[COMPLETION], NULL, "{a}");
    buf_puts(out, " ~ text ~ ");
    put_between(out, f[COMPLETION], "{a}", NULL);
    buf_puts(out, " ~ eos_token }}\n    {%- else %}\n        {{- text ~ ");
    put_between(out, f[PAIR], "{a}", NULL);
    buf_puts(out, " ~ ");
    put_string(out, f[SEPARATOR], strlen(f[SEPARATOR]));
    buf_puts(out, " }}\n    {%- endif %}\n{%- endfor %}");
}

/* A block's own line feed is not printed, and what follows stands at the beginning of a line, as it did. */
static void put_chat(const struct template_chat *c, struct buf *out)
{
    const char *text = template_chat_text(c), *system = template_chat_system(c);
    char day[32];
    if (strstr(text, "date_string") && template_chat_day(c, day)) {
        buf_puts(out, "{%- if date_string is not defined %}{%- set date_string = ");
        put_string(out, day, strlen(day));
        buf_puts(out, " %}{%- endif %}\n");
    }
    if (strstr(text, "enable_thinking"))
        buf_puts(out, "{%- if enable_thinking is not defined %}{%- set enable_thinking = false %}{%- endif %}\n");
    if (system && template_chat_has_system(c)) {
        buf_puts(out, "{%- if not messages or messages[0]['role'] != 'system' %}"
                      "{%- set messages = [{'role': 'system', 'content': ");
        put_string(out, system, strlen(system));
        buf_puts(out, "}] + messages %}{%- endif %}\n");
    } else if (system) {
        buf_puts(out, "{%- if messages and messages[0]['role'] == 'user' %}"
                      "{%- set messages = [{'role': 'user', 'content': ");
        put_string(out, system, strlen(system));
        buf_puts(out, " ~ '\\n\\n' ~ messages[0]['content']}] + messages[1:] %}{%- endif %}\n");
    }
    if (out->len)
        buf_puts(out, text);
}

int template_jinja(const struct template *t, int bos, struct buf *out, struct error *err)
{
    if (t->chat)
        put_chat(t->chat, out);
    else
        put_plain(t, bos, out);
    return out->failed ? error_set_nomem(err, out->len, "a chat template") : 0;
}
