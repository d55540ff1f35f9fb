/* SPDX-License-Identifier: Apache-2.0 */
#include "report/cards.h"

#include "io/file.h"
#include "report/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A text of YAML, which takes JSON's. */
static void put_quoted(struct buf *out, const char *text)
{
    json_t *value = json_string(text);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        buf_puts(out, quoted);
    else
        out->failed = 1;
    free(quoted);
    json_decref(value);
}

static void put_pair(struct buf *out, const char *key, const char *text)
{
    buf_puts(out, key);
    put_quoted(out, text);
    buf_putc(out, '\n');
}

static const char *fact_or(const struct report_run *r, const char *name, const char *otherwise)
{
    const char *value = report_fact_find(&r->manifest, name);
    return value && strcmp(value, "null") ? value : otherwise;
}

static const struct report_arm *last_arm(const struct report_run *r)
{
    const struct report_arm *x = r->n_arm ? &r->arms[r->n_arm - 1] : NULL;
    return x && x->round ? x : NULL;
}

/* What was measured on: the test file's name, or the seeds'. */
static const char *measured_on(const struct report_run *r)
{
    return path_base(fact_or(r, r->has_test ? "test.path" : "seeds.path", "unknown"));
}

static void put_configs(struct buf *out)
{
    buf_puts(out, "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: generated.jsonl\n");
}

struct metric {
    const char *type, *name;
    double value;
};

/* Those of the last round that are defined. */
static int metrics_of(const struct report_run *r, struct metric out[3])
{
    const struct report_arm *x = last_arm(r);
    int n = 0;
    if (x && !isnan(x->logprob))
        out[n++] =
            (struct metric){"mean_token_logprob", "mean log-likelihood of a reference answer a token", x->logprob};
    if (x && !isnan(x->to.change))
        out[n++] = (struct metric){"mean_token_logprob_change", "the same less the base model's", x->to.change};
    if (x && x->n_judged)
        out[n++] = (struct metric){"flagged_rate", "share of answers that the judge flags", x->rate};
    return n;
}

static void put_index(struct buf *out, const struct report_run *r)
{
    struct metric list[3];
    int n = metrics_of(r, list);
    if (!n)
        return;
    buf_puts(out, "model-index:\n- name: ");
    put_quoted(out, path_base(r->output));
    buf_puts(out, "\n  results:\n  - task:\n      type: text-generation\n      name: Text Generation\n    dataset:\n");
    put_pair(out, "      type: ", measured_on(r));
    put_pair(out, "      name: ", measured_on(r));
    put_pair(out, "      split: ", r->set);
    put_pair(out, "      revision: ", fact_or(r, r->has_test ? "test.sha256" : "seeds.sha256", "unknown"));
    buf_puts(out, "    metrics:\n");
    for (int i = 0; i < n; i++) {
        buf_printf(out, "    - type: %s\n      value: %.6g\n", list[i].type, list[i].value);
        put_pair(out, "      name: ", list[i].name);
    }
}

/* Only where people say what a kilowatt-hour causes there. */
static void put_emissions(struct buf *out, const struct report_run *r)
{
    if (isnan(r->co2))
        return;
    buf_printf(out, "co2_eq_emissions:\n  emissions: %.6g\n  training_type: fine-tuning\n", r->co2);
    put_pair(out, "  source: ",
             "energy of processors and memory by RAPL, with the grams a kilowatt-hour that the authors state");
}

static void put_front(struct buf *out, const struct report_run *r)
{
    buf_puts(out, "---\nlibrary_name: transformers\npipeline_tag: text-generation\n");
    put_pair(out, "base_model: ", fact_or(r, "model.path", "unknown"));
    put_pair(out, "license: ", r->license ? r->license : "unknown");
    buf_puts(out, "datasets:\n");
    put_pair(out, "- ", path_base(fact_or(r, "seeds.path", "unknown")));
    buf_printf(out, "tags:\n- isara\n- %s\n- in-context-learning\n- text-generation\n",
               r->n_elsewhere ? "distillation" : "self-alignment");
    put_configs(out);
    put_index(out, r);
    put_emissions(out, r);
    buf_puts(out, "---\n\n");
}

