/* SPDX-License-Identifier: Apache-2.0 */
/* A model of an evaluation beside the one that answers: what compares, what embeds. */
#include "eval/parts.h"

int eval_model_read(struct eval_model *m, const char *path, const char *adapter, struct error *err)
{
    int rc = eval_require(path, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (!rc && adapter)
        rc = checkpoint_open_adapter(&m->checkpoint, path, adapter, err);
    else if (!rc)
        rc = checkpoint_open(&m->checkpoint, path, err);
    return rc ? rc : tokenizer_open_of(&m->tokenizer, m->checkpoint, err);
}

int eval_model_load(struct eval_model *m, struct device *device, enum dtype dtype, enum model_task task,
                    struct error *err)
{
    const struct model_options o = {.task = task, .check_finite = 1, .dtype = dtype};
    if (!weight_supported(device, dtype))
        return error_set(err, ERROR_UNAVAILABLE, "--dtype %s: not available with instruction set %s; use f32 or bf16",
                         dtype_name(dtype), device_isa(device));
    return model_open(&m->model, device, m->checkpoint, &o, err);
}

void eval_model_close(struct eval_model *m)
{
    model_close(m->model);
    tokenizer_close(m->tokenizer);
    checkpoint_close(m->checkpoint);
    *m = (struct eval_model){0};
}
