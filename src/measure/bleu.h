/* SPDX-License-Identifier: Apache-2.0 */
/* BLEU of one sentence against one reference as sacrebleu.corpus_bleu gives it with tokenize="intl",
 * smooth_method="exp", no effective order, case kept (what TruthfulQA uses). An exact match of fewer than four tokens
 * scores 0. */
#ifndef MEASURE_BLEU_H
#define MEASURE_BLEU_H

#include "base/buf.h"
#include "base/error.h"
#include "measure/rouge.h"

#include <stdint.h>

struct bleu_score {
    double score, precisions[4], brevity;
    int sys_len, ref_len;
};
/* A text's n-grams, to be compared with many. All texts of a comparison share one vocabulary (measure/rouge.h, one of
 * BLEU's own: case counts here). */
/* up to four token numbers of 32 bits, in order */
struct bleu_gram {
    uint64_t high, low;
};
/* n tokens; the n - k k+1-grams, sorted */
struct bleu_text {
    int n;
    struct bleu_gram *grams[4];
};
int bleu_text_init(struct bleu_text *t, struct rouge_vocab *v, const char *text, struct error *err);
void bleu_text_deinit(struct bleu_text *t);
void bleu_compare(const struct bleu_text *reference, const struct bleu_text *prediction, struct bleu_score *out);
/* The two in one. Texts are UTF-8 (ERROR_DATA else). */
int bleu_sentence(const char *reference, const char *prediction, struct bleu_score *out, struct error *err);
/* The international tokeniser alone: tokens joined by single spaces, appended to out. */
int bleu_tokenize(const char *text, struct buf *out, struct error *err);

#endif
