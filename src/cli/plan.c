/* SPDX-License-Identifier: Apache-2.0 */
/* isara plan: peak memory and time before anything is loaded: of an alignment (with --seeds: of these), of a
 * fine-tuning (--data), of a generation (--input). */
#include "cli/plan_ranks.h"

#include "base/log.h"
#include "base/mem.h"
#include "method/method.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double MIB = 1 << 20;

static const char *fits(double bytes, double machine)
{
    return bytes < machine ? "it fits"
                           : "it does not fit: try --gradient-checkpointing, a smaller --per-device-train-batch-size "
                             "or --max-length, fewer beams";
}

static struct plan_model model_of(const struct cli_model *p, const struct model_desc *d)
{
    return (struct plan_model){.desc = d, .source = p->checkpoint, .tokenizer = p->tokenizer, .device = p->device};
}

/* The recipe's options as they are now, what was given included. */
static int say_recipe(const struct align_options *o, int json, struct error *err)
{
    struct error missing;
    json_t *switches = align_recipe_switches(o), *v;
    const char *name;
    char *text = switches ? json_dumps(switches, 0) : NULL;
    if (text && json)
        printf("{\"recipe\": \"%s\", \"switches\": %s, ", o->recipe, text);
    if (text && !json) {
        printf("recipe       %s: %s\n", o->recipe, align_recipe_find(o->recipe)->help);
        json_object_foreach(switches, name, v)
        {
            printf("             --%s %s\n", name, json_string_value(v));
        }
    }
    if (text && !json && align_recipe_check(o, &missing))
        printf("             --%s: has to be given\n", align_recipe_find(o->recipe)->needs);
    free(text);
    json_decref(switches);
    return text ? 0 : error_set_nomem(err, 256, "a recipe");
}

static const char *const done[ALIGN_ROLES] = {"asked", "answered"};

static void say_elsewhere(const struct plan *plan, const struct align_options *o)
{
    char shown[300];
    for (int k = 0; k < ALIGN_ROLES; k++) {
        const struct plan_elsewhere *x = &plan->elsewhere[k];
        if (!o->who[k].endpoint)
            continue;
        http_shown(o->who[k].endpoint, shown, sizeof shown);
        printf("elsewhere    %s by %s at %s: this is not self-alignment\n"
               "             about %.0f requests, %.0f tokens of prompts, %.0f of texts\n",
               done[k], o->who[k].model, shown, x->requests, x->prompt_tokens, x->completion_tokens);
    }
}

static int put_elsewhere(const struct plan *plan, const struct align_options *o, struct error *err)
{
    json_t *list = json_array();
    char shown[300];
    for (int k = 0; k < ALIGN_ROLES; k++) {
        const struct plan_elsewhere *x = &plan->elsewhere[k];
        if (!o->who[k].endpoint)
            continue;
        http_shown(o->who[k].endpoint, shown, sizeof shown);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:f, s:f, s:f}", "role", k ? "answerer" : "asker", "model",
                                        o->who[k].model, "endpoint", shown, "requests", x->requests, "prompt_tokens",
                                        x->prompt_tokens, "completion_tokens", x->completion_tokens));
    }
    char *text = json_dumps(list, 0);
    if (text && json_array_size(list))
        printf(", \"elsewhere\": %s", text);
    free(text);
    json_decref(list);
    return text ? 0 : error_set_nomem(err, 256, "a plan");
}

/* Evaluations beside the run, of files that are named. */
static void say_tax(const struct plan_tax *x, const struct align_options *o)
{
    if (o->general)
        printf("general      %.0f tokens of text, by each of %d models: about %.0f s\n", x->text_tokens, x->n_model,
               x->text_seconds);
    if (o->over_refusal)
        printf("over-refusal %d prompts, to each of %d models: about %.0f s\n", x->prompts, x->n_model,
               x->prompt_seconds);
}

static void say_tax_json(const struct plan_tax *x, const struct align_options *o)
{
    if (o->general)
        printf(", \"general\": {\"models\": %d, \"tokens\": %.0f, \"seconds\": %.1f}", x->n_model, x->text_tokens,
               x->text_seconds);
    if (o->over_refusal)
        printf(", \"over_refusal\": {\"models\": %d, \"prompts\": %d, \"seconds\": %.1f}", x->n_model, x->prompts,
               x->prompt_seconds);
}

