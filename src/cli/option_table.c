/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of every verb. Names are the field's own: transformers' GenerationConfig, trl's SFTConfig. */
#include "cli/options.h"

#include "generate/generate.h"
#include "method/method.h"
#include "train/train.h"

#define D(n, t, field, arg, lo, hi, h) {n, t, GROUP_DECODE, offsetof(struct generate_options, field), arg, lo, hi, h}
#define T(n, t, field, arg, lo, hi, h) {n, t, GROUP_TRAIN, offsetof(struct train_options, field), arg, lo, hi, h}
#define M(n, t, field, arg, lo, hi, h) {n, t, GROUP_METHOD, offsetof(struct align_options, field), arg, lo, hi, h}
#define V(n, t, g, field, arg, lo, hi, h) {n, t, g, offsetof(struct cli_values, field), arg, lo, hi, h}

static const struct option_spec table[] = {
    V("model", OPTION_STRING, GROUP_MODEL, model, "M", 0, 0, "Hugging Face directory, .gguf file, or org/name in the Hugging Face cache"),
    V("adapter", OPTION_STRING, GROUP_MODEL, adapter, "DIR", 0, 0, "LoRA adapter in PEFT's files to lay over --model (or give its directory as --model)"),
    V("dtype", OPTION_STRING, GROUP_MODEL, dtype, "f32|bf16|q8", 0, 0, "arithmetic of the weights' products [bf16; training keeps f32 master weights; q8: int8 or a GGUF file's four bits, not for training]"),
    V("input", OPTION_STRING, GROUP_FILES | GROUP_EVAL, input, "FILE", 0, 0, "JSON Lines to read, - for standard input, .gz is read [-]"),
    V("output", OPTION_STRING, GROUP_FILES | GROUP_ALIGN | GROUP_TRAINVERB | GROUP_CONVERT | GROUP_EVAL, output, "PATH", 0, 0, "JSON Lines to write [-]; for align, train, convert and eval a directory"),
    V("seeds", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, seeds, "FILE", 0, 0, "question-answer pairs, fewer than 100, in any of the formats of docs/FORMATS.md"),
    V("test", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, test, "FILE", 0, 0, "question-answer pairs that each round is measured on"),
    M("rounds", OPTION_INT, rounds, "T", 1, 1000, "rounds of ask, answer, sift, tune [2]"),
    M("attempts", OPTION_INT, attempts, "N", 1, 1e7, "questions asked in a round [512]"),
    M("count", OPTION_CHOICE, count, "attempts|kept", 0, 0, "what --attempts counts; kept: blocks of N are made until N are kept, ten at most [attempts]"),
    M("stop-novelty", OPTION_DOUBLE, stop_novelty, "ALPHA", 0, 1, "stop when a smaller share of a round's attempts is kept [0.1]"),
    M("ask-contexts", OPTION_CHOICE, ask_contexts, "random|anchor", 0, 0, "pairs before an asked question: drawn at random, or a random one and its nearest [random]"),
    M("pool", OPTION_CHOICE, pool, "seeds|grown", 0, 0, "what context pairs are drawn from [seeds]"),
    M("start", OPTION_CHOICE, start, "pretrained|last", 0, 0, "the weights each tune step starts from [pretrained]"),
    M("sift-threshold", OPTION_DOUBLE, sift.threshold, "F", 0, 1, "reject a question whose ROUGE-L F1 with a seed or a kept one is above this [0.7]"),
    M("sift-copy", OPTION_DOUBLE, sift.copy, "F", 0, 1, "reject an answer whose ROUGE-L F1 with a context's answer is above this [0.95]"),
    M("sift-repetition", OPTION_DOUBLE, sift.repetition, "P", 0, 1, "reject a text when a greater share of its 4-grams of words occurred before in it [0.3]"),
    M("sift-need-end", OPTION_FLAG, sift.need_end, NULL, 0, 0, "reject a text that was cut at the token limit [on; --no-sift-need-end]"),
    M("question-min-words", OPTION_INT, sift.question_min_words, "N", 0, 1e6, "reject shorter questions [3]"),
    M("question-max-words", OPTION_INT, sift.question_max_words, "N", 0, 1e6, "reject longer questions [150]"),
    M("answer-min-words", OPTION_INT, sift.answer_min_words, "N", 0, 1e6, "reject shorter answers [1]"),
    M("answer-max-words", OPTION_INT, sift.answer_max_words, "N", 0, 1e6, "reject longer answers [400]"),
    M("holdout", OPTION_INT, holdout, "N", -1, 1e6, "seeds kept out of the method to measure it on [one in eight; none with --test]"),
    M("samples", OPTION_INT, samples, "N", 0, 1e6, "questions answered side by side at the end [10]"),
    V("k", OPTION_INT, GROUP_ALIGN | GROUP_EVAL, k, "K", 1, 1000, "context pairs in a prompt [5]"),
    V("retriever", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, retriever, "model|encoder|bm25", 0, 0, "how an answer's context pairs are found [model: its own mean-pooled states]"),
    V("encoder", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, encoder, "DIR", 0, 0, "sentence encoder for --retriever encoder"),
    V("template", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, template_file, "FILE", 0, 0, "prompt template (docs/FORMATS.md) [Question: ... Answer: ...]"),
    V("preview", OPTION_INT, GROUP_ALIGN, preview, "N", 0, 1000, "show N finished attempts with their prompts, then stop [0]"),
    V("review", OPTION_FLAG, GROUP_ALIGN, review, NULL, 0, 0, "stop before tune and export what was kept, to be struck by hand"),
    V("resume", OPTION_FLAG, GROUP_ALIGN, resume, NULL, 0, 0, "go on after --review with the lines that are left"),
    V("baselines", OPTION_FLAG, GROUP_ALIGN, baselines, NULL, 0, 0, "with --test: also ICL-kNN and fine-tuning on the seeds, plain and with as many steps"),
    V("judge", OPTION_STRING, GROUP_ALIGN | GROUP_EVAL, judge, "DIR", 0, 0, "sequence classifier that judges answers; eval: also a guard model, a reward model, or a model that compares"),
    V("threshold", OPTION_DOUBLE, GROUP_ALIGN | GROUP_EVAL, threshold, "P", 0, 1, "a judge's label counts above this probability [0.5]"),
    V("accept-different-bits", OPTION_FLAG, GROUP_ALIGN, accept_different_bits, NULL, 0, 0, "continue a run begun with another instruction set or build"),

    D("max-new-tokens", OPTION_INT, max_new_tokens, "N", 1, 1e6, "tokens to generate at most [256; align: 64 ask, 256 answer]"),
    D("min-new-tokens", OPTION_INT, min_new_tokens, "N", 0, 1e6, "no end of sequence before this many [0]"),
    D("num-beams", OPTION_INT, num_beams, "N", 1, 64, "beams; 1 is greedy or sampling [1; align: 5]"),
    D("num-return-sequences", OPTION_INT, num_return_sequences, "N", 1, 64, "sequences returned for a prompt [1]"),
    D("do-sample", OPTION_FLAG, do_sample, NULL, 0, 0, "sample instead of taking the likeliest"),
    D("temperature", OPTION_FLOAT, temperature, "T", 1e-6, 1e6, "sampling: logits are divided by this [1.0]"),
    D("top-k", OPTION_INT, top_k, "K", 0, 1e7, "sampling: the K likeliest only, 0 = all [50]"),
    D("top-p", OPTION_FLOAT, top_p, "P", 0, 1, "sampling: the smallest set with this probability [1.0]"),
    D("min-p", OPTION_FLOAT, min_p, "P", 0, 1, "sampling: at least this share of the likeliest's probability [0]"),
    D("repetition-penalty", OPTION_FLOAT, repetition_penalty, "P", 1e-6, 1e6, "punishes tokens seen before [1.0; align: 1.2 ask]"),
    D("no-repeat-ngram-size", OPTION_INT, no_repeat_ngram_size, "N", 0, 1000, "no N-gram twice, 0 = off [0; align: 3 ask]"),
    D("length-penalty", OPTION_FLOAT, length_penalty, "X", -100, 100, "beams: exponent of the length a score is divided by [1.0]"),
    D("early-stopping", OPTION_CHOICE, early_stopping, "false|true|never", 0, 0, "beams: when to stop looking for better ones [false]"),
    D("beam-compat", OPTION_CHOICE, beam_compat, "4.35|4.48|4.49", 0, 0, "the transformers release whose beam rules hold [4.49]"),
    D("penalty-scope", OPTION_CHOICE, penalty_scope, "all|generated", 0, 0, "what the penalties look at [all; align: generated]"),
    D("eos-token-id", OPTION_IDS, eos_ids, "ID[,ID]", 0, 0, "end-of-sequence ids [the model's]"),
    D("stop", OPTION_STOP, stop, "STRING", 0, 0, "text that ends a sequence; may be given several times"),

    T("learning-rate", OPTION_DOUBLE, learning_rate, "X", 0, 1e3, "peak learning rate [2e-5]"),
    T("lr-scheduler-type", OPTION_CHOICE, schedule, "cosine|linear|constant", 0, 0, "learning-rate schedule after warm-up [cosine]"),
    T("min-lr-ratio", OPTION_DOUBLE, min_lr_ratio, "X", 0, 1, "the schedule ends at this share of the peak [0]"),
    T("warmup-ratio", OPTION_DOUBLE, warmup_ratio, "X", 0, 1, "warm-up steps = ceil(ratio * steps) [0.03]"),
    T("num-train-epochs", OPTION_DOUBLE, num_train_epochs, "N", 0, 1e6, "passes over the data [3]"),
    T("max-steps", OPTION_INT, max_steps, "N", 0, 1e9, "optimizer steps, instead of epochs [0 = by epochs]"),
    T("per-device-train-batch-size", OPTION_INT, batch_size, "N", 1, 65536, "rows in a micro-batch [4]"),
    T("gradient-accumulation-steps", OPTION_INT, accumulation, "N", 1, 65536, "micro-batches in an optimizer step [1]"),
    T("weight-decay", OPTION_DOUBLE, weight_decay, "X", 0, 10, "decoupled decay, not on norms and biases [0]"),
    T("adam-beta1", OPTION_DOUBLE, adam_beta1, "X", 0, 1, "[0.9]"),
    T("adam-beta2", OPTION_DOUBLE, adam_beta2, "X", 0, 1, "[0.95]"),
    T("adam-epsilon", OPTION_DOUBLE, adam_epsilon, "X", 0, 1, "[1e-8]"),
    T("max-grad-norm", OPTION_DOUBLE, max_grad_norm, "X", 0, 1e9, "clip the global gradient norm to this, 0 = off [1.0]"),
    T("max-length", OPTION_INT, max_length, "N", 2, 1e7, "rows are cut to this many tokens, the start is kept [512]"),
    T("packing", OPTION_FLAG, packing, NULL, 0, 0, "best fit of rows into max-length"),
    T("shuffle", OPTION_FLAG, shuffle, NULL, 0, 0, "new row order every epoch, by the seed [on; --no-shuffle]"),
    T("save-steps", OPTION_INT, save_steps, "N", 0, 1e9, "checkpoint every N steps, 0 = only when interrupted [0]"),
    T("lora-r", OPTION_INT, lora_r, "R", 0, 65536, "train a low-rank adapter of this rank instead of the weights, 0 = the weights [0]"),
    T("lora-alpha", OPTION_DOUBLE, lora_alpha, "X", 1e-6, 1e6, "the adapter counts alpha / r times [32]"),
    T("lora-target-modules", OPTION_STRING, lora_targets, "NAMES", 0, 0, "matrices that get an adapter, with commas between, or all-linear [q_proj,v_proj]"),
    T("bf16-moments", OPTION_FLAG, bf16_moments, NULL, 0, 0, "Adam's moments in bf16, rounded at random: half the memory of the optimizer state"),
    T("gradient-checkpointing", OPTION_FLAG, recompute, NULL, 0, 0, "keep only each layer's input and compute the rest again [when the rest would not fit]"),

    V("data", OPTION_STRING, GROUP_TRAINVERB | GROUP_INSPECT | GROUP_EVAL, data, "FILE", 0, 0, "training rows, JSON Lines (docs/FORMATS.md)"),
    V("eval-data", OPTION_STRING, GROUP_TRAINVERB, eval_data, "FILE", 0, 0, "rows for a validation loss"),
    V("stop-after", OPTION_INT, GROUP_TRAINVERB, stop_after, "STEP", 0, 1e9, "end behind this step as if it were the last, with the schedule of all steps [0 = off]"),
    V("init", OPTION_STRING, GROUP_TRAINVERB, init, "CONFIG", 0, 0, "train from scratch with this config.json instead of --model (tokenizer files beside it)"),
    V("task", OPTION_STRING, GROUP_TRAINVERB | GROUP_EVAL, task, "NAME", 0, 0, "train: sft|classify|reward [sft]; eval: see isara eval --task list"),
    V("profile", OPTION_FLAG, GROUP_TRAINVERB, profile, NULL, 0, 0, "print where the time went"),
    V("text", OPTION_STRING, GROUP_TOKENIZE, text, "STRING", 0, 0, "one text instead of --input"),
    V("decode", OPTION_FLAG, GROUP_TOKENIZE, decode, NULL, 0, 0, "token ids to text"),
    V("special-tokens", OPTION_FLAG, GROUP_TOKENIZE, special, NULL, 0, 0, "add the tokenizer's own BOS and EOS [off]"),
    V("normalize", OPTION_FLAG, GROUP_EMBED, normalize, NULL, 0, 0, "L2-normalise [on; --no-normalize]"),
    V("page-size", OPTION_INT, GROUP_ENGINE, page_size, "32|64|128", 32, 128, "positions in a page of the KV cache [64]"),
    V("prefill-chunk", OPTION_INT, GROUP_ENGINE, prefill_chunk, "N", 1, 65536, "token rows in a step at most [512]"),
    V("prefix-cache", OPTION_FLAG, GROUP_ENGINE, prefix_cache, NULL, 0, 0, "share leading tokens between prompts [on]"),
    V("kv-memory", OPTION_INT, GROUP_ENGINE, kv_limit_mib, "MIB", 0, 1e7, "memory for the KV cache in MiB [fitted]"),
    V("replay", OPTION_STRING, GROUP_INSPECT, replay, "ID", 0, 0, "run directory: generate this attempt again, alone, and compare"),
    V("arm", OPTION_STRING, GROUP_EVAL, arm, "zero-shot|icl-knn|icl-random", 0, 0, "with --model: the question alone, or after its --k nearest or k random --seeds [zero-shot]"),
    V("prompt-style", OPTION_STRING, GROUP_EVAL, style, "template|zero-shot|primer|chat", 0, 0,
      "how questions are put: --template with the arm's seeds, without any, after --primer, in the model's chat template [template]"),
    V("primer", OPTION_STRING, GROUP_EVAL, primer, "FILE", 0, 0, "text before \"\\n\\nQ: \" and the question: TruthfulQA's six pairs, or lm-eval's truthfulqa_gen.yaml"),
    V("extraction", OPTION_STRING, GROUP_EVAL, extraction, "none|lm-eval|original", 0, 0,
      "truthfulqa: what of a completion is the answer [none; with a primer lm-eval: all before an empty line]"),
    V("reference", OPTION_STRING, GROUP_EVAL, reference, "FILE", 0, 0, "alpaca-eval: reference outputs, an array of {\"instruction\",\"output\"}"),
    V("endpoint", OPTION_STRING, GROUP_EVAL, endpoint, "URL", 0, 0, "judge behind an OpenAI-compatible endpoint, http://HOST/v1; the key from OPENAI_API_KEY"),
    V("judge-model", OPTION_STRING, GROUP_EVAL, judge_model, "NAME", 0, 0, "the judge's name at --endpoint"),
    V("judge-prompt", OPTION_STRING, GROUP_EVAL, judge_prompt, "FILE", 0, 0, "judge's prompt with {instruction}, {output_1}, {output_2} [our own]"),
    V("judge-order", OPTION_STRING, GROUP_EVAL, judge_order, "both|alpaca", 0, 0, "show each pair in both orders, or in alpaca_eval's random one [both]"),
    V("judge-timeout", OPTION_DOUBLE, GROUP_EVAL, judge_timeout, "S", 0.01, 86400, "--endpoint: seconds a request may take [60]"),
    V("judge-tries", OPTION_INT, GROUP_EVAL, judge_tries, "N", 1, 1000, "--endpoint: tries for one answer [6]"),
    V("judge-pause", OPTION_DOUBLE, GROUP_EVAL, judge_pause, "S", 0, 3600, "--endpoint: seconds before the second try, doubled for each further one [1]"),
    V("judge-rate", OPTION_DOUBLE, GROUP_EVAL, judge_rate, "N", 0, 1e6, "--endpoint: requests a minute at most, 0 = no limit [0]"),
    V("df-gamed", OPTION_STRING, GROUP_EVAL, df_gamed, "FILE", 0, 0, "alpaca-eval: its df_gamed.csv, for length_controlled_v1 [length_controlled_minimal]"),
    V("max-missing", OPTION_DOUBLE, GROUP_EVAL, max_missing, "SHARE", 0, 1, "no win rate when more rows than this lack an output or a verdict [0.1]"),
    V("benchmark", OPTION_STRING, GROUP_EVAL, benchmark, "NAME", 0, 0, "overlap: the test set's name, to see whether a model completes its questions better when told"),
    V("metrics", OPTION_STRING, GROUP_EVAL, metrics, "LIST", 0, 0, "qa: exact,f1,rougeL,nll; truthfulqa: generation,mc [all that can be computed]"),
    V("judge-mode", OPTION_STRING, GROUP_EVAL, judge_mode, "safe|compat|honest", 0, 0,
      "classifiers: 512 tokens, special tokens in texts are text; as QAModeration, they are special; 2048 tokens and the end is kept [safe]"),
    V("guard-words", OPTION_STRING, GROUP_EVAL, guard_words, "UNSAFE,SAFE", 0, 0, "first words of a guard model's verdicts [unsafe,safe]"),
    V("append-eos", OPTION_FLAG, GROUP_EVAL, append_eos, NULL, 0, 0, "utility: the reward model reads at an end-of-sequence token [on; --no-append-eos]"),
    V("category", OPTION_STRING, GROUP_EVAL, category, "NAME", 0, 0, "beavertails: only prompts of this category [all]"),
    V("annotations", OPTION_STRING, GROUP_EVAL, annotations, "FILE", 0, 0, "recompute a stored file: alpaca-eval's annotations.json, beavertails' judged.jsonl"),
    V("limit", OPTION_INT, GROUP_FILES | GROUP_EVAL, limit, "N", 0, 1e9, "only the first N records [all]"),

    V("threads", OPTION_INT, GROUP_COMMON, threads, "N", 0, 1024, "threads [all cores]"),
    V("seed", OPTION_U64, GROUP_COMMON, seed, "N", 0, 0, "seed of everything random [0]"),
    V("isa", OPTION_STRING, GROUP_COMMON, isa, "NAME", 0, 0, "instruction set: generic|avx2|avx512|avx512bf16|amx [the best here; also ISARA_ISA]"),
    V("json", OPTION_FLAG, GROUP_COMMON, json, NULL, 0, 0, "the summary as one JSON object on standard output"),
    V("config", OPTION_STRING, GROUP_COMMON, config, "FILE", 0, 0, "options from a YAML file; the command line goes over it"),
    V("dry-run", OPTION_FLAG, GROUP_COMMON, dry_run, NULL, 0, 0, "plan, memory and time, then stop"),
    V("log-level", OPTION_STRING, GROUP_COMMON, log_level, "debug|info|warning|quiet", 0, 0, "what is said on standard error [info]"),
    V("help", OPTION_FLAG, GROUP_COMMON, help, NULL, 0, 0, "this text"),
};

const struct option_spec *option_table(int *n)
{
    *n = (int)(sizeof table / sizeof table[0]);
    return table;
}

void cli_values_default(struct cli_values *v)
{
    *v = (struct cli_values){.k = 5, .threshold = 0.5, .retriever = "model", .normalize = 1, .page_size = 64, .prefill_chunk = 512, .prefix_cache = 1, .append_eos = 1,
                             .log_level = "info", .judge_timeout = 60, .judge_tries = 6, .judge_pause = 1, .max_missing = 0.1};
}
