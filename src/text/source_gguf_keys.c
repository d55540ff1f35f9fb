/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a GGUF file's keys about the tokenizer are understood. One that would change the ids and is not honoured is
 * an error with its name, and so is one that is not known. */
#include "text/source.h"

#include "io/gguf.h"

#include <string.h>

enum rule {
    READ,     /* text/source_gguf.c, or src/io for what ends a generation */
    HARMLESS, /* `why` says so */
    OFF,      /* false */
    EMPTY,    /* an empty list */
    OF_BERT   /* read of WordPiece; elsewhere absent or false */
};
static const struct {
    const char *key;
    enum rule rule;
    const char *why;
} keys[] = {
    {"tokenizer.ggml.model", READ, ""},
    {"tokenizer.ggml.pre", READ, ""},
    {"tokenizer.ggml.tokens", READ, ""},
    {"tokenizer.ggml.token_type", READ, ""},
    {"tokenizer.ggml.scores", READ, ""},
    {"tokenizer.ggml.merges", READ, ""},
    {"tokenizer.ggml.bos_token_id", READ, ""},
    {"tokenizer.ggml.eos_token_id", READ, ""},
    {"tokenizer.ggml.eot_token_id", READ, ""},
    {"tokenizer.ggml.eom_token_id", READ, ""},
    {"tokenizer.ggml.unknown_token_id", READ, ""},
    {"tokenizer.ggml.padding_token_id", READ, ""},
    {"tokenizer.ggml.seperator_token_id", READ, ""},
    {"tokenizer.ggml.cls_token_id", READ, ""},
    {"tokenizer.ggml.add_bos_token", READ, ""},
    {"tokenizer.ggml.add_eos_token", READ, ""},
    {"tokenizer.ggml.add_space_prefix", READ, ""},
    {"tokenizer.chat_template", READ, ""},
    {"tokenizer.chat_templates", READ, ""},
    {"tokenizer.ggml.normalizer.lowercase", OF_BERT, "absent but in BERT's tokenizer"},
    {"tokenizer.ggml.normalizer.strip_accents", OF_BERT, "absent but in BERT's tokenizer"},
    {"tokenizer.ggml.add_sep_token", OF_BERT, "false but in BERT's tokenizer"},
    {"tokenizer.ggml.remove_extra_whitespaces", OFF, "false (no blank is taken away)"},
    {"tokenizer.ggml.precompiled_charsmap", EMPTY, "none (characters stay as they are)"},
    {"tokenizer.ggml.suppress_tokens", EMPTY, "none (every token may be generated)"},
    {"tokenizer.ggml.token_type_count", HARMLESS, "the model's tensor has as many rows"},
    {"tokenizer.ggml.mask_token_id", HARMLESS, "of training"},
    {"tokenizer.ggml.fim_pre_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.fim_suf_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.fim_mid_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.fim_pad_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.fim_rep_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.fim_sep_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.prefix_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.suffix_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.ggml.middle_token_id", HARMLESS, "a name for one of the tokens"},
    {"tokenizer.huggingface.json", HARMLESS, "the keys beside it say the same"},
};

static int rule_holds(const struct gguf *g, const char *key, enum rule rule, int bert)
{
    int on = 0;
    switch (rule) {
    case OFF: return !gguf_get_bool(g, key, &on) && !on;
    case EMPTY: return !gguf_array_length(g, key, NULL);
    case OF_BERT: return bert || (!gguf_get_bool(g, key, &on) && !on);
    default: return 1;
    }
}

int source_gguf_check_keys(const struct gguf *g, int bert, const char *path, struct error *err)
{
    static const char prefix[] = "tokenizer.", template[] = "tokenizer.chat_template.";
    for (size_t i = 0; i < gguf_n_key(g); i++) {
        const char *key = gguf_key_at(g, i);
        size_t k = 0;
        if (strncmp(key, prefix, sizeof prefix - 1) || !strncmp(key, template, sizeof template - 1))
            continue;
        while (k < sizeof keys / sizeof *keys && strcmp(keys[k].key, key))
            k++;
        if (k == sizeof keys / sizeof *keys)
            return error_set(err, ERROR_DATA,
                             "%s: metadata %s is not understood and may change the token ids; use the model's Hugging "
                             "Face directory",
                             path, key);
        if (!rule_holds(g, key, keys[k].rule, bert))
            return error_set(err, ERROR_DATA, "%s: metadata %s: wanted %s, found another value", path, key,
                             keys[k].why);
    }
    return 0;
}
