/* SPDX-License-Identifier: Apache-2.0 */
/* What sentence-transformers keeps beside the weights: modules.json (which steps follow the model), the pooling's
 * config.json, sentence_bert_config.json (the length that texts are cut to), config_sentence_transformers.json (a
 * prompt). A step that is not computed is refused by name. */
#include "model/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/jsontext.h"

#include <limits.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

struct sentence_reading {
    const struct checkpoint *source;
    struct model_sentence *to;
    struct error *err;
};

static const struct {
    const char *name, *old;
    enum sentence_pooling pooling;
} modes[] = {
    {"mean", "pooling_mode_mean_tokens", SENTENCE_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", SENTENCE_MEAN_SQRT},
    {"cls", "pooling_mode_cls_token", SENTENCE_CLS},
    {"max", "pooling_mode_max_tokens", SENTENCE_MAX},
    {"lasttoken", "pooling_mode_lasttoken", SENTENCE_LAST},
};
enum { N_MODE = sizeof modes / sizeof *modes };

static int refuse_sentence(const struct sentence_reading *r, const char *file, const char *key, const char *wanted,
                           const json_t *found)
{
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = error_set(r->err, ERROR_CONFIG, "%s: %s: \"%s\": wanted %s, found %.200s", checkpoint_path(r->source),
                       file, key, wanted, text ? text : "nothing");
    free(text);
    return rc;
}

/* NULL with 0: there is no such file. */
static int load_module(const struct sentence_reading *r, const char *name, json_t **out)
{
    const char *path = checkpoint_file(r->source, name);
    *out = NULL;
    return path ? jsontext_load(out, path, MOST_BYTES, r->err) : 0;
}

/* The one mode that is on, in the present spelling or the old one; -1: none, or several. */
static int find_mode(const json_t *config)
{
    const json_t *now = json_object_get(config, "pooling_mode"),
                 *one = json_is_array(now) && json_array_size(now) == 1 ? json_array_get(now, 0) : now, *v;
    const char *key, *name = json_string_value(one);
    int found = -1, n = 0;
    for (int i = 0; i < N_MODE; i++)
        if (now ? name && !strcmp(name, modes[i].name) : json_is_true(json_object_get(config, modes[i].old)))
            found = i;
    json_object_foreach((json_t *)config, key, v) n += !strncmp(key, "pooling_mode_", 13) && json_is_true(v);
    return now || n == 1 ? found : -1;
}

static int read_pooling(const struct sentence_reading *r, const struct model_desc *d, const char *module)
{
    static const char wanted[] = "one of mean, max, cls, lasttoken and mean_sqrt_len_tokens";
    char name[300];
    json_t *config = NULL;
    snprintf(name, sizeof name, "%s/config.json", module);
    char *path = path_join(checkpoint_path(r->source), name);
    int rc = path ? jsontext_load(&config, path, MOST_BYTES, r->err) : error_set_nomem(r->err, sizeof name, name);
    if (!rc) {
        int mode = find_mode(config);
        const json_t *dimension = json_object_get(config, "word_embedding_dimension");
        dimension = dimension ? dimension : json_object_get(config, "embedding_dimension");
        if (mode < 0)
            rc = refuse_sentence(r, name, "pooling_mode", wanted, config);
        else if (dimension && json_integer_value(dimension) != model_width(d))
            rc = refuse_sentence(r, name, "word_embedding_dimension", "the model's hidden_size", dimension);
        else if (json_is_false(json_object_get(config, "include_prompt")) && *r->to->prompt)
            rc = refuse_sentence(r, name, "include_prompt", "true, or no prompt",
                                 json_object_get(config, "include_prompt"));
        else
            r->to->pooling = modes[mode].pooling;
    }
    json_decref(config);
    mem_free(path);
    return rc;
}

/* The last component of a module's class, as all versions of sentence-transformers have it. */
static const char *module_class(const json_t *module)
{
    const char *type = json_string_value(json_object_get(module, "type")), *dot = type ? strrchr(type, '.') : NULL;
    if (dot)
        return dot + 1;
    return type ? type : "";
}

static int read_modules(const struct sentence_reading *r, const struct model_desc *d, const json_t *modules)
{
    size_t i;
    json_t *module;
    int rc = json_is_array(modules) && json_array_size(modules)
                 ? 0
                 : refuse_sentence(r, "modules.json", "type", "a list of modules", modules),
        pooled = 0;
    json_array_foreach((json_t *)modules, i, module)
    {
        const char *class = module_class(module), *path = json_string_value(json_object_get(module, "path"));
        if (rc || (!i && !strcmp(class, "Transformer") && (!path || !*path)))
            continue;
        if (i && !pooled && !strcmp(class, "Pooling") && path && *path && strlen(path) < 256 && !strstr(path, "..")) {
            rc = read_pooling(r, d, path);
            pooled = 1;
        } else if (pooled && !strcmp(class, "Normalize"))
            r->to->normalize = 1;
        else
            rc = refuse_sentence(r, "modules.json", "type",
                                 "Transformer (in the directory itself), then Pooling, then Normalize or nothing",
                                 json_object_get(module, "type"));
    }
    return rc;
}

/* model_max_length of tokenizer_config.json, which may be 10^30 (meaning none); 0: not there. */
static int tokenizer_length(const struct sentence_reading *r, double *length)
{
    const char *path = checkpoint_file(r->source, "tokenizer_config.json");
    struct buf text = BUF_INIT;
    json_error_t why;
    int rc = path ? file_read_regular(&text, path, 64 * MOST_BYTES, r->err) : 0;
    rc = rc || !path ? rc : jsontext_check_tree(buf_text(&text), text.len, path, r->err);
    json_t *config = rc || !path ? NULL : jsontext_document(buf_text(&text), text.len, JSON_DECODE_INT_AS_REAL, &why);
    if (!rc && path && !config)
        rc = error_set(r->err, ERROR_DATA, "%s: line %d: not valid JSON: %s", path, why.line, why.text);
    *length = json_real_value(json_object_get(config, "model_max_length"));
    json_decref(config);
    buf_free(&text);
    return rc;
}

static int read_length(const struct sentence_reading *r, const struct model_desc *d)
{
    double other = 0;
    json_t *own;
    int rc = load_module(r, "sentence_bert_config.json", &own);
    const json_t *length = json_object_get(own, "max_seq_length");
    r->to->lower_case = json_is_true(json_object_get(own, "do_lower_case"));
    r->to->max_length = d->n_ctx;
    if (json_is_integer(length) && (json_integer_value(length) < 3 || json_integer_value(length) > d->n_ctx))
        rc = refuse_sentence(r, "sentence_bert_config.json", "max_seq_length", "a number from 3 to the model's context",
                             length);
    else if (json_is_integer(length))
        r->to->max_length = (int)json_integer_value(length);
    else if (!rc && !(rc = tokenizer_length(r, &other)) && other >= 3 && other < d->n_ctx)
        r->to->max_length = (int)other;
    json_decref(own);
    return rc;
}

static int read_prompt(const struct sentence_reading *r)
{
    static const char file[] = "config_sentence_transformers.json";
    json_t *config;
    int rc = load_module(r, file, &config);
    const json_t *name = json_object_get(config, "default_prompt_name");
    if (json_is_string(name)) {
        const json_t *text = json_object_get(json_object_get(config, "prompts"), json_string_value(name));
        if (!json_is_string(text) || json_string_length(text) >= sizeof r->to->prompt)
            rc = refuse_sentence(r, file, "default_prompt_name", "the name of a prompt of at most 255 bytes", name);
        else
            snprintf(r->to->prompt, sizeof r->to->prompt, "%s", json_string_value(text));
    }
    json_decref(config);
    return rc;
}

/* A GGUF file's only word for it: the reader has looked at its value (io/gguf_keys.c). */
static void read_metadata(const struct gguf *g, struct model_sentence *to)
{
    struct gguf_string arch = {"", 0};
    char key[96];
    int64_t type = 1;
    gguf_get_string(g, "general.architecture", &arch);
    snprintf(key, sizeof key, "%.*s.pooling_type", (int)(arch.len < 64 ? arch.len : 64), arch.data);
    gguf_get_int(g, key, &type);
    to->pooling = type == 2 ? SENTENCE_CLS : SENTENCE_MEAN;
    if (type == 3)
        to->pooling = SENTENCE_LAST;
}

int sentence_read(struct model_desc *d, const struct checkpoint *source, struct error *err)
{
    const struct sentence_reading r = {source, &d->sentence, err};
    json_t *modules;
    int rc = load_module(&r, "modules.json", &modules);
    d->sentence.given = modules || d->bidirectional;
    if (!rc && checkpoint_gguf(source))
        read_metadata(checkpoint_gguf(source), &d->sentence);
    if (!rc && d->sentence.given)
        rc = read_length(&r, d);
    if (!rc && modules && !(rc = read_prompt(&r)))
        rc = read_modules(&r, d, modules);
    json_decref(modules);
    return rc;
}
