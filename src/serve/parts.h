/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the OpenAI-like interface: what its files share.
 *
 * A request that needs the model is an ask. It is read in the server's thread (body.c, request.c, completions.c,
 * chat.c, embeddings.c), becomes tasks of the worker (run.c; produce.c for texts), and is answered in the worker's
 * thread when the last of them is done (reply.c, logprobs.c), or while they go on (stream.c). */
#ifndef SERVE_PARTS_H
#define SERVE_PARTS_H

#include "generate/stream.h"
#include "serve/json.h"
#include "serve/metrics.h"
#include "serve/worker.h"

#include <jansson.h>

enum { API_MAX_PROMPTS = 4096, API_MAX_TOP = 20 };
struct api {
    struct http_server *http;
    struct worker *worker;
    struct served *models;
    int n_model;
    double created;
    char mark[16]; /* of this server, in the ids of its answers */
    _Atomic long n_answer;
    struct metrics metrics;
};

struct choice { /* one sequence of a prompt's answer */
    struct ask *ask;
    struct prompt *prompt;
    int index;                      /* in the answer */
    char *text;                     /* what was generated */
    int32_t *ids;                   /* the prompt's, then what was generated */
    int n, n_prompt;                /* ids; of the prompt */
    int stopped, first;             /* first: of the ids from which on log-probabilities are there */
    float *logprobs, *top_logprobs; /* [n - first], [n - first, n_top] */
    int32_t *top_ids;
    struct task task; /* that finds them */
};
struct prompt {
    struct ask *ask;
    struct tokens ids;
    const char *text; /* as it was given; NULL: as ids */
    struct task task; /* that generates, or embeds */
    float *vector;    /* embedded */
    struct choice *choices;
    int n_choice;
    struct text_stream *stream;
};
struct ask {
    struct api *api;
    struct http_exchange *x;
    struct served *model;
    json_t *body;                  /* prompts' texts are its */
    void (*finish)(struct ask *a); /* all tasks are done: answers */
    int chat, stream, usage, echo; /* usage: a stream ends with it */
    int begun;                     /* a stream whose status is said */
    int n, best_of;
    int n_top;     /* log-probabilities of tokens, with so many alternatives each; -1: none */
    int generates; /* else the prompt is only looked at */
    struct generate_options options;
    uint64_t seed;
    struct prompt *prompts;
    int n_prompt, n_left; /* n_left: tasks that are not done */
    struct error failed;
    char id[64];
    json_int_t created;
    double arrived, told; /* told: when the first token was there; 0: none yet */
};

/* body.c: the model, or the exchange has been answered with what is wrong. */
struct served *request_model(struct api *api, struct http_exchange *x, const json_t *body);
int request_flag(const json_t *body, const char *name); /* true, or a number that is not 0 */

/* request.c */
/* options, seed, n, best_of of the ask by its body; n_new: what is generated when nothing is said. 0, or the ask has
 * been refused. */
int request_decoding(struct ask *a, int n_new);
/* max_new_tokens beside the prompts: without a length that was asked for it gives way to them. */
int request_lengths(struct ask *a);
int request_stream(struct ask *a);
/* A whole number of the body from 0 to most; absent, null: *to stays. 0, or refused. */
int request_whole(struct ask *a, const char *name, int most, int *to);

/* prompts.c: "prompt" of a body, or "input", into the ask's prompts; 0 or refused. */
int prompts_read(struct ask *a, const char *name, int (*text)(struct prompt *p, const json_t *text, struct error *err));
int prompts_text(struct prompt *p, const json_t *text, struct error *err); /* tokenised as isara generate does */
int prompts_check_ids(const struct prompt *p, struct error *err);          /* they are the model's */

/* ask.c */
/* Of the exchange's body. no_engine: what a model that generates nothing is refused with; NULL: any will do. NULL: the
 * exchange has been answered. */
struct ask *ask_open(struct api *api, struct http_exchange *x, const char *no_engine);
int ask_prompts(struct ask *a, int n); /* makes room; 0 or refused */
void ask_refuse(struct ask *a, int status, const char *param, const struct error *reason); /* answers; ends the ask */
int ask_wrong(struct ask *a, const char *param, const char *wanted); /* 400 "PARAM: wanted ..."; -1 */
void ask_free(struct ask *a);

/* run.c: the prompts' tasks, whose done calls run_done. Takes the ask. */
void run_ask(struct ask *a);
int run_gone(const struct task *t);                       /* a prompt's task: nobody waits for the ask */
void run_done(struct ask *a, const struct error *reason); /* one task less; with the last the ask is finished */

/* produce.c: tasks that make the prompts' choices. */
void produce(struct ask *a);

/* pieces.c: the text that each token adds, also of tokens that might have stood in its place. */
struct pieces;
struct pieces *pieces_new(const struct served *m); /* NULL: out of memory */
void pieces_free(struct pieces *p);
/* What `id` would be as the next token, in out (emptied first). */
void pieces_probe(struct pieces *p, int32_t id, struct buf *out);
/* It is the next token; the number of characters by which the text grows. */
size_t pieces_push(struct pieces *p, int32_t id);

/* logprobs.c: a choice's, as completions or chat have them; NULL: out of memory. */
json_t *logprobs_json(const struct choice *c);

/* reply.c: parts of an answer; NULL: out of memory. */
json_t *reply_head(const struct ask *a, const char *object, json_t *choices); /* takes choices */
json_t *reply_usage(const struct ask *a);
char *reply_text(const struct choice *c); /* with the prompt before it when it is echoed; mem_free */
void reply_whole(struct ask *a);          /* finish: answers with all at once */
json_t *reply_reason(const struct choice *c);

/* stream.c */
void stream_token(struct ask *a, struct prompt *p, const struct generate_token *t);
void stream_result(struct ask *a, struct prompt *p, const struct generate_result *r);
void stream_finish(struct ask *a);     /* finish: what was not streamed yet, and the end */
int stream_lives(const struct ask *a); /* tokens are told as they come; else all at the end */

/* Handlers. */
void api_completions(void *api, struct http_exchange *x);
void api_chat(void *api, struct http_exchange *x);
void api_embeddings(void *api, struct http_exchange *x);
void api_tokenize(void *api, struct http_exchange *x);
void api_detokenize(void *api, struct http_exchange *x);
void api_tokenizer_info(void *api, struct http_exchange *x);
/* chat.c: a body's conversation as the model's template has it. */
int chat_tokens(const struct served *m, const json_t *body, struct tokens *out, struct error *err);

#endif
