/* SPDX-License-Identifier: Apache-2.0 */
/* The end of training: the masters are rounded to the dtype that is saved, so that the model in memory and the one on
 * disk are the same, packed, and written as a Hugging Face directory: weights, configuration, generation settings,
 * tokenizer files. */
#include "train/parts.h"

#include "base/mem.h"
#include "dist/dist.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"

#include <string.h>

/* The source's type; without one what config.json says. */
static enum dtype saved_dtype(const struct trainer *t)
{
    const json_t *config = model_config(t->m), *name = json_object_get(config, "dtype");
    if (t->job->source)
        return checkpoint_dtype(t->job->source);
    const char *text = json_string_value(json_is_string(name) ? name : json_object_get(config, "torch_dtype"));
    if (text && !strcmp(text, "bfloat16"))
        return DTYPE_BF16;
    return text && !strcmp(text, "float16") ? DTYPE_F16 : DTYPE_F32;
}

/* A way station for one parameter at a time: the gradients' memory, or with several ranks one of its own. */
static int way_new(struct buffer **own, const struct trainer *t, struct error *err)
{
    int64_t most = 0;
    *own = NULL;
    for (int i = 0; i < t->m->n_param; i++)
        most = t->m->params[i].count > most ? t->m->params[i].count : most;
    return t->leaves.now ? 0 : buffer_new(own, t->m->device, (size_t)most * 4, "rounded weights", err);
}

/* Rounds a stage's masters in place. */
static void round_masters(const struct trainer *t, int stage, struct span masters, struct buffer *own, enum dtype dtype)
{
    const struct stage *s = &t->share.cut.stages[stage];
    for (int i = 0; i < t->m->n_param; i++) {
        const struct model_param *p = &t->m->params[i];
        enum storage to = saved_storage(t, p, dtype);
        struct span at = span_at(masters, (size_t)p->offset * 4),
                    way = own ? (struct span){own, 0} : (struct span){t->leaves.now, (size_t)p->offset * 4};
        enum dtype rounded = to == STORAGE_F16 ? DTYPE_F16 : DTYPE_F32;
        if (to == STORAGE_BF16)
            rounded = DTYPE_BF16;
        if (rounded == DTYPE_F32 || p->offset < s->first || p->offset >= s->last)
            continue;
        tensor_cast(t->q, &(struct cast_args){(size_t)p->count, at, DTYPE_F32, way, rounded});
        tensor_cast(t->q, &(struct cast_args){(size_t)p->count, way, rounded, at, DTYPE_F32});
    }
}

static int write_into(const char *directory, const char *name, const void *bytes, size_t n, struct error *err)
{
    char *path = path_join(directory, name);
    int rc = path ? file_write(path, bytes, n, err) : error_set_nomem(err, 256, "a path");
    mem_free(path);
    return rc;
}

/* The source's own files, byte for byte; without them (GGUF, or from scratch) the tokenizer writes itself. */
static int write_tokenizer(const struct trainer *t, const char *directory, struct error *err)
{
    int copied = 0, rc = t->job->source ? hf_dir_tokenizer(directory, t->job->source, &copied, err) : 0;
    if (rc || copied || !t->job->tokenizer)
        return rc;
    struct buf json = BUF_INIT, config = BUF_INIT, map = BUF_INIT;
    rc = tokenizer_export(t->job->tokenizer, &json, &config, &map, err);
    if (!rc)
        rc = write_into(directory, "tokenizer.json", json.data, json.len, err);
    if (!rc && config.len)
        rc = write_into(directory, "tokenizer_config.json", config.data, config.len, err);
    if (!rc && map.len)
        rc = write_into(directory, "special_tokens_map.json", map.data, map.len, err);
    buf_free(&json);
    buf_free(&config);
    buf_free(&map);
    return rc;
}

/* A JSON file's object, empty when there is no such file; *o to json_decref. */
static int read_object(const char *path, json_t **o, struct error *err)
{
    struct buf text = BUF_INIT;
    json_error_t why;
    int rc = file_exists(path) ? file_read(&text, path, (size_t)1 << 30, err) : 0;
    *o = NULL;
    if (!rc)
        *o = text.len ? jsontext_document(text.data, text.len, 0, &why) : json_object();
    if (!rc && !*o && text.len && why.text[0]) /* model_max_length may be 1e30 written out, no integer to jansson */
        *o = jsontext_document(text.data, text.len, JSON_DECODE_INT_AS_REAL, &why);
    if (!rc && !*o && text.len && !why.text[0])
        rc = error_set_nomem(err, text.len, path);
    if (!rc && !json_is_object(*o))
        rc = error_set(err, ERROR_DATA, "%s: wanted a JSON object", path);
    buf_free(&text);
    return rc;
}

static int set_string(const char *path, const char *key, const char *value, struct error *err)
{
    json_t *o;
    int rc = read_object(path, &o, err);
    if (!rc)
        rc = json_object_set_new(o, key, json_string(value)) ? error_set_nomem(err, 64, key)
                                                             : jsontext_write(path, o, err);
    json_decref(o);
    return rc;
}

/* A classifier whose pad_token_id is not its base model's: the tokenizer's files name the same token, or a batch padded
 * by them would be read at its padding. */
