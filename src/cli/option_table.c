/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of every verb: the command's own here, the others from the tables of the floors that they belong to.
 * Names are the field's own: transformers' GenerationConfig, trl's SFTConfig. */
#include "cli/options.h"

#include "api/rows.h"
#include "eval/fields.h"
#include "generate/fields.h"
#include "method/fields.h"
#include "train/fields.h"

#include <string.h>

/* clang-format off */
#define V(n, t, g, member, arg, lo, hi, first, h) \
    {{FIELD(n, t, struct cli_values, member), .argument = arg, .low = lo, .high = hi, .initial = first, .help = h}, g}
/* clang-format on */

static const struct {
    struct field field;
    unsigned group;
} own[] = {
    {ROW_MODEL(struct cli_values), GROUP_MODEL},
    {ROW_ADAPTER(struct cli_values), GROUP_ADAPTER},
    {ROW_DTYPE(struct cli_values), GROUP_MODEL},
    {ROW_INPUT(struct cli_values), GROUP_FILES | GROUP_EVAL},
    {ROW_OUTPUT(struct cli_values), GROUP_FILES | GROUP_ALIGN | GROUP_TRAINVERB | GROUP_CONVERT | GROUP_EVAL |
                                        GROUP_REPORT | GROUP_EXPERIMENT | GROUP_EXPORT},
    {ROW_PREVIEW(struct cli_values), GROUP_ALIGN},

    V("data", FIELD_STRING, GROUP_TRAINVERB | GROUP_INSPECT, data, "FILE", 0, 0, NULL,
      "training rows, in any form of docs/FORMATS.md"),
    {ROW_EVAL_DATA(struct cli_values), GROUP_TRAINVERB},
    {ROW_QUESTION_FIELD(struct cli_values), GROUP_RECORDS},
    {ROW_ANSWER_FIELD(struct cli_values), GROUP_RECORDS},
    {ROW_STOP_AFTER(struct cli_values), GROUP_TRAINVERB},
    V("ranks-per-arm", FIELD_INT, GROUP_EXPERIMENT, ranks_per_arm, "N", 0, 1 << 20, "0",
      "of several processes under MPI, those that do a job together (docs/SCALE.md); 0: all"),
    V("init", FIELD_STRING, GROUP_TRAINVERB, init, "CONFIG", 0, 0, NULL,
      "train from scratch with this config.json instead of --model (tokenizer files beside it)"),
    {{FIELD("task", FIELD_STRING, struct cli_values, task), .argument = "NAME", .values = "sft|classify|reward",
      .help = "train: sft|classify|reward [sft]; eval: see isara eval --task list"},
     GROUP_TRAINVERB | GROUP_EVAL},
    {ROW_PROFILE(struct cli_values), GROUP_TRAINVERB},
    V("text", FIELD_STRING, GROUP_TOKENIZE, text, "STRING", 0, 0, NULL, "one text instead of --input"),
    V("decode", FIELD_FLAG, GROUP_TOKENIZE, decode, NULL, 0, 0, NULL, "token ids to text"),
    V("special-tokens", FIELD_FLAG, GROUP_TOKENIZE, special, NULL, 0, 0, NULL,
      "add the tokenizer's own BOS and EOS [off]"),
    V("normalize", FIELD_FLAG, GROUP_EMBED, normalize, NULL, 0, 0, "true", "L2-normalise"),
    V("to", FIELD_STRING, GROUP_CONVERT, to, "hf|gguf", 0, 0, "hf",
      "a Hugging Face directory, or a GGUF file for llama.cpp (an adapter given as --model becomes a GGUF adapter)"),
    V("type", FIELD_STRING, GROUP_CONVERT, type, "f32|f16|bf16|q8_0", 0, 0, NULL,
      "type of the matrices written [the source's; f32 when it is quantised]; q8_0 for GGUF only"),
    V("shard-size", FIELD_STRING, GROUP_CONVERT, shard_size, "SIZE", 0, 0, NULL,
      "Hugging Face directory: files of at most so much, as 5GB or 500MB, and an index [one file]"),
    V("ollama", FIELD_FLAG, GROUP_CONVERT, ollama, NULL, 0, 0, NULL,
      "GGUF: write a Modelfile for ollama create beside it"),
    V("replay", FIELD_STRING, GROUP_INSPECT, replay, "ID", 0, 0, NULL,
      "run directory: generate this attempt again, alone, and compare"),
    V("about", FIELD_STRING, GROUP_REPORT, about, "FILE", 0, 0, NULL,
      "YAML: what only people know (authors, affiliations, funding, interests, ...; docs/FORMATS.md)"),
    V("labels-out", FIELD_STRING, GROUP_REPORT, labels_out, "PATH", 0, 0, NULL,
      "write answers of the pretrained model and of the last round as a blinded CSV sheet for people"),
    V("labels-in", FIELD_STRING, GROUP_REPORT, labels_in, "FILE", 0, 0, NULL,
      "that sheet with labels (yes, no or nothing) in the column label, or in several label_NAME"),
    V("ranks", FIELD_INT, GROUP_PLAN, ranks, "N", 0, 65536, NULL,
      "processes under MPI that share the work: memory and traffic of one of them [0: one process]"),
    V("network", FIELD_DOUBLE, GROUP_PLAN, network, "GBIT", 0, 1e6, NULL,
      "with --ranks: what a rank's link carries each way, in Gbit/s; then times are given over the number of ranks"),
    V("latency", FIELD_DOUBLE, GROUP_PLAN, latency, "MS", 0, 1e6, "0.05",
      "with --network: milliseconds from one rank to another"),
    V("verify", FIELD_INT, GROUP_REPORT, verify, "K", 0, 1e6, NULL,
      "write nothing; make every number again from run.db and K random attempts by the model, and list what differs "
      "(exit code 3)"),
    V("format", FIELD_STRING, GROUP_EXPORT, format, METHOD_EXPORTS, 0, 0, NULL,
      "who takes it: TRL and most others; axolotl and LLaMA-Factory; the same and older scripts; TRL without a chat "
      "template, in the run's own; spreadsheets; preferences, the last round's answer over the pretrained model's"),
    V("with-seeds", FIELD_FLAG, GROUP_EXPORT, with_seeds, NULL, 0, 0, NULL,
      "the seeds that the method was given first [off]"),
    {ROW_LIMIT(struct cli_values), GROUP_FILES | GROUP_EVAL},

    {{FIELD("include", FIELD_TEXTS, struct cli_values, include), .argument = "GLOB",
      .count = offsetof(struct cli_values, n_include), .capacity = PULL_MAX_INCLUDE, .size = PULL_MAX_GLOB,
      .help = "files to download, may be given again; '*' goes over '/' [weights in one form, safetensors where there "
              "are any, and what belongs to them]"},
     GROUP_PULL},

    {ROW_THREADS(struct cli_values), GROUP_COMMON},
    {ROW_SEED(struct cli_values), GROUP_SEED},
    {ROW_ISA(struct cli_values), GROUP_COMMON},
    V("json", FIELD_FLAG, GROUP_COMMON, json, NULL, 0, 0, NULL, "the summary as one JSON object on standard output"),
    V("config", FIELD_STRING, GROUP_COMMON, config, "FILE", 0, 0, NULL,
      "options from a YAML file; the command line goes over it"),
    {ROW_DRY_RUN(struct cli_values), GROUP_DRY},
    V("log-level", FIELD_STRING, GROUP_COMMON, log_level, "debug|info|warning|quiet", 0, 0, "info",
      "what is said on standard error"),
    V("help", FIELD_FLAG, GROUP_COMMON, help, NULL, 0, 0, NULL, "this text"),
};

