/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer in the words of GGUF. */
#ifndef TEXT_GGUF_OUT_H
#define TEXT_GGUF_OUT_H

#include "io/gguf_write.h"
#include "text/tokenizer.h"

/* Puts tokenizer.* for a model of n_vocab rows (more than the tokens: the rest is named [PADn] and unused). What
 * llama.cpp's tokenizers cannot do the same way is refused by the component's name. */
int tokenizer_to_gguf(const struct tokenizer *tok, int n_vocab, struct gguf_writer *w, struct error *err);

#endif
