/* SPDX-License-Identifier: Apache-2.0 */
/* Talking with a model: turns so far, a message, and an answer that is told while it is written. Prompts are those of
 * the method's template (answer/prompt.h): in a chat template earlier turns are turns, in a plain one pairs; when they
 * do not fit the oldest go.
 *
 *     struct talker *t;
 *     struct talk talk = {0};
 *     struct talk_answer answer;
 *     talk_options_default(&o);
 *     o.model = "models/miniature";
 *     if (talker_open(&t, device, &o, &err) || talker_answer(t, &talk, "How do I store apples?", &sink, &answer, &err))
 *         ...
 *     talk_add(&talk, "How do I store apples?", &answer, &err);  // the next message comes after this turn */
#ifndef TALK_TALK_H
#define TALK_TALK_H

#include "answer/prompt.h"
#include "generate/fields.h"

struct talk_options {
    const char *model;
    /* as speaker_options has it; NULL: the model's chat template, else questions and answers */
    const char *template_file;
    const char *system; /* NULL: what the chat template has without one */
    struct generate_engine_asked engine;
    enum dtype dtype;
    uint64_t seed;
    /* what a person says of decoding, over the model's own; NULL: nothing */
    int (*decoding)(void *user, struct generate_options *o, struct error *err);
    void *user;
};
extern const struct field_table talk_fields; /* template, system */
void talk_options_default(struct talk_options *o);

/* What was said. The talk owns its texts. */
struct talk {
    struct pool_item *turns; /* question: the message */
    int n, n_said;           /* n_said: messages ever answered; names the random stream */
    char *system;            /* NULL: none */
};
void talk_free(struct talk *t); /* zeroed is fine */
void talk_reset(struct talk *t);
int talk_set_system(struct talk *t, const char *text, struct error *err); /* NULL takes it away */
void talk_drop(struct talk *t, int n);                                    /* the oldest turns */

struct talk_answer {
    struct buf text; /* without the white space around it */
    int dropped;     /* of the oldest turns, so many did not fit */
    int n_token, most;
    int cut;         /* it reached its most tokens; most is less than was asked for when no more fits */
    int interrupted; /* a signal ended it; the text is as far as it came */
};
void talk_answer_free(struct talk_answer *a);
int talk_add(struct talk *t, const char *message, const struct talk_answer *answer, struct error *err);

struct talker;
int talker_open(struct talker **out, struct device *device, const struct talk_options *o, struct error *err);
void talker_close(struct talker *t); /* NULL is fine */
/* How messages are put to it: in the model's chat template (1) or as the template's pairs (0). */
int talker_is_chat(const struct talker *t);
struct generate_stats talker_stats(const struct talker *t);
/* The words that a run tuned its model with (config.resolved.json's template) are taken apart: *system is what they say
 * of a system turn (new text, or NULL), *template_file the rest, for talk_options (new text). */
int talk_words(const json_t *words, char **template_file, char **system, struct error *err);

/* Pieces of whole characters, never empty; put together they are the answer. Non-zero ends it with that code. */
struct talk_sink {
    int (*piece)(void *user, const char *text, size_t n);
    void *user;
};
/* ERROR_DATA: the message does not fit by itself. An interruption is no error. answer: for talk_answer_free, after an
 * error too. */
int talker_answer(struct talker *t, const struct talk *talk, const char *message, const struct talk_sink *sink,
                  struct talk_answer *answer, struct error *err);

#endif
