/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a request while its tokens come: pieces that nothing to come can change, and which put together are each
 * sequence's final text. With stop strings a piece is one token late and holds back as many bytes as might begin
 * one. */
#ifndef GENERATE_STREAM_H
#define GENERATE_STREAM_H

#include "generate/generate.h"

struct text_stream;
/* Both are borrowed and must outlive it. */
int text_stream_new(struct text_stream **out, const struct tokenizer *t, const struct generate_options *o,
                    struct error *err);
void text_stream_free(struct text_stream *s); /* NULL is fine */
/* borrowed until the next call; n may be 0 */
struct text_piece {
    const char *text;
    size_t n;
};
int text_stream_push(struct text_stream *s, const struct generate_token *t, struct text_piece *piece,
                     struct error *err);
/* What is left of a sequence when its result is there. */
struct text_piece text_stream_rest(const struct text_stream *s, int sequence, const struct generate_sequence *result);

#endif