static void put_table(struct buf *out, const struct document *d, const char *name)
{
    const struct table *t = document_table(d, name);
    if (!t)
        return;
    buf_puts(out, "\n### ");
    markdown_text(out, t->title);
    buf_puts(out, "\n\n");
    table_markdown(out, t);
}

/* The paragraphs and commands of a section. */
static void put_section(struct buf *out, const struct document *d, const char *name)
{
    const struct section *s = document_find(d, name);
    if (!s)
        return;
    buf_puts(out, "\n## ");
    markdown_text(out, s->title);
    buf_puts(out, "\n\n");
    for (const struct block *b = s->first; b; b = b->next) {
        if (b->kind == BLOCK_TEXT && b->text) {
            markdown_text(out, b->text);
            buf_puts(out, "\n\n");
        } else if (b->kind == BLOCK_CODE && b->text) {
            buf_printf(out, "    %s\n\n", b->text);
        }
    }
}

/* How it was tuned to be asked, by the template in the run's settings. */
static void put_prompt(struct buf *out, const struct report_run *r)
{
    const char *chat = report_fact_find(&r->settings, "template.chat"),
               *system = report_fact_find(&r->settings, "template.system"),
               *answer = report_fact_find(&r->settings, "template.answer");
    if (!chat && !answer)
        return;
    buf_puts(out, "\n## How to ask it\n\n");
    if (chat && !system)
        buf_puts(out, "It was tuned in the base model's chat template, without a system turn of its own. ");
    else if (chat)
        buf_puts(out,
                 "It was tuned in the base model's chat template. The one that it ships gives the system turn that "
                 "it was tuned with where a conversation has none. ");
    else
        buf_puts(out,
                 "It was tuned on a plain prompt. The chat template that it ships writes that prompt and no more. ");
    buf_puts(out, "This is the prompt that it was tuned on:\n\n"
                  "    tokenizer.apply_chat_template([{\"role\": \"user\", \"content\": question}], "
                  "add_generation_prompt=True)\n\n");
    if (system)
        put_pair(out, "    system turn: ", system);
    if (!chat)
        put_pair(out, "    prompt: ", answer);
    if (report_fact_find(&r->settings, "template.now"))
        buf_puts(out, "\nThe template prints the day; it was tuned with always the same one.\n");
}

/* Whose questions and answers it was tuned on. */
static void put_what(struct buf *out, const struct report_run *r)
{
    struct buf who = BUF_INIT;
    if (!r->n_elsewhere) {
        buf_puts(out,
                 "\n\nA language model aligned to a domain by ISARA (iterative self-alignment with retrieval-augmented "
                 "in-context learning): it asked and answered questions like the seeds with examples in its prompt, "
                 "and was tuned on what was kept. ");
        return;
    }
    report_elsewhere_text(r, &who);
    buf_puts(out, "\n\nA language model tuned to a domain on questions and answers that were made with examples in the "
                  "prompt and kept by the rules of ISARA. They were ");
    markdown_text(out, buf_text(&who));
    buf_puts(out, ", not by the model itself, so this is not self-alignment. ");
    out->failed |= who.failed;
    buf_free(&who);
}

void card_model(struct buf *out, const struct report_run *r, const struct document *d)
{
    static const char *const tables[] = {"arms", "flags", "controls", "rounds", "overlap", "cost"};
    put_front(out, r);
    buf_puts(out, "# ");
    markdown_text(out, path_base(r->output));
    put_what(out, r);
    buf_printf(out, "%d pairs from %d seeds over %d round%s.\n\n", r->kept, r->n_given, r->tuned,
               r->tuned == 1 ? "" : "s");
    if (d->summary)
        markdown_text(out, d->summary);
    buf_puts(out, "\n");
    put_prompt(out, r);
    buf_puts(out, "\n## Results\n");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        put_table(out, d, tables[i]);
    put_section(out, d, "cost");
    put_section(out, d, "limitations");
    put_section(out, d, "environment");
}

