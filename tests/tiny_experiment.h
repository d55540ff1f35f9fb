/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment on the tiny model (tests/tiny_align.h): two random seeds, four arms (pretrained, sft-seeds, steps,
 * isara), references and a judge. What cannot be done fails the test. */
#ifndef TESTS_TINY_EXPERIMENT_H
#define TESTS_TINY_EXPERIMENT_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

extern char tiny_file[1200], tiny_whole[1200]; /* the experiment's file, and the directory of its results */
extern const char tiny_yaml[];                 /* what stands in the file */

int tiny_experiment_setup(void **state); /* does nothing yet */
int tiny_experiment_try(const char *output, json_t **json, struct error *err);
void tiny_experiment(const char *output, json_t **json);
/* The same with other arms ("  - isara\n"), references alone, in tiny_whole. */
void tiny_experiment_arms(const char *arms, json_t **json);
void tiny_results(json_t **results); /* of tiny_whole, as they stand there */
void tiny_page(struct buf *page);    /* its report.html */

/* The item of a list by one of its texts, and by "metric" unless that is NULL. */
const json_t *tiny_find(const json_t *list, const char *key, const char *value, const char *metric);
/* Random seed 0: 3; job 0: what made the model. */
void tiny_job_path(const json_t *results, const char *arm, int random_seed, int job, char path[1400]);
/* nll of each question, out of an evaluation's own samples; how many there are. */
int tiny_nll(const char *directory, double nll[64]);
double tiny_number(const json_t *o, const char *name);
void tiny_close_to(double found, double wanted, double most);

#endif
