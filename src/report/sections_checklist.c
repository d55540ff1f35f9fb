/* SPDX-License-Identifier: Apache-2.0 */
/* The points by which a reviewer judges, each with the place of its answer, or why this run has none. */
#include "report/sections.h"

#include "base/buf.h"

#include <string.h>

static const struct column check_columns[] = {
    {"group", "group", COLUMN_TEXT, 0},
    {"point", "point", COLUMN_TEXT, 0},
    {"state", "answered", COLUMN_TEXT, 0},
    {"answer", "where, or why not", COLUMN_TEXT, 0},
};
enum { N_CHECK_COLUMN = (int)(sizeof check_columns / sizeof *check_columns) };

static int measured(const struct report_run *r)
{
    return r->n_arm > 1 && !isnan(r->arms[r->n_arm - 1].to.change);
}
static int controlled(const struct report_run *r)
{
    return r->last.n > 0;
}
static int tested(const struct report_run *r)
{
    return r->tested + r->tested_flags > 0;
}
static int judged(const struct report_run *r)
{
    return r->has_judge && measured(r);
}
static int on_test(const struct report_run *r)
{
    return r->has_test;
}
static int held_out(const struct report_run *r)
{
    return r->has_test || r->n_held > 0;
}
static int compared(const struct report_run *r)
{
    return r->n_beside > 0;
}
static int never(const struct report_run *r)
{
    (void)r;
    return 0;
}

static const char nothing_measured[] = "nothing was measured before and after";
static const char no_control[] = "it has no control beside the pretrained model (align --test FILE --baselines)";
static const char one_run[] = "it is one run with one random seed; isara report RUN RUN ... compares several";
static const char no_rival[] =
    "other recipes and switches are runs of their own (align --recipe); isara report RUN RUN ... compares them";
static const char no_test[] = "it had no test set (align --test FILE)";
static const char no_people[] = "no people took part in it";

