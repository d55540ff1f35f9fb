/* SPDX-License-Identifier: Apache-2.0 */
/* Exact match and word F1 of a short answer as SQuAD's scorer has them: lower case, punctuation and the articles a, an,
 * the removed, white space joined. */
#ifndef MEASURE_QA_H
#define MEASURE_QA_H

#include "base/buf.h"
#include "base/error.h"

struct qa_score {
    int exact;
    double f1;
};
int qa_score(const char *answer, const char *reference, struct qa_score *out, struct error *err);

#endif
