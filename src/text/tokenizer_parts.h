/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer in memory, and the steps from files to it: a source becomes two JSON documents in the form of
 * tokenizer.json and tokenizer_config.json, and those are read into the struct. */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include "text/bpe.h"
#include "text/parts.h"
#include "text/sentencepiece.h"
#include "text/source.h"
#include "text/unigram_model.h"
#include "text/wordpiece.h"

struct tokenizer {
    struct arena arena;
    struct regex_list regexes;
    struct vocab vocab;
    enum model_kind { MODEL_BPE, MODEL_WORDPIECE, MODEL_UNIGRAM, MODEL_WORD_LEVEL, MODEL_SENTENCEPIECE } model;
    struct bpe bpe;
    struct wordpiece wordpiece;
    struct unigram_model unigram;
    struct sentencepiece spm;  /* SENTENCEPIECE: in place of normalizer, pretokenizer and decoder */
    int32_t word_unk;          /* WORD_LEVEL: of a word without a token; -1: an error */
    unsigned char *barred;     /* [vocab.size]: special tokens, which plain text does not become */
    struct added_token *added; /* [n_added] */
    size_t n_added;
    struct added_set *raw, *normal; /* searched for in the raw and in the normalized text; normal NULL: empty */
    int has_normalizer, has_pretokenizer;
    struct normalizer normalizer;
    struct pretokenizer pretokenizer;
    struct around around;
    struct decoder *decoder;
    size_t n_decoder;
    int32_t *special;
    size_t n_special;
    struct tokenizer_info info;
};

/* Reads the documents into tok (zeroed). */
int tokenizer_build(struct tokenizer *tok, const char *name, const struct tokenizer_source *s, struct error *err);
/* model and added_tokens of tokenizer.json; ranks may be NULL. */
int model_read(struct reader *r, struct tokenizer *tok, const json_t *model, const json_t *ranks);
int added_read(struct reader *r, struct tokenizer *tok, const json_t *list, const json_t *config);

/* Templates and special tokens by name (named.c); -1 when out of memory. */
int tokenizer_read_named(struct tokenizer *tok, const json_t *config);

#endif
