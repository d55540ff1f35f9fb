/* SPDX-License-Identifier: Apache-2.0 */
/* BLEU of one sentence against one reference as sacrebleu.corpus_bleu gives it with tokenize="intl", smooth_method="exp", no effective
 * order, case kept (what TruthfulQA uses). An exact match of fewer than four tokens scores 0. */
#ifndef JUDGE_BLEU_H
#define JUDGE_BLEU_H

#include "base/buf.h"
#include "base/error.h"

struct bleu_score { double score, precisions[4], brevity; int sys_len, ref_len; };
/* Texts are UTF-8 (ERROR_DATA else). */
int bleu_sentence(const char *reference, const char *prediction, struct bleu_score *out, struct error *err);
/* The international tokeniser alone: tokens joined by single spaces, appended to out. */
int bleu_tokenize(const char *text, struct buf *out, struct error *err);

#endif
