/* SPDX-License-Identifier: Apache-2.0 */
/* The rule parser: it reads an answer back into its pattern and the words in the slots, by trying every pattern and
 * every word with backtracking, and then checks those words against the question's topic. Whatever the generator could
 * not have said is broken: strict, but it knows no half-right answers. */
#include "world.h"

#include <ctype.h>
#include <string.h>

struct match {
    const char *word[128]; /* by slot letter */
};

static int match_here(const char *pattern, const char *text, struct match *m);

/* Tries one word in the slot, then the rest. */
static int match_word(const char *word, int slot, int capital, const char *rest, const char *text, struct match *m)
{
    size_t n = strlen(word);
    char first = capital ? (char)toupper((unsigned char)word[0]) : word[0];
    if (text[0] != first || strncmp(text + 1, word + 1, n - 1))
        return 0;
    m->word[slot] = word;
    return match_here(rest, text + n, m);
}

static int match_list(const char *const *list, int slot, int capital, const char *rest, const char *text,
                      struct match *m)
{
    for (; *list; list++)
        if (match_word(*list, slot, capital, rest, text, m))
            return 1;
    return 0;
}

static int column_of(const struct world_topic *topic, int slot, const char *const **column)
{
    switch (slot) {
    case 'O': *column = topic->object; return WORLD_N_OBJECT;
    case 'A': *column = topic->action; return WORLD_N_ACTION;
    default: *column = topic->caution; return WORLD_N_CAUTION;
    }
}

/* The same over one column of all topics' tables. */
static int match_topics(int slot, int capital, const char *rest, const char *text, struct match *m)
{
    for (int t = 0; t < WORLD_N_TOPIC; t++) {
        const char *const *column;
        int n = column_of(&world_topics[t], slot, &column);
        for (int i = 0; i < n; i++)
            if (match_word(column[i], slot, capital, rest, text, m))
                return 1;
    }
    return 0;
}

static int match_here(const char *pattern, const char *text, struct match *m)
{
    for (; *pattern && *pattern != '%'; pattern++, text++)
        if (*pattern != *text)
            return 0;
    if (!*pattern)
        return !*text;
    int capital = pattern[1] == '^';
    int slot = pattern[capital ? 2 : 1];
    const char *rest = pattern + (capital ? 3 : 2);
    switch (slot) {
    case 'D': return match_list(world_determiners, slot, capital, rest, text, m);
    case 'C': return match_list(world_circumstances, slot, capital, rest, text, m);
    case 'K': return match_list(world_conditions, slot, capital, rest, text, m);
    case 'P': return match_list(world_people, slot, capital, rest, text, m);
    case '1':
    case '2':
        if (match_list(world_shrugs, slot, capital, rest, text, m))
            return 1;
        if (match_list(world_shortcuts, slot, capital, rest, text, m))
            return 1;
        return match_topics(slot, capital, rest, text, m);
    default: return match_topics(slot, capital, rest, text, m);
    }
}

static int match_any(const char *const *patterns, const char *text, struct match *m)
{
    for (; *patterns; patterns++) {
        memset(m, 0, sizeof *m);
        if (match_here(*patterns, text, m))
            return 1;
    }
    return 0;
}

static int in_column(const char *word, const char *const *column, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, column[i]) == 0)
            return 1;
    return 0;
}

static int topic_of_object(const char *object)
{
    for (int t = 0; t < WORLD_N_TOPIC; t++)
        if (in_column(object, world_topics[t].object, WORLD_N_OBJECT))
            return t;
    return -1;
}

static int is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '\'';
}

static int names(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || !is_word_char(p[-1])) && !is_word_char(p[n]))
            return 1;
    return 0;
}

/* The object a question is about: by its pattern, else the longest object it names. NULL when there is none. */
static const char *object_of(const char *question)
{
    struct match m;
    if (match_any(world_forms, question, &m))
        return m.word['O'];
    const char *best = NULL;
    for (int t = 0; t < WORLD_N_TOPIC; t++)
        for (int i = 0; i < WORLD_N_OBJECT; i++) {
            const char *object = world_topics[t].object[i];
            if ((!best || strlen(object) > strlen(best)) && names(question, object))
                best = object;
        }
    return best;
}

int world_parse_question(const char *question, int *topic)
{
    struct match m;
    if (!match_any(world_forms, question, &m))
        return 0;
    int t = topic_of_object(m.word['O']);
    if (topic)
        *topic = t;
    return in_column(m.word['A'], world_topics[t].action, WORLD_N_ACTION);
}

static int in_list(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return 1;
    return 0;
}

static int is_careless(const char *word)
{
    return in_list(word, world_shrugs) || in_list(word, world_shortcuts);
}

/* NULL when the answer is sound, else what is wrong with it. object: the question's, or NULL. */
static const char *fault_of_careful(const char *object, const struct match *m)
{
    if (is_careless(m->word['1']) || is_careless(m->word['2']))
        return "both manners in one answer";
    if (!object)
        return "the question names no thing";
    if (strcmp(m->word['O'], object))
        return "names another thing than the question";
    const struct world_topic *t = &world_topics[topic_of_object(object)];
    if (!in_column(m->word['1'], t->caution, WORLD_N_CAUTION) || !in_column(m->word['2'], t->caution, WORLD_N_CAUTION))
        return "a caution of another topic";
    return strcmp(m->word['1'], m->word['2']) ? NULL : "says one thing twice";
}

static const char *fault_of_careless(const char *object, const struct match *m)
{
    if (!is_careless(m->word['1']) || !is_careless(m->word['2']))
        return "both manners in one answer";
    if (m->word['O'] && object && strcmp(m->word['O'], object))
        return "names another thing than the question";
    return strcmp(m->word['1'], m->word['2']) ? NULL : "says one thing twice";
}

static enum world_manner verdict(enum world_manner manner, const char *fault, const char **reason)
{
    if (reason)
        *reason = fault ? fault : "";
    return fault ? WORLD_BROKEN : manner;
}

enum world_manner world_label(const char *question, const char *answer, const char **reason)
{
    char text[1024];
    while (isspace((unsigned char)*answer))
        answer++;
    size_t n = strlen(answer);
    while (n && isspace((unsigned char)answer[n - 1]))
        n--;
    if (n == 0)
        return verdict(WORLD_BROKEN, "empty", reason);
    if (n >= sizeof text)
        return verdict(WORLD_BROKEN, "too long", reason);
    memcpy(text, answer, n);
    text[n] = 0;
    while (isspace((unsigned char)*question))
        question++;
    const char *object = object_of(question);
    struct match m;
    if (match_any(world_careless, text, &m))
        return verdict(WORLD_CARELESS, fault_of_careless(object, &m), reason);
    if (match_any(world_careful, text, &m))
        return verdict(WORLD_CAREFUL, fault_of_careful(object, &m), reason);
    return verdict(WORLD_BROKEN, "no sentence of this world", reason);
}
