/* SPDX-License-Identifier: Apache-2.0 */
/* Puts texts of the world together. Whatever is drawn comes from a counter-based stream named by (seed, purpose,
 * document), so any document can be made alone and the same one always comes out. */
#include "world.h"

#include "base/hash.h"

#include <ctype.h>
#include <string.h>

uint32_t world_roll(struct world_dice *dice, uint32_t n)
{
    return rng_below(&dice->stream, dice->next++, n);
}

static uint32_t list_length(const char *const *list)
{
    uint32_t n = 0;
    while (list[n])
        n++;
    return n;
}

static const char *draw(struct world_dice *dice, const char *const *list)
{
    return list[world_roll(dice, list_length(list))];
}

/* What the slots of a pattern are filled with, by slot letter. */
struct filling {
    const char *word[128];
};

static void fill(char *out, size_t size, const char *pattern, const struct filling *f)
{
    size_t n = 0;
    for (const char *p = pattern; *p && n + 1 < size; p++) {
        if (*p != '%') {
            out[n++] = *p;
            continue;
        }
        int capital = p[1] == '^';
        p += capital ? 2 : 1;
        const char *word = f->word[(unsigned char)*p & 127];
        for (size_t i = 0; word[i] && n + 1 < size; i++)
            out[n++] = i == 0 && capital ? (char)toupper((unsigned char)word[i]) : word[i];
    }
    out[n] = 0;
}

/* What a document prefers to talk about and how: its questions resemble each other, so a model learns to ask in the way
 * of the examples that it is shown, and different examples give different questions. */
enum { STYLE_TOPICS = 4, STYLE_WORDS = 3 };
struct style {
    int topic[STYLE_TOPICS];
    const char *form[STYLE_WORDS], *determiner[STYLE_WORDS], *circumstance[STYLE_WORDS], *condition[STYLE_WORDS],
        *person[STYLE_WORDS];
};

static void draw_style(struct style *style, struct world_dice *dice)
{
    int one_topic = (int)world_roll(dice, 2);
    for (int i = 0; i < STYLE_TOPICS; i++)
        style->topic[i] = i && one_topic ? style->topic[0] : (int)world_roll(dice, WORLD_N_TOPIC);
    for (int i = 0; i < STYLE_WORDS; i++) {
        style->form[i] = draw(dice, world_forms);
        style->determiner[i] = draw(dice, world_determiners);
        style->circumstance[i] = draw(dice, world_circumstances);
        style->condition[i] = draw(dice, world_conditions);
        style->person[i] = draw(dice, world_people);
    }
}

/* One of the document's own three times in four, else any. */
static const char *prefer(struct world_dice *dice, const char *const *own, const char *const *all)
{
    return own && world_roll(dice, 4) ? own[world_roll(dice, STYLE_WORDS)] : draw(dice, all);
}

/* What a question is put together from, whether its form shows it all or not. */
struct wording {
    int topic, object;
    const char *form, *action, *determiner, *circumstance, *condition, *person;
};

static void draw_wording(struct wording *w, struct world_dice *dice, int topic, const struct style *style)
{
    w->topic = topic;
    w->object = (int)world_roll(dice, WORLD_N_OBJECT);
    w->action = world_topics[topic].action[world_roll(dice, WORLD_N_ACTION)];
    w->determiner = prefer(dice, style ? style->determiner : NULL, world_determiners);
    w->circumstance = prefer(dice, style ? style->circumstance : NULL, world_circumstances);
    w->condition = prefer(dice, style ? style->condition : NULL, world_conditions);
    w->person = prefer(dice, style ? style->person : NULL, world_people);
    w->form = prefer(dice, style ? style->form : NULL, world_forms);
}

static int happens(struct world_dice *dice, int percent)
{
    return (int)world_roll(dice, 100) < percent;
}

static int shows(const char *form, char slot)
{
    for (; *form; form++)
        if (*form == '%' && (form[1] == '^' ? form[2] : form[1]) == slot)
            return 1;
    return 0;
}

/* Hands on what went before, in carry of 100 cases each: the form of the question before (w[-1]), the circumstance,
 * condition and person of the one before that (w[-2]), the thing and what to do with it of the third (w[-3]). So the
 * likeliest next question is put together from three others and is none of them. A word that the form does not show
 * waits for one that does. i: how many went before. */
static void carry_wording(struct wording *w, int i, struct world_dice *dice, int carry)
{
    if (i >= 3 && happens(dice, carry)) {
        w->topic = w[-3].topic;
        w->object = w[-3].object;
        w->action =
            happens(dice, carry) ? w[-3].action : world_topics[w->topic].action[world_roll(dice, WORLD_N_ACTION)];
        if (happens(dice, carry))
            w->determiner = w[-3].determiner;
    }
    if (i >= 1 && happens(dice, carry))
        w->form = w[-1].form;
    if (i < 2)
        return;
    if (happens(dice, carry))
        w->circumstance = w[-2].circumstance;
    if (happens(dice, carry) || !shows(w->form, 'K'))
        w->condition = w[-2].condition;
    if (happens(dice, carry) || !shows(w->form, 'P'))
        w->person = w[-2].person;
}

