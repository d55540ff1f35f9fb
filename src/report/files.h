/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REPORT_FILES_H
#define REPORT_FILES_H

#include "report/differences.h"
#include "report/document.h"
#include "report/report.h"
#include "report/runs.h"

/* Everything that a run's report is, into DIR (made if need be): metrics.json, report.html, tables/, README.md,
 * dataset_card.md, .eval_results/, generated.jsonl, TensorBoard events. Each file is replaced whole. d: of the same
 * run. */
int report_files_write(const struct report_run *r, const struct document *d, const char *directory, struct error *err);
/* What is in DIR of the tables and of generated.jsonl and is not what the run says, a line each; a table that is not
 * beside the others too. */
int report_files_compare(const struct report_run *r, const struct document *d, const char *directory,
                         struct differences *x, struct error *err);
/* The same of several runs: comparison.json, tables/, report.html. */
int report_runs_write(const struct report_runs *c, const struct document *d, const char *directory, struct error *err);
#endif
