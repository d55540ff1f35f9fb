/* SPDX-License-Identifier: Apache-2.0 */
/* Options of isara serve. */
#include "serve/serve.h"

#include <string.h>

static const struct field rows[] = {
    {FIELD("adapter", FIELD_TEXTS, struct served_options, adapter), .argument = "[NAME=]DIR",
     .count = offsetof(struct served_options, n_adapter), .capacity = SERVED_MAX_ADAPTER, .size = SERVED_PATH_BYTES,
     .help = "LoRA adapter to serve beside the model as a model of its own; may be given again"},
    {FIELD("served-model-name", FIELD_STRING, struct served_options, name), .argument = "NAME",
     .help = "what clients call the model [the end of its path]"},
    {FIELD("max-num-seqs", FIELD_INT, struct served_options, max_sequences), .argument = "N", .low = 1, .high = 1024,
     .initial = "64", .help = "texts, samples and beams that are generated at once"},
    {FIELD("max-beams", FIELD_INT, struct served_options, max_width), .argument = "N", .low = 1, .high = 64,
     .initial = "8", .help = "beams or samples of one prompt"},
    {FIELD("max-queue", FIELD_INT, struct served_options, max_queue), .argument = "N", .low = 1, .high = 1 << 20,
     .initial = "1024", .help = "prompts that are worked on or wait; more are told to come again (429)"},
    {FIELD("max-model-len", FIELD_INT, struct served_options, max_length), .argument = "N", .high = 1 << 30,
     .help = "tokens of a prompt and its answer [the model's context]"},
};
const struct field_table serve_fields = {rows, sizeof rows / sizeof *rows};

void serve_options_default(struct served_options *o)
{
    memset(o, 0, sizeof *o);
    fields_default(&serve_fields, FIELD_PLAIN, o);
}
