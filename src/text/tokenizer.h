/* SPDX-License-Identifier: Apache-2.0 */
/* Text to token ids and back, the way the model's own tokenizer file says.
 *
 *     struct tokenizer *tok;
 *     struct tokens ids = TOKENS_INIT;
 *     struct buf text = BUF_INIT;
 *     if (tokenizer_open(&tok, "models/miniature", &err) ||
 *         tokenizer_encode(tok, "Hello", 5, TOKENIZER_ADD_SPECIAL, &ids, &err) ||
 *         tokenizer_decode(tok, ids.ids, ids.n, 1, &text, &err)) ...
 *     tokens_free(&ids); buf_free(&text); tokenizer_close(tok);
 *
 * Every source (a Hugging Face directory, tokenizer.json, vocab.json + merges.txt, the metadata of a GGUF file) is
 * first brought into the form of tokenizer.json, and one reader takes it from there; of a tokenizer.model that is the
 * vocabulary only, and the rest is run as sentencepiece runs it (sentencepiece.h). A component that is
 * not known is an error that names it, never ignored. Texts are UTF-8 with a length and may hold NULs; anything else is
 * an error. Where there is a tokenizer.json its post-processor says what is put around a text, and add_bos_token of
 * tokenizer_config.json is not looked at (as in transformers 5); for the other sources that config does. Added and
 * special tokens are collected as AutoTokenizer does (added_read.c), and so is the blank before a text
 * (source_prefix.c).
 * A struct tokenizer does not change after opening: any number of threads may use it at once. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

struct tokens {
    int32_t *ids;
    size_t n, cap;
};
#define TOKENS_INIT \
    {               \
        NULL, 0, 0  \
    }
int tokens_push(struct tokens *t, int32_t id); /* 0, or -1 when out of memory */
void tokens_free(struct tokens *t);

struct checkpoint;
struct tokenizer;
/* path: a directory, a tokenizer.json, a tokenizer.model, a vocab.json or merges.txt (with the other beside it) or a
 * .gguf. Beside the tokenizer, tokenizer_config.json, special_tokens_map.json and added_tokens.json are read when they
 * are there. */
int tokenizer_open(struct tokenizer **out, const char *path, struct error *err);
/* A model's: with an adapter its base's, under the adapter's own chat template when it has one. */
int tokenizer_open_of(struct tokenizer **out, const struct checkpoint *ck, struct error *err);
/* The same from the bytes of a tokenizer.json and (or NULL) the text of a tokenizer_config.json; name stands for the
 * file in messages. */
int tokenizer_open_json(struct tokenizer **out, const char *name, const char *json, size_t n, const char *config,
                        struct error *err);
/* The same from the bytes of a sentencepiece model. */
int tokenizer_open_spm(struct tokenizer **out, const char *name, const void *bytes, size_t n, struct error *err);
void tokenizer_close(struct tokenizer *tok); /* NULL is fine */

enum tokenizer_flags {
    TOKENIZER_ADD_SPECIAL = 1,   /* what the post-processor puts around the text (BOS, EOS, [CLS], ...) */
    TOKENIZER_PARSE_SPECIAL = 2, /* special tokens written in the text become their ids; without it they are plain text.
                                    Added tokens that are not special are recognised either way. */
};
/* Appends the ids of text[0..n) to out. ERROR_DATA when text is not UTF-8 (naming the byte). */
int tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n, int flags, struct tokens *out,
                     struct error *err);

/* Appends the text of the ids to out; it is always valid UTF-8: bytes that are not become U+FFFD, as the file's decoder
 * has it. Ids without a token (padding rows of a model's vocabulary) give nothing. skip_special leaves special tokens
 * out. */
int tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, int skip_special, struct buf *out,
                     struct error *err);

/* The same, one id at a time: what comes out piece by piece is, after finish, exactly what tokenizer_decode gives.
 * Bytes that the next token may still complete or change are held back. Pushing allocates nothing once the buffers have
 * grown. */
struct tokenizer_stream;
int tokenizer_stream_new(struct tokenizer_stream **out, const struct tokenizer *tok, int skip_special,
                         struct error *err);
void tokenizer_stream_free(struct tokenizer_stream *s);
void tokenizer_stream_reset(struct tokenizer_stream *s); /* as new */
int tokenizer_stream_copy(struct tokenizer_stream *to,
                          const struct tokenizer_stream *from); /* state of a forked beam; 0 or -1 (memory) */
void tokenizer_stream_push(struct tokenizer_stream *s, int32_t id,
                           struct buf *out); /* appends; out->failed on no memory */
void tokenizer_stream_finish(struct tokenizer_stream *s,
                             struct buf *out); /* appends what was held back; then reset or free */
/* Appends what finish would, and changes nothing: the text so far, for looking for a stop string without delay. */
void tokenizer_stream_peek(const struct tokenizer_stream *s, struct buf *out);

/* The token as its file spells it ("Ġthe", "<0x0A>", "</s>"), NUL-terminated, borrowed; NULL when the id has none. n
 * may be NULL. */
const char *tokenizer_token(const struct tokenizer *tok, int32_t id, size_t *n);
int32_t tokenizer_id(const struct tokenizer *tok, const char *token,
                     size_t n);                      /* of that spelling; -1 when there is none */
int32_t tokenizer_size(const struct tokenizer *tok); /* greatest id + 1 */
int tokenizer_is_special(const struct tokenizer *tok, int32_t id);
const int32_t *tokenizer_special_ids(const struct tokenizer *tok, size_t *n); /* ascending; borrowed */

/* What else the files say. Ids are -1 and strings NULL when they say nothing. */
struct tokenizer_info {
    const char *source; /* path it was opened from */
    const char *model;  /* "BPE", "Unigram", "WordPiece", "WordLevel" */
    int32_t bos, eos, pad, unk;
    int add_bos, add_eos; /* TOKENIZER_ADD_SPECIAL puts bos first / eos last */
    int32_t truncation;   /* max_length of tokenizer.json's truncation entry, reported and not applied; -1 when null */
    int32_t padding; /* Fixed length of its padding entry, 0 for BatchLongest; reported and not applied; -1 when null */
    const char *chat_template; /* Jinja source: the template called default, or the only one */
    /* chat templates; special tokens as "sep_token" */
    struct tokenizer_named {
        const char *name, *text;
        size_t n;
    } * templates, *named;
    int n_template, n_named;
    int is_byte_level; /* decode(encode(x)) == x for every x (no normalizer, byte-level BPE) */
};
const struct tokenizer_info *tokenizer_info(const struct tokenizer *tok);

/* The files of a Hugging Face directory for this tokenizer, appended to three buffers (each may be NULL):
 * tokenizer.json, tokenizer_config.json and special_tokens_map.json. Loading them gives the same ids. */
int tokenizer_export(const struct tokenizer *tok, struct buf *json, struct buf *config, struct buf *map,
                     struct error *err);

#endif
