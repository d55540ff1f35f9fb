/* SPDX-License-Identifier: Apache-2.0 */
/* Text generation: requests of any mix run together over a paged KV cache with shared prefixes; each request's result
 * is the same bits whatever else is in flight. Option names and defaults are transformers' GenerationConfig's
 * (PROTOCOLS 8). */
#ifndef GENERATE_GENERATE_H
#define GENERATE_GENERATE_H

#include "model/model.h"
#include "text/tokenizer.h"

enum beam_compat { BEAM_COMPAT_4_35, BEAM_COMPAT_4_48, BEAM_COMPAT_4_49 };
enum early_stopping { EARLY_FALSE, EARLY_TRUE, EARLY_NEVER };
enum penalty_scope { PENALTY_ALL, PENALTY_GENERATED };
enum { GENERATE_MAX_STOP = 16, GENERATE_STOP_BYTES = 128, GENERATE_MAX_BEAMS = 256, GENERATE_MAX_NEW = 1 << 20 };

struct generate_options {
    int max_new_tokens, min_new_tokens, num_beams, num_return_sequences, do_sample, top_k, no_repeat_ngram_size;
    float temperature, top_p, min_p, repetition_penalty, length_penalty;
    enum early_stopping early_stopping;
    enum beam_compat beam_compat;
    enum penalty_scope penalty_scope;
    int eos_ids[MODEL_MAX_EOS], n_eos; /* n_eos 0: never ends by itself */
    char stop[GENERATE_MAX_STOP][GENERATE_STOP_BYTES];
    int n_stop; /* text, special tokens in it, that ends a sequence; the text is cut before it */
};
/* 256 new tokens, 1 beam, no sampling, temperature 1, top_k 50, top_p 1, penalties off, early_stopping false, rule
 * 4.49, scope all. */
void generate_options_default(struct generate_options *o);
/* Takes what a generation_config.json and the descriptor say: EOS list, decoding options, stop strings. */
int generate_options_merge(struct generate_options *o, const json_t *generation_config, const struct model_desc *d,
                           const char *where, struct error *err);
/* A setting of a generation_config.json that transformers would act on and this engine does not; NULL when there is
 * none. */
const char *generate_options_unknown(const json_t *generation_config);
/* Names the option that is out of range. */
int generate_options_check(const struct generate_options *o, struct error *err);

struct generate_request {
    const int32_t *prompt;
    int n_prompt; /* at least 1 */
    struct generate_options options;
    uint64_t seed, key_a, key_b; /* sampling stream: (seed, key_a, key_b folded with the sequence), index = position */
    void *user;
};
enum finish_reason { FINISH_STOP, FINISH_LENGTH };
struct generate_sequence {
    int32_t *ids;
    int n;              /* generated ids, EOS included when it was generated */
    char *text;         /* decoded without special tokens, cut before a stop string; NULL without a tokenizer */
    float score;        /* beams: as transformers' sequences_scores; else sum_logprob */
    double sum_logprob; /* of the generated ids under the unprocessed distribution */
    float *logprobs;    /* [n] the same, one a token */
    enum finish_reason finish;
};
struct generate_result {
    struct generate_sequence *sequences;
    int n;
    long rows;          /* of tokens behind the prompt that were computed, in all beams or samples */
    struct error error; /* code 0: fine */
};

struct generate_engine_options {
    int page;            /* 32, 64, 128; 0: plan_page [0] */
    enum dtype kv_dtype; /* F32 or BF16; F32 when the model is f32 */
    size_t memory_bytes; /* of KV pages; 0: fitted to the requests, at most a quarter of memory */
    int prefill_chunk;   /* token rows a step at most [512] */
    int prefix_cache;    /* [1] */
    int max_batch;       /* sequences in flight at most; 0: chosen */
};
struct generate_stats {
    long prompt_tokens, computed_prompt_tokens, generated_tokens, steps;
    /* token rows of all passes; rows of logits; mem_* allocations inside steps, which should be none */
    long rows, head_rows, step_allocations;
    long decoding_rows;                 /* of rows, those of tokens behind prompts */
    long reserved_pages;                /* that requests in flight may take at most, now */
    size_t peak_pages, kv_bytes;        /* pages ever in use at once; bytes that the pages may take */
    double model_seconds, host_seconds; /* waiting for the device; everything else inside steps */
};

/* The defaults above; kv_dtype fits the model's. */
void generate_engine_options_default(struct generate_engine_options *o, const struct model *m);
struct generate_engine;
int generate_engine_new(struct generate_engine **out, struct model *m, const struct tokenizer *t /* or NULL */,
                        const struct generate_engine_options *options /* or NULL: defaults */, struct error *err);
