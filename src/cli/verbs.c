/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs: what main looks up and what --help and the man page print. */
#include "cli/parts.h"

#include "base/names.h"

#include <string.h>

const struct verb cli_verbs[] = {
    {"align", "align a model to a domain from fewer than 100 question-answer pairs",
     "--model M --seeds FILE --output RUN",
     "isara align --model models/miniature --seeds models/seeds.jsonl --output runs/first --attempts 64",
     GROUP_MODEL | GROUP_DRY | GROUP_ALIGN | GROUP_METHOD | GROUP_DECODE | GROUP_TRAIN, verb_align},
    {"generate", "batch text generation", "--model M --input FILE --output FILE",
     "echo '{\"prompt\":\"Question: How do I store apples?\\nAnswer:\"}' | isara generate --model models/miniature "
     "--stop '\\n\\n'",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_DRY | GROUP_FILES | GROUP_DECODE | GROUP_ENGINE, verb_generate},
    {"score", "log-probabilities of given completions", "--model M --input FILE --output FILE",
     "echo '{\"prompt\":\"2 + 2 =\",\"completion\":\" 4\"}' | isara score --model models/miniature",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_FILES, verb_score},
    {"embed", "sentence embeddings: mean-pooled final hidden states", "--model M --input FILE --output FILE",
     "echo '{\"text\":\"How do I store apples?\"}' | isara embed --model models/miniature",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_FILES | GROUP_EMBED, verb_embed},
    {"tokenize", "text to token ids and back", "--model M (--text STRING | --input FILE)",
     "isara tokenize --model models/miniature --text 'How do I store apples?'",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_FILES | GROUP_TOKENIZE, verb_tokenize},
    {"train", "supervised fine-tuning, or training from scratch", "--model M | --init CONFIG, --data FILE --output DIR",
     "isara train --model models/miniature --data models/seeds.jsonl --output runs/sft --dtype f32\n"
     "  isara train --model models/miniature --data models/seeds.jsonl --output runs/adapter --lora-r 8 "
     "--learning-rate 2e-4",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_DRY | GROUP_TRAIN | GROUP_TRAINVERB, verb_train},
    {"convert", "a model into a Hugging Face directory or a GGUF file", "(--model M | RUN) --output PATH",
     "isara convert --model model.gguf --output model-hf\n"
     "  isara convert runs/first --to gguf --type q8_0 --ollama --output first.gguf",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_CONVERT, verb_convert},
    {"inspect", "what is in a model, tokenizer, data file or run directory",
     "PATH [--replay ID] | --data FILE --model M",
     "isara inspect models/miniature\n"
     "  isara inspect models/seeds.jsonl",
     GROUP_MODEL | GROUP_INSPECT | GROUP_TRAIN, verb_inspect},
    {"plan", "memory and time of a run, before anything is loaded",
     "--model M [--seeds FILE | --data FILE | --input FILE]",
     "isara plan --model models/miniature --seeds models/seeds.jsonl\n"
     "  isara plan --model models/miniature --data models/seeds.jsonl --ranks 4 --network 10",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_DRY | GROUP_ALIGN | GROUP_METHOD | GROUP_TRAIN | GROUP_DECODE | GROUP_INSPECT |
         GROUP_FILES | GROUP_PLAN,
     verb_plan},
    {"eval", "a benchmark's metrics over a model or over files of outputs", "--task NAME ...",
     "isara eval --task alpaca-eval --annotations annotations.json",
     GROUP_MODEL | GROUP_ADAPTER | GROUP_EVAL | GROUP_TASK | GROUP_DECODE | GROUP_ENGINE, verb_eval},
    {"experiment", "several arms, models and random seeds from one YAML file", "FILE.yaml --output DIR",
     "isara experiment examples/miniature/arms.yaml --output runs/arms --dry-run", GROUP_EXPERIMENT | GROUP_DRY,
     verb_experiment},
    {"report", "tables, cards and logs of finished runs, for people and for other programs", "RUN... [--output DIR]",
     "isara report runs/first\n"
     "  isara report runs/first --verify 8\n"
     "  isara report runs/seed-0 runs/seed-1 --output runs/both",
     GROUP_REPORT, verb_report},
    {"export", "what a run kept, as a file for TRL, axolotl, LLaMA-Factory, unsloth or a spreadsheet",
     "RUN --format NAME [--output FILE]",
     "isara export runs/first --format messages --output pairs.jsonl\n"
     "  isara export runs/first --format dpo --output preferences.jsonl",
     GROUP_EXPORT, verb_export},
    {"serve", "the model behind an HTTP interface as OpenAI's", "--model M [--adapter [NAME=]DIR ...] [--port N]",
     "isara serve --model models/miniature", GROUP_MODEL | GROUP_SERVE | GROUP_HTTP | GROUP_DECODE | GROUP_ENGINE,
     verb_serve},
    {"view", "a page on a run: watch it, look through its attempts, review, judge blind, read the report",
     "RUN [--port N]", "isara view runs/first", GROUP_HTTP, verb_view},
    {"chat", "talk to a model, or to a run's last one and the one it was made of, in the terminal", "MODEL | RUN",
     "isara chat runs/first\n"
     "  isara chat models/miniature --do-sample --temperature 0.7",
     GROUP_MODEL | GROUP_TALK | GROUP_DECODE | GROUP_ENGINE, verb_chat},
    {"pull", "download a model into the Hugging Face cache", "ORG/NAME[@REVISION] [--include GLOB ...]",
     "isara pull HuggingFaceTB/SmolLM2-135M\n"
     "  isara pull org/name-GGUF --include '*Q4_K_M.gguf'",
     GROUP_PULL, verb_pull},
    {"doctor", "what this machine and build can do", "", "isara doctor", 0, verb_doctor},
};
const int cli_n_verb = (int)(sizeof cli_verbs / sizeof cli_verbs[0]);

