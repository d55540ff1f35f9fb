/* SPDX-License-Identifier: Apache-2.0 */
/* What speaks: a language model with its tokenizer, the way it is prompted (a template, or a style in its place), its
 * generation engine's options and what finds contexts for it. One model is in memory at a time: the pretrained one, or
 * one that was tuned from it.
 *
 *     struct speaker s;
 *     if (speaker_open(&s, device, &(struct speaker_options){.model = "models/miniature", .dtype = DTYPE_BF16}, &err))
 *     ... speaker_generate(&s, &job, items, n, &err);      // answer/speak.h
 *     speaker_close(&s); */
#ifndef ANSWER_SPEAKER_H
#define ANSWER_SPEAKER_H

#include "generate/generate.h"
#include "io/checkpoint.h"
#include "text/template.h"

#include <jansson.h>

#define SPEAKER_RETRIEVERS "model|encoder|bm25" /* in their order */
enum speaker_retriever { RETRIEVER_MODEL, RETRIEVER_ENCODER, RETRIEVER_BM25 };
/* Streams of random numbers, beside a run's seed; in round t of the method 8 t is added. */
enum speaker_stream {
    STREAM_ASK = 1,
    STREAM_ANSWER,
    STREAM_EVALUATE,
    STREAM_CONTEXTS,
    STREAM_GENERATED,
    STREAM_SEEDS,
    STREAM_ORDER
};
enum { STREAMS_A_ROUND = 8 };

/* How a question is put to the model when not by the template. */
struct prompt_style {
    const char *name;
    /* Appends the whole prompt to out. */
    int (*compose)(void *user, const struct example *examples, size_t n, const char *question, struct buf *out,
                   struct error *err);
    void *user;
    const char *stop; /* text that ends an answer, or "" */
    /* when a given answer is scored: what ends the prompt ("\nA:"), what stands before the answer (" ") */
    const char *score_cue, *score_prefix;
    int special; /* the prompt holds special tokens as text, BOS among them */
};

struct speaker_options {
    const char *model;
    const char *template_file; /* or the template itself, beginning with "{"; "chat": the model's own; NULL: built-in */
    const char *system;        /* with "chat": the system turn's text; NULL: none is given */
    const char *encoder;       /* of RETRIEVER_ENCODER; NULL: none */
    enum speaker_retriever retriever;
    const struct prompt_style *style;      /* NULL: the template; borrowed until close */
    struct generate_engine_options engine; /* page 0: defaults */
    enum dtype dtype;
    int keep_blocks; /* model_options' */
    uint64_t seed;
};

struct speaker {
    struct speaker_options o;
    struct device *device;
    struct checkpoint *source; /* the pretrained model */
    struct tokenizer *tokenizer;
    struct template *template;
    struct model_desc desc;
    char *ask_cue, *answer_cue;   /* what a text must not hold: "Question:", "Answer:" */
    int question_end, answer_end; /* token ids that end a turn of the chat template; -1: none */
    char source_sha256[65];       /* of the weights, after speaker_hash */
    json_t *files;                /* the model's and the encoder's other files by hash, for settings */
    struct model *model;          /* what is loaded, from model_path; NULL: nothing yet */
    char *model_path;             /* NULL: what is in memory is no longer what was loaded */
    char *base_path; /* with keep_blocks: of what an adapter stands beside in memory, or of all that is there; NULL:
                        adapters cannot take each other's place */
};
/* Everything but the weights and their hash. Strings of the options are borrowed until close. device NULL: nothing is
 * going to be loaded. */
int speaker_open(struct speaker *s, struct device *device, const struct speaker_options *o, struct error *err);
void speaker_close(struct speaker *s); /* zeroed is fine */
int speaker_hash(struct speaker *s, struct error *err);
/* Another model's weights and other files, into `files` under PREFIXname. */
int speaker_hash_model(struct speaker *s, const char *path, const char *prefix, struct error *err);
int speaker_set_template(struct speaker *s, struct template *t, struct error *err);         /* takes t */
int speaker_load(struct speaker *s, const char *path, enum dtype dtype, struct error *err); /* s->model := that one */
/* What opens the pretrained model again: as it was named, for an adapter lies over its base by its own directory only.
 */
const char *speaker_pretrained(const struct speaker *s);
int speaker_load_pretrained(struct speaker *s, struct error *err);
void speaker_unload(struct speaker *s); /* frees the model; the next load reads it anew */
void speaker_forget(struct speaker *s); /* the weights in memory were changed: the next load reads them anew */

/* What ends a text besides the options' own stops: their EOS ids when they have none. */
void speaker_end_ids(const struct speaker *s, int asks, struct generate_options *o);
int speaker_is_end(const struct speaker *s, int32_t id); /* of an answer */
/* Options as requests have them: with the stop text of the template or the style. ERROR_CONFIG when that does not
 * fit. */
int speaker_decoding(const struct speaker *s, int asks, const struct generate_options *o, struct generate_options *out,
                     struct error *err);
/* A prompt's tokens as generation sees them, replacing out's content. people: where its words are not ours, or NULL. */
int speaker_encode(const struct speaker *s, const struct buf *text, const struct text_spans *people, struct tokens *out,
                   struct error *err);
int speaker_flags(const struct speaker *s); /* of tokenizer_encode, by the style */

/* What decides the bits of everything it says, but for the decoding: adds to `settings`. Non-zero when out of
 * memory. */
int speaker_settings(const struct speaker *s, json_t *settings);
int speaker_put_setting(json_t *settings, const char *name, const char *text); /* a NULL text as "" */
const char *speaker_bits(const struct speaker *s); /* the instruction set; "f32": the same bits everywhere */

#endif
