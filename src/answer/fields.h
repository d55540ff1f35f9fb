/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that whoever answers with contexts has (base/fields.h): the method and the benchmarks. */
#ifndef ANSWER_FIELDS_H
#define ANSWER_FIELDS_H

#include "base/fields.h"

/* owner: a struct with const char *seeds, *test, *encoder, *template_file, *system, *judge. */
/* clang-format off */
#define ANSWER_FILE_ROWS(owner)                                                                                        \
    {FIELD("seeds", FIELD_STRING, owner, seeds), .argument = "FILE",                                                   \
     .help = "question-answer pairs, fewer than 100, in any of the formats of docs/FORMATS.md"},                       \
    {FIELD("test", FIELD_STRING, owner, test), .argument = "FILE",                                                     \
     .help = "question-answer pairs that each round is measured on; eval: the benchmark's own file"},                  \
    {FIELD("encoder", FIELD_STRING, owner, encoder), .argument = "DIR",                                                \
     .help = "sentence encoder for --retriever encoder"},                                                              \
    {FIELD("template", FIELD_STRING, owner, template_file), .argument = "FILE", .values = "chat",                      \
     .help = "prompt template: chat (the model's own chat template), a file, or {\"pair\": ...} itself "                \
             "(docs/FORMATS.md) [Question: ... Answer: ...]"},                                                         \
    {FIELD("system", FIELD_STRING, owner, system), .argument = "TEXT",                                                 \
     .help = "with --template chat: what the system turn says [what the chat template has without one]"},              \
    {FIELD("judge", FIELD_STRING, owner, judge), .argument = "DIR",                                                    \
     .help = "sequence classifier that judges answers; eval: also a guard model, a reward model, or a model that "     \
             "compares"}
/* clang-format on */

#endif
