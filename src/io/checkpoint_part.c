/* SPDX-License-Identifier: Apache-2.0 */
/* A model of images and text (Gemma 3 from 4B on, LLaVA's kind) is read as its text part: config.json's text_config
 * stands for the whole, the text part's tensors get the names that they have alone, and the others are left out. */
#include "io/checkpoint_parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* Keys that transformers reads beside text_config, not in it. */
static int inherit(json_t *text, const json_t *whole)
{
    static const char *const keys[] = {"tie_word_embeddings", "bos_token_id", "eos_token_id",
                                       "pad_token_id",        "torch_dtype",  "dtype"};
    int rc = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *v = json_object_get(whole, keys[i]);
        if (v && !json_object_get(text, keys[i]))
            rc |= json_object_set(text, keys[i], v);
    }
    return rc;
}

/* The name alone: of today's files, and of those before transformers 4.52. NULL: not of the text part. */
static const char *name_alone(const char *name, const char **prefix)
{
    static const char *const beginnings[][2] = {{"model.language_model.", "model."},
                                                {"language_model.model.", "model."},
                                                {"language_model.lm_head.", "lm_head."}};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (!strncmp(name, beginnings[i][0], strlen(beginnings[i][0]))) {
            *prefix = beginnings[i][1];
            return name + strlen(beginnings[i][0]);
        }
    *prefix = "";
    return strncmp(name, "lm_head.", 8) ? NULL : name;
}

int checkpoint_take_text(struct checkpoint *ck, struct error *err)
{
    json_t *text = json_object_get(ck->config, "text_config");
    size_t n = 0;
    if (!json_is_string(json_object_get(text, "model_type")))
        return 0;
    for (size_t i = 0; i < ck->n_tensor; i++) {
        const char *prefix, *rest = name_alone(ck->tensors[i].info.name, &prefix);
        struct buf name = BUF_INIT;
        if (!rest)
            continue;
        buf_printf(&name, "%s%s", prefix, rest);
        ck->tensors[n] = ck->tensors[i];
        ck->tensors[n].info.name = name.failed ? NULL : arena_strdup(&ck->arena, name.data);
        buf_free(&name);
        if (!ck->tensors[n++].info.name)
            return error_set_nomem(err, 256, ck->path);
    }
    log_line(LOG_INFO, "%s: of this model of several kinds of input the text part is read; %zu of its %zu tensors",
             ck->path, n, ck->n_tensor);
    ck->n_tensor = n;
    ck->text_part = 1;
    json_incref(text);
    int rc = inherit(text, ck->config) ? error_set_nomem(err, 256, ck->path) : 0;
    json_decref(ck->config);
    ck->config = text;
    return rc;
}
