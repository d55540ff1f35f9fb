/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer's files for a Hugging Face directory. A tokenizer.json is handed on byte for byte; every other source is
 * written as the document it was read through, under the class that takes tokenizer.json as it is (others rebuild parts
 * of it). */
#include "text/tokenizer_parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>

/* Appends dir/tokenizer.json or the file itself; 1 when the source is neither. */
static int hand_on(const char *source, struct buf *json, struct error *err)
{
    size_t n = strlen(source);
    if (!file_is_directory(source)) {
        const char *base = path_base(source);
        if (n < 5 || strcmp(source + n - 5, ".json") || (strlen(base) >= 10 && !strcmp(source + n - 10, "vocab.json")))
            return 1;
        return json ? file_read(json, source, (size_t)1 << 30, err) : 0;
    }
    char *path = path_join(source, "tokenizer.json");
    if (!path)
        return error_set_nomem(err, n, "a path");
    int rc = !file_exists(path);
    if (!rc && json)
        rc = file_read(json, path, (size_t)1 << 30, err);
    mem_free(path);
    return rc;
}

static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "pad_token"};

/* What tokenizer_config.json must say for the same ids: the names of the special tokens, and whether BOS and EOS are
 * put. */
static int complete(const struct tokenizer *tok, json_t *config, int rebuilt)
{
    const struct tokenizer_info *info = &tok->info;
    const int32_t id[] = {info->bos, info->eos, info->unk, info->pad};
    int bad = 0;
    for (int i = 0; i < 4; i++)
        if (id[i] >= 0 && !json_object_get(config, keys[i]))
            bad |= json_object_set_new(config, keys[i], json_string(tok->vocab.entry[id[i]].text));
    if (rebuilt || !json_object_get(config, "tokenizer_class"))
        bad |= json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    if (!json_object_get(config, "clean_up_tokenization_spaces"))
        bad |= json_object_set_new(config, "clean_up_tokenization_spaces", json_false());
    return bad;
}

static json_t *special_map(const struct tokenizer *tok)
{
    const int32_t id[] = {tok->info.bos, tok->info.eos, tok->info.unk, tok->info.pad};
    json_t *map = json_object();
    for (int i = 0; i < 4; i++)
        if (id[i] >= 0 && json_object_set_new(map, keys[i], json_string(tok->vocab.entry[id[i]].text))) {
            json_decref(map);
            return NULL;
        }
    return map;
}

static int dump_document(struct buf *out, const json_t *doc, struct error *err)
{
    if (!out)
        return 0;
    int rc = jsontext_dump(out, doc, 1, err);
    buf_putc(out, '\n');
    return !rc && out->failed ? error_set_nomem(err, 1, "the tokenizer's files") : rc;
}

int tokenizer_export(const struct tokenizer *tok, struct buf *json, struct buf *config, struct buf *map,
                     struct error *err)
{
    struct tokenizer_source s = {0};
    if (!file_exists(tok->info.source))
        return error_set(err, ERROR_NOINPUT, "%s: this tokenizer has no file any more to be written from",
                         tok->info.source);
    int rc = tokenizer_source_load(&s, tok->info.source, err), handed = rc ? rc : hand_on(tok->info.source, json, err);
    if (handed < 0)
        rc = handed;
    if (!rc && handed == 1 && s.spm)
        rc = source_complete_spm(&s, tok->info.source, err);
    if (!rc && handed == 1)
        rc = dump_document(json, s.json, err);
    json_t *names = special_map(tok);
    if (!rc && !s.config)
        s.config = json_object();
    if (!rc && (!names || complete(tok, s.config, handed == 1)))
        rc = error_set_nomem(err, 1, "the tokenizer's files");
    if (!rc)
        rc = dump_document(config, s.config, err);
    if (!rc)
        rc = dump_document(map, names, err);
    json_decref(names);
    tokenizer_source_free(&s);
    return rc;
}
