/* SPDX-License-Identifier: Apache-2.0 */
/* The first line of every alignment: what it will take. */
#include "method/plan.h"

#include "base/log.h"

static const double MIB = 1 << 20;

static int plan_of(struct plan *p, const struct align_options *o, struct device *device, struct error *err)
{
    struct model_desc d;
    struct seeds seeds = {0};
    struct checkpoint *source = NULL;
    struct tokenizer *tokenizer = NULL;
    int rc = checkpoint_open(&source, o->model, err);
    rc = rc ? rc : tokenizer_open_of(&tokenizer, source, err);
    rc = rc ? rc : model_desc_parse(&d, checkpoint_config(source), checkpoint_path(source), err);
    rc = rc ? rc : seeds_read_fields(&seeds, align_source(o, o->seeds), 1, err);
    const struct plan_model m = {.desc = &d, .source = source, .tokenizer = tokenizer, .device = device};
    rc = rc ? rc : plan_align(p, &m, &seeds, o, err);
    rc = rc ? rc : plan_tax(p, &m, o, err);
    if (!rc && plan_dequantises(&m, o))
        log_line(LOG_INFO, "plan: %s", plan_dequantised);
    seeds_free(&seeds);
    tokenizer_close(tokenizer);
    checkpoint_close(source);
    return rc;
}

int plan_fits(const struct plan *p, struct error *err)
{
    if (p->peak <= p->machine)
        return 0;
    return error_set(err, ERROR_FAILED,
                     "memory: the plan needs %.0f MiB (ask %.0f, answer %.0f, tune %.0f), the machine has %.0f; %s",
                     p->peak / MIB, p->ask / MIB, p->answer / MIB, p->tune / MIB, p->machine / MIB,
                     "try --gradient-checkpointing, a smaller --per-device-train-batch-size or --max-length, fewer "
                     "beams");
}

int plan_before(const struct align_options *options, struct device *device, struct error *err)
{
    struct align_options o = *options;
    struct plan plan;
    o.train.dtype = o.dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
    int rc = plan_of(&plan, &o, device, err);
    if (!rc)
        log_line(LOG_INFO,
                 "plan: %.0f MiB at the peak of %.0f; about %.0f s to ask, %.0f s to answer, %.0f s to tune (%d rounds "
                 "of %d attempts)",
                 plan.peak / MIB, plan.machine / MIB, plan.ask_seconds, plan.answer_seconds, plan.tune_seconds,
                 o.rounds, o.attempts);
    if (!rc && (o.general || o.over_refusal))
        log_line(LOG_INFO, "plan: about %.0f s more for %d models on what --general and --over-refusal name",
                 plan.tax.text_seconds + plan.tax.prompt_seconds, plan.tax.n_model);
    return rc ? rc : plan_fits(&plan, err);
}
