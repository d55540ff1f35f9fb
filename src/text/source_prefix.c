/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenizer_config.json says of the blank before a text: add_prefix_space, and LLaMA's legacy. transformers 5
 * builds the pipeline of LlamaTokenizer anew by these two; here that is done where the file says one of them, and
 * otherwise tokenizer.json stands as it is. For GPT-2's class the blank is ByteLevel's. Other classes do not look at
 * it, nor does transformers. */
#include "text/source.h"

#include <string.h>

static int is_class(const struct tokenizer_source *s, const char *name)
{
    const char *class = json_string_value(json_object_get(s->config, "tokenizer_class"));
    size_t n = strlen(name);
    return class && !strncmp(class, name, n) && (!class[n] || !strcmp(class + n, "Fast"));
}

/* The ByteLevel of a pre_tokenizer, in a Sequence or alone. */
static json_t *byte_level(json_t *pre, int depth)
{
    json_t *list = json_object_get(pre, "pretokenizers"), *found = NULL;
    const char *type = json_string_value(json_object_get(pre, "type"));
    if (type && !strcmp(type, "ByteLevel"))
        return pre;
    for (size_t i = 0; i < json_array_size(list) && !found && depth < 8; i++)
        found = byte_level(json_array_get(list, i), depth + 1);
    return found;
}

static int rebuild_llama(struct tokenizer_source *s, int prefix)
{
    int legacy = json_is_true(json_object_get(s->config, "legacy"));
    json_t *model = json_object_get(s->json, "model");
    json_t *steps = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                              "\xe2\x96\x81", "content", " ", "type", "ByteFallback", "type", "Fuse");
    int bad = !steps;
    if (prefix)
        bad |= json_array_append_new(
            steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    bad |= json_object_set_new(s->json, "decoder", json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps));
    bad |= json_object_set_new(s->json, "normalizer", json_null());
    const char *scheme = legacy ? "always" : "first";
    bad |= json_object_set_new(s->json, "pre_tokenizer",
                               json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xe2\x96\x81",
                                         "prepend_scheme", prefix ? scheme : "never", "split", 0));
    bad |= json_object_set_new(model, "unk_token", json_null());
    bad |= json_object_set_new(model, "fuse_unk", json_true());
    bad |= json_object_set_new(model, "byte_fallback", json_true());
    bad |= json_object_set_new(model, "ignore_merges", json_false());
    return bad ? -1 : 0;
}

int source_apply_prefix(struct tokenizer_source *s)
{
    const json_t *prefix = json_object_get(s->config, "add_prefix_space"),
                 *type = json_object_get(s->model_config, "model_type");
    const json_t *model = json_object_get(s->json, "model");
    const char *kind = json_string_value(json_object_get(model, "type"));
    json_t *bytes = byte_level(json_object_get(s->json, "pre_tokenizer"), 0);
    int said = json_is_boolean(prefix), of_llama = !json_is_string(type) || !strcmp(json_string_value(type), "llama");
    if (kind && strcmp(kind, "BPE"))
        return 0;
    if (json_is_object(model) && is_class(s, "LlamaTokenizer") && of_llama && !bytes &&
        (said || json_is_false(json_object_get(s->config, "legacy"))))
        return rebuild_llama(s, !json_is_false(prefix));
    if (said && bytes && (is_class(s, "GPT2Tokenizer") || is_class(s, "Qwen2Tokenizer")))
        return json_object_set(bytes, "add_prefix_space", (json_t *)prefix);
    return 0;
}
