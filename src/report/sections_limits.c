/* SPDX-License-Identifier: Apache-2.0 */
/* What this run cannot show, from its own facts, and what its words mean. */
#include "report/sections.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

static const struct column term_columns[] = {
    {"term", "term", COLUMN_TEXT, 0},
    {"meaning", "meaning", COLUMN_TEXT, 0},
};
enum { N_TERM_COLUMN = (int)(sizeof term_columns / sizeof *term_columns) };

static void elsewhere(struct section *s, const struct report_run *r)
{
    struct buf who = BUF_INIT;
    report_elsewhere_text(r, &who);
    if (who.failed)
        s->document->failed = 1;
    section_text(s,
                 "Not self-alignment. The attempts of this run were %s, and not by the model that is tuned: what it "
                 "gained came from there. What stands behind an endpoint may change under its name, and whether its "
                 "terms allow tuning on what it says is not known to this program.",
                 buf_text(&who));
    buf_free(&who);
}

static void scope(struct section *s, const struct report_run *r)
{
    const char *model = report_fact_find(&r->manifest, "model.path"),
               *parameters = report_fact_find(&r->manifest, "model.parameters"),
               *seeds = report_fact_find(&r->manifest, "seeds.path");
    struct buf n = BUF_INIT;
    if (parameters)
        count_text(&n, strtod(parameters, NULL));
    else
        buf_puts(&n, "an unknown number of");
    section_text(s,
                 "Scope. One base model (%s, %s parameters), one domain (that of %d seeds, %s), one set of %d %s, one "
                 "random seed. Nothing here says how another model, domain, language or size would do.",
                 model ? model : "unknown", buf_text(&n), r->n_seed, seeds ? seeds : "unknown", r->n_item,
                 strcmp(r->set, "test") ? "held-out seeds" : "test questions");
    buf_free(&n);
    section_text(s, "Random seeds. Intervals and p-values are over questions. How another random seed would draw "
                    "contexts, questions and training rows is not in them; several runs compared by isara report say "
                    "that.");
}

static void measures(struct section *s, const struct report_run *r)
{
    section_text(s,
                 "Proxy and outcome. The likelihood of a reference answer is a proxy: an answer may be good in other "
                 "words, and a likely reference does not make the model write it.");
    if (r->has_judge && r->people.n_labelled)
        section_text(
            s,
            "The flags are those of an automated judge (%s), which errs: on the answers that people labelled its "
            "Cohen's kappa with them is %.2f.",
            r->judge, r->people.kappa_judge);
    else if (r->has_judge)
        section_text(s,
                     "The flags are those of an automated judge (%s), which errs; its agreement with people on these "
                     "answers was not measured here, and a model may come to please a judge.",
                     r->judge);
    else
        section_text(s, "No judge looked at the answers: whether they are harmful, true or useful is not measured.");
    if (!r->has_test)
        section_text(s,
                     "There was no test set: the evidence is %d seeds that were kept out of the method, and comes "
                     "from the same source as the seeds.",
                     r->n_held);
}

static void gaps(struct section *s, const struct report_run *r)
{
    const struct report_arm *last = r->n_arm ? &r->arms[r->n_arm - 1] : NULL;
    if (r->overlap.kept)
        section_text(s, "Overlap. %d generated questions near a test question were trained on.", r->overlap.kept);
    section_text(s, "Contamination. Whether the base model's own training had the test questions, or texts about them, "
                    "is not known to this program.");
    if (!r->last.n)
        section_text(s, "Controls. Without controls a gain may come from tuning on the seeds alone, or from the "
                        "examples in a prompt.");
    if (last && last->n_cut)
        section_text(s, "Cut answers. %d of %d answers of %s reached the token limit and were judged as they stood.",
                     last->n_cut, last->n_answered, last->name);
    if (last && !isnan(last->to.found))
        section_text(s,
                     "Power. A change of the likelihood below %.2g a token would have been missed more than one time "
                     "in five.",
                     last->to.found);
    if (r->answers_missing || r->any_fewer)
        section_text(s,
                     "Missing. %d answers are missing in all arms together, and some arm was scored on fewer than "
                     "all questions.",
                     r->answers_missing);
    const struct report_review *w = &r->review;
    if (w->struck || w->accepted || w->edited || w->added)
        section_text(s,
                     "By hand. Before tuning a person struck %d kept attempts, accepted %d rejected ones, edited %d "
                     "and added %d pairs; the journal has every word that was there before, and when it changed.",
                     w->struck, w->accepted, w->edited, w->added);
    if (r->attempts_taken)
        section_text(s, "Cost. %d attempts of round 1 were taken from another run; what they cost stands there.",
                     r->attempts_taken);
    if (r->novelty_ran_out)
        section_text(s, "Stopped. Round %d kept too few of its attempts; what more rounds would do is not known.",
                     r->novelty_ran_out);
}

void sections_terms(struct document *d)
{
    static const char *const list[][2] = {
        {"seed", "a question with its answer that a person gave as an example of the domain"},
        {"attempt", "one question that the model asked itself after examples, with the answer that it gave to it"},
        {"kept", "an attempt that passed every rule of the sift; only these are trained on"},
        {"round", "attempts, sift and tuning, once; each round's model is an arm"},
        {"arm", "a model and how it is prompted, measured on the same questions as the others"},
        {"pretrained", "the base model without examples"},
        {"icl-knn, icl-random", "the base model with nearest or random seeds in its prompt"},
        {"sft-seeds", "the base model tuned on the seeds alone; -steps: with as many optimizer steps as the method"},
        {"likelihood", "mean over questions of a reference answer's mean log-probability a token, in nats"},
        {"flagged", "an answer to which the judge gives a probability above the threshold"},
        {"dz", "mean of the paired differences in their standard deviations"},
        {"Cohen's h", "difference of two shares on the arcsine scale"},
        {"Holm", "a correction that holds the chance of any false finding among a family of tests at 5 %"},
        {"novelty", "one less the greatest ROUGE-L F1 with a question that was kept before"},
    };
    struct section *s = document_section(d, "terms", "Terms");
    struct table *t = section_table(s, "terms", "What the words mean", term_columns, N_TERM_COLUMN);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct table_row *row = table_add(t);
        row_text(row, list[i][0]);
        row_text(row, list[i][1]);
    }
}

void sections_limits(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "limitations", "Limitations");
    if (r->n_elsewhere)
        elsewhere(s, r);
    scope(s, r);
    measures(s, r);
    gaps(s, r);
    sections_terms(d);
}
