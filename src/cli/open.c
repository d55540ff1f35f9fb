/* SPDX-License-Identifier: Apache-2.0 */
/* Opens device, checkpoint, tokenizer and model as the common options say. */
#include "cli/parts.h"

#include "base/log.h"

#include <string.h>

int cli_require(const char *value, const char *option, const char *what, struct error *err)
{
    return value ? 0 : error_set(err, ERROR_USAGE, "--%s is needed: %s", option, what);
}

int cli_dtype(const struct cli_values *v, enum dtype fallback, enum dtype *dtype, struct error *err)
{
    *dtype = v->dtype ? dtype_of_name(v->dtype, DTYPE_BF16) : fallback;
    (void)err;
    return 0;
}

int cli_open_device(struct cli_model *p, const struct cli_values *v, struct error *err)
{
    struct device_options o = {.n_thread = v->threads, .isa = v->isa};
    return device_open(&p->device, DEVICE_CPU, &o, err);
}

static int open_checkpoint(struct cli_model *p, const struct cli_values *v, struct error *err)
{
    int rc = cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (rc || p->checkpoint)
        return rc;
    return v->adapter ? checkpoint_open_adapter(&p->checkpoint, v->model, v->adapter, err)
                      : checkpoint_open(&p->checkpoint, v->model, err);
}

int cli_open_tokenizer(struct cli_model *p, const struct cli_values *v, int required, struct error *err)
{
    int rc = open_checkpoint(p, v, err);
    if (rc)
        return rc;
    struct error reason = {0};
    rc = tokenizer_open_of(&p->tokenizer, p->checkpoint, &reason);
    if (rc == ERROR_NOINPUT && !required) {
        log_line(LOG_INFO, "%s has no tokenizer: only *_token_ids are taken, and text is null",
                 checkpoint_path(p->checkpoint));
        return 0;
    }
    return rc ? error_set(err, rc, "%s", reason.message) : 0;
}

int cli_open_model(struct cli_model *p, const struct cli_values *v, enum dtype fallback, enum model_task task,
                   struct error *err)
{
    struct model_options o = {.task = task, .check_finite = 1};
    int rc = cli_dtype(v, fallback, &o.dtype, err);
    if (!rc && !p->device)
        rc = cli_open_device(p, v, err);
    if (!rc && !weight_supported(p->device, o.dtype))
        rc = error_set(err, ERROR_UNAVAILABLE, "--dtype %s: not available with instruction set %s; use f32 or bf16",
                       dtype_name(o.dtype), device_isa(p->device));
    if (!rc && !p->checkpoint)
        rc = open_checkpoint(p, v, err);
    return rc ? rc : model_open(&p->model, p->device, p->checkpoint, &o, err);
}

void cli_close(struct cli_model *p)
{
    model_close(p->model);
    tokenizer_close(p->tokenizer);
    checkpoint_close(p->checkpoint);
    device_close(p->device);
    *p = (struct cli_model){0};
}
