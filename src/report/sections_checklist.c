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

enum known { /* what a run, or several, can say */
             MEASURED = 1,
             CONTROLLED = 2,
             TESTED = 4,
             JUDGED = 8,
             ON_TEST = 16,
             HELD_OUT = 32,
             COMPARED = 64,
             REPEATED = 128,
             BESIDE_OTHERS = 256,
             LABELLED = 512
};

static unsigned when(int holds, enum known what)
{
    return holds ? (unsigned)what : 0;
}

static unsigned known_of_run(const struct report_run *r)
{
    int measured = r->n_arm > 1 && !isnan(r->arms[r->n_arm - 1].to.change);
    unsigned known = when(measured, MEASURED) | when(r->last.n > 0, CONTROLLED);
    known |= when(r->tested + r->tested_flags > 0, TESTED) | when(r->has_judge && measured, JUDGED);
    known |= when(r->has_test, ON_TEST) | when(r->has_test || r->n_held > 0, HELD_OUT);
    known |= when(r->n_beside > 0, COMPARED) | when(r->n_same > 1, REPEATED);
    return known | when(r->n_group > 1, BESIDE_OTHERS) | when(r->people.n_labelled > 0, LABELLED);
}

static unsigned known_of_experiment(const struct report_comparison *c)
{
    int tested = 0, judged = 0;
    for (int i = 0; i < c->n; i++) {
        judged |= strstr(c->list[i].metric, "flagged") != NULL;
        for (int k = 0; k < c->list[i].n_beside; k++)
            tested |= c->list[i].beside[k].n > 0;
    }
    unsigned known = when(c->n > 0, MEASURED) | when(c->n_control > 0, CONTROLLED) | when(tested, TESTED);
    known |= when(judged, JUDGED) | when(c->n > 0, HELD_OUT) | when(c->n > 0, ON_TEST);
    return known | when(c->n_random_seed > 1, REPEATED) | when(c->n_arm > 1, BESIDE_OTHERS);
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
    int needs;                  /* enum known; 0: every run can */
    const char *place, *answer; /* a section's name; what stands there */
    const char *why_not;
    const char *about; /* what only people know: its name in `about`; NULL: the run knows */
};
/* clang-format off */
static const struct checked points[] = {
    {"claims and evidence", "abstract claims supported", MEASURED, "results", "the summary is made of the tables' numbers", nothing_measured, NULL},
    {"claims and evidence", "causal claims justified", CONTROLLED, "controls", "each control differs from the method in what is asked", no_control, NULL},
    {"claims and evidence", "generalization bounded", 0, "limitations", "one model, one domain, one set", NULL, NULL},
    {"claims and evidence", "alternative explanations discussed", CONTROLLED, "controls", "seeds alone, as many steps, examples in the prompt", no_control, NULL},
    {"claims and evidence", "proxy outcome distinction", 0, "limitations", "what likelihood and flags stand for", NULL, NULL},
    {"limitations and scope", "limitations section present", 0, "limitations", "from the run's own facts", NULL, NULL},
    {"limitations and scope", "threats to validity specific", 0, "limitations", "from the run's own facts", NULL, NULL},
    {"limitations and scope", "scope boundaries stated", 0, "limitations", "its first paragraph", NULL, NULL},
    {"conflicts of interest", "funding disclosed", 0, NULL, NULL, NULL, "funding"},
    {"conflicts of interest", "affiliations disclosed", 0, NULL, NULL, NULL, "affiliations"},
    {"conflicts of interest", "funder independent of outcome", 0, NULL, NULL, NULL, "funder_role"},
    {"conflicts of interest", "financial interests declared", 0, NULL, NULL, NULL, "interests"},
    {"scope and framing", "key terms defined", 0, "terms", "the words of this report", NULL, NULL},
    {"scope and framing", "intended contribution clear", 0, NULL, NULL, NULL, "contribution"},
    {"scope and framing", "engagement with prior work", 0, NULL, NULL, NULL, "prior_work"},
    {"artifacts", "code released", 0, "environment", "the program's version and commit; it is free software (Apache-2.0)", NULL, NULL},
    {"artifacts", "data released", 0, "samples", "generated.jsonl, arms/*.jsonl and run.db in the run's directory", NULL, NULL},
    {"artifacts", "environment specified", 0, "environment", "build, machine and SHA-256 of every input", NULL, NULL},
    {"artifacts", "reproduction instructions", 0, "environment", "one command", NULL, NULL},
    {"statistical methodology", "confidence intervals or error bars", MEASURED, "results", "95 % beside every share and change", nothing_measured, NULL},
    {"statistical methodology", "significance tests", TESTED, "results", "paired, corrected by Holm", "no test was defined at this number of questions", NULL},
    {"statistical methodology", "effect sizes reported", MEASURED, "results", "dz, Cohen's h, risk ratio", nothing_measured, NULL},
    {"statistical methodology", "sample size justified", TESTED, "power", "what these tests find at this number of questions", "no test was defined at this number of questions", NULL},
    {"statistical methodology", "variance reported", REPEATED, "comparison", "standard deviation and interval over random seeds", one_run, NULL},
    {"evaluation design", "baselines included", CONTROLLED, "controls", "the pretrained model, with examples, tuned on the seeds", no_control, NULL},
    {"evaluation design", "baselines contemporary", BESIDE_OTHERS, "comparison", "other recipes on the same questions, where they are among the runs", no_rival, NULL},
    {"evaluation design", "ablation study", BESIDE_OTHERS, "comparison", "groups of runs by the settings in which they differ", no_rival, NULL},
    {"evaluation design", "multiple metrics", JUDGED, "results", "likelihood and the judge's flags", "without a judge there is only the likelihood (align --judge)", NULL},
    {"evaluation design", "human evaluation", LABELLED, "people", "labels of people, blind to the model, and the judge against them", "nobody labelled its answers (isara report --labels-out, --labels-in)", NULL},
    {"evaluation design", "held out test set", HELD_OUT, "results", "questions that the method never had", no_test, NULL},
    {"evaluation design", "per category breakdown", JUDGED, "categories", "the judge's labels", "without a judge there are no categories (align --judge)", NULL},
    {"evaluation design", "failure cases discussed", COMPARED, "regressions", "the worst ones, with both answers", nothing_measured, NULL},
    {"evaluation design", "negative results reported", MEASURED, "results", "every arm is there; worse ones are marked", nothing_measured, NULL},
    {"setup transparency", "model versions specified", 0, "environment", "SHA-256 of base, judge and every round's model", NULL, NULL},
    {"setup transparency", "prompts provided", 0, "settings", "template.*", NULL, NULL},
    {"setup transparency", "hyperparameters reported", 0, "settings", "every option in effect", NULL, NULL},
    {"setup transparency", "scaffolding described", 0, "settings", "retriever, contexts, pool, start and sift; docs/METHOD.md says what they do", NULL, NULL},
    {"setup transparency", "data preprocessing documented", 0, "rounds", "the sift's reasons with their counts", NULL, NULL},
    {"data integrity", "raw data available", 0, "samples", "run.db, generated.jsonl and arms/*.jsonl", NULL, NULL},
    {"data integrity", "data collection described", 0, "rounds", "attempts, what was read of them, what was kept", NULL, NULL},
    {"data integrity", "recruitment methods described", 0, NULL, NULL, no_people, "recruitment"},
    {"data integrity", "data pipeline documented", 0, "rounds", "from attempts to training rows", NULL, NULL},
    {"contamination", "training cutoff stated", 0, NULL, NULL, NULL, "training_cutoff"},
    {"contamination", "train test overlap discussed", ON_TEST, "contamination", "seeds and generated questions near a test question", no_test, NULL},
    {"contamination", "benchmark contamination addressed", ON_TEST, "contamination", "what is counted, and what is not known of the base", no_test, NULL},
    {"human studies", "pre registered", 0, NULL, NULL, no_people, "preregistration"},
    {"human studies", "irb or ethics approval", 0, NULL, NULL, no_people, "ethics"},
    {"human studies", "demographics reported", 0, NULL, NULL, no_people, "demographics"},
    {"human studies", "inclusion exclusion criteria", 0, NULL, NULL, no_people, "inclusion"},
    {"human studies", "randomization described", LABELLED, "people", "the sheet is shuffled by random numbers", no_people, NULL},
    {"human studies", "blinding described", LABELLED, "people", "the sheet does not say which model wrote an answer", no_people, NULL},
    {"human studies", "attrition reported", LABELLED, "people", "answers on the sheet and with a label", no_people, NULL},
    {"cost and practicality", "inference cost reported", 0, "cost", "seconds and tokens of an answer", NULL, NULL},
    {"cost and practicality", "compute budget stated", 0, "cost", "wall time, arithmetic and memory by stage", NULL, NULL},
};
/* clang-format on */

