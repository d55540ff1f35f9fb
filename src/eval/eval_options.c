/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the tasks. A journal is compared by what tasks make of them (digests of files, prompts, judges), not
 * by the rows. */
#include "eval/fields.h"

#include "answer/answers.h"
#include "answer/fields.h"

static const struct field rows[] = {
    ANSWER_FILE_ROWS(struct eval_options),
    {FIELD("data", FIELD_STRING, struct eval_options, data), .argument = "FILE",
     .help = "truthfulqa: the same as --test"},
    {FIELD("k", FIELD_INT, struct eval_options, k), .argument = "K", .low = 1, .high = 1000, .initial = "5",
     .help = "context pairs in a prompt"},
    {FIELD("retriever", FIELD_STRING, struct eval_options, retriever), .argument = SPEAKER_RETRIEVERS,
     .initial = "model", .help = "how an answer's context pairs are found [$: its own mean-pooled states]"},
    {FIELD("threshold", FIELD_DOUBLE, struct eval_options, threshold), .argument = "P", .high = 1, .initial = "0.5",
     .help = "a judge's label counts above this probability"},
    {FIELD("arm", FIELD_STRING, struct eval_options, arm), .argument = "zero-shot|icl-knn|icl-random",
     .help = "with --model: the question alone, or after its --k nearest or k random --seeds [zero-shot]"},
    {FIELD("prompt-style", FIELD_STRING, struct eval_options, style), .argument = "template|zero-shot|primer|chat",
     .help = "how questions are put: --template with the arm's seeds, without any, after --primer, in the model's "
             "chat template [template]"},
    {FIELD("primer", FIELD_STRING, struct eval_options, primer), .argument = "FILE",
     .help = "text before \"\\n\\nQ: \" and the question: TruthfulQA's six pairs, or lm-eval's truthfulqa_gen.yaml"},
    {FIELD("extraction", FIELD_STRING, struct eval_options, extraction), .argument = "none|lm-eval|original",
     .help = "truthfulqa: what of a completion is the answer [none; with a primer lm-eval: all before an empty line]"},
    {FIELD("reference", FIELD_STRING, struct eval_options, reference), .argument = "FILE",
     .help = "alpaca-eval: reference outputs, an array of {\"instruction\",\"output\"}"},
    {FIELD("endpoint", FIELD_STRING, struct eval_options, endpoint), .argument = "URL",
     .help = "judge behind an OpenAI-compatible endpoint, http://HOST/v1; the key from OPENAI_API_KEY"},
    {FIELD("judge-model", FIELD_STRING, struct eval_options, judge_model), .argument = "NAME",
     .help = "the judge's name at --endpoint"},
    {FIELD("judge-prompt", FIELD_STRING, struct eval_options, judge_prompt), .argument = "FILE",
     .help = "judge's prompt with {instruction}, {output_1}, {output_2} [our own]"},
    {FIELD("judge-order", FIELD_STRING, struct eval_options, judge_order), .argument = "both|alpaca",
     .help = "show each pair in both orders, or in alpaca_eval's random one [both]"},
    {FIELD("judge-timeout", FIELD_DOUBLE, struct eval_options, judge_timeout), .argument = "S", .low = 0.01,
     .high = 86400, .initial = "60", .help = "--endpoint: seconds a request may take"},
    {FIELD("judge-tries", FIELD_INT, struct eval_options, judge_tries), .argument = "N", .low = 1, .high = 1000,
     .initial = "6", .help = "--endpoint: tries for one answer"},
    {FIELD("judge-pause", FIELD_DOUBLE, struct eval_options, judge_pause), .argument = "S", .high = 3600,
     .initial = "1", .help = "--endpoint: seconds before the second try, doubled for each further one"},
    {FIELD("judge-rate", FIELD_DOUBLE, struct eval_options, judge_rate), .argument = "N", .high = 1e6, .initial = "0",
     .help = "--endpoint: requests a minute at most, 0 = no limit"},
    {FIELD("df-gamed", FIELD_STRING, struct eval_options, df_gamed), .argument = "FILE",
     .help = "alpaca-eval: its df_gamed.csv, for length_controlled_v1 [length_controlled_minimal]"},
    {FIELD("max-missing", FIELD_DOUBLE, struct eval_options, max_missing), .argument = "SHARE", .high = 1,
     .initial = "0.1", .help = "no win rate when more rows than this lack an output or a verdict"},
    {FIELD("benchmark", FIELD_STRING, struct eval_options, benchmark), .argument = "NAME",
     .help = "overlap: the test set's name, to see whether a model completes its questions better when told"},
    {FIELD("metrics", FIELD_STRING, struct eval_options, metrics), .argument = "LIST",
     .help = "qa: exact,f1,rougeL,nll; truthfulqa: generation,mc [all that can be computed]"},
    {FIELD("judge-mode", FIELD_STRING, struct eval_options, judge_mode), .argument = "safe|compat|honest",
     .help = "classifiers: 512 tokens, special tokens in texts are text; as QAModeration, they are special; 2048 "
             "tokens and the end is kept [safe]"},
    {FIELD("guard-words", FIELD_STRING, struct eval_options, guard_words), .argument = "UNSAFE,SAFE",
     .help = "first words of a guard model's verdicts [unsafe,safe]"},
    {FIELD("append-eos", FIELD_FLAG, struct eval_options, append_eos), .initial = "true",
     .help = "utility: the reward model reads at an end-of-sequence token"},
    {FIELD("category", FIELD_STRING, struct eval_options, category), .argument = "NAME",
     .help = "beavertails: only prompts of this category [all]"},
    {FIELD("annotations", FIELD_STRING, struct eval_options, annotations), .argument = "FILE",
     .help = "recompute a stored file: alpaca-eval's annotations.json, beavertails' judged.jsonl"},
};
const struct field_table eval_fields = {rows, sizeof rows / sizeof *rows};

void eval_options_default(struct eval_options *o)
{
    struct answers_options a;
    answers_options_default(&a);
    *o = (struct eval_options){.dtype = DTYPE_BF16, .decode = a.decode};
    o->decode.max_new_tokens = 0;
    fields_default(&eval_fields, FIELD_PLAIN, o);
}
