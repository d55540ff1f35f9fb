/* SPDX-License-Identifier: Apache-2.0 */
/* What was said so far. */
#include "talk/talk.h"

#include "base/mem.h"
#include "io/jsontext.h"

#include <string.h>

static const struct field rows[] = {
    {FIELD("template", FIELD_STRING, struct talk_options, template_file), .argument = "FILE", .values = "chat",
     .help = "how messages are put: chat (the model's own chat template), a file, or {\"pair\": ...} itself [a run's "
             "own; the chat template; Question: ... Answer: ...]"},
    {FIELD("system", FIELD_STRING, struct talk_options, system), .argument = "TEXT",
     .help = "the system turn, or a text before everything where there are no such turns [a run's own, or none]"},
};
const struct field_table talk_fields = {rows, sizeof rows / sizeof *rows};

void talk_options_default(struct talk_options *o)
{
    *o = (struct talk_options){.dtype = DTYPE_BF16};
    fields_default(&talk_fields, FIELD_PLAIN, o);
    fields_default(&generate_engine_fields, FIELD_PLAIN, &o->engine);
}

static void free_turn(struct pool_item *turn)
{
    mem_free((char *)(uintptr_t)turn->question);
    mem_free((char *)(uintptr_t)turn->answer);
}

void talk_drop(struct talk *t, int n)
{
    for (int i = 0; i < n; i++)
        free_turn(&t->turns[i]);
    if (n)
        memmove(t->turns, t->turns + n, (size_t)(t->n - n) * sizeof *t->turns);
    t->n -= n;
}

void talk_reset(struct talk *t)
{
    talk_drop(t, t->n);
}

void talk_free(struct talk *t)
{
    talk_reset(t);
    mem_free(t->turns);
    mem_free(t->system);
    *t = (struct talk){0};
}

int talk_set_system(struct talk *t, const char *text, struct error *err)
{
    char *copy = text ? mem_strdup(text) : NULL;
    if (text && !copy)
        return error_set_nomem(err, strlen(text), "a system turn");
    mem_free(t->system);
    t->system = copy;
    return 0;
}

void talk_answer_free(struct talk_answer *a)
{
    buf_free(&a->text);
}

int talk_add(struct talk *t, const char *message, const struct talk_answer *answer, struct error *err)
{
    struct pool_item *turns = mem_resize(t->turns, (size_t)(t->n + 1) * sizeof *turns);
    if (turns)
        t->turns = turns;
    struct pool_item turn = {mem_strdup(message), mem_strdup(buf_text(&answer->text)), 0, t->n};
    if (!turns || !turn.question || !turn.answer) {
        free_turn(&turn);
        return error_set_nomem(err, strlen(message) + answer->text.len, "a turn");
    }
    turns[t->n++] = turn;
    t->n_said++;
    return 0;
}

int talk_words(const json_t *words, char **template_file, char **system, struct error *err)
{
    json_t *rest = json_deep_copy(words);
    const char *told = json_string_value(json_object_get(words, "system"));
    struct buf text = BUF_INIT;
    *system = told ? mem_strdup(told) : NULL;
    json_object_del(rest, "system");
    int rc = rest && (!told || *system) ? jsontext_dump(&text, rest, 0, err) : error_set_nomem(err, 64, "a template");
    *template_file = rc ? NULL : buf_take(&text);
    if (!rc && !*template_file)
        rc = error_set_nomem(err, 64, "a template");
    json_decref(rest);
    buf_free(&text);
    return rc;
}