/* Whose checklist it is. */
struct answers {
    unsigned known;
    struct report_facts about;
    const char *elsewhere;                     /* behind answers whose place is not in the document; NULL: none is */
    const char *(*place)(const char *section); /* in the document; NULL: as it is */
};

/* Where a point has its place: people's words among theirs, what the run cannot say where it says so. NULL: nowhere in
 * this document. */
static const char *place_of(const struct document *d, const struct checked *p, const struct answers *a, int answered)
{
    const char *place = p->about ? "about" : p->place;
    if (place && a->place)
        place = a->place(place);
    if (place && document_find(d, place))
        return place;
    return !answered && document_find(d, "limitations") ? "limitations" : NULL;
}

static void add_answer(struct table_row *row, const struct checked *p, const struct answers *a, const char *said)
{
    struct document *d = row->table->section->document;
    const char *place = place_of(d, p, a, 1);
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s%s", said ? said : p->answer, !place && a->elsewhere ? a->elsewhere : "");
    row_text(row, "yes");
    row_link(row, buf_text(&text), place);
    d->failed |= text.failed;
    buf_free(&text);
}

static void add_point(struct table *t, const struct checked *p, const struct answers *a)
{
    struct table_row *row = table_add(t);
    int labelled = (a->known & LABELLED) != 0, nobody = p->why_not == no_people && !labelled;
    const char *said = p->about ? report_fact_find(&a->about, p->about) : NULL;
    int can = p->about ? said && !nobody : (a->known & (unsigned)p->needs) == (unsigned)p->needs;
    row_text(row, p->group);
    row_text(row, p->name);
    if (can && row) {
        add_answer(row, p, a, said);
        return;
    }
    struct buf why = BUF_INIT;
    row_text(row, nobody ? "not applicable" : "no");
    if (p->about && !nobody)
        buf_printf(&why, "not stated by the authors (about: %s)", p->about);
    else
        buf_printf(&why, "%s%s", nobody ? "" : "this run cannot say: ", p->why_not);
    row_link(row, buf_text(&why), nobody ? NULL : place_of(t->section->document, p, a, 0));
    if (row && !nobody)
        row->marked = 1;
    t->section->document->failed |= why.failed;
    buf_free(&why);
}

