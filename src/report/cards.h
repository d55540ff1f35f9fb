/* SPDX-License-Identifier: Apache-2.0 */
/* What model and dataset hubs read of a run, made of its tree and its document. Each appends. */
#ifndef REPORT_CARDS_H
#define REPORT_CARDS_H

#include "report/document.h"
#include "report/report.h"

#include "base/buf.h"

/* README.md: front matter with base_model, datasets, license, library_name, tags, model-index, and configs for
 * generated.jsonl beside it; then what was found, how, and its limits. */
void card_model(struct buf *out, const struct report_run *r, const struct document *d);
/* dataset_card.md: a dataset's README.md of generated.jsonl beside it. */
void card_dataset(struct buf *out, const struct report_run *r);
/* .eval_results/NAME.yaml: a list of results of the last round. */
void card_eval_results(struct buf *out, const struct report_run *r);

#endif
