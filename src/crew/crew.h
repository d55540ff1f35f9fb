/* SPDX-License-Identifier: Apache-2.0 */
/* The ranks of a job as a crew: rank 0 runs the command as one process does, and alone reads, writes and prints; the
 * others serve it. What it generates, scores, embeds and tunes through these functions is done by all, with the bits
 * that rank 0 alone would get: requests and texts are dealt out, a training is entered by everybody. Without others, or
 * with a model that they cannot open (model_origin), they are generate_run, model_score, model_embed and train_run. */
#ifndef CREW_CREW_H
#define CREW_CREW_H

#include "generate/generate.h"
#include "train/train.h"

/* Of all ranks: once, before anything else. Ranks that are not of one build end all. group: ranks of a crew
 * (dist_split); 0: all are one. */
int crew_start(int group, struct error *err);
/* Of the others: until rank 0 ends; *code: what it exits with. Models are opened on the device that is said. */
int crew_serve(const struct device_options *device, int *code, struct error *err);
/* Of rank 0, which exits with this: the others do too. */
void crew_end(int code);

/* done is called on rank 0, in the order in which results arrive; what it wrote is there before the request counts as
 * done. */
int crew_generate(struct generate_engine *e, const struct generate_request *requests, int n,
                  int (*done)(void *user, int index, const struct generate_result *result), void *user,
                  struct error *err);
int crew_score(const struct model *m, const struct model_text *texts, int n_text, float *logprobs, struct error *err);
int crew_embed(const struct model *m, const struct model_text *texts, int n_text, int normalize, float *out,
               struct error *err);
int crew_next(const struct model *m, const struct model_text *texts, int n_text, struct model_candidates candidates,
              float *out, struct error *err);
int crew_classify(const struct model *m, const struct model_text *texts, int n_text, float *out, struct error *err);
/* Without out->scores. */
int crew_top(const struct model *m, const struct model_text *texts, int n_text, const struct model_top *out,
             struct error *err);
/* Afterwards the model is no file's any more (model_forget_origin). */
int crew_train(const struct train_job *job, struct train_result *result, struct error *err);
/* Processes that share a training's gradient: options with fewer leaves are refused. */
int crew_check_train(const struct train_options *o, struct error *err);

#endif
