/* SPDX-License-Identifier: Apache-2.0 */
/* A model with everything around it: open, close, what it is, texts to ids and back. */
#include "api/parts.h"

#include "api/rows.h"
#include "base/log.h"
#include "base/mem.h"
#include "generate/fields.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>

enum open_task { OPEN_SFT, OPEN_CLASSIFY, OPEN_REWARD };
struct open_options {
    struct api_common common;
    struct generate_engine_asked engine;
    int head, task, init, keep;
    const char *adapter, *labels;
};
static const struct field rows[] = {
    ROW_ADAPTER(struct open_options),
    {FIELD("head", FIELD_FLAG, struct open_options, head), .initial = "true",
     .help = "false: for embeddings of a model that has none"},
    {FIELD("task", FIELD_CHOICE, struct open_options, task), .argument = "sft|classify|reward", .initial = "sft",
     .help = "what it is trained to be"},
    {FIELD("labels", FIELD_STRING, struct open_options, labels), .argument = "FILE",
     .help = "rows that have the labels of a new classifier's head"},
    {FIELD("keep-blocks", FIELD_FLAG, struct open_options, keep), .initial = "false",
     .help = "matrices of a quantised file stay as they are; dtype is then their products' arithmetic; isara_train has "
             "it as it needs it"},
    {FIELD("init", FIELD_FLAG, struct open_options, init), .initial = "false",
     .help = "the path is a config.json; weights are drawn by seed"},
};
static const struct field_table open_fields = {rows, sizeof rows / sizeof *rows};

static int open_tokenizer(struct isara_model *m, struct error *err)
{
    struct error reason = {0};
    int rc = tokenizer_open_of(&m->tokenizer, m->checkpoint, &reason);
    if (rc == ERROR_NOINPUT) {
        log_line(LOG_INFO, "%s has no tokenizer: only *_token_ids are taken, and text is null",
                 checkpoint_path(m->checkpoint));
        return 0;
    }
    return rc ? error_set(err, rc, "%s", reason.message) : 0;
}

/* A config.json: the tokenizer stands beside it. */
static int open_new(struct isara_model *m, const char *path, const struct open_options *o, struct error *err)
{
    char *dir = mem_strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    struct buf text = BUF_INIT;
    json_error_t problem;
    int rc = dir ? 0 : error_set_nomem(err, strlen(path), "a path");
    if (slash)
        *slash = 0;
    if (!rc)
        rc = file_read(&text, path, 1 << 20, err);
    json_t *config = rc ? NULL : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &problem);
    if (!rc && !config)
        rc = error_set(err, ERROR_CONFIG, "%s:%d: %s", path, problem.line, problem.text);
    if (!rc)
        rc = tokenizer_open(&m->tokenizer, slash ? dir : ".", err);
    if (!rc)
        rc = model_init(&m->model, m->device, config, path,
                        &(struct model_options){.dtype = api_dtype(&o->common), .seed = o->common.seed}, err);
    json_decref(config);
    buf_free(&text);
    mem_free(dir);
    return rc;
}

static int open_model(struct isara_model *m, const struct open_options *o, struct error *err)
{
    static const enum model_task tasks[] = {MODEL_LM, MODEL_CLASSIFY, MODEL_REWARD};
    struct model_options mo = {.task = o->head ? tasks[o->task] : MODEL_BODY,
                               .check_finite = 1,
                               .keep_blocks = o->keep,
                               .dtype = api_dtype(&o->common)};
    if (o->task != OPEN_SFT)
        return api_open_head(m, &mo, o->labels, err);
    if (!weight_supported(m->device, mo.dtype))
        return error_set(err, ERROR_UNAVAILABLE, "--dtype %s: not available with instruction set %s; use f32 or bf16",
                         dtype_name(mo.dtype), device_isa(m->device));
    m->opened = mo;
    return model_open(&m->model, m->device, m->checkpoint, &mo, err);
}

