/* SPDX-License-Identifier: Apache-2.0 */
/* What is wanted of texts that the model reads: so many values of each. */
#ifndef CREW_READING_H
#define CREW_READING_H

#include "crew/wire.h"
#include "model/model.h"

enum reading_kind { READ_SCORE, READ_EMBED, READ_NEXT, READ_CLASSIFY, READ_TOP };
struct reading {
    enum reading_kind kind;
    int normalize;                      /* EMBED */
    struct model_candidates candidates; /* NEXT */
    int n_top;                          /* TOP: of every list the ids' bytes, then the log-probabilities */
};
size_t reading_values(const struct reading *r, const struct model_desc *d, const struct model_text *t);
/* Whether the model's functions would take the texts; if not, they say why by the texts' numbers. */
int reading_fits(const struct reading *r, const struct model_desc *d, const struct model_text *texts, int n);
int reading_run(const struct reading *r, const struct model *m, const struct model_text *texts, int n, float *out,
                struct error *err);
void reading_put(struct buf *b, const struct reading *r);
/* Candidates are in memory of their own (mem_free). */
int reading_get(struct reading *r, struct wire *w, struct error *err);

#endif
