/* SPDX-License-Identifier: Apache-2.0 */
/* The sections of an alignment's report, one builder a group; each appends to the document what the tree has. */
#ifndef REPORT_SECTIONS_H
#define REPORT_SECTIONS_H

#include "report/comparison.h"
#include "report/document.h"
#include "report/report.h"

/* All of them, in the page's order: what report_run_document is. */
void report_run_document(struct document *d, const struct report_run *r);

void sections_results(struct document *d, const struct report_run *r);                  /* sections_results.c */
void sections_controls(struct document *d, const struct report_run *r);                 /* sections_controls.c */
void sections_rounds(struct document *d, const struct report_run *r);                   /* sections_rounds.c */
void sections_samples(struct document *d, const struct report_run *r);                  /* sections_samples.c */
void sections_training(struct document *d, const struct report_run *r);                 /* sections_training.c */
void sections_account(struct document *d, const struct report_run *r);                  /* sections_account.c */
void sections_tax(struct document *d, const struct report_run *r);                      /* sections_tax.c */
void sections_limits(struct document *d, const struct report_run *r);                   /* sections_limits.c */
void sections_people(struct document *d, const struct report_run *r);                   /* sections_people.c */
void report_comparison_document(struct document *d, const struct report_comparison *c); /* sections_experiment.c */
void sections_power_of_arms(struct document *d, const struct report_comparison *c);     /* sections_controls.c */
void sections_attempts_of_arms(struct document *d, const struct report_comparison *c);  /* sections_samples.c */
void sections_rounds_of_arms(struct document *d, const struct report_comparison *c);    /* sections_rounds.c */
void sections_overlap_of_arms(struct document *d, const struct report_comparison *c);   /* sections_account.c */
void sections_terms(struct document *d);                                                /* sections_limits.c */
void sections_grounds(struct document *d, const struct report_comparison *c);           /* sections_grounds.c */
void sections_stated(struct document *d, const json_t *about);           /* sections_about.c: of an experiment */
void sections_about(struct document *d, const struct report_run *r);     /* sections_about.c */
int report_about_knows(const char *name);                                /* is it asked of people? */
void sections_checklist(struct document *d, const struct report_run *r); /* sections_checklist.c */
void sections_checklist_of_experiment(struct document *d, const struct report_comparison *c);

extern const char sections_tax_of_answers[], sections_tax_elsewhere[]; /* sections_tax.c: what the metrics are */
void sections_shell_word(struct buf *out, const char *word);           /* sections_tax.c: of a shell's command */

#endif
