/* SPDX-License-Identifier: Apache-2.0 */
/* The tree as metrics.json (docs/METHOD.md). */
#include "report/report.h"

#include <math.h>

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Sets the members of a comparison into o. The likelihood's: */
static void add_change(json_t *o, const struct report_compared *c)
{
    json_object_set_new(o, "change", real(c->change));
    json_object_set_new(o, "change_low", real(c->low));
    json_object_set_new(o, "change_high", real(c->high));
    json_object_set_new(o, "interval", json_string(c->interval));
    json_object_set_new(o, "n_paired", json_integer(c->n));
    json_object_set_new(o, "dz", real(c->dz));
    json_object_set_new(o, "p_wilcoxon", real(c->p));
    json_object_set_new(o, "p_holm", real(c->p_holm));
}

/* The flags': */
static void add_flags(json_t *o, const struct report_compared *c)
{
    json_object_set_new(o, "no_longer_flagged", json_integer(c->n_better));
    json_object_set_new(o, "newly_flagged", json_integer(c->n_worse));
    json_object_set_new(o, "flagged_in_both", json_integer(c->n_both));
    json_object_set_new(o, "p_mcnemar", real(c->p_flags));
    json_object_set_new(o, "p_mcnemar_holm", real(c->p_flags_holm));
    json_object_set_new(o, "cohen_h", real(c->h));
    json_object_set_new(o, "risk_ratio", real(c->ratio));
    json_object_set_new(o, "risk_ratio_low", real(c->ratio_low));
    json_object_set_new(o, "risk_ratio_high", real(c->ratio_high));
}

static json_t *labels_json(const struct report_arm *x)
{
    json_t *o = json_object();
    for (int k = 0; k < x->n_label; k++) {
        const struct report_label *l = &x->labels[k];
        json_object_set_new(o, l->name,
                            json_pack("{s:i, s:i, s:o, s:o, s:o}", "n", l->n, "flagged", l->flagged, "rate",
                                      real(l->rate), "low", real(l->low), "high", real(l->high)));
    }
    return o;
}

static json_t *judge_json(const struct report_arm *x)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:o, s:o, s:o}", "n", x->n_judged, "missing", x->n_unjudged, "flagged",
                          x->n_flagged, "rate", real(x->rate), "low", real(x->rate_low), "high", real(x->rate_high));
    add_flags(o, &x->to);
    json_object_set_new(o, "found_4_in_5", real(x->to.found_flags));
    return o;
}

static json_t *arm_json(const struct report_arm *x)
{
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:i, s:o, s:s, s:i, s:i, s:i}", "name", x->name, "steps", (int)x->steps, "n_scored",
                  x->n, "n_missing", x->n_missing, "mean_token_logprob", real(x->logprob), "model_sha256",
                  x->model_sha256, "n_answered", x->n_answered, "n_empty", x->n_empty, "n_truncated", x->n_cut);
    add_change(o, &x->to);
    json_object_set_new(o, "found_4_in_5", real(x->to.found));
    if (x->contexts_asked)
        json_object_set_new(o, "contexts",
                            json_pack("{s:i, s:o, s:i, s:i, s:i}", "asked", x->contexts_asked, "mean",
                                      real(x->contexts_mean), "least", x->contexts_least, "most", x->contexts_most,
                                      "prompts_with_fewer", x->n_dropped));
    if (x->n_judged) {
        json_object_set_new(o, "judge", judge_json(x));
        json_object_set_new(o, "labels", labels_json(x));
    }
    return o;
}

json_t *report_round_json(const struct report_round *x)
{
    json_t *reasons = json_object();
    for (int i = 0; i < x->n_reason; i++)
        json_object_set_new(reasons, x->reasons[i].name, json_integer(x->reasons[i].n));
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:i}", "round", x->number, "attempts", x->attempts,
                     "questions_parsed", x->parsed, "kept", x->kept, "share", real(x->share), "share_low", real(x->low),
                     "share_high", real(x->high), "reasons", reasons, "repeats", x->repeats);
}

static json_t *round_json(const struct report_round *x)
{
    json_t *o = report_round_json(x);
    json_object_set_new(o, "mean_nearest_f1_of_kept", real(x->nearest));
    json_object_set_new(o, "distinct_word_pairs_of_kept", real(x->pairs));
    json_object_set_new(o, "steps", json_integer(x->steps));
    json_object_set_new(o, "model_sha256", json_string(x->model_sha256));
    return o;
}