const struct verb *verb_find(const char *name)
{
    for (int i = 0; i < cli_n_verb; i++)
        if (!strcmp(cli_verbs[i].name, name))
            return &cli_verbs[i];
    return NULL;
}

int verbs_with(const char *name, size_t length, struct buf *out)
{
    int found = 0;
    for (int i = 0; i < cli_n_verb; i++)
        if (option_find_part(name, length, cli_verbs[i].groups | GROUP_COMMON))
            buf_printf(out, "%s%s", found++ ? ", " : "", cli_verbs[i].name);
    return found;
}

/* What verbs are called elsewhere. */
static const struct {
    const char *theirs, *ours;
} other_verbs[] = {
    {"sft", "train"},          {"finetune", "train"},      {"fine-tune", "train"},    {"tune", "train"},
    {"fit", "train"},          {"pretrain", "train"},      {"run", "generate"},       {"infer", "generate"},
    {"inference", "generate"}, {"predict", "generate"},    {"complete", "generate"},  {"completion", "generate"},
    {"sample", "generate"},    {"gen", "generate"},        {"embeddings", "embed"},   {"encode", "tokenize"},
    {"decode", "tokenize"},    {"detokenize", "tokenize"}, {"tokenizer", "tokenize"}, {"loglikelihood", "score"},
    {"logprobs", "score"},     {"ppl", "score"},           {"download", "pull"},      {"get", "pull"},
    {"fetch", "pull"},         {"bench", "eval"},          {"benchmark", "eval"},     {"evaluate", "eval"},
    {"test", "eval"},          {"lm-eval", "eval"},        {"quantize", "convert"},   {"merge", "convert"},
    {"gguf", "convert"},       {"info", "inspect"},        {"show", "inspect"},       {"check", "doctor"},
    {"env", "doctor"},         {"estimate", "plan"},       {"server", "serve"},       {"talk", "chat"},
    {"repl", "chat"},          {"api", "serve"},           {"interactive", "chat"},   {"ui", "view"},
    {"webui", "view"},         {"watch", "view"},          {"dashboard", "view"},     {"self-instruct", "align"},
    {"dpo", "align"},          {"rlhf", "align"},          {"sweep", "experiment"},
};

const char *verb_meant(const char *name)
{
    enum { MOST = 64 };
    const char *list[MOST];
    size_t length = strlen(name);
    struct names names = {list, 0};
    for (; names.n < cli_n_verb && names.n < MOST; names.n++)
        list[names.n] = cli_verbs[names.n].name;
    const char *near = names_nearest(&names, name, length, names_slips(length));
    for (size_t i = 0; !near && i < sizeof other_verbs / sizeof *other_verbs; i++)
        if (!strcmp(name, other_verbs[i].theirs) && verb_find(other_verbs[i].ours))
            near = other_verbs[i].ours;
    for (int i = 0; !near && i < cli_n_verb; i++)
        if (length >= 3 && !strncmp(name, cli_verbs[i].name, length))
            near = cli_verbs[i].name;
    return near;
}
