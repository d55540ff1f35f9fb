/* SPDX-License-Identifier: Apache-2.0 */
#include "text/source.h"

#include <string.h>

/* The class that transformers takes for a kind of model where tokenizer_config.json names none. */
static const struct {
    const char *model_type, *class; /* model_type: the beginning of it */
} usual[] = {
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"gpt_neox", "GPTNeoXTokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"xlm-roberta", "XLMRobertaTokenizer"},
};

static int is_class(const char *class, const char *name)
{
    size_t n = strlen(name);
    return !strncmp(class, name, n) && (!class[n] || !strcmp(class + n, "Fast"));
}

int source_is_class(const struct tokenizer_source *s, const char *name)
{
    const char *class = json_string_value(json_object_get(s->config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(s->model_config, "model_type"));
    if (class)
        return is_class(class, name);
    for (size_t i = 0; type && i < sizeof usual / sizeof *usual; i++)
        if (!strncmp(type, usual[i].model_type, strlen(usual[i].model_type)))
            return is_class(usual[i].class, name);
    return 0;
}

const char *source_named_token(const struct tokenizer_source *s, const char *key, const char *otherwise)
{
    const json_t *value = json_object_get(s->config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_is_string(value) ? json_string_value(value) : otherwise;
}
