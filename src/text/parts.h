/* SPDX-License-Identifier: Apache-2.0 */
/* The components of a tokenizer.json as they are held in memory. Each is read from its JSON object once (the *_read
 * functions, which name what they refuse), lives in the tokenizer's arena, and is constant from then on. */
#ifndef TEXT_PARTS_H
#define TEXT_PARTS_H

#include "base/arena.h"
#include "text/charsmap.h"
#include "text/pair.h"
#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

#include <jansson.h>

struct sentencepiece;

#define PARTS_MAX_DEPTH 8 /* of Sequence inside Sequence */

/* What a reader of components needs: where to put them, and how to say what is wrong. */
struct reader {
    struct arena *arena;
    struct regex_list *regexes; /* an empty head; freed with the tokenizer */
    const char *file;
    int depth;
    struct error *err;
};
struct regex_list {
    struct regex *re;
    struct regex_list *next;
};
/* Sets the error "FILE: ..." and returns ERROR_DATA. */
int reader_fail(const struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int reader_nomem(const struct reader *r);
/* An object of the file and what messages call it: "decoder Strip". */
struct component {
    const json_t *json;
    const char *name;
};
/* Its fields. Absent and null give the default; another kind is an error. */
int reader_flag(const struct reader *r, const struct component *c, const char *key, int otherwise, int *out);
int reader_count(const struct reader *r, const struct component *c, const char *key, long otherwise, long *out);
int reader_text(const struct reader *r, const struct component *c, const char *key, const char *otherwise,
                const char **out, size_t *n);
/* {"Regex": ...} or {"String": ...} (or a bare string, which old files have). */
int reader_pattern(const struct reader *r, const struct component *c, const char *key, const struct regex **out);
int reader_regex(const struct reader *r, const char *name, const char *text, size_t n, int literal,
                 const struct regex **out);
/* The "type" of a component; an error when it is no object or has none. */
int reader_type(const struct reader *r, const json_t *o, const char *name, const char **out);

/* --- text on its way through the pipeline: consecutive pieces, each text or already a token --- */
struct piece {
    size_t at, n; /* in text.data */
    int32_t id;   /* >= 0: a token */
    int at_start; /* it began the input */
};
struct pieces {
    struct buf text;
    struct piece *v;
    size_t n, cap;
    int failed; /* out of memory */
};
void pieces_reset(struct pieces *p);
void pieces_deinit(struct pieces *p);
void pieces_add(struct pieces *p, const char *text, size_t n, int32_t id, int at_start); /* drops empty text */
int pieces_failed(const struct pieces *p);

/* --- normalizer --- */
enum normalizer_kind {
    NORMALIZE_SEQUENCE,
    NORMALIZE_UNICODE,
    NORMALIZE_PREPEND,
    NORMALIZE_REPLACE,
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP,
    NORMALIZE_STRIP_ACCENTS,
    NORMALIZE_BERT,
    NORMALIZE_BYTE_LEVEL,
    NORMALIZE_PRECOMPILED,
    NORMALIZE_NMT
};
struct normalizer {
    enum normalizer_kind kind;
    int form;         /* UNICODE: utf8proc options */
    const char *text; /* PREPEND, REPLACE */
    size_t n_text;
    const struct regex *pattern;            /* REPLACE */
    int left, right;                        /* STRIP */
    int clean, chinese, accents, lowercase; /* BERT; accents: strip them */
    struct charsmap map;                    /* PRECOMPILED */
    struct normalizer *child;               /* SEQUENCE */
    size_t n_child;
};
int normalizer_read(struct reader *r, const json_t *o, struct normalizer *out);
/* Replaces *text by its normal form; *spare is scratch. ERROR_DATA when it grows beyond all measure: to more than 64
 * times its length and 1 MiB (Unicode's own forms make at most 18 bytes of one). */
int normalizer_apply(const struct normalizer *z, struct buf *text, struct buf *spare, struct error *err);
/* Precompiled and Nmt (normalize_map.c). */
int normalizer_read_map(struct reader *r, const json_t *o, struct charsmap *out);
void normalizer_map(const struct charsmap *m, const struct buf *text, struct buf *out);
void normalizer_nmt(const struct buf *text, struct buf *out);

/* --- pre-tokenizer --- */
enum split_behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_WITH_PREVIOUS, SPLIT_WITH_NEXT, SPLIT_CONTIGUOUS };
enum pretokenizer_kind {
    PRETOKENIZE_SEQUENCE,
    PRETOKENIZE_REGEX,
    PRETOKENIZE_CLASS,
    PRETOKENIZE_WORDS,
    PRETOKENIZE_METASPACE,
    PRETOKENIZE_BYTE_LEVEL,
    PRETOKENIZE_FIXED
};
enum metaspace_scheme { METASPACE_ALWAYS, METASPACE_FIRST, METASPACE_NEVER };
struct pretokenizer {
    enum pretokenizer_kind kind;
    enum split_behavior behavior; /* REGEX, CLASS */
    int invert;
    const struct regex *pattern;  /* REGEX; BYTE_LEVEL: NULL when use_regex is false */
    int (*is_match)(uint32_t cp); /* CLASS */
    int prefix_space;             /* BYTE_LEVEL */
    const char *replacement;      /* METASPACE */
    enum metaspace_scheme scheme;
    int split;
    long length; /* FIXED: characters */
    struct pretokenizer *child;
    size_t n_child;
};
int pretokenizer_read(struct reader *r, const json_t *o, struct pretokenizer *out);
/* From *in to *out, both reset or swapped as needed; the result is in *in. */
int pretokenizer_apply(const struct pretokenizer *z, struct pieces *in, struct pieces *out, struct error *err);
int metaspace_read(struct reader *r, const struct component *c, const char **replacement, enum metaspace_scheme *scheme,
                   int *split);