static int open_parts(struct isara_model *m, const char *path, const struct open_options *o, struct error *err)
{
    int rc =
        path ? 0 : error_set(err, ERROR_USAGE, "a model is needed: a Hugging Face directory, a .gguf file or org/name");
    if (!rc)
        rc = api_device(&m->device, &o->common, err);
    if (!rc && o->init)
        return open_new(m, path, o, err);
    if (!rc)
        rc = o->adapter ? checkpoint_open_adapter(&m->checkpoint, path, o->adapter, err)
                        : checkpoint_open(&m->checkpoint, path, err);
    if (!rc)
        rc = open_tokenizer(m, err);
    return rc ? rc : open_model(m, o, err);
}

const char *api_model_name(const struct isara_model *m)
{
    return m->checkpoint ? checkpoint_path(m->checkpoint) : "the new model";
}

int api_engine(struct isara_model *m, struct error *err)
{
    if (m->engine)
        return 0;
    if (model_desc(m->model)->task == MODEL_CLASSIFY || model_desc(m->model)->task == MODEL_REWARD)
        return error_set(err, ERROR_USAGE, "%s: was not opened as a language model", api_model_name(m));
    return generate_engine_new(&m->engine, m->model, m->tokenizer, &m->engine_options, err);
}

int api_keep_blocks(struct isara_model *m, int keep, struct error *err)
{
    struct model_options options = m->opened;
    struct model *other;
    if (!m->checkpoint || !checkpoint_any_blocks(m->checkpoint) || model_desc(m->model)->task != MODEL_LM ||
        options.dtype == DTYPE_Q8 || options.keep_blocks == keep)
        return 0;
    if (m->in_session)
        return error_set(err, ERROR_USAGE,
                         "%s: training would read it again with keep_blocks %s, in the middle of a session: end that "
                         "before, or open the model so",
                         api_model_name(m), keep ? "true" : "false");
    log_line(LOG_INFO, "%s: read again, its quantised matrices %s (keep_blocks)", api_model_name(m),
             keep ? "stay as they are beside an adapter" : "are trained themselves");
    options.keep_blocks = keep;
    int rc = model_open(&other, m->device, m->checkpoint, &options, err);
    if (rc)
        return rc;
    generate_engine_free(m->engine);
    m->engine = NULL;
    model_close(m->model);
    m->model = other;
    m->opened = options;
    return 0;
}

int isara_open(struct isara_model **out, const char *path, const char *options, struct isara_error *to)
{
    struct error err = {0};
    struct open_options o = {0};
    json_t *keep;
    api_common_default(&o.common);
    fields_default(&open_fields, FIELD_PLAIN, &o);
    fields_default(&generate_engine_fields, FIELD_PLAIN, &o.engine);
    struct isara_model *m = *out = mem_calloc(1, sizeof *m);
    int rc = m ? 0 : error_set_nomem(&err, sizeof *m, "a model");
    if (rc)
        return api_return(to, rc, &err);
    const struct api_table tables[] = {
        {&open_fields, &o, NULL}, {&generate_engine_fields, &o.engine, NULL}, {&api_common_fields, &o.common, NULL}};
    rc = api_options(options, tables, 3, &keep, &err);
    if (!rc)
        rc = open_parts(m, path, &o, &err);
    if (!rc)
        m->engine_options = generate_engine_as_asked(&o.engine, model_dtype(m->model));
    json_decref(keep);
    if (rc) {
        isara_close(m);
        *out = NULL;
    }
    return api_return(to, rc, &err);
}

void isara_close(struct isara_model *m)
{
    if (!m)
        return;
    chat_close(m->chat);
    generate_engine_free(m->engine);
    model_close(m->model);
    tokenizer_close(m->tokenizer);
    checkpoint_close(m->checkpoint);
    device_close(m->device);
    mem_free(m);
}

static json_t *describe(const struct isara_model *m, const char *sha)
{
    const struct model_desc *d = model_desc(m->model);
    const struct tokenizer_info *t = m->tokenizer ? tokenizer_info(m->tokenizer) : NULL;
    return json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:s,s:s,s:s,s:s?,s:b}", "path",
                     checkpoint_path(m->checkpoint), "family", d->family, "n_layer", d->n_layer, "n_embd", d->n_embd,
                     "n_head", d->n_head, "n_kv_head", d->n_kv_head, "head_dim", d->head_dim, "n_ff", d->n_ff,
                     "n_vocab", d->n_vocab, "n_ctx", d->n_ctx, "n_param", d->n_param, "stored",
                     dtype_name(checkpoint_dtype(m->checkpoint)), "dtype", dtype_name(model_dtype(m->model)), "sha256",
                     sha, "tokenizer", t ? t->model : NULL, "has_chat_template", t && t->chat_template);
}

