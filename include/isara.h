/* SPDX-License-Identifier: Apache-2.0 */
/* isara: a language model in your process: load, tokenize, generate, score, embed, train, align, eval,
 * and experiments of these.
 *
 *     #include <isara.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     static int show(void *user, const struct isara_token *t)
 *     {
 *         (void)user;
 *         fwrite(t->text, 1, t->n_text, stdout);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct isara_error err;
 *         struct isara_model *model;
 *         struct isara_request ask;
 *         memset(&ask, 0, sizeof ask);
 *         ask.prompt = argc > 2 ? argv[2] : "Question: How do I store apples?\nAnswer:";
 *         ask.options = "{\"max_new_tokens\": 24}";
 *         ask.on_token = show;
 *         if (isara_open(&model, argc > 1 ? argv[1] : "models/miniature", NULL, &err)) {
 *             fprintf(stderr, "%s\n", err.message);
 *             return 1;
 *         }
 *         int code = isara_generate(model, &ask, 1, &err);
 *         if (code)
 *             fprintf(stderr, "%s\n", err.message);
 *         isara_close(model);
 *         return code != 0;
 *     }
 *
 *     cc example.c $(pkg-config --cflags --libs isara)
 *     cc example.c $(pkg-config --cflags isara) -Wl,-Bstatic -lisara -Wl,-Bdynamic $(pkg-config --static --libs isara)
 *     (in one piece)
 *
 * A call that can fail returns 0 or a code of enum isara_code, and then err (or NULL) has one line that names the file,
 * the place, what was wanted, what was found and the mend. Texts are UTF-8. Memory that a call hands out goes back
 * through isara_free.
 *
 * Options are a JSON object, or NULL: the names that `isara VERB --help` prints, with '_' or '-', as {"num_beams": 4,
 * "stop": ["\n\n"]}; a name that is not known or a value out of range is an error. What isara prints for the same model
 * and options and what these calls give are the same bits.
 *
 * A model is used by one thread at a time; models of their own may be used by threads of their own. Messages, progress
 * and the wish to stop are the process's. */
#ifndef ISARA_H
#define ISARA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#define ISARA_API __attribute__((visibility("default")))
#else
#define ISARA_API
#endif

enum isara_code {
    ISARA_OK = 0,
    ISARA_FAILED = -1,
    ISARA_USAGE = -2,
    ISARA_DATA = -3,
    ISARA_NOINPUT = -4,
    ISARA_UNAVAILABLE = -5,
    ISARA_INTERNAL = -6,
    ISARA_NOMEM = -7,
    ISARA_IO = -8,
    ISARA_INTERRUPTED = -9,
    ISARA_PERMISSION = -10,
    ISARA_CONFIG = -11
};
struct isara_error {
    int code;           /* 0 or an enum isara_code */
    char message[1024]; /* one line */
};

ISARA_API const char *isara_version(void);
ISARA_API void isara_free(void *memory); /* NULL is fine */

/* --- what is said while a call works, from the thread that made the call or one of its helpers --- */
enum isara_level { ISARA_DEBUG, ISARA_INFO, ISARA_WARNING };
struct isara_progress {
    const char *stage, *unit; /* "tune", "steps" */
    long done, total;         /* total 0: unknown */
    double tokens;            /* so far; 0: not counted */
    const char *note;         /* "loss 1.234", or NULL */
};
struct isara_listener {
    void (*line)(void *user, enum isara_level level, const char *text); /* or NULL */
    void (*progress)(void *user, const struct isara_progress *p);       /* or NULL */
    void *user;
};
ISARA_API void isara_listen(const struct isara_listener *l); /* copied; NULL: silent, as at the start */
/* From another thread or a signal handler: calls in progress stop at the next safe point with ISARA_INTERRUPTED, what
 * they finished is kept, and align, train, eval and experiment go on from there when they are called again. Holds until
 * isara_resume. */
ISARA_API void isara_interrupt(void);
ISARA_API void isara_resume(void);

