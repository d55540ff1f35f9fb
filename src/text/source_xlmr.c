/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece.bpe.model under XLM-RoBERTa's class (multilingual E5, BGE-M3): fairseq's order of ids, with <s>, <pad>,
 * </s>, <unk> before the model's pieces and <mask> after them, in the tokenizer.json that transformers makes of it. */
#include "text/source.h"

#define MARK "\xe2\x96\x81"

static const char *const names[][2] = {{"bos_token", "<s>"},
                                       {"pad_token", "<pad>"},
                                       {"eos_token", "</s>"},
                                       {"unk_token", "<unk>"},
                                       {"mask_token", "<mask>"}};

static json_t *scored_piece(const char *text, double score)
{
    return json_pack("[s, f]", text, score);
}

/* Takes the model's pieces from the fourth on: its first three are <unk>, <s> and </s>. */
static json_t *unigram(const struct tokenizer_source *out, const struct spm_file *s)
{
    json_t *vocab = json_array();
    int bad = 0;
    for (int i = 0; i < 4; i++)
        bad |= json_array_append_new(vocab, scored_piece(source_named_token(out, names[i][0], names[i][1]), 0));
    for (size_t i = 3; i < s->n; i++)
        bad |= json_array_append_new(vocab, scored_piece(s->piece[i].text, s->piece[i].score));
    bad |= json_array_append_new(vocab, scored_piece(source_named_token(out, names[4][0], names[4][1]), 0));
    if (!bad)
        return json_pack("{s:s, s:i, s:o, s:b}", "type", "Unigram", "unk_id", 3, "vocab", vocab, "byte_fallback", 0);
    json_decref(vocab);
    return NULL;
}

static json_t *metaspace(int prefix)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK, "prepend_scheme",
                     prefix ? "always" : "never", "split", 1);
}

/* Names the five special tokens in the config where it does not, and marks them; the mask's flags are the config's
 * (added_read.c). */
static int add_special(struct tokenizer_source *out, size_t n)
{
    int bad = 0;
    for (int i = 0; i < 5; i++) {
        json_int_t id = i < 4 ? i : (json_int_t)n + 1;
        bad |= source_add_token(out->json, id, source_named_token(out, names[i][0], names[i][1]), 1);
        if (!json_object_get(out->config, names[i][0]))
            bad |= json_object_set_new(out->config, names[i][0], json_string(names[i][1]));
    }
    return bad;
}

int source_make_xlmr(struct tokenizer_source *out, const char *path, const struct spm_file *s, struct error *err)
{
    if (s->n < 4 || s->model_type != 1)
        return error_set(err, ERROR_DATA,
                         "%s: wanted a unigram model of more than three pieces for XLMRobertaTokenizer", path);
    if (!out->config)
        out->config = json_object();
    int prefix = !json_is_false(json_object_get(out->config, "add_prefix_space"));
    json_t *map = s->charsmap ? source_precompiled(s) : json_null();
    out->json = json_pack("{s:s, s:[], s:o, s:{s:s, s:[{s:s}, o]}, s:o, s:o}", "version", "1.0", "added_tokens",
                          "normalizer", map, "pre_tokenizer", "type", "Sequence", "pretokenizers", "type",
                          "WhitespaceSplit", metaspace(prefix), "decoder", metaspace(prefix), "model", unigram(out, s));
    const char *bos = source_named_token(out, "bos_token", "<s>"), *eos = source_named_token(out, "eos_token", "</s>");
    if (!out->json || add_special(out, s->n) || source_set_around(out->json, 0, bos, 2, eos))
        return text_nomem(path, err);
    return 0;
}
