/* SPDX-License-Identifier: Apache-2.0 */
/* isara convert: any checkpoint it can read to a Hugging Face directory (f32 when the source is quantised). The weights are written last: a directory
 * with model.safetensors is complete. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/hf_dir.h"

#include <unistd.h>

static int write_text(const char *dir, const char *name, const struct buf *text, struct error *err)
{
    if (!text->len)
        return 0;
    char *path = path_join(dir, name);
    int rc = path ? file_write(path, text->data, text->len, err) : error_set_nomem(err, 256, "a path");
    mem_free(path);
    return rc;
}

/* For sources whose tokenizer stands in no file of its own (GGUF). */
static int write_tokenizer(const struct parts *p, const char *dir, struct error *err)
{
    struct buf json = BUF_INIT, config = BUF_INIT, map = BUF_INIT;
    int rc = p->tokenizer ? tokenizer_export(p->tokenizer, &json, &config, &map, err) : 0;
    if (!rc)
        rc = write_text(dir, "tokenizer.json", &json, err);
    if (!rc)
        rc = write_text(dir, "tokenizer_config.json", &config, err);
    if (!rc)
        rc = write_text(dir, "special_tokens_map.json", &map, err);
    buf_free(&json);
    buf_free(&config);
    buf_free(&map);
    return rc;
}

/* The weights come last: with them, somebody's directory is finished, and its other files are not to be mixed with this one's. */
static int check_output(const char *dir, struct error *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "training_settings.json", "run.db"};
    int rc = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++) {
        char *path = path_join(dir, names[i]);
        if (!path)
            rc = error_set_nomem(err, 256, "a path");
        else if (file_exists(path))
            rc = error_set(err, ERROR_CONFIG, "%s: is there already; choose another --output, or delete it", path);
        mem_free(path);
    }
    return rc;
}

int verb_convert(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct parts p = {0};
    enum dtype dtype = DTYPE_F32;
    int n_file = 0, lock = -1, rc = cli_require(v->output, "output", "the directory to write", err);
    if (!rc)
        rc = cli_open_tokenizer(&p, v, 0, err);
    if (!rc)
        rc = cli_dtype(v, checkpoint_dtype(p.checkpoint), &dtype, err);
    if (!rc && dtype == DTYPE_Q8)
        rc = error_set(err, ERROR_USAGE, "--dtype q8: a Hugging Face directory holds f32, bf16 or f16");
    if (!rc)
        rc = checkpoint_check_finite(p.checkpoint, err);
    if (!rc)
        rc = dir_lock(v->output, &lock, err);
    if (!rc)
        rc = check_output(v->output, err);
    if (!rc)
        rc = hf_dir_config(v->output, checkpoint_config(p.checkpoint), dtype, err);
    if (!rc)
        rc = hf_dir_generation(v->output, checkpoint_generation_config(p.checkpoint), checkpoint_config(p.checkpoint), err);
    if (!rc)
        rc = hf_dir_tokenizer(v->output, p.checkpoint, &n_file, err);
    if (!rc && !n_file)
        rc = write_tokenizer(&p, v->output, err);
    if (!rc)
        rc = v->dtype ? hf_dir_weights(v->output, p.checkpoint, dtype, err) : hf_dir_weights_as_read(v->output, p.checkpoint, dtype, err);
    if (!rc)
        log_line(LOG_INFO, "%zu tensors in %s; written to %s", checkpoint_n_tensor(p.checkpoint), dtype_name(dtype), v->output);
    cli_close(&p);
    if (lock >= 0)
        close(lock);
    return rc;
}