static void say_dequantised(const struct plan_model *m, const struct align_options *o)
{
    if (plan_dequantises(m, o))
        printf("             %s\n", plan_dequantised);
}

static int plan_method(struct cli_model *p, const struct model_desc *d, const struct align_options *o,
                       const struct cli_values *v, struct error *err)
{
    struct plan plan;
    struct seeds seeds = {0};
    struct plan_asked asked;
    struct plan_model m = model_of(p, d);
    int rc = cli_plan_asked(&asked, v, err);
    m.asked = asked.n_rank ? &asked : NULL;
    if (!rc && o->seeds)
        rc = seeds_read_fields(&seeds, align_source(o, o->seeds), 1, err);
    if (!rc)
        rc = plan_align(&plan, &m, o->seeds ? &seeds : NULL, o, err);
    rc = rc ? rc : plan_tax(&plan, &m, o, err);
    seeds_free(&seeds);
    if (rc || (rc = say_recipe(o, v->json, err)))
        return rc;
    if (v->json) {
        printf("\"parameters\": %.0f, \"loaded_bytes\": %.0f, \"ask_bytes\": %.0f, \"answer_bytes\": %.0f, "
               "\"tune_bytes\": %.0f, \"peak_bytes\": %.0f, \"machine_bytes\": %.0f, "
               "\"ask_seconds\": %.1f, \"answer_seconds\": %.1f, \"tune_seconds\": %.1f, \"dequantises\": %s",
               d->n_param, plan.loaded, plan.ask, plan.answer, plan.tune, plan.peak, plan.machine, plan.ask_seconds,
               plan.answer_seconds, plan.tune_seconds, plan_dequantises(&m, o) ? "true" : "false");
        say_tax_json(&plan.tax, o);
        rc = put_elsewhere(&plan, o, err);
        rc = rc ? rc : cli_plan_ranks_json(&plan.ranks, p->tokenizer, err);
        printf("}\n");
        if (rc)
            return rc;
        return v->dry_run ? plan_fits(&plan, err) : 0;
    }
    printf("model        %s, %.1fM parameters, %d layers, context %d; loaded as %s %.0f MiB\n", d->family,
           d->n_param * 1e-6, d->n_layer, d->n_ctx, dtype_name(o->dtype), plan.loaded / MIB);
    printf("memory       %.0f MiB at the peak: ask %.0f, answer %.0f, tune %.0f; the machine has %.0f: %s\n",
           plan.peak / MIB, plan.ask / MIB, plan.answer / MIB, plan.tune / MIB, plan.machine / MIB,
           fits(plan.peak, plan.machine));
    say_dequantised(&m, o);
    printf("time         ask %.0f s, answer %.0f s, tune %.0f s for %d rounds of %d attempts\n", plan.ask_seconds,
           plan.answer_seconds, plan.tune_seconds, o->rounds, o->attempts);
    say_tax(&plan.tax, o);
    if (m.asked)
        cli_plan_ranks(&plan.ranks, p->tokenizer, &asked);
    say_elsewhere(&plan, o);
    printf("assuming     questions of %.0f tokens and answers of %.0f%s, half of the attempts kept\n",
           plan.question_tokens, plan.answer_tokens, o->seeds ? ", as the seeds have" : " (--seeds FILE counts them)");
    return v->dry_run ? plan_fits(&plan, err) : 0;
}

/* One phase alone: what is loaded, and what it adds. The object in JSON is left open. */
static void print_one(const char *what, double peak, double machine, int json)
{
    if (json)
        printf("{\"peak_bytes\": %.0f, \"machine_bytes\": %.0f", peak, machine);
    else
        printf("memory       %.0f MiB at the peak of %s; the machine has %.0f: %s\n", peak / MIB, what, machine / MIB,
               fits(peak, machine));
}

static int train_ranks(const struct plan_model *m, const struct train_base *base, const struct train_options *o,
                       const struct train_data *data, struct plan_ranks *ranks, struct error *err)
{
    int rows = o->batch_size * o->accumulation;
    return plan_ranks(ranks, m,
                      &(struct plan_work){.base = base,
                                          .options = o,
                                          .data = data,
                                          .asked = m->asked,
                                          .rows = rows < data->n ? rows : data->n,
                                          .load = plan_load_of(m, o, data)},
                      err);
}

