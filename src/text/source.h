/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of the other forms a tokenizer comes in, each written as the documents that a Hugging Face directory would
 * have. */
#ifndef TEXT_SOURCE_H
#define TEXT_SOURCE_H

#include "base/error.h"
#include "text/spm_file.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer_source {
    json_t *json; /* tokenizer.json */
    json_t
        *config; /* tokenizer_config.json completed from special_tokens_map.json and added_tokens.json; may be NULL */
    json_t *model_config; /* config.json, for the ids of special tokens when config names none; may be NULL */
    struct spm_file
        *spm; /* NULL, or a sentencepiece model that is run as sentencepiece does; json then has its vocabulary only */
    json_t *ranks; /* NULL, or a rank for every merge: sentencepiece's, where merges that make the same token tie */
};
/* path as tokenizer_open has it. */
int tokenizer_source_load(struct tokenizer_source *out, const char *path, struct error *err);
void tokenizer_source_free(struct tokenizer_source *s);
/* The file's text becomes the chat template. */
int source_take_chat_template(struct tokenizer_source *s, const char *path, struct error *err);

int source_from_gguf(struct tokenizer_source *out, const char *path, struct error *err);
/* The pre-tokenizers that a GGUF file can name. */
struct gguf_pre {
    const char *name, *json;         /* json: the pre_tokenizer of tokenizer.json */
    int ignore_merges, add_bos, nfc; /* add_bos: when the file does not say */
};
const struct gguf_pre *source_gguf_pres(size_t *n);
struct gguf;
/* Every key of the tokenizer is one that is read, that is off, or that is harmless; the first other one is an error
 * with its name. */
int source_gguf_check_keys(const struct gguf *g, int bert, const char *path, struct error *err);
/* A sentencepiece model file; s->config is read (legacy, add_bos_token) and completed, added (added_tokens.json) may be
 * NULL. */
int source_from_spm(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err);
int source_from_spm_bytes(struct tokenizer_source *s, const char *path, const void *bytes, size_t n,
                          const json_t *added, struct error *err);
/* vocab.json and merges.txt; vocab may be "" for GPT-2's ids, which follow from its merges alone. */
int source_from_merges(struct tokenizer_source *s, const char *vocab, const char *merges, const json_t *added,
                       struct error *err);

/* vocab.txt (BERT): s->config is read (do_lower_case, strip_accents, tokenize_chinese_chars, names) and completed. */
int source_from_vocab_txt(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err);

/* --- shared by them --- */
/* Is this the class that transformers reads the files with: tokenizer_class (with or without Fast), or the one usual
 * for config.json's model_type? */
int source_is_class(const struct tokenizer_source *s, const char *name);
/* A special token of the config by its key ("cls_token"), spelled out or in an object. */
const char *source_named_token(const struct tokenizer_source *s, const char *key, const char *otherwise);
/* The tokenizer.json of a sentencepiece BPE vocabulary: of s its pieces and dummy_prefix (a space is put before the
 * text; first_only: not before every piece between special tokens). */
int source_make_spm(struct tokenizer_source *out, const char *name, const struct spm_file *s, int first_only,
                    struct error *err);
/* {"piece": id}, also on error; a piece that is there twice is one. And a merge for every way to make a piece of two,
 * with their ranks. */
int source_make_vocab(const char *name, const struct spm_piece *piece, size_t n, json_t **out, struct error *err);
int source_make_merges(const struct spm_piece *piece, size_t n, const json_t *vocab, json_t **merges, json_t **ranks);
/* Does the model leave a text as it is but for blanks, with no pieces of its user's? Then source_make_spm's document
 * gives its ids. */
int source_spm_is_plain(const struct spm_file *s);
/* The normalizer Precompiled with a model's map. */
json_t *source_precompiled(const struct spm_file *s);
/* The tokenizer.json of a sentencepiece model under XLM-RoBERTa's class; the config is completed. */
int source_make_xlmr(struct tokenizer_source *out, const char *path, const struct spm_file *s, struct error *err);
/* The nearest tokenizer.json for s->spm, in place of s->json's parts, for those who read such a file. */
int source_complete_spm(struct tokenizer_source *s, const char *name, struct error *err);
/* The tokenizer.json of a byte-level BPE; takes vocab and merges (also on error). */
struct source_bpe {
    json_t *vocab, *merges;
    const char *pre_tokenizer; /* in JSON */
    int ignore_merges;
};
int source_make_bpe(struct tokenizer_source *out, const char *name, const struct source_bpe *b, struct error *err);
/* The tokenizer.json of an uncased BERT vocabulary; takes vocab (also on error). */
int source_make_wordpiece(struct tokenizer_source *out, const char *name, json_t *vocab, const char *unk,
                          struct error *err);
/* Appends to added_tokens. */
int source_add_token(json_t *json, int64_t id, const char *text, int special);
/* Sets post_processor to bos A eos; -1 for none. */
int source_set_around(json_t *json, int64_t bos, const char *bos_text, int64_t eos, const char *eos_text);
/* The same from add_bos_token and add_eos_token of the config, for sources without a post-processor. 0 or -1
 * (memory). */
int source_around_from_config(struct tokenizer_source *out);

/* Is the text one of the special tokens that the config names, by itself or in a list? */
int source_is_named(const json_t *config, const char *text);
/* add_prefix_space and legacy of the config, put into the document. 0 or -1 (memory). */
int source_apply_prefix(struct tokenizer_source *s);

/* jansson's reason for a document that could not be read, as ours: ERROR_NOMEM when it ran out of memory (it then has
 * no text), else ERROR_DATA with the place. */
int text_json_error(const json_error_t *why, const char *name, const char *part, struct error *err);
int text_nomem(const char *name, struct error *err); /* while its tokenizer is read */

#endif