int isara_inspect(struct isara_model *m, char **json, struct isara_error *to)
{
    struct error err = {0};
    struct buf text = BUF_INIT;
    char sha[65];
    *json = NULL;
    int rc = m->checkpoint ? checkpoint_sha256(m->checkpoint, sha, &err)
                           : error_set(&err, ERROR_USAGE, "a new model has no file that could be inspected");
    json_t *all = rc ? NULL : describe(m, sha);
    if (!rc && !all)
        rc = error_set_nomem(&err, 1024, "a description");
    if (!rc)
        rc = jsontext_dump(&text, all, 0, &err);
    if (!rc)
        *json = buf_take(&text);
    json_decref(all);
    buf_free(&text);
    return api_return(to, rc, &err);
}

static int need_tokenizer(const struct isara_model *m, struct error *err)
{
    return m->tokenizer
               ? 0
               : error_set(err, ERROR_DATA, "%s: the model has no tokenizer; give token ids", api_model_name(m));
}

int api_text_tokens(const struct isara_model *m, const char *text, struct tokens *out, struct error *err)
{
    int rc = need_tokenizer(m, err);
    if (!rc)
        rc = tokenizer_encode(m->tokenizer, text, strlen(text), TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_SPECIAL, out,
                              err);
    if (!rc && !out->n)
        rc = error_set(err, ERROR_DATA, "a text is empty");
    return rc;
}

int isara_tokenize(const struct isara_model *m, const char *text, size_t n, int special, struct isara_ids *out,
                   struct isara_error *to)
{
    struct error err = {0};
    struct tokens t = TOKENS_INIT;
    int rc = need_tokenizer(m, &err);
    if (!rc)
        rc = tokenizer_encode(m->tokenizer, text, n, TOKENIZER_PARSE_SPECIAL | (special ? TOKENIZER_ADD_SPECIAL : 0),
                              &t, &err);
    if (rc)
        tokens_free(&t);
    *out = (struct isara_ids){rc ? NULL : t.ids, rc ? 0 : t.n};
    return api_return(to, rc, &err);
}

int isara_detokenize(const struct isara_model *m, const struct isara_ids *ids, int skip_special, char **text,
                     size_t *n_text, struct isara_error *to)
{
    struct error err = {0};
    struct buf b = BUF_INIT;
    *text = NULL;
    int rc = need_tokenizer(m, &err);
    if (!rc)
        rc = tokenizer_decode(m->tokenizer, ids->ids, ids->n, skip_special, &b, &err);
    *n_text = rc ? 0 : b.len;
    if (!rc)
        *text = b.data ? buf_take(&b) : mem_strdup("");
    if (!rc && !*text)
        rc = error_set_nomem(&err, b.len, "a text");
    buf_free(&b);
    return api_return(to, rc, &err);
}

int isara_chat(struct isara_model *m, const char *conversation, char **text, struct isara_error *to)
{
    struct error err = {0};
    struct buf b = BUF_INIT;
    json_t *all = NULL;
    *text = NULL;
    int rc = need_tokenizer(m, &err);
    if (!rc && !m->chat)
        rc = chat_open(&m->chat, m->tokenizer, &err);
    if (!rc)
        rc = jsontext_parse(&all, jsontext_whole(conversation, strlen(conversation), "conversation"), NULL, &err);
    if (!rc)
        rc = chat_render(m->chat, all, 1, &b, &err);
    if (!rc)
        *text = b.data ? buf_take(&b) : mem_strdup("");
    if (!rc && !*text)
        rc = error_set_nomem(&err, b.len, "a text");
    json_decref(all);
    buf_free(&b);
    return api_return(to, rc, &err);
}
