/* SPDX-License-Identifier: Apache-2.0 */
/* A sentencepiece model as a source: run as sentencepiece does (s->spm), or, where the config says "legacy": false,
 * through the tokenizer.json that transformers makes of it for LLaMA's class. */
#include "text/source.h"

#include "base/mem.h"
#include "io/file.h"

#include <string.h>

/* The trainer's ids have defaults that may be any piece's. */
static int is_mark(const struct spm_file *s, int64_t id)
{
    return id >= 0 && (uint64_t)id < s->n && (s->piece[id].type == PIECE_CONTROL || s->piece[id].type == PIECE_UNKNOWN);
}

/* Fills what tokenizer_config.json does not say with the model's own ids and LLaMA's habits (BOS first, no EOS). */
static int complete(struct tokenizer_source *out, const struct spm_file *s, const char *path, struct error *err)
{
    const struct {
        const char *key;
        int64_t id;
    } names[] = {{"bos_token", s->bos}, {"eos_token", s->eos}, {"unk_token", s->unk}, {"pad_token", s->pad}};
    int bad = 0;
    if (!out->config)
        out->config = json_object();
    for (int i = 0; i < 4; i++)
        if (!json_object_get(out->config, names[i].key) && is_mark(s, names[i].id))
            bad |= json_object_set_new(out->config, names[i].key, json_string(s->piece[names[i].id].text));
    if (!json_is_boolean(json_object_get(out->config, "add_bos_token")))
        bad |= json_object_set_new(out->config, "add_bos_token", json_true());
    if (!json_is_boolean(json_object_get(out->config, "add_eos_token")))
        bad |= json_object_set_new(out->config, "add_eos_token", json_false());
    return bad ? text_nomem(path, err) : 0;
}

static int add_added(json_t *json, const json_t *added, const json_t *config, const char *path, struct error *err)
{
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)added, text, id)
    {
        if (json_object_get(json_object_get(json_object_get(json, "model"), "vocab"), text))
            continue;
        if (source_add_token(json, json_integer_value(id), text, source_is_named(config, text)))
            return text_nomem(path, err);
    }
    return 0;
}

/* The vocabulary alone in the form of tokenizer.json. */
static int make_vocabulary(struct tokenizer_source *out, const struct spm_file *s, const char *path, struct error *err)
{
    json_t *vocab = NULL;
    int rc = source_make_vocab(path, s->piece, s->n, &vocab, err);
    if (rc) {
        json_decref(vocab);
        return rc;
    }
    out->json = json_pack("{s:s, s:[], s:{s:s, s:s, s:o, s:[]}}", "version", "1.0", "added_tokens", "model", "type",
                          "BPE", "unk_token", s->piece[s->unk].text, "vocab", vocab, "merges");
    if (!out->json)
        return text_nomem(path, err);
    for (size_t i = 0; i < s->n && !rc; i++)
        if (s->piece[i].type == PIECE_UNKNOWN || s->piece[i].type == PIECE_CONTROL || s->piece[i].type == PIECE_USER)
            rc = source_add_token(out->json, (int64_t)i, s->piece[i].text, s->piece[i].type != PIECE_USER);
    return rc ? text_nomem(path, err) : 0;
}

static int make_json(struct tokenizer_source *out, struct spm_file *s, const char *path, const json_t *added,
                     struct error *err)
{
    int rc;
    if (source_is_class(out, "XLMRobertaTokenizer")) {
        rc = source_make_xlmr(out, path, s, err);
        return rc ? rc : add_added(out->json, added, out->config, path, err);
    }
    s->dummy_prefix = s->dummy_prefix && !json_is_false(json_object_get(out->config, "add_prefix_space"));
    if (json_is_false(json_object_get(out->config, "legacy")) && s->model_type == 2 && source_spm_is_plain(s)) {
        rc = source_make_spm(out, path, s, 1, err);
    } else {
        rc = make_vocabulary(out, s, path, err);
        out->spm = rc ? NULL : mem_alloc(sizeof *out->spm);
        if (!rc && !out->spm)
            rc = error_set_nomem(err, sizeof *out->spm, "a tokenizer");
    }
    if (!rc)
        rc = complete(out, s, path, err);
    if (!rc && source_around_from_config(out))
        rc = text_nomem(path, err);
    return rc ? rc : add_added(out->json, added, out->config, path, err);
}

int source_from_spm_bytes(struct tokenizer_source *out, const char *path, const void *bytes, size_t n,
                          const json_t *added, struct error *err)
{
    struct spm_file s = {0};
    int rc = spm_file_read(&s, bytes, n, path, err);
    if (!rc)
        rc = make_json(out, &s, path, added, err);
    if (out->spm)
        *out->spm = s;
    else
        spm_file_deinit(&s);
    return rc;
}

int source_from_spm(struct tokenizer_source *out, const char *path, const json_t *added, struct error *err)
{
    struct file_map map;
    int rc = file_map(&map, path, err);
    if (rc)
        return rc;
    rc = source_from_spm_bytes(out, path, map.data, map.size, added, err);
    int cut = file_map_check(&map, path, err);
    file_unmap(&map);
    return cut ? cut : rc;
}