struct checked {
    const char *group, *name;
    int (*can)(const struct report_run *r); /* NULL: every run can */
    const char *place, *answer;             /* a section's name; what stands there */
    const char *why_not;
    const char *about; /* what only people know: its name in `about`; NULL: the run knows */
};
/* clang-format off */
static const struct checked points[] = {
    {"claims and evidence", "abstract claims supported", measured, "results", "the summary is made of the tables' numbers", nothing_measured, NULL},
    {"claims and evidence", "causal claims justified", controlled, "controls", "each control differs from the method in what is asked", no_control, NULL},
    {"claims and evidence", "generalization bounded", NULL, "limitations", "one model, one domain, one set", NULL, NULL},
    {"claims and evidence", "alternative explanations discussed", controlled, "controls", "seeds alone, as many steps, examples in the prompt", no_control, NULL},
    {"claims and evidence", "proxy outcome distinction", NULL, "limitations", "what likelihood and flags stand for", NULL, NULL},
    {"limitations and scope", "limitations section present", NULL, "limitations", "from the run's own facts", NULL, NULL},
    {"limitations and scope", "threats to validity specific", NULL, "limitations", "from the run's own facts", NULL, NULL},
    {"limitations and scope", "scope boundaries stated", NULL, "limitations", "its first paragraph", NULL, NULL},
    {"conflicts of interest", "funding disclosed", NULL, NULL, NULL, NULL, "funding"},
    {"conflicts of interest", "affiliations disclosed", NULL, NULL, NULL, NULL, "affiliations"},
    {"conflicts of interest", "funder independent of outcome", NULL, NULL, NULL, NULL, "funder_role"},
    {"conflicts of interest", "financial interests declared", NULL, NULL, NULL, NULL, "interests"},
    {"scope and framing", "key terms defined", NULL, "terms", "the words of this report", NULL, NULL},
    {"scope and framing", "intended contribution clear", NULL, NULL, NULL, NULL, "contribution"},
    {"scope and framing", "engagement with prior work", NULL, NULL, NULL, NULL, "prior_work"},
    {"artifacts", "code released", NULL, "environment", "the program's version and commit; it is free software (Apache-2.0)", NULL, NULL},
    {"artifacts", "data released", NULL, "samples", "generated.jsonl, arms/*.jsonl and run.db beside this report", NULL, NULL},
    {"artifacts", "environment specified", NULL, "environment", "build, machine and SHA-256 of every input", NULL, NULL},
    {"artifacts", "reproduction instructions", NULL, "environment", "one command", NULL, NULL},
    {"statistical methodology", "confidence intervals or error bars", measured, "results", "95 % beside every share and change", nothing_measured, NULL},
    {"statistical methodology", "significance tests", tested, "results", "paired, corrected by Holm", "no test was defined at this number of questions", NULL},
    {"statistical methodology", "effect sizes reported", measured, "results", "dz, Cohen's h, risk ratio", nothing_measured, NULL},
    {"statistical methodology", "sample size justified", tested, "power", "what these tests find at this number of questions", "no test was defined at this number of questions", NULL},
    {"statistical methodology", "variance reported", never, NULL, NULL, one_run, NULL},
    {"evaluation design", "baselines included", controlled, "controls", "the pretrained model, with examples, tuned on the seeds", no_control, NULL},
    {"evaluation design", "baselines contemporary", never, NULL, NULL, no_rival, NULL},
    {"evaluation design", "ablation study", never, NULL, NULL, no_rival, NULL},
    {"evaluation design", "multiple metrics", judged, "results", "likelihood and the judge's flags", "without a judge there is only the likelihood (align --judge)", NULL},
    {"evaluation design", "human evaluation", never, NULL, NULL, "nobody labelled its answers", NULL},
    {"evaluation design", "held out test set", held_out, "results", "questions that the method never had", no_test, NULL},
    {"evaluation design", "per category breakdown", judged, "categories", "the judge's labels", "without a judge there are no categories (align --judge)", NULL},
    {"evaluation design", "failure cases discussed", compared, "regressions", "the worst ones, with both answers", nothing_measured, NULL},
    {"evaluation design", "negative results reported", measured, "results", "every arm is there; worse ones are marked", nothing_measured, NULL},
    {"setup transparency", "model versions specified", NULL, "environment", "SHA-256 of base, judge and every round's model", NULL, NULL},
    {"setup transparency", "prompts provided", NULL, "settings", "template.*", NULL, NULL},
    {"setup transparency", "hyperparameters reported", NULL, "settings", "every option in effect", NULL, NULL},
    {"setup transparency", "scaffolding described", NULL, "settings", "retriever, contexts, pool, start and sift; docs/METHOD.md says what they do", NULL, NULL},
    {"setup transparency", "data preprocessing documented", NULL, "rounds", "the sift's reasons with their counts", NULL, NULL},
    {"data integrity", "raw data available", NULL, "samples", "run.db, generated.jsonl and arms/*.jsonl", NULL, NULL},
    {"data integrity", "data collection described", NULL, "rounds", "attempts, what was read of them, what was kept", NULL, NULL},
    {"data integrity", "recruitment methods described", never, NULL, NULL, no_people, NULL},
    {"data integrity", "data pipeline documented", NULL, "rounds", "from attempts to training rows", NULL, NULL},
    {"contamination", "training cutoff stated", NULL, NULL, NULL, NULL, "training_cutoff"},
    {"contamination", "train test overlap discussed", on_test, "contamination", "seeds and generated questions near a test question", no_test, NULL},
    {"contamination", "benchmark contamination addressed", on_test, "contamination", "what is counted, and what is not known of the base", no_test, NULL},
    {"human studies", "pre registered", never, NULL, NULL, no_people, NULL},
    {"human studies", "irb or ethics approval", never, NULL, NULL, no_people, NULL},
    {"human studies", "demographics reported", never, NULL, NULL, no_people, NULL},
    {"human studies", "inclusion exclusion criteria", never, NULL, NULL, no_people, NULL},
    {"human studies", "randomization described", never, NULL, NULL, no_people, NULL},
    {"human studies", "blinding described", never, NULL, NULL, no_people, NULL},
    {"human studies", "attrition reported", never, NULL, NULL, no_people, NULL},
    {"cost and practicality", "inference cost reported", NULL, "cost", "seconds and tokens of an answer", NULL, NULL},
    {"cost and practicality", "compute budget stated", NULL, "cost", "wall time, arithmetic and memory by stage", NULL, NULL},
};
/* clang-format on */

static void add_point(struct table *t, const struct checked *p, const struct report_run *r)
{
    struct table_row *row = table_add(t);
    const char *said = p->about ? report_fact_find(&r->about, p->about) : NULL;
    int can = p->about ? said != NULL : !p->can || p->can(r);
    row_text(row, p->group);
    row_text(row, p->name);
    if (can) {
        row_text(row, "yes");
        int there = p->place && document_find(t->section->document, p->place);
        row_link(row, p->about ? said : p->answer, there ? p->place : NULL);
        return;
    }
    struct buf why = BUF_INIT;
    row_text(row, p->why_not == no_people ? "not applicable" : "no");
    if (p->about)
        buf_printf(&why, "not stated by the authors (%s: in the file that --about names)", p->about);
    else
        buf_printf(&why, "%s%s", p->why_not == no_people ? "" : "this run cannot say: ", p->why_not);
    row_text(row, buf_text(&why));
    if (row && p->why_not != no_people)
        row->marked = 1;
    t->section->document->failed |= why.failed;
    buf_free(&why);
}

void sections_checklist(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "checklist", "Checklist");
    struct table *t = section_table(s, "checklist", "Points of the checklist", check_columns, N_CHECK_COLUMN);
    for (size_t i = 0; t && i < sizeof points / sizeof *points; i++)
        add_point(t, &points[i], r);
}