/* --- byte-level alphabet: every byte as a visible character (GPT-2's table) --- */
uint32_t byte_level_char(unsigned char byte);
int byte_level_byte(uint32_t cp); /* -1: no such character */
void byte_level_write(struct buf *out, const char *bytes, size_t n);

/* --- added tokens --- */
struct added_token {
    const char *text;
    size_t n;
    int32_t id;
    int single_word, lstrip, rstrip, normalized, special;
    const char *shown; /* what it decodes to where that is another text: its normal form */
    size_t n_shown;
};
struct added_set;
int added_set_new(struct added_set **out, struct error *err);
void added_set_free(struct added_set *s);
int added_set_add(struct added_set *s, const char *text, size_t n,
                  const struct added_token *token); /* -1 memory; the first of equal texts stays */
/* Cuts text[0..n) at the tokens' texts (left-most, longest), appending to out. Special ones only with parse_special,
 * and never where they touch one of people's spans (or NULL). */
struct added_cut {
    int at_start, parse_special;
    const struct text_spans *people;
};
void added_set_cut(const struct added_set *s, const char *text, size_t n, const struct added_cut *how,
                   struct pieces *out);
int added_set_has_special(const struct added_set *s, const char *text, size_t n); /* is one written in it? */

/* --- post-processor: what stands before and after a single text --- */
struct around {
    int32_t *before, *after;
    size_t n_before, n_after;
};
int postprocessor_read(struct reader *r, const json_t *o, const struct vocab *vocab, struct around *out);

/* --- decoder --- */
enum decoder_kind {
    DECODE_BYTE_LEVEL,
    DECODE_REPLACE,
    DECODE_BYTE_FALLBACK,
    DECODE_FUSE,
    DECODE_STRIP,
    DECODE_METASPACE,
    DECODE_WORDPIECE,
    DECODE_BPE,
    DECODE_SPACED, /* no decoder: tokens joined by spaces */
    DECODE_SENTENCEPIECE
};
struct decoder {
    enum decoder_kind kind;
    const char *text; /* REPLACE content, STRIP content, METASPACE replacement, WORDPIECE prefix, BPE suffix */
    size_t n_text;
    const struct regex *pattern; /* REPLACE */
    long start, stop;            /* STRIP */
    int flag;                    /* METASPACE: the first token loses its marks; WORDPIECE: cleanup */
    const struct sentencepiece *model;
};
/* A Sequence becomes a flat list. */
int decoder_read(struct reader *r, const json_t *o, struct decoder **out, size_t *n);

#endif