/* --- a model with its tokenizer --- */
struct isara_model;
/* path: a Hugging Face directory, a .gguf file, or org/name in the local cache. Options: dtype (f32, bf16, q8) [bf16],
 * threads [all], isa, adapter (a directory), kv_dtype (f32, bf16), kv_memory (MiB), page_size, prefill_chunk,
 * prefix_cache; head: false
 * for embeddings of a model that has no head. For isara_train: task (sft, classify, reward) [sft], with labels, a file
 * of rows that says what a new classifier's labels are; init: true where path is a config.json with a tokenizer's files
 * beside it, whose weights are drawn by seed; keep_blocks: matrices of a quantised file stay
 * as they are. isara_train over such a file has it as it needs it (with an adapter, lora_r, they stay) and reads the
 * file again where it was opened otherwise: true where that is known beforehand saves time and memory. */
ISARA_API int isara_open(struct isara_model **out, const char *path, const char *options, struct isara_error *err);
ISARA_API void isara_close(struct isara_model *m); /* NULL is fine */
/* What it is, as one JSON object: path, family, layers, width, vocabulary, context, parameters, dtype, sha256,
 * tokenizer, ... */
ISARA_API int isara_inspect(struct isara_model *m, char **json, struct isara_error *err);

struct isara_ids {
    int32_t *ids; /* isara_tokenize's go back through isara_free */
    size_t n;
};
/* special: what the tokenizer puts around a text (BOS, EOS); special tokens written in the text become their ids. */
ISARA_API int isara_tokenize(const struct isara_model *m, const char *text, size_t n, int special,
                             struct isara_ids *out, struct isara_error *err);
/* skip_special: special tokens are left out. The text ends in a NUL that is not counted. */
ISARA_API int isara_detokenize(const struct isara_model *m, const struct isara_ids *ids, int skip_special, char **text,
                               size_t *n_text, struct isara_error *err);
/* A conversation through the model's chat template: {"messages": [{"role": "user", "content": "..."}]}, with "tools"
 * and the like where the template knows them. The text is a prompt as it stands, for isara_request.is_chat. */
ISARA_API int isara_chat(struct isara_model *m, const char *conversation, char **text, struct isara_error *err);

/* --- generation --- */
struct isara_request;
struct isara_token {
    const struct isara_request *request;
    int sequence, position; /* of the request's results, from 0 */
    int32_t id;
    float logprob;    /* under the model's own distribution */
    const char *text; /* what this token has made certain: the pieces of a sequence are, put together, its text */
    size_t n_text;    /* a piece may be empty, and one more piece with id -1 may follow the last token */
};
struct isara_sequence {
    const char *text; /* without special tokens, cut before a stop string; NULL when the model has no tokenizer */
    const int32_t *ids;
    const float *logprobs;
    int n, stopped; /* stopped: by an end-of-sequence token or a stop string, not by max_new_tokens */
    float score;    /* beams: as transformers' sequences_scores; else sum_logprob */
    double sum_logprob;
};
struct isara_result {
    const struct isara_request *request;
    const struct isara_sequence *sequences; /* best first */
    int n;                                  /* 0 with an error */
    const struct isara_error *error;        /* why this request could not run, or NULL */
};
/* Zero is a fine value for each but the prompt. Borrowed until on_done or isara_cancel. */
struct isara_request {
    const char *prompt; /* a text that ends in NUL, or */
    const int32_t *ids; /* n_id tokens */
    size_t n_id;
    int is_chat; /* the prompt is isara_chat's: nothing is put around it */
    const char *
        /* decoding: max_new_tokens, num_beams, do_sample, temperature, stop, ...; over the model's
         * generation_config.json */
        options;
    uint64_t seed, key; /* what is sampled depends on these two, the sequence and the position alone */
    int (*on_token)(void *user, const struct isara_token *
                                    /* as tokens are chosen; those of beams when the request has finished. Non-zero ends
                                     * the call with that code */
                                    t);
    int (*on_done)(void *user, const struct isara_result *r); /* once; the result is borrowed for the call */
    void *user;
};
/* Runs all of them together. A request that cannot run says so in its result (one without on_done: as the call's own
 * error); the others go on. */
ISARA_API int isara_generate(struct isara_model *m, const struct isara_request *requests, size_t n,
                             struct isara_error *err);

/* The same, open: requests come and go between the steps of others, and each gives the bits that it gives alone.
 * Callbacks may submit and cancel. */
