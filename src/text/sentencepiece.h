/* SPDX-License-Identifier: Apache-2.0 */
/* A sentencepiece model as sentencepiece itself runs it: its normalizer, its BPE or unigram model, its decoder. One
 * text in, ids out; control pieces are not found in texts. */
#ifndef TEXT_SENTENCEPIECE_H
#define TEXT_SENTENCEPIECE_H

#include "base/arena.h"
#include "text/bpe_heap.h"
#include "text/charsmap.h"
#include "text/spm_file.h"
#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/vocab.h"

struct sentencepiece {
    const struct vocab *vocab;
    int32_t size, unk;         /* pieces are the ids below size */
    const unsigned char *type; /* [size] enum piece_type; 0: not to be found in a text */
    int32_t byte_id[256];
    int byte_fallback, is_unigram, dummy_prefix, remove_extra, escape, suffix, has_map;
    struct charsmap map;
    struct trie user;     /* user-defined pieces, which are taken whole */
    struct unigram best;  /* is_unigram */
    const uint32_t *rank; /* BPE: [size], 0 for the best score; equal scores have equal ranks */
    const char *surface;  /* what unk decodes to */
};
struct spm_symbol;
struct spm_unused;
/* One per thread, zeroed to begin with. */
struct sentencepiece_scratch {
    struct spm_symbol *symbol;
    size_t cap;
    struct bpe_heap heap;
    struct spm_unused *unused;
    size_t n_unused, cap_unused;
    struct unigram_scratch unigram;
};
/* Ids, texts and the flag VOCAB_SPECIAL are vocab's; a user-defined piece that is special there is left out. What the
 * model needs lives in arena. name stands for the file in messages. */
int sentencepiece_init(struct sentencepiece *out, const struct spm_file *file, const struct vocab *vocab,
                       struct arena *arena, const char *name, struct error *err);
void sentencepiece_deinit(struct sentencepiece *s);

/* Appends the normal form of text[0..n), valid UTF-8; memory shows in out->failed. */
void sentencepiece_normalize(const struct sentencepiece *s, const char *text, size_t n, struct buf *out);
/* Appends the ids of a normal form. 0, or -1 when out of memory. */
int sentencepiece_encode(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n,
                         struct tokens *out);
void sentencepiece_scratch_deinit(struct sentencepiece_scratch *x);

/* --- what its models and decoder share (spm_pieces.c) --- */
/* The type of the piece spelled text[0..n), 0 for none. */
int sentencepiece_type(const struct sentencepiece *s, const char *text, size_t n);
/* The length of the user-defined piece that begins text[0..n), 0 for none. */
size_t sentencepiece_user(const struct sentencepiece *s, const char *text, size_t n);
/* Appends the id of a stretch that is no piece: its bytes, or unk; next to an unk only one. */
int sentencepiece_unknown(const struct sentencepiece *s, const char *text, size_t n, int *after_unk,
                          struct tokens *out);
/* The BPE of it (spm_bpe.c). */
int spm_bpe_encode(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n,
                   struct tokens *out);
void spm_bpe_deinit(struct sentencepiece_scratch *x);

#endif
