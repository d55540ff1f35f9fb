/* SPDX-License-Identifier: Apache-2.0 */
/* isara convert: any checkpoint it can read to a Hugging Face directory (f32 when the source is quantised). */
#include "cli/cli.h"

#include "base/log.h"
#include "io/hf_dir.h"
#include "text/export.h"

int verb_convert(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct parts p = {0};
    int rc = cli_require(v->output, "output", "the directory to write", err);
    if (!rc)
        rc = cli_open_tokenizer(&p, v, 0, err);
    enum dtype dtype = DTYPE_F32;
    if (!rc)
        rc = cli_dtype(v, checkpoint_dtype(p.checkpoint), &dtype, err);
    if (!rc && dtype == DTYPE_Q8)
        rc = error_set(err, ERROR_USAGE, "--dtype q8: a Hugging Face directory holds f32, bf16 or f16");
    if (!rc)
        rc = hf_dir_convert(p.checkpoint, p.tokenizer, v->output, dtype, err);
    if (!rc)
        log_line(LOG_INFO, "%zu tensors in %s; written to %s", checkpoint_n_tensor(p.checkpoint), dtype_name(dtype), v->output);
    cli_close(&p);
    return rc;
}