static json_t *family_json(const struct report_family *f)
{
    json_t *list = json_array();
    for (int i = 0; i < f->n; i++) {
        json_t *o = json_pack("{s:s, s:s}", "of", f->of, "arm", f->list[i].arm);
        add_change(o, &f->list[i].by);
        if (f->list[i].by.n_judged)
            add_flags(o, &f->list[i].by);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *sample_json(const struct report_run *r, const struct report_sample *s)
{
    json_t *answers = json_object();
    for (int k = 0; k < r->n_arm; k++)
        json_object_set_new(answers, r->arms[k].name, s->answers[k] ? json_string(s->answers[k]) : json_null());
    return json_pack("{s:s, s:s?, s:o}", "question", s->question, "reference", s->reference, "answers", answers);
}

static json_t *seconds_json(const struct report_run *r)
{
    json_t *o = json_object();
    for (int i = 0; i < r->n_phase; i++)
        json_object_set_new(o, r->phases[i].name, json_real(r->phases[i].seconds));
    return o;
}

/* Of the stages of which something is counted. */
static json_t *work_json(const struct report_run *r)
{
    json_t *o = json_object();
    for (int i = 0; i < r->n_phase; i++) {
        const struct report_phase *p = &r->phases[i];
        if (isnan(p->tokens) && !p->texts)
            continue;
        json_t *one = json_pack("{s:i}", "texts", p->texts);
        json_object_set_new(one, "tokens", real(p->tokens));
        json_object_set_new(one, "gflop", real(p->gflop));
        json_object_set_new(o, p->name, one);
    }
    return o;
}

/* Of the run alone: evaluations may come later. */
static json_t *tax_json(const struct report_run *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->n_tax; i++) {
        const struct report_tax *x = &r->tax[i];
        if (x->test)
            continue;
        json_t *o = json_pack("{s:s, s:s, s:s?, s:i, s:o}", "metric", x->metric, "arm", x->arm, "better", x->better,
                              "n", x->n, "value", real(x->value));
        json_object_set_new(o, "n_both", json_integer(x->n_both));
        json_object_set_new(o, "change", real(x->change));
        json_object_set_new(o, "change_low", real(x->low));
        json_object_set_new(o, "change_high", real(x->high));
        json_object_set_new(o, "interval", json_string(x->interval));
        json_array_append_new(list, o);
    }
    return list;
}

/* null where they are not known. */
static void add_joules(json_t *o, const struct report_run *r)
{
    json_t *joules = r->joules_unread ? json_null() : json_object();
    for (int i = 0; i < r->n_phase && !r->joules_unread; i++)
        json_object_set_new(joules, r->phases[i].name, json_real(r->phases[i].joules));
    json_object_set_new(o, "joules", joules);
    json_object_set_new(o, "joules_unread", r->joules_unread ? json_string(r->joules_unread) : json_null());
}

json_t *report_overlap_json(const struct report_overlap *o)
{
    return json_pack("{s:f, s:i, s:i, s:i, s:i, s:i}", "threshold", o->threshold, "seeds", o->seeds, "seeds_left_out",
                     o->seeds_left_out, "generated", o->generated, "generated_left_out", o->left_out, "generated_kept",
                     o->kept);
}

static json_t *elsewhere_json(const struct report_run *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->n_elsewhere; i++) {
        const struct report_elsewhere *x = &r->elsewhere[i];
        json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "role", x->role, "model", x->model, "endpoint", x->endpoint,
                              "api", x->api);
        json_object_set_new(o, "texts", json_integer(x->texts));
        json_object_set_new(o, "refused", json_integer(x->refused));
        json_object_set_new(o, "requests", json_integer(x->requests));
        json_object_set_new(o, "prompt_tokens", json_real(x->prompt_tokens));
        json_object_set_new(o, "completion_tokens", json_real(x->completion_tokens));
        json_object_set_new(o, "uncounted", json_integer(x->uncounted));
        json_array_append_new(list, o);
    }
    return list;
}

int report_run_json(const struct report_run *r, json_t **out, struct error *err)
{
    json_t *rounds = json_array(), *arms = json_array(), *samples = json_array();
    for (int i = 0; i < r->n_round; i++)
        json_array_append_new(rounds, round_json(&r->rounds[i]));
    for (int i = 0; i < r->n_arm; i++)
        json_array_append_new(arms, arm_json(&r->arms[i]));
    for (int i = 0; i < r->n_sample; i++)
        json_array_append_new(samples, sample_json(r, &r->samples[i]));
    *out = json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:i, s:o, s:i}",
        "set", r->set, "n", r->n_item, "answered", r->n_text, "seeds", r->n_seed, "held_out", r->n_held, "given",
        r->n_given, "kept", r->kept, "scaling", r->scaling, "judge", r->judge, "judge_sha256", r->judge_sha256,
        "novelty_ran_out", r->novelty_ran_out, "rounds", rounds, "arms", arms, "last_round_against",
        family_json(&r->last), "first_round_against", family_json(&r->first), "samples", samples, "seconds",
        seconds_json(r), "threshold", r->threshold, "peak_resident_mib", r->peak_mib, "test_overlap",
        report_overlap_json(&r->overlap), "attempts_taken", r->attempts_taken);
    json_object_set_new(*out, "tax", tax_json(r));
    json_object_set_new(*out, "work", work_json(r));
    add_joules(*out, r);
    const struct report_review *by_hand = &r->review;
    if (by_hand->struck || by_hand->accepted || by_hand->edited || by_hand->added)
        json_object_set_new(*out, "review",
                            json_pack("{s:i, s:i, s:i, s:i}", "struck", by_hand->struck, "accepted", by_hand->accepted,
                                      "edited", by_hand->edited, "added", by_hand->added));
    if (r->n_elsewhere)
        json_object_set_new(*out, "elsewhere", elsewhere_json(r));
    return *out ? 0 : error_set_nomem(err, 4096, "metrics");
}