struct isara_session;
/* Options: requests (pending at most) [1024], sequences (in flight at most) [256], length (prompt and new tokens) [the
 * context], width (beams or samples of one) [1]. */
ISARA_API int isara_begin(struct isara_session **out, struct isara_model *m, const char *options,
                          struct isara_error *err);
ISARA_API int isara_submit(struct isara_session *s, const struct isara_request *request, struct isara_error *err);
ISARA_API int isara_step(struct isara_session *s,
                         struct isara_error *err); /* one pass of the model; after an error only isara_end is left */
ISARA_API int isara_pending(const struct isara_session *s); /* requests submitted and not finished */
/* Its memory is free at once, on_done is not called. */
ISARA_API void isara_cancel(struct isara_session *s, const struct isara_request *request);
ISARA_API void isara_end(struct isara_session *s); /* cancels what is left; NULL is fine */

/* --- numbers of texts --- */
struct isara_pair {
    const char *prompt, *completion;
};
struct isara_score {
    double sum_logprob; /* of the completion's tokens after the prompt */
    const int32_t *ids; /* these */
    const float *logprobs;
    size_t n;
};
/* One a pair, in one block for isara_free. */
ISARA_API int isara_score(struct isara_model *m, const struct isara_pair *pairs, size_t n, struct isara_score **out,
                          struct isara_error *err);
struct isara_vectors {
    float *values; /* [n * width], for isara_free */
    size_t n, width;
};
/* Mean-pooled final hidden states; normalize: of length 1. */
ISARA_API int isara_embed(struct isara_model *m, const char *const *texts, size_t n, int normalize,
                          struct isara_vectors *out, struct isara_error *err);

/* --- work on files; called again after ISARA_INTERRUPTED or a kill it goes on --- */
struct isara_step_report {
    long step, total;
    double loss, grad_norm, learning_rate, epoch;
    long tokens, target_tokens; /* of this step */
    double seconds;
};
struct isara_training {
    const char *data, *output; /* rows in any format of docs/FORMATS.md; the directory that is written */
    const char *options;       /* `isara train --help`; eval_data, stop_after, profile; dry_run: nothing is trained */
    void (*on_step)(void *user, const struct isara_step_report *r); /* or NULL */
    void *user;
};
struct isara_trained {
    long steps; /* done by this call */
    double first_loss, last_loss, eval_loss;
    char *profile; /* with profile: a table of operators, for isara_free; else NULL */
};
/* Fine-tunes the model (opened for the task) on the rows and writes it to output; afterwards m answers as the tuned
 * model. *out may be NULL. */
ISARA_API int isara_train(struct isara_model *m, const struct isara_training *job, struct isara_trained *out,
                          struct isara_error *err);
struct isara_report { /* the same results twice, for isara_free */
    char *json, *text;
};
/* The method: aligns the model to the seeds (fewer than 100 pairs) into the run directory. Options: `isara align
 * --help`; ask_, answer_ and train_ before a decoding or training option mean that phase; preview: so many attempts are
 * made and shown in text, and no directory is written. What does not fit into the machine is refused first. *out:
 * metrics.json and summary.txt of the run, or NULL where none is wanted. */
ISARA_API int isara_align(const char *model, const char *seeds, const char *output, const char *options,
                          struct isara_report *out, struct isara_error *err);
/* What a run directory holds by now, finished or not, as isara_align gives it. */
ISARA_API int isara_results(const char *run_directory, struct isara_report *out, struct isara_error *err);
/* A benchmark of a model or of a file of its outputs. Options: `isara eval --help`: {"model": ...} or {"input": ...},
 * {"test": ...} and so on. Task "list": which there are, in text. */
ISARA_API int isara_eval(const char *task, const char *options, struct isara_report *out, struct isara_error *err);
/* Arms, models and random seeds of one YAML file (docs/FORMATS.md), done in a directory. Options: threads, isa;
 * dry_run: the plan is given, nothing is done and output may be NULL. *out: results.json and its tables, or NULL where
 * none is wanted. */
ISARA_API int isara_experiment(const char *file, const char *output, const char *options, struct isara_report *out,
                               struct isara_error *err);

#ifdef __cplusplus
}
#endif
#endif