enum { N_OWN = (int)(sizeof own / sizeof *own), MOST = 256 };
static const struct {
    const struct field_table *table;
    unsigned group;
    size_t base;
} owners[] = {
    {&align_fields, GROUP_METHOD, 0},
    {&sift_fields, GROUP_METHOD, offsetof(struct align_options, sift)},
    {&generate_fields, GROUP_DECODE, 0},
    {&generate_engine_fields, GROUP_ENGINE, offsetof(struct cli_values, engine)},
    {&serve_fields, GROUP_SERVE, offsetof(struct cli_values, serve)},
    {&talk_fields, GROUP_TALK, offsetof(struct cli_values, talk)},
    {&http_fields, GROUP_HTTP, offsetof(struct cli_values, http)},
    {&eval_fields, GROUP_TASK, 0},
    {&train_fields, GROUP_TRAIN, 0},
};

static int gather(struct option_spec *all)
{
    int n = 0;
    for (int i = 0; i < N_OWN; i++)
        all[n++] = (struct option_spec){&own[i].field, own[i].group, 0};
    for (size_t k = 0; k < sizeof owners / sizeof *owners; k++)
        for (int i = 0; i < owners[k].table->n && n < MOST; i++)
            all[n++] = (struct option_spec){&owners[k].table->rows[i], owners[k].group, owners[k].base};
    return n;
}

const struct option_spec *option_table(int *n)
{
    static struct option_spec all[MOST]; /* filled on the first call, before there are threads */
    static int n_all;
    if (!n_all)
        n_all = gather(all);
    *n = n_all;
    return all;
}

const struct option_prefix option_prefixes[OPTION_N_PREFIX] = {
    {"ask-", SCOPE_ASK, GROUP_DECODE}, {"answer-", SCOPE_ANSWER, GROUP_DECODE}, {"train-", SCOPE_TRAIN, GROUP_TRAIN}};

/* Equal names, '_' and '-' alike; n bytes of a. */
static int same_name(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if ((a[i] == '_' ? '-' : a[i]) != b[i])
            return 0;
    return b[n] == 0;
}

const struct option_spec *option_find_part(const char *name, size_t length, unsigned groups)
{
    int n;
    const struct option_spec *table = option_table(&n);
    for (int i = 0; i < n; i++)
        if ((table[i].group & groups) && same_name(name, length, table[i].field->name))
            return &table[i];
    return NULL;
}

const struct option_spec *option_find(const char *name, unsigned groups)
{
    return option_find_part(name, strlen(name), groups);
}

void cli_values_default(struct cli_values *v)
{
    *v = (struct cli_values){0};
    for (int i = 0; i < N_OWN; i++)
        fields_default(&(struct field_table){&own[i].field, 1}, FIELD_PLAIN, v);
    fields_default(&generate_engine_fields, FIELD_PLAIN, &v->engine);
    serve_options_default(&v->serve);
    http_options_default(&v->http);
}
