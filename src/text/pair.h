/* SPDX-License-Identifier: Apache-2.0 */
/* A prompt and its completion as tokens: the one way, for scoring, training and evaluation alike.
 *
 * The prompt's tokens are those that generation sees. The completion's are the rest of the tokens of both texts joined,
 * where those begin with the prompt's (as a model that writes on would have it); where a token crosses the border the
 * completion is tokenised apart, without what the tokenizer puts before a text (BOS, the blank of sentencepiece).
 *
 * A text that is partly ours (a template's words) and partly people's (questions, answers) says where the latter are:
 * special tokens written in them stay text. */
#ifndef TEXT_PAIR_H
#define TEXT_PAIR_H

#include "text/tokenizer.h"

/* Bytes [from, to) of a text, ascending. */
struct text_span {
    size_t from, to;
};
struct text_spans {
    struct text_span *v;
    size_t n, cap;
};
int text_spans_add(struct text_spans *s, size_t from, size_t to); /* 0, or -1 when out of memory */
void text_spans_free(struct text_spans *s);

struct pair_text {
    const char *text;
    size_t n;
    const struct text_spans *people; /* people's words in it; NULL: none */
};
/* tokenizer_encode with people's words in the text. */
int tokenizer_encode_mixed(const struct tokenizer *tok, const struct pair_text *x, int flags, struct tokens *out,
                           struct error *err);

/* A completion after its prompt. */
struct text_pair {
    struct pair_text prompt, completion;
    const int32_t *prompt_ids; /* [n_prompt]: what `flags` made of the prompt's text, less an EOS at their end */
    size_t n_prompt;
    int flags;
};
/* Appends the completion's tokens; none for an empty one. *apart (or NULL): 1 when the border lies inside a token. */
int pair_encode_completion(const struct tokenizer *tok, const struct text_pair *p, struct tokens *out, int *apart,
                           struct error *err);
/* n less the EOS that a tokenizer puts after a text of its own accord. */
size_t pair_without_end(const struct tokenizer *tok, const int32_t *ids, size_t n);
/* The same without the prompt's text. */
int pair_encode_apart(const struct tokenizer *tok, const struct pair_text *completion, int flags, struct tokens *out,
                      struct error *err);

#endif
