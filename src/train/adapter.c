/* SPDX-License-Identifier: Apache-2.0 */
/* A trained adapter in PEFT's files, so that peft.PeftModel.from_pretrained(base, DIR) and isara --model DIR load
 * it. */
#include "train/parts.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <stdlib.h>

/* The base's own place, whole, so that the adapter finds it from anywhere. */
static json_t *base_name(const struct trainer *t)
{
    char *whole = realpath(checkpoint_path(t->job->source), NULL);
    json_t *name = json_string(whole ? whole : checkpoint_path(t->job->source));
    free(whole);
    return name;
}

/* Of the text part of a whole a pattern, or modules of its other parts would be meant too. */
static json_t *target_pattern(char names[LORA_N_MODULE + 1][64])
{
    struct buf pattern = BUF_INIT;
    buf_puts(&pattern, ".*language_model.*\\.(");
    for (int i = 0; *names[i]; i++)
        buf_printf(&pattern, "%s%s", i ? "|" : "", names[i]);
    buf_puts(&pattern, ")");
    json_t *text = pattern.failed ? NULL : json_string(pattern.data);
    buf_free(&pattern);
    return text;
}

static json_t *target_list(const struct model_desc *d, const struct lora_options *o)
{
    char names[LORA_N_MODULE + 1][64];
    lora_targets(d, o, names);
    if (d->text_part)
        return target_pattern(names);
    json_t *list = json_array();
    for (int i = 0; *names[i]; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

/* A classifier's head is PEFT's module to save. */
static json_t *saved_modules(const struct trainer *t)
{
    return t->m->desc.task == MODEL_LM ? json_null() : json_pack("[s]", "score");
}

static int write_config(const struct trainer *t, const char *path, struct error *err)
{
    const struct train_options *o = t->job->options;
    struct lora_options lora = {o->lora_r, o->lora_alpha, o->lora_targets};
    json_t *config =
        json_pack("{s:s, s:s, s:o, s:i, s:o, s:f, s:o, s:s, s:b, s:b, s:b, s:b, s:b, s:o, s:n, s:n, s:n, s:{}, s:{}}",
                  "peft_type", "LORA", "task_type", t->m->desc.task == MODEL_LM ? "CAUSAL_LM" : "SEQ_CLS",
                  "base_model_name_or_path", base_name(t), "r", o->lora_r, "lora_alpha",
                  o->lora_alpha == (int)o->lora_alpha ? json_integer((int)o->lora_alpha) : json_real(o->lora_alpha),
                  "lora_dropout", 0.0, "target_modules", target_list(&t->m->desc, &lora), "bias", "none",
                  "fan_in_fan_out", t->m->family->transposed, "inference_mode", 1, "use_rslora", 0, "use_dora", 0,
                  "init_lora_weights", 1, "modules_to_save", saved_modules(t), "layers_to_transform", "layers_pattern",
                  "revision", "rank_pattern", "alpha_pattern");
    int rc = config ? jsontext_write(path, config, err) : error_set_nomem(err, 1024, "adapter_config.json");
    json_decref(config);
    return rc;
}

/* What the base's config.json, a language model's perhaps, does not say of the head; peft reads no such file. */
static int write_head(const struct trainer *t, const char *directory, struct error *err)
{
    static const char *const members[] = {"architectures", "id2label", "label2id", "problem_type", "pad_token_id"};
    char *path = path_join(directory, "head_config.json");
    json_t *head = json_object(), *v;
    int rc = path && head ? 0 : error_set_nomem(err, 1024, "head_config.json");
    for (size_t i = 0; !rc && i < sizeof members / sizeof *members; i++)
        if ((v = json_object_get(model_config(t->m), members[i])) && json_object_set(head, members[i], v))
            rc = error_set_nomem(err, 1024, path);
    rc = rc ? rc : jsontext_write(path, head, err);
    json_decref(head);
    mem_free(path);
    return rc;
}

static int write_masters(const struct trainer *t, const char *path, struct span masters, struct error *err)
{
    struct tensors f;
    int rc = tensors_begin(&f, t, path, DTYPE_F32, err);
    rc = rc ? rc : tensors_put(&f, t, 0, masters, err);
    return tensors_end(&f, t, rc, err);
}

int adapter_write(struct trainer *t, const char *directory, struct span masters, struct error *err)
{
    char *config = path_join(directory, "adapter_config.json"),
         *weights = path_join(directory, "adapter_model.safetensors");
    int rc = config && weights ? write_config(t, config, err) : error_set_nomem(err, 256, "a path");
    if (!rc && t->m->desc.task != MODEL_LM)
        rc = write_head(t, directory, err);
    if (!rc)
        rc = write_masters(t, weights, masters, err);
    mem_free(config);
    mem_free(weights);
    return rc;
}
