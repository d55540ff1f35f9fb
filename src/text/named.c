/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenizer_config.json has for chat templates: the templates by name, and the special tokens by theirs. */
#include "text/tokenizer_parts.h"

#include <string.h>

static int keep(struct tokenizer *tok, struct tokenizer_named *to, const char *name, const json_t *text)
{
    to->n = json_string_length(text);
    to->name = arena_strdup(&tok->arena, name);
    to->text = arena_strndup(&tok->arena, json_string_value(text), to->n);
    return to->name && to->text ? 0 : -1;
}

/* A text, or an added token's. */
static const json_t *token_text(const json_t *v)
{
    if (json_is_object(v))
        v = json_object_get(v, "content");
    return json_is_string(v) ? v : NULL;
}

static int add_tokens(struct tokenizer *tok, const json_t *from, int any_name)
{
    struct tokenizer_info *info = &tok->info;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        size_t n = strlen(key);
        int fits = any_name || (n > 6 && !strcmp(key + n - 6, "_token"));
        if (fits && token_text(value) && keep(tok, &info->named[info->n_named++], key, token_text(value)))
            return -1;
    }
    return 0;
}

static int read_tokens(struct tokenizer *tok, const json_t *config)
{
    const json_t *extra = json_object_get(config, "extra_special_tokens"),
                 *own = json_object_get(config, "model_specific_special_tokens");
    size_t most = json_object_size(config) + json_object_size(extra) + json_object_size(own);
    tok->info.named = arena_alloc(&tok->arena, (most + 1) * sizeof *tok->info.named);
    return !tok->info.named || add_tokens(tok, config, 0) || add_tokens(tok, extra, 1) || add_tokens(tok, own, 1) ? -1
                                                                                                                  : 0;
}

int tokenizer_read_named(struct tokenizer *tok, const json_t *config)
{
    struct tokenizer_info *info = &tok->info;
    const json_t *chat = json_object_get(config, "chat_template"), *one;
    const char *key;
    json_t *value;
    size_t i;
    info->templates =
        arena_alloc(&tok->arena, (json_array_size(chat) + json_object_size(chat) + 1) * sizeof *info->templates);
    if (!info->templates || read_tokens(tok, config))
        return -1;
    if (json_is_string(chat) && keep(tok, &info->templates[info->n_template++], "default", chat))
        return -1;
    json_array_foreach(chat, i, one)
    {
        const json_t *name = json_object_get(one, "name"), *text = json_object_get(one, "template");
        if (json_is_string(name) && json_is_string(text) &&
            keep(tok, &info->templates[info->n_template++], json_string_value(name), text))
            return -1;
    }
    json_object_foreach((json_t *)(uintptr_t)chat, key,
                        value) if (json_is_string(value) &&
                                   keep(tok, &info->templates[info->n_template++], key, value)) return -1;
    for (int k = 0; k < info->n_template; k++)
        if (!strcmp(info->templates[k].name, "default"))
            info->chat_template = info->templates[k].text;
    return 0;
}