static void add_points(struct document *d, const struct answers *a)
{
    struct section *s = document_section(d, "checklist", "Checklist");
    struct table *t = section_table(s, "checklist", "Points of the checklist", check_columns, N_CHECK_COLUMN);
    for (size_t i = 0; t && i < sizeof points / sizeof *points; i++)
        add_point(t, &points[i], a);
}

void sections_checklist(struct document *d, const struct report_run *r)
{
    add_points(d,
               &(struct answers){known_of_run(r), r->about, r->n_group ? " (in each run's own report)" : NULL, NULL});
}

/* What a run has in sections of its own stands with the metrics. */
static const char *place_in_experiment(const char *section)
{
    static const char *const with_metrics[] = {"results", "controls", "comparison", "categories"};
    for (size_t i = 0; i < sizeof with_metrics / sizeof *with_metrics; i++)
        if (!strcmp(section, with_metrics[i]))
            return "metric-1";
    return section;
}

void sections_checklist_of_experiment(struct document *d, const struct report_comparison *c)
{
    struct answers a = {
        known_of_experiment(c), {NULL, 0}, " (in the reports of its runs, work/*/run)", place_in_experiment};
    const char *name;
    json_t *said;
    a.about.items = arena_alloc(&d->arena, (json_object_size(c->about) + 1) * sizeof *a.about.items);
    d->failed |= !a.about.items;
    json_object_foreach(c->about, name, said) if (!d->failed && json_is_string(said)) a.about.items[a.about.n++] =
        (struct report_fact){name, json_string_value(said)};
    add_points(d, &a);
}
