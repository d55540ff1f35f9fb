/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a sequence: EOS tokens, and text: finding it as tokens come, and cutting a finished text before it. */
#ifndef GENERATE_STOP_H
#define GENERATE_STOP_H

#include "generate/generate.h"

int stop_is_eos(const struct generate_options *o, int32_t id); /* one of the request's EOS tokens */
struct finder;
int finder_new(struct finder **out, const struct tokenizer *t, struct error *err);
void finder_free(struct finder *f);
/* Grows the buffers by showing them every token once. */
int finder_warm(struct finder *f); /* 0, or -1: out of memory */
/* Remembers ids[0..n) as the text so far; then finder_ends asks whether a token after it completes a stop string.
 * Special tokens count with their text, as in transformers' stop_strings. Only the last tokens matter (as many as the
 * longest stop string has bytes and a few), so a call costs the same however long the text is. Allocates nothing once
 * its buffers have grown. */
void finder_begin(struct finder *f, const struct generate_options *o, const int32_t *ids, int n);
int finder_ends(struct finder *f, const struct generate_options *o, int32_t token);
/* Decoded text of the ids, without special tokens and without a final EOS, cut before the first stop string (which may
 * be or hold a special token). The caller's (mem_free). */
int stop_text(const struct tokenizer *t, const struct generate_options *o, const int32_t *ids, int n, char **text,
              struct error *err);

#endif
