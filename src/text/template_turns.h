/* SPDX-License-Identifier: Apache-2.0 */
/* What a chat template puts around what is said, read off conversations that it has rendered. */
#ifndef TEXT_TEMPLATE_TURNS_H
#define TEXT_TEMPLATE_TURNS_H

#include "base/buf.h"
#include "text/tokenizer.h"

#include <jansson.h>

struct turns_seen {
    const struct buf *prompt, *whole; /* a question that asks for an answer; the same with its answer */
    const char *answer, *after;       /* where the answer begins and ends in whole */
    const char *behind;               /* what stands behind a question that asks for an answer */
};
struct turns {
    const json_t *special; /* bos_token, ... by name */
    const struct tokenizer *tokenizer;
    /* between the prompt and an answer; what closes an answer that is tuned on; where a generated question and a
     * generated answer end: a special token's text, or the first words behind them */
    char *lead, *end, *question_end, *answer_end;
};
int turns_read(struct turns *t, const struct turns_seen *seen, struct error *err);
int turns_describe(const struct turns *t, json_t *described); /* 0 or -1 */
void turns_free(struct turns *t);
/* The day that a template prints which prints the day: SOURCE_DATE_EPOCH's, else always the same one. */
int64_t turns_day(void);

#endif
