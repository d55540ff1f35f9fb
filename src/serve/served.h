/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is served under a name, with all that answering needs: one base model, and it once more with each
 * adapter laid over it. */
#ifndef SERVE_SERVED_H
#define SERVE_SERVED_H

#include "generate/fields.h"
#include "text/chat.h"

enum { SERVED_MAX_ADAPTER = 16, SERVED_PATH_BYTES = 1024 };
struct served_options {
    const char *model, *name;                            /* name: the base model's instead of the end of its path */
    char adapter[SERVED_MAX_ADAPTER][SERVED_PATH_BYTES]; /* DIR or NAME=DIR */
    int n_adapter;
    enum dtype dtype;
    struct generate_engine_asked engine;
    int max_sequences, max_queue, max_length, max_width; /* in flight; and waiting; of a text, 0: the context; beams */
    /* what the command line says of decoding, over the model's own; NULL: nothing */
    int (*decoding)(void *user, struct generate_options *o, struct error *err);
    void *user;
};
struct served {
    char name[256];
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer; /* NULL: ids only */
    struct chat *chat;           /* NULL: no chat template, or one that no_chat says is not known here */
    struct model *model;
    struct generate_engine *engine;   /* NULL: an encoder */
    struct generate_options defaults; /* max_new_tokens 0: nobody has said */
    struct generate_limits limits;
    struct error no_chat;
    int max_length; /* prompt and new tokens */
};
/* out[0] is the base model; *n of them, for served_close. */
int served_open(struct served **out, int *n, const struct served_options *o, struct device *device, struct error *err);
void served_close(struct served *all, int n);
/* By its name; NULL: the base model. NULL when there is none of that name. */
struct served *served_find(struct served *all, int n, const char *name);

#endif
