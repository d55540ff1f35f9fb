/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the OpenAI-like interface: what its files share.
 *
 * A request that needs the model is an ask: it is read in the server's thread (request.c, completions.c, chat.c, ...),
 * becomes tasks of the worker, and is answered in the worker's thread when the last of them is done (ask.c, reply.c).
 */
#ifndef SERVE_PARTS_H
#define SERVE_PARTS_H

#include "generate/stream.h"
#include "serve/http.h"
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
};

struct choice { /* one sequence of a prompt's answer */
    struct ask *ask;
    struct prompt *prompt;
    int index;       /* in the answer */
    char *text;      /* what was generated */
    int32_t *ids;    /* the prompt's, then what was generated */
    float *logprobs; /* of each id but the first, as far as they are known; NULL: not wanted */
    int n, n_prompt, stopped;
    struct task task; /* that finds the logprobs */
    struct model_top top;
};
struct prompt {
    struct ask *ask;
    struct tokens ids;
    const char *text; /* as it was given; NULL: as ids */
    struct task task; /* that generates; none: kind is TASK_SCORE */
    struct choice *choices;
    int n_choice;
    struct text_stream *stream;
};
struct ask {
    struct api *api;
    struct http_exchange *x;
    struct served *model;
    json_t *body;                  /* prompts' texts are its */
    int chat, stream, usage, echo; /* usage: a stream ends with it */
    int n, best_of;
    int n_top; /* log-probabilities of tokens, with so many alternatives each; -1: none */
    int generates;
    struct generate_options options;
    uint64_t seed;
    struct prompt *prompts;
    int n_prompt, n_left; /* n_left: tasks that are not done */
    struct error failed;
    char id[64];
    json_int_t created;
};

/* body.c: 0 and the model, or the exchange has been answered with what is wrong. */
int request_body(struct http_exchange *x, json_t **body);
struct served *request_model(struct api *api, struct http_exchange *x, const json_t *body);
int request_flag(const json_t *body, const char *name); /* true, or a number that is not 0 */

/* request.c */
/* options, seed, n, best_of of the ask by its body; n_new: what is generated when nothing is said. 0, or the ask has
 * been refused. */
int request_decoding(struct ask *a, int n_new);

/* ask.c */
/* The prompts' arrays, empty, and the body's model; takes body. NULL: the exchange has been answered. */
struct ask *ask_new(struct api *api, struct http_exchange *x, json_t *body);
int ask_prompts(struct ask *a, int n); /* makes room; 0 or answered */
void ask_run(struct ask *a);           /* takes the ask: it is answered now or when its tasks are done */
void ask_refuse(struct ask *a, int status, const char *param, const struct error *reason); /* the same, at once */
void ask_free(struct ask *a);

/* reply.c: a finished ask as JSON; NULL: out of memory. */
json_t *reply_json(struct ask *a);
json_t *reply_usage(const struct ask *a);

/* Handlers. */
void api_completions(void *api, struct http_exchange *x);
void api_chat(void *api, struct http_exchange *x);
void api_models(void *api, struct http_exchange *x);
void api_health(void *api, struct http_exchange *x);

/* answer.c */
void answer_json(struct http_exchange *x, int status, json_t *value); /* takes value; NULL: out of memory */
int status_of(int code);                                              /* an error's as HTTP has it */

#endif
