/* SPDX-License-Identifier: Apache-2.0 */
/* A model's chat template at work: messages to the text, and the tokens, that the model was trained on.
 *
 * A conversation is a JSON object with "messages" (objects with "role" and "content") and, if the template knows them,
 * "tools", "documents" and "chat_template_kwargs" (an object of more variables). The rendered text holds its own BOS:
 * it is tokenised as it stands, special tokens read as such. Templates that print the date get SOURCE_DATE_EPOCH when
 * it is set, else the time of opening. */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/tokenizer.h"

#include <jansson.h>

struct chat;
/* The tokenizer must outlive it. ERROR_UNAVAILABLE: the model has no template, or one that needs what is not known here
 * (named). */
int chat_open(struct chat **out, const struct tokenizer *t, struct error *err);
/* The same from a template's text, for rendering only. */
struct chat_source {
    const char *name, *text; /* name: of the file, for messages */
    json_t *special;         /* bos_token, ... by name; borrowed for the call */
    int64_t now;             /* for templates that print the date */
};
int chat_open_source(struct chat **out, const struct chat_source *source, struct error *err);
json_t *chat_special_tokens(const struct tokenizer *t); /* new reference; NULL when out of memory */
void chat_close(struct chat *c);                        /* NULL is fine */
/* Appends the text of the conversation; with prompt set it ends where the assistant's next turn begins. */
int chat_render(const struct chat *c, const json_t *conversation, int prompt, struct buf *out, struct error *err);
/* The text's tokens, appended. */
int chat_encode(const struct chat *c, const char *text, size_t n, struct tokens *out, struct error *err);

/* A conversation to train on: its tokens, and which of them the assistant says, end of turn included. Turns are found
 * by {% generation %} blocks where the template has them, else by rendering the conversation up to and including each
 * turn; blanks after a turn's last special token are not trained. */
struct chat_row {
    struct tokens ids;
    unsigned char *target; /* [ids.n] */
    /* the assistant's turns; those not trained because the template writes them otherwise when more follows */
    int n_turn, n_skipped;
    int crosses; /* a turn begins or ends inside a token */
    /* a {% generation %} block closes before the end of turn: a model trained so does not learn to stop */
    int end_untrained;
};
int chat_row(const struct chat *c, const json_t *conversation, struct chat_row *out, struct error *err);
void chat_row_free(struct chat_row *r);

#endif
