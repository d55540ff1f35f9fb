/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of include/isara.h: handles, errors across the border, options from JSON. */
#ifndef API_PARTS_H
#define API_PARTS_H

#include "api/call.h"
#include "generate/generate.h"
#include "text/chat.h"

struct isara_model {
    struct device *device;
    struct checkpoint *checkpoint; /* NULL: a new model */
    struct tokenizer *tokenizer;   /* NULL: only ids */
    struct model *model;
    struct generate_engine *engine; /* once it was asked for */
    struct generate_engine_options engine_options;
    struct chat *chat; /* once it was asked for */
    int in_session;
    struct model_options opened; /* how, of a language model from a checkpoint */
};

/* What the calls that open devices of their own have in common. */
struct api_common {
    int threads;
    const char *dtype, *isa;
    unsigned long long seed;
};
extern const struct field_table api_common_fields;
void api_common_default(struct api_common *c);
enum dtype api_dtype(const struct api_common *c);
int api_device(struct device **out, const struct api_common *c, struct error *err);

/* head.c: a model whose head a classifier's or reward model's training needs, a new one where it has none (the file
 * labels says which). Device, checkpoint, tokenizer are open. */
int api_open_head(struct isara_model *m, const struct model_options *options, const char *labels, struct error *err);

/* model.c */
const char *api_model_name(const struct isara_model *m); /* its path, for messages */
int api_engine(struct isara_model *m, struct error *err);
/* A language model's matrices that its file has quantised, as training wants them: in their blocks, or not. Reads the
 * file again where that is not how they are. */
int api_keep_blocks(struct isara_model *m, int keep, struct error *err);
int api_text_tokens(const struct isara_model *m, const char *text, struct tokens *out,
                    struct error *err); /* as a prompt: with BOS, ids of the model */

#endif