static int set_pad_token(const struct trainer *t, const char *directory, struct error *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    const struct tokenizer *tok = t->job->tokenizer;
    int pad = t->m->desc.pad_id, rc = 0;
    const char *token = tok && pad >= 0 && pad != tokenizer_info(tok)->pad ? tokenizer_token(tok, pad, NULL) : NULL;
    for (int i = 0; i < 2 && token && !rc; i++) {
        char *path = path_join(directory, names[i]);
        rc = path ? 0 : error_set_nomem(err, 256, "a path");
        if (!rc && (file_exists(path) || i == 0))
            rc = set_string(path, "pad_token", token, err);
        mem_free(path);
    }
    return rc;
}

/* The file goes before tokenizer_config.json's own, which older readers look at and is not left as it was. */
static int write_chat_template(const struct trainer *t, const char *directory, struct error *err)
{
    const char *text = t->job->chat_template;
    json_t *config = NULL;
    if (!text)
        return 0;
    char *path = path_join(directory, "tokenizer_config.json");
    int rc = path ? write_into(directory, "chat_template.jinja", text, strlen(text), err)
                  : error_set_nomem(err, 256, "a path");
    rc = rc ? rc : read_object(path, &config, err);
    if (!rc && json_object_get(config, "chat_template"))
        rc = set_string(path, "chat_template", text, err);
    json_decref(config);
    mem_free(path);
    return rc;
}

/* Configuration, generation settings, tokenizer: everything of a Hugging Face directory but the weights. */
static int write_surroundings(const struct trainer *t, const char *directory, enum dtype dtype, struct error *err)
{
    int rc = hf_dir_config(directory, model_config(t->m), dtype, err);
    if (!rc && t->m->desc.task == MODEL_LM)
        rc = hf_dir_generation(directory, t->job->source ? checkpoint_generation_config(t->job->source) : NULL,
                               model_config(t->m), err);
    rc = rc ? rc : write_tokenizer(t, directory, err);
    rc = rc ? rc : write_chat_template(t, directory, err);
    return rc || t->m->desc.task != MODEL_CLASSIFY ? rc : set_pad_token(t, directory, err);
}

/* Stage by stage: all ranks round and pack, rank 0 writes. When it cannot the others do not wait for it. */
static int save_stages(struct trainer *t, struct tensors *f, enum dtype dtype, struct buffer *way, struct error *err)
{
    const struct share_part masters = {t->masters, sizeof(float), 0};
    struct span all;
    int written = 0, rc = 0;
    for (int i = 0; !rc && i < t->share.cut.n_stage; i++) {
        const struct stage *s = &t->share.cut.stages[i];
        rc = share_collect(&t->share, &masters, i, &all, err);
        if (rc)
            return rc;
        round_masters(t, i, all, way, dtype);
        model_pack_range(t->m, t->q, span_at(all, (size_t)s->first * 4), (struct flat_range){s->first, s->last}, 0);
        if (f && !written)
            written = tensors_put(f, t, i, all, err);
    }
    return written;
}

static int save_full(struct trainer *t, enum dtype dtype, struct error *err)
{
    int writes = t->job->directory && dist_rank() == 0;
    char *weights = writes ? path_join(t->job->directory, "model.safetensors") : NULL;
    struct tensors f = {0};
    struct buffer *way = NULL;
    int rc = weights || !writes ? way_new(&way, t, err) : error_set_nomem(err, 256, "a path");
    if (!rc && writes)
        rc = write_surroundings(t, t->job->directory, dtype, err);
    if (!rc && writes)
        rc = tensors_begin(&f, t, weights, dtype, err);
    rc = dist_agree(rc, err);
    if (!rc)
        rc = save_stages(t, writes ? &f : NULL, dtype, way, err);
    rc = queue_finish(t->q, rc, err);
    if (writes)
        rc = tensors_end(&f, t, rc, err);
    buffer_free(way);
    mem_free(weights);
    return rc;
}

/* The adapter, and base and adapter as one model when that is asked for; else with the template that it was trained
 * with, if that is not the base's. */
static int save_adapter(struct trainer *t, enum dtype dtype, struct error *err)
{
    const char *directory = t->job->directory;
    struct checkpoint *merged = NULL;
    struct span masters;
    int rc = share_collect(&t->share, &(struct share_part){t->masters, sizeof(float), 0}, 0, &masters, err);
    if (rc || !directory || dist_rank() > 0)
        return rc;
    char *inner = path_join(directory, "adapter");
    const char *place = t->job->merge ? inner : directory;
    rc = inner ? dirs_make(place, err) : error_set_nomem(err, 256, "a path");
    if (!rc)
        rc = adapter_write(t, place, masters, err);
    if (!rc && !t->job->merge && t->job->chat_template)
        rc = write_into(place, "chat_template.jinja", t->job->chat_template, strlen(t->job->chat_template), err);
    if (!rc && t->job->merge) {
        rc = checkpoint_open_adapter(&merged, checkpoint_path(t->job->source), place, err);
        if (!rc)
            rc = write_surroundings(t, directory, dtype, err);
        if (!rc)
            rc = hf_dir_weights_as_read(directory, merged, dtype, err);
    }
    checkpoint_close(merged);
    mem_free(inner);
    return rc;
}

int save_model(struct trainer *t, struct error *err)
{
    enum dtype dtype = saved_dtype(t);
    return t->m->lora ? save_adapter(t, dtype, err) : save_full(t, dtype, err);
}