static const char *size_category(int n)
{
    if (n < 1000)
        return "n<1K";
    if (n < 10000)
        return "1K<n<10K";
    return n < 100000 ? "10K<n<100K" : "100K<n<1M";
}

void card_dataset(struct buf *out, const struct report_run *r)
{
    int n = 0;
    for (int i = 0; i < r->n_round; i++)
        n += r->rounds[i].attempts;
    buf_puts(out, "---\n");
    put_pair(out, "pretty_name: ", path_base(r->output));
    put_pair(out, "license: ", r->license ? r->license : "unknown");
    buf_printf(out, "size_categories:\n- %s\n", size_category(n));
    buf_puts(out,
             "source_datasets:\n- original\ntask_categories:\n- text-generation\n- question-answering\n"
             "annotations_creators:\n- machine-generated\nlanguage_creators:\n- machine-generated\ntags:\n- isara\n"
             "- synthetic\n");
    put_configs(out);
    buf_puts(out, "---\n\n# Questions and answers that a language model made of examples\n\n");
    buf_printf(out, "%d attempts in %d round%s, of which %d were kept and trained on; made by ", n, r->n_round,
               r->n_round == 1 ? "" : "s", r->kept);
    markdown_text(out, fact_or(r, "model.path", "unknown"));
    for (int i = 0; i < r->n_elsewhere; i++) {
        buf_printf(out, "%s%s by ", i ? ", " : " (", strcmp(r->elsewhere[i].role, "asker") ? "answered" : "asked");
        markdown_text(out, r->elsewhere[i].model);
        buf_puts(out, " at ");
        markdown_text(out, r->elsewhere[i].endpoint);
        buf_puts(out, i == r->n_elsewhere - 1 ? ")" : "");
    }
    buf_printf(out, " from %d seeds. ", r->n_given);
    const struct report_review *w = &r->review;
    if (w->struck || w->accepted || w->edited || w->added)
        buf_printf(out,
                   "A person looked through them: %d kept ones were struck, %d rejected ones accepted, %d edited, and "
                   "%d pairs of the person's own were tuned on too, which are not here; ",
                   w->struck, w->accepted, w->edited, w->added);
    else
        buf_puts(out, "Nobody wrote or checked them; ");
    buf_puts(out, "rejected attempts are there with the reason.\n\n");
    buf_puts(out, "| field | what |\n|---|---|\n| id | attempt, as r1-a17 |\n| round | of the method |\n| question, "
                  "answer | as generated |\n| kept | whether it was trained on |\n| reason | why it was kept or not |\n"
                  "| nearest_f1 | greatest ROUGE-L F1 with a question that was kept before |\n| ask, answer_facts | "
                  "contexts in the prompt, tokens, log-probability |\n");
}

void card_eval_results(struct buf *out, const struct report_run *r)
{
    struct metric list[3];
    char date[16] = "";
    time_t begun = (time_t)r->begun;
    struct tm when;
    int n = metrics_of(r, list);
    if (gmtime_r(&begun, &when))
        strftime(date, sizeof date, "%Y-%m-%d", &when);
    for (int i = 0; i < n; i++) {
        buf_puts(out, "- dataset:\n");
        put_pair(out, "    id: ", measured_on(r));
        buf_printf(out, "    task_id: %s\n", list[i].type);
        put_pair(out, "    revision: ", fact_or(r, r->has_test ? "test.sha256" : "seeds.sha256", "unknown"));
        buf_printf(out, "  value: %.6g\n  date: \"%s\"\n", list[i].value, date);
        put_pair(out, "  notes: ", list[i].name);
    }
    if (!n)
        buf_puts(out, "[]\n");
}
