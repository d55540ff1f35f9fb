/* SPDX-License-Identifier: Apache-2.0 */
/* One YAML file is one experiment: arms x models x random seeds, each a few jobs (an alignment, a tuning, benchmarks).
 * Jobs are known by what decides their bits, so that what two arms have in common is done once and what is done is not
 * done again, after a kill or when the file has grown.
 *
 *     struct experiment_options o = {.file = "examples/miniature/arms.yaml", .output = "runs/arms"};
 *     struct buf text = BUF_INIT;
 *     json_t *json;
 *     if (experiment_run(&o, &text, &json, &err)) ...   // again after ERROR_INTERRUPTED: it goes on
 *
 * OUTPUT/work/HASH is a job's directory (job.json: what it is; run, model or eval: what it makes; done.json: that it is
 * finished), OUTPUT/work/inputs files cut out of those given, OUTPUT/results.json the results, OUTPUT/times.json what
 * each job took. */
#ifndef EXPERIMENT_EXPERIMENT_H
#define EXPERIMENT_EXPERIMENT_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

struct experiment_options {
    const char *file, *output; /* output may be NULL with dry_run */
    const char *isa;           /* NULL: the best here */
    int threads;               /* 0: all cores */
    int dry_run;               /* the plan only; nothing is written */
};
/* text: the plan, or the results' table; *json: the same (results.json), a new reference, or NULL. */
int experiment_run(const struct experiment_options *o, struct buf *text, json_t **json, struct error *err);

#endif
