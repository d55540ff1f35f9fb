/* SPDX-License-Identifier: Apache-2.0 */
/* isara convert: any checkpoint it can read to a Hugging Face directory (f32 when the source is quantised) or a GGUF
 * file (convert_gguf.c). The weights are written last: a directory with model.safetensors is complete. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/hf_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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
static int write_tokenizer(const struct cli_model *p, const char *dir, struct error *err)
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

/* The weights come last: with them, somebody's directory is finished, and its other files are not to be mixed with this
 * one's. */
static int check_output(const char *dir, struct error *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "training_settings.json",
                                        "run.db"};
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

/* --type, or --dtype, which says the same of a Hugging Face directory. */
static int target_dtype(const struct cli_model *p, const struct cli_values *v, enum dtype *dtype, struct error *err)
{
    if (v->type && v->dtype && strcmp(v->type, v->dtype))
        return error_set(err, ERROR_USAGE, "--type %s and --dtype %s: wanted one of them", v->type, v->dtype);
    if ((v->dtype && !strcmp(v->dtype, "q8")) || (v->type && !strcmp(v->type, "q8_0")))
        return error_set(err, ERROR_USAGE, "--%s: a Hugging Face directory holds f32, bf16 or f16",
                         v->type ? "type q8_0" : "dtype q8");
    if (v->type && !strcmp(v->type, "f16")) {
        *dtype = DTYPE_F16;
        return 0;
    }
    struct cli_values with = *v;
    with.dtype = v->type ? v->type : v->dtype;
    return cli_dtype(&with, checkpoint_dtype(p->checkpoint), dtype, err);
}

/* "5GB", "500MB", "2GiB" or a number of bytes; 0 when nothing is asked. */
static int shard_bytes(const char *text, uint64_t *bytes, struct error *err)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    *bytes = 0;
    if (!text)
        return 0;
    double x = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units && x > 0; i++)
        if (!strcasecmp(end, units[i].unit) && x * units[i].factor >= 1 && x * units[i].factor < 0x1p62) {
            *bytes = (uint64_t)(x * units[i].factor);
            return 0;
        }
    return error_set(err, ERROR_USAGE, "--shard-size %s: wanted a size as 5GB, 500MB or 2GiB", text);
}

static int convert_hf(const struct cli_model *p, const struct cli_values *v, struct error *err)
{
    enum dtype dtype = DTYPE_F32;
    uint64_t shard = 0;
    int n_file = 0, lock = -1, rc = target_dtype(p, v, &dtype, err);
    if (!rc && v->ollama)
        rc = error_set(err, ERROR_USAGE, "--ollama: goes with --to gguf");
    if (!rc)
        rc = shard_bytes(v->shard_size, &shard, err);
    if (!rc)
        rc = checkpoint_check_finite(p->checkpoint, err);
    if (!rc)
        rc = dir_lock(v->output, &lock, err);
    if (!rc)
        rc = check_output(v->output, err);
    if (!rc)
        rc = hf_dir_config(v->output, checkpoint_config(p->checkpoint), dtype, err);
    if (!rc)
        rc = hf_dir_generation(v->output, checkpoint_generation_config(p->checkpoint), checkpoint_config(p->checkpoint),
                               err);
    if (!rc)
        rc = hf_dir_tokenizer(v->output, p->checkpoint, &n_file, err);
    if (!rc && !n_file)
        rc = write_tokenizer(p, v->output, err);
    if (!rc)
        rc = hf_dir_weights_in(v->output, p->checkpoint, &(struct hf_dir_form){dtype, !v->dtype && !v->type, shard},
                               err);
    if (!rc)
        log_line(LOG_INFO, "%zu tensors in %s; written to %s", checkpoint_n_tensor(p->checkpoint), dtype_name(dtype),
                 v->output);
    if (lock >= 0)
        close(lock);
    return rc;
}

int verb_convert(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct cli_model p = {0};
    struct cli_values with = *v;
    struct cli_found found;
    int rc = cli_find_model(options, &with, &found, err);
    if (!rc)
        rc = cli_require(v->output, "output", "the directory or file to write", err);
    if (!rc)
        rc = cli_open_tokenizer(&p, &with, 0, err);
    if (!rc)
        rc = !strcmp(v->to, "gguf") ? cli_convert_gguf(&p, &with, found.words, err) : convert_hf(&p, &with, err);
    cli_close(&p);
    cli_found_free(&found);
    return rc;
}