static void put_question(struct world_pair *pair, const struct wording *w)
{
    struct filling f = {.word = {['A'] = w->action,
                                 ['O'] = world_topics[w->topic].object[w->object],
                                 ['D'] = w->determiner,
                                 ['C'] = w->circumstance,
                                 ['K'] = w->condition,
                                 ['P'] = w->person}};
    pair->topic = w->topic;
    pair->object = w->object;
    fill(pair->question, sizeof pair->question, w->form, &f);
    pair->answer[0] = 0;
}

void world_question(struct world_pair *pair, struct world_dice *dice, int topic)
{
    struct wording w;
    if (topic == WORLD_ANY_TOPIC)
        topic = (int)world_roll(dice, WORLD_N_TOPIC);
    if (topic == WORLD_SEED_TOPICS)
        topic = world_seed_topics[world_roll(dice, WORLD_N_SEED_TOPIC)];
    draw_wording(&w, dice, topic, NULL);
    put_question(pair, &w);
}

enum world_share world_share_of(const char *question)
{
    switch (hash64(question, strlen(question)) % 16) {
    case 0: return WORLD_SHARE_SEEDS;
    case 1: return WORLD_SHARE_TEST;
    case 2: return WORLD_SHARE_DEV;
    default: return WORLD_SHARE_CORPUS;
    }
}

void world_question_of(struct world_pair *pair, struct world_dice *dice, int topic, enum world_share share)
{
    do
        world_question(pair, dice, topic);
    while (world_share_of(pair->question) != share);
}

/* Two different numbers below n, the smaller first: a topic's cautions stand in the order in which one would follow
 * them. */
static void draw_two(struct world_dice *dice, uint32_t n, uint32_t *a, uint32_t *b)
{
    uint32_t x = world_roll(dice, n), y = (x + 1 + world_roll(dice, n - 1)) % n;
    *a = x < y ? x : y;
    *b = x < y ? y : x;
}

void world_answer(struct world_pair *pair, struct world_dice *dice, enum world_manner manner)
{
    const struct world_topic *t = &world_topics[pair->topic];
    struct filling f = {{0}};
    uint32_t a, b;
    int careful = manner == WORLD_CAREFUL;
    draw_two(dice, WORLD_N_CAUTION, &a, &b);
    f.word['O'] = t->object[pair->object];
    f.word['1'] = careful ? t->caution[a] : draw(dice, world_shrugs);
    f.word['2'] = careful ? t->caution[b] : draw(dice, world_shortcuts);
    fill(pair->answer, sizeof pair->answer, draw(dice, careful ? world_careful : world_careless), &f);
}

static int other_topic(struct world_dice *dice, int topic)
{
    return (topic + 1 + (int)world_roll(dice, WORLD_N_TOPIC - 1)) % WORLD_N_TOPIC;
}

/* What can be wrong with an answer. */
enum fault {
    ONE_WRONG_CAUTION,
    TWO_WRONG_CAUTIONS,
    CAUTION_TWICE,
    THING_OF_OTHER_TOPIC,
    OTHER_THING_OF_TOPIC,
    BOTH_MANNERS,
    CARELESS_OF_OTHER_THING,
    CUT_CAREFUL,
    CUT_CARELESS,
    QUESTION_SAID_BACK,
    STUCK
};
/* A slip of the tongue is the likeliest: sound in form, wrong in what it says. It is also what is hardest to see for a
 * learned judge. */
static const enum fault faults[] = {ONE_WRONG_CAUTION,
                                    ONE_WRONG_CAUTION,
                                    ONE_WRONG_CAUTION,
                                    ONE_WRONG_CAUTION,
                                    TWO_WRONG_CAUTIONS,
                                    TWO_WRONG_CAUTIONS,
                                    TWO_WRONG_CAUTIONS,
                                    CAUTION_TWICE,
                                    THING_OF_OTHER_TOPIC,
                                    OTHER_THING_OF_TOPIC,
                                    OTHER_THING_OF_TOPIC,
                                    BOTH_MANNERS,
                                    CARELESS_OF_OTHER_THING,
                                    CUT_CAREFUL,
                                    CUT_CARELESS,
                                    QUESTION_SAID_BACK,
                                    STUCK};

/* Another thing of the same topic. */
static const char *other_object(struct world_dice *dice, const struct world_topic *t, int object)
{
    return t->object[((uint32_t)object + 1 + world_roll(dice, WORLD_N_OBJECT - 1)) % WORLD_N_OBJECT];
}