static int plan_train(struct cli_model *p, const struct model_desc *d, const struct cli_values *v,
                      const struct align_options *o, struct error *err)
{
    struct train_data data = {0};
    struct train_base base;
    struct plan_asked asked;
    struct plan_ranks ranks = {0};
    struct plan_model m = model_of(p, d);
    size_t bytes = 0;
    int rc = cli_plan_asked(&asked, v, err);
    m.asked = asked.n_rank ? &asked : NULL;
    rc = rc ? rc : train_base_of(&base, d, p->device, p->checkpoint, &o->train, err);
    rc = rc ? rc
            : train_data_read(
                  &data, cli_source(v, v->data),
                  &(struct row_maker){.tokenizer = p->tokenizer, .desc = d, .max_length = o->train.max_length}, err);
    rc = rc ? rc : train_memory_of(&base, &o->train, &data, &bytes, err);
    if (!rc && m.asked)
        rc = train_ranks(&m, &base, &o->train, &data, &ranks, err);
    train_data_free(&data);
    if (rc)
        return rc;
    print_one("tuning", (double)bytes + plan_tuning_rest(p->tokenizer), plan_machine(p->device), v->json);
    if (v->json) {
        rc = cli_plan_ranks_json(&ranks, p->tokenizer, err);
        printf("}\n");
        return rc;
    }
    if (m.asked)
        cli_plan_ranks(&ranks, p->tokenizer, &asked);
    say_dequantised(&m, o);
    return 0;
}

static int plan_generate(struct cli_model *p, const struct model_desc *d, const struct cli_values *v,
                         const struct options *options, enum dtype dtype, struct error *err)
{
    struct records r = {0};
    struct generate_options o;
    double loaded = 0;
    generate_options_default(&o);
    int n = 0, rc = options_apply(options, SCOPE_PLAIN, GROUP_DECODE, &o, err);
    if (!rc)
        rc = records_read(&r, v, err);
    struct generate_load *loads = rc ? NULL : mem_calloc((size_t)r.n + 1, sizeof *loads);
    if (!rc && !loads)
        rc = error_set_nomem(err, (size_t)r.n * sizeof *loads, "a plan");
    for (int i = 0; i < r.n && !rc; i++) {
        struct tokens ids = TOKENS_INIT;
        records_as_prompt(&r, i, 0);
        if (r.items[i] && !records_tokens(&r, i, &record_prompt, p->tokenizer, d->n_vocab, &ids) && ids.n)
            loads[n++] = (struct generate_load){(int)ids.n, o.max_new_tokens};
        tokens_free(&ids);
    }
    const struct plan_model m = model_of(p, d);
    if (!rc)
        rc = plan_loaded(&loaded, &m, dtype, err);
    if (!rc) {
        print_one("generation, every sequence as long as allowed",
                  loaded + (double)generate_memory(p->device, d, dtype, &o, loads, n), plan_machine(p->device),
                  v->json);
        printf(v->json ? "}\n" : "");
    }
    mem_free(loads);
    records_free(&r);
    return rc;
}

int verb_plan(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct cli_model p = {0};
    struct align_options o;
    struct model_desc d;
    int rc = cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (!rc)
        rc = cli_align_options(options, v, &o, err);
    if (!rc)
        rc = cli_open_device(&p, v, err);
    if (!rc)
        rc = cli_open_tokenizer(&p, v, 0, err);
    if (!rc)
        rc = model_desc_parse(&d, checkpoint_config(p.checkpoint), checkpoint_path(p.checkpoint), err);
    if (!rc && d.task == MODEL_BODY)
        rc = error_set(err, ERROR_CONFIG,
                       "%s: %s is an encoder, which is neither aligned, trained nor generates; wanted a language model",
                       checkpoint_path(p.checkpoint), d.family);
    o.train.dtype = o.dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
    if (!rc && v->data)
        rc = plan_train(&p, &d, v, &o, err);
    else if (!rc && v->input)
        rc = plan_generate(&p, &d, v, options, o.dtype, err);
    else if (!rc)
        rc = plan_method(&p, &d, &o, v, err);
    cli_close(&p);
    return rc;
}