void generate_engine_free(struct generate_engine *e);
struct model *generate_engine_model(const struct generate_engine *e);
const struct tokenizer *generate_engine_tokenizer(const struct generate_engine *e);  /* or NULL */
struct generate_engine_options generate_engine_set(const struct generate_engine *e); /* its options */
/* Why a run would not take this request, memory for it aside. */
int generate_check(const struct generate_engine *e, const struct generate_request *r, struct error *err);
/* Runs all requests; done(user, i, result) is called once a request in the order they finish, result borrowed for the
 * call; a non-zero return stops the run with that code. A request that cannot run (too long, option out of range, one
 * request over the memory budget) gets result.error and the others go on. Stops with ERROR_INTERRUPTED at the next step
 * when interrupt_requested(). */
int generate_run(struct generate_engine *e, const struct generate_request *requests, int n,
                 int (*done)(void *user, int index, const struct generate_result *result), void *user,
                 struct error *err);

/* An open session: requests may be submitted and cancelled between the steps of others; generate_run is a loop over
 * these. Everything a step needs is made by generate_begin, from the limits. A session is one thread's; an engine has
 * one at a time. */
struct generate_limits {
    int requests;  /* submitted and not yet finished, at most [1024] */
    int sequences; /* beams, samples and single texts in flight at most; 0: the engine's max_batch, or 256 [0] */
    int length;    /* of a prompt and its new tokens together [the model's context] */
    int width;     /* beams or samples of one request [1] */
    int eos;   /* EOS tokens of a request with beams [MODEL_MAX_EOS]; with width, how many candidates a step looks at */
    int rules; /* requests may have repetition_penalty, no_repeat_ngram_size or min_new_tokens [1] */
    int stop;  /* requests may have stop strings [1 with a tokenizer] */
    int share; /* engines that fit into this machine's memory beside each other; 0: one [0] */
    int bound; /* pages that one request may need at most; 0: of its length and width [0] */
};
void generate_limits_default(struct generate_limits *l, const struct generate_engine *e);
/* Those that fit these requests (of which some may not run at all), shared by `share` engines: as many sequences in
 * flight as one's share has. */
void generate_limits_fit(struct generate_limits *l, const struct generate_engine *e,
                         const struct generate_request *requests, int n, int share);
struct generate_token {
    int sequence, position; /* of the request's results; from 0 */
    int32_t id;
    float logprob; /* under the unprocessed distribution */
};
/* Called between steps, so that both may submit and cancel. A non-zero return ends the session with that code. */
struct generate_calls {
    /* Every token as it is chosen; those of beams, which may still change, when their request has finished. NULL: none
     * is wanted. */
    int (*token)(void *user, const struct generate_request *r, const struct generate_token *t);
    int (*done)(void *user, const struct generate_request *r,
                const struct generate_result *result); /* once a request; result is borrowed for the call */
    void *user;
};
int generate_begin(struct generate_engine *e, const struct generate_limits *limits, const struct generate_calls *calls,
                   struct error *err);
/* The request and its prompt are borrowed until done is called or it is cancelled. Its result is the same bits whatever
 * is submitted when. Requests come in in the order they are submitted. An error says why this one cannot run; the
 * session goes on. */
int generate_submit(struct generate_engine *e, const struct generate_request *r, struct error *err);
int generate_step(struct generate_engine *e,
                  struct error *err); /* one pass of the model over what is in flight; nothing to do is fine. After an
                                         error: generate_end */
int generate_pending(const struct generate_engine *e); /* requests submitted and not finished */
/* Its pages and slots are free at once and done is not called for it; a request that is not (or no more) there: nothing
 * happens. */
void generate_cancel(struct generate_engine *e, const struct generate_request *r);
void generate_end(struct generate_engine *e); /* cancels what is left */
/* A session that just fits these requests, from its begin to its end, in the order in which prompts share most.
 * Requests that cannot run are done with result->error. */
int generate_all(struct generate_engine *e, const struct generate_request *requests, int n,
                 const struct generate_calls *calls, struct error *err);

/* The text of ids that such a request generated, as its result has it. The caller's (mem_free). */
int generate_text(const struct generate_engine *e, const struct generate_options *o, const int32_t *ids, int n,
                  char **text, struct error *err);

/* What a run of these requests can take besides the weights: bytes of pages at most, and of host arrays, activations
 * and logits. */
void generate_memory_bound(struct generate_engine *e, const struct generate_request *requests, int n, size_t *kv_bytes,
                           size_t *other_bytes);
void generate_engine_forget(
    struct generate_engine *e); /* drops cached prefixes (after the weights changed); not while requests are pending */
/* What another engine's work, beside this one's, is counted as: token rows, tokens, steps, seconds. */
void generate_engine_add(struct generate_engine *e, const struct generate_stats *other);
struct generate_stats generate_engine_stats(const struct generate_engine *e);

/* Bytes that a run makes resident beside the weights (cache, activations, logits) when each request generates as many
 * tokens as is said. */
struct generate_load {
    int n_prompt, n_new;
};
size_t generate_memory(const struct device *device, const struct model_desc *d, enum dtype dtype,
                       const struct generate_options *o, const struct generate_load *loads, int n);

#endif
