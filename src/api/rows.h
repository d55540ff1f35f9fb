/* SPDX-License-Identifier: Apache-2.0 */
/* Rows (base/fields.h) of what no floor below has an option for: declared once, for the calls of isara.h and for the
 * command line. The owner has a member of that name. */
#ifndef API_ROWS_H
#define API_ROWS_H

#include "base/fields.h"

/* clang-format off */
#define ROW_MODEL(owner)                                                                                               \
    {FIELD("model", FIELD_STRING, owner, model), .argument = "M",                                                      \
     .help = "Hugging Face directory, .gguf file, or org/name in the Hugging Face cache"}
#define ROW_ADAPTER(owner)                                                                                             \
    {FIELD("adapter", FIELD_STRING, owner, adapter), .argument = "DIR",                                                \
     .help = "LoRA adapter in PEFT's files to lay over --model (or give its directory as --model)"}
#define ROW_DTYPE(owner)                                                                                               \
    {FIELD("dtype", FIELD_STRING, owner, dtype), .argument = "f32|bf16|q8",                                            \
     .help = "arithmetic of the weights' products [bf16; training keeps f32 master weights; q8: int8 or a GGUF file's "\
             "own bits, in training for adapters alone, which are computed in bf16]"}
#define ROW_INPUT(owner)                                                                                               \
    {FIELD("input", FIELD_STRING, owner, input), .argument = "FILE",                                                   \
     .help = "records in any form of docs/FORMATS.md, - for standard input [-]"}
#define ROW_OUTPUT(owner)                                                                                              \
    {FIELD("output", FIELD_STRING, owner, output), .argument = "PATH",                                                 \
     .help = "JSON Lines to write [-]; for export a file of its --format [-]; for align, train, convert, eval, "       \
             "experiment and report a directory (convert --to gguf: or a .gguf file)"}
#define ROW_PREVIEW(owner)                                                                                             \
    {FIELD("preview", FIELD_INT, owner, preview), .argument = "N", .high = 1000,                                       \
     .help = "show N finished attempts with their prompts, then stop [0]"}
#define ROW_EVAL_DATA(owner)                                                                                           \
    {FIELD("eval-data", FIELD_STRING, owner, eval_data), .argument = "FILE", .help = "rows for a validation loss"}
#define ROW_STOP_AFTER(owner)                                                                                          \
    {FIELD("stop-after", FIELD_INT, owner, stop_after), .argument = "STEP", .high = 1e9,                               \
     .help = "end after this step as if it were the last, with the schedule of all steps [0 = off]"}
#define ROW_PROFILE(owner) {FIELD("profile", FIELD_FLAG, owner, profile), .help = "print where the time went"}
#define ROW_LIMIT(owner)                                                                                               \
    {FIELD("limit", FIELD_INT, owner, limit), .argument = "N", .high = 1e9, .help = "only the first N records [all]"}
#define ROW_THREADS(owner)                                                                                             \
    {FIELD("threads", FIELD_INT, owner, threads), .argument = "N", .high = 1024, .help = "threads [all cores]"}
#define ROW_SEED(owner)                                                                                                \
    {FIELD("seed", FIELD_U64, owner, seed), .argument = "N", .help = "seed of everything random [0]"}
#define ROW_ISA(owner)                                                                                                 \
    {FIELD("isa", FIELD_STRING, owner, isa), .argument = "NAME", .values = "generic|avx2|avx512|avx512bf16|amx",       \
     .help = "instruction set: generic|avx2|avx512|avx512bf16|amx [the best here; also ISARA_ISA]"}
#define ROW_QUESTION_FIELD(owner)                                                                                      \
    {FIELD("question-field", FIELD_STRING, owner, question_field), .argument = "NAME",                                 \
     .help = "field of a file's records (or column) that holds the question [found by its name]"}
#define ROW_ANSWER_FIELD(owner)                                                                                        \
    {FIELD("answer-field", FIELD_STRING, owner, answer_field), .argument = "NAME",                                     \
     .help = "the same for the answer [found by its name]"}
#define ROW_DRY_RUN(owner)                                                                                             \
    {FIELD("dry-run", FIELD_FLAG, owner, dry_run), .help = "plan, memory and time, then stop"}
/* clang-format on */

#endif