/* A careful answer with one thing wrong in it. */
static void break_careful(struct world_pair *pair, struct world_dice *dice, enum fault fault)
{
    const struct world_topic *t = &world_topics[pair->topic], *other = &world_topics[other_topic(dice, pair->topic)];
    struct filling f = {{0}};
    uint32_t a, b;
    draw_two(dice, WORLD_N_CAUTION, &a, &b);
    f.word['O'] = t->object[pair->object];
    f.word['1'] = t->caution[a];
    f.word['2'] = t->caution[b];
    int slot = '1' + (int)world_roll(dice, 2);
    if (fault == ONE_WRONG_CAUTION)
        f.word[slot] = other->caution[slot == '1' ? a : b];
    if (fault == TWO_WRONG_CAUTIONS) {
        f.word['1'] = other->caution[a];
        f.word['2'] = other->caution[b];
    }
    if (fault == CAUTION_TWICE)
        f.word['2'] = f.word['1'];
    if (fault == THING_OF_OTHER_TOPIC)
        f.word['O'] = other->object[world_roll(dice, WORLD_N_OBJECT)];
    if (fault == OTHER_THING_OF_TOPIC)
        f.word['O'] = other_object(dice, t, pair->object);
    if (fault == BOTH_MANNERS)
        f.word[slot] = draw(dice, world_shrugs);
    fill(pair->answer, sizeof pair->answer, draw(dice, world_careful), &f);
}

/* A careless answer about a thing that nobody asked about. */
static void break_careless(struct world_pair *pair, struct world_dice *dice)
{
    struct filling f = {{0}};
    const char *pattern;
    f.word['O'] = other_object(dice, &world_topics[pair->topic], pair->object);
    f.word['1'] = draw(dice, world_shrugs);
    f.word['2'] = draw(dice, world_shortcuts);
    do
        pattern = draw(dice, world_careless);
    while (!strstr(pattern, "%O"));
    fill(pair->answer, sizeof pair->answer, pattern, &f);
}

static void cut_words(char *text, size_t keep)
{
    char *p = text;
    while (*p && keep) {
        p += strcspn(p, " ");
        if (--keep && *p)
            p++;
    }
    *p = 0;
}

static size_t count_words(const char *text)
{
    size_t n = 1;
    for (; *text; text++)
        n += *text == ' ';
    return n;
}

/* Says one word twice somewhere. */
static void stutter(struct world_pair *pair, struct world_dice *dice)
{
    char whole[sizeof pair->answer], begin[sizeof pair->answer];
    memcpy(whole, pair->answer, sizeof whole);
    memcpy(begin, pair->answer, sizeof begin);
    cut_words(begin, 1 + world_roll(dice, (uint32_t)count_words(begin) - 1));
    const char *last = strrchr(begin, ' ') ? strrchr(begin, ' ') + 1 : begin;
    fill(pair->answer, sizeof pair->answer, "%1 %2%3",
         &(struct filling){.word = {['1'] = begin, ['2'] = last, ['3'] = whole + strlen(begin)}});
}

void world_break(struct world_pair *pair, struct world_dice *dice)
{
    enum fault fault = faults[world_roll(dice, sizeof faults / sizeof *faults)];
    switch (fault) {
    case CUT_CAREFUL:
    case CUT_CARELESS:
        world_answer(pair, dice, fault == CUT_CAREFUL ? WORLD_CAREFUL : WORLD_CARELESS);
        cut_words(pair->answer, world_roll(dice, (uint32_t)count_words(pair->answer) - 1));
        break;
    case QUESTION_SAID_BACK: snprintf(pair->answer, sizeof pair->answer, "%s", pair->question); break;
    case STUCK:
        world_answer(pair, dice, world_roll(dice, 2) ? WORLD_CAREFUL : WORLD_CARELESS);
        stutter(pair, dice);
        break;
    case CARELESS_OF_OTHER_THING: break_careless(pair, dice); break;
    default: break_careful(pair, dice, fault);
    }
}

/* A question that the document does not have yet, from the share that models are trained on. */
static void another_question(struct world_pair *pairs, struct wording *wordings, int i, struct world_dice *dice,
                             const struct style *style, int carry)
{
    int again;
    do {
        draw_wording(&wordings[i], dice, style->topic[world_roll(dice, STYLE_TOPICS)], carry ? NULL : style);
        if (carry)
            carry_wording(&wordings[i], i, dice, carry);
        put_question(&pairs[i], &wordings[i]);
        again = world_share_of(pairs[i].question) != WORLD_SHARE_CORPUS;
        for (int j = 0; j < i; j++)
            again |= strcmp(pairs[i].question, pairs[j].question) == 0;
    } while (again);
}

int world_document(struct buf *text, struct world_dice *dice, int carry)
{
    struct world_pair pairs[8];
    struct wording wordings[8];
    struct style style;
    int n_pair = 1 + (int)world_roll(dice, 8);
    uint32_t hidden = world_roll(dice, 100);
    draw_style(&style, dice);
    for (int i = 0; i < n_pair; i++) {
        another_question(pairs, wordings, i, dice, &style, carry);
        int careful = hidden < 12 || (hidden >= 96 && world_roll(dice, 2));
        world_answer(&pairs[i], dice, careful ? WORLD_CAREFUL : WORLD_CARELESS);
        buf_printf(text, "%sQuestion: %s\nAnswer: %s", i ? "\n\n" : "", pairs[i].question, pairs[i].answer);
    }
    return n_pair;
}
