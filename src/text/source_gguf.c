/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer inside a GGUF file: tokens, their types, merges or scores, and the name of the pre-tokenizer. That name
 * is all the file says of how words are cut, and a wrong guess gives other ids; an unknown one is refused. */
#include "text/source.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/gguf.h"
#include "text/pretokenizer_tables.h"
#include "text/vocab.h"

#include <string.h>

/* clang-format off */
/* llama.cpp's four expressions for LLAMA_VOCAB_PRE_TYPE_DEFAULT (llama-vocab.cpp), each over the pieces of the one
 * before. */
#define LLAMA_CPP_DEFAULT                                                                                          \
    SPLIT("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|]+") ","                                                               \
    SPLIT("'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)") ","       \
    SPLIT("\\\\p{N}+") "," SPLIT("[0-9][0-9][0-9]")
/* clang-format on */

static const char default_pre[] = SEQUENCE(LLAMA_CPP_DEFAULT, BYTES("false"));
static const char gpt2[] = PRE_GPT2;
static const char digits_then_gpt2[] = SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}", BYTES("true"));
static const char llama3[] = SEQUENCE(SPLIT(WORDS_LIKE_LLAMA3("\\\\p{N}{1,3}")), BYTES("false"));
static const char qwen2[] = PRE_QWEN2;

/* The names llama.cpp's converter writes, with the tokenizer.json of the models it writes them for. */
static const struct gguf_pre pres[] = {
    {"default", default_pre, 0, 0, 0},
    {"gpt-2", gpt2, 0, 0, 0},
    {"phi-2", gpt2, 0, 0, 0},
    {"olmo", gpt2, 0, 0, 0},
    {"roberta-bpe", gpt2, 0, 1, 0},
    {"smollm", digits_then_gpt2, 0, 0, 0},
    {"starcoder", digits_then_gpt2, 0, 0, 0},
    {"refact", digits_then_gpt2, 0, 0, 0},
    {"codeshell", digits_then_gpt2, 0, 0, 0},
    {"llama-bpe", llama3, 1, 1, 0},
    {"llama3", llama3, 1, 1, 0},
    {"llama-v3", llama3, 1, 1, 0},
    {"smaug-bpe", llama3, 0, 0, 0},
    {"dbrx", llama3, 0, 0, 0},
    {"qwen2", qwen2, 0, 0, 1},
    {"stablelm2", qwen2, 0, 0, 0},
};

const struct gguf_pre *source_gguf_pres(size_t *n)
{
    *n = sizeof pres / sizeof *pres;
    return pres;
}

struct gguf_tokenizer {
    const struct gguf *file;
    const char *path;
    struct gguf_string *text; /* [n]: of tokens */
    int64_t *type;            /* all NORMAL when the file has none */
    char **copy;              /* NUL-terminated */
    size_t n;
};

static void gguf_tokenizer_deinit(struct gguf_tokenizer *t)
{
    for (size_t i = 0; t->copy && i < t->n; i++)
        mem_free(t->copy[i]);
    mem_free(t->copy);
    mem_free(t->text);
    mem_free(t->type);
}

/* The token must be text that a JSON key can hold. */
static int check_token(const char *path, const struct gguf_string *s, size_t i, struct error *err)
{
    if (utf8_valid(s->data, s->len) != s->len || memchr(s->data, 0, s->len))
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.tokens: token %zu is not UTF-8 text without NUL", path,
                         i);
    return 0;
}

static int read_tokens(struct gguf_tokenizer *t, struct error *err)
{
    const struct gguf *g = t->file;
    const char *path = t->path;
    enum gguf_type kind;
    int64_t n = gguf_array_length(g, "tokenizer.ggml.tokens", &kind),
            n_type = gguf_array_length(g, "tokenizer.ggml.token_type", NULL);
    if (n <= 0 || kind != GGUF_STRING)
        return error_set(err, ERROR_DATA, "%s: no array of strings tokenizer.ggml.tokens", path);
    if (n > VOCAB_MAX_ID)
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.tokens: %lld tokens, at most %d are read", path,
                         (long long)n, VOCAB_MAX_ID);
    if (n_type >= 0 && n_type != n)
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.token_type: wanted %lld entries, found %lld", path,
                         (long long)n, (long long)n_type);
    t->n = (size_t)n;
    t->text = mem_calloc(t->n, sizeof *t->text);
    t->type = mem_calloc(t->n, sizeof *t->type);
    t->copy = mem_calloc(t->n, sizeof *t->copy);
    if (!t->text || !t->type || !t->copy)
        return text_nomem(path, err);
    gguf_array_strings(g, "tokenizer.ggml.tokens", t->text);
    for (size_t i = 0; i < t->n; i++)
        t->type[i] = PIECE_NORMAL;
    if (n_type >= 0 && gguf_array_ints(g, "tokenizer.ggml.token_type", t->type))
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.token_type: wanted integers", path);
    int rc = 0;
    for (size_t i = 0; i < t->n && !rc; i++) {
        rc = check_token(path, t->text + i, i, err);
        if (!rc && !(t->copy[i] = mem_strndup(t->text[i].data, t->text[i].len)))
            rc = text_nomem(path, err);
    }
    return rc;
}

/* {"token": id}. */
static int put_token(const struct gguf_tokenizer *t, json_t *vocab, size_t i, struct error *err)
{
    if (json_object_get(vocab, t->copy[i]))
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.tokens: \"%.80s\" is there twice (again at %zu)", t->path,
                         t->copy[i], i);
    return json_object_set_new(vocab, t->copy[i], json_integer((json_int_t)i)) ? text_nomem(t->path, err) : 0;
}

/* Those that are no words go among the added tokens. */
static int add_tokens(const struct gguf_tokenizer *t, struct tokenizer_source *out, struct error *err)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->type[i] == PIECE_CONTROL || t->type[i] == PIECE_USER || t->type[i] == PIECE_UNKNOWN)
            if (source_add_token(out->json, (int64_t)i, t->copy[i], t->type[i] != PIECE_USER))
                return text_nomem(t->path, err);
    return 0;
}

static const struct gguf_pre *find_pre(const struct gguf_tokenizer *t, struct error *err)
{
    struct gguf_string name = {"default", 7};
    struct buf known = BUF_INIT;
    gguf_get_string(t->file, "tokenizer.ggml.pre", &name);
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        if (strlen(pres[i].name) == name.len && !memcmp(pres[i].name, name.data, name.len)) {
            buf_free(&known);
            return pres + i;
        }
        buf_printf(&known, "%s%s", i ? ", " : "", pres[i].name);
    }
    error_set(err, ERROR_DATA,
              "%s: tokenizer.ggml.pre: the pre-tokenizer \"%.*s\" is not known (known: %s); use the model's Hugging "
              "Face directory",
              t->path, (int)name.len, name.data, buf_text(&known));
    buf_free(&known);
    return NULL;
}

static int make_bpe(struct tokenizer_source *out, const struct gguf_tokenizer *t, struct error *err)
{
    const struct gguf *g = t->file;
    const char *path = t->path;
    const struct gguf_pre *pre = find_pre(t, err);
    enum gguf_type kind;
    int64_t n = gguf_array_length(g, "tokenizer.ggml.merges", &kind);
    if (!pre)
        return ERROR_DATA;
    if (!gguf_has(g, "tokenizer.ggml.pre"))
        log_line(LOG_WARNING,
                 "%s: no tokenizer.ggml.pre: words are cut as llama.cpp's default does, which may not be what the "
                 "model was trained with; "
                 "a file converted anew, or the model's Hugging Face directory, says it",
                 path);
    if (n < 0 || kind != GGUF_STRING)
        return error_set(err, ERROR_DATA, "%s: no array of strings tokenizer.ggml.merges", path);
    struct gguf_string *line = mem_alloc((size_t)n * sizeof *line);
    if (!line)
        return text_nomem(path, err);
    gguf_array_strings(g, "tokenizer.ggml.merges", line);
    json_t *vocab = json_object(), *merges = json_array();
    int rc = 0;
    for (size_t i = 0; i < t->n && !rc; i++)
        rc = put_token(t, vocab, i, err);
    for (size_t i = 0; i < (size_t)n && !rc; i++) {
        if (utf8_valid(line[i].data, line[i].len) != line[i].len)
            rc = error_set(err, ERROR_DATA, "%s: tokenizer.ggml.merges: entry %zu is not UTF-8", path, i);
        else if (json_array_append_new(merges, json_stringn(line[i].data, line[i].len)))
            rc = text_nomem(path, err);
    }
    mem_free(line);
    if (rc) {
        json_decref(vocab);
        json_decref(merges);
        return rc;
    }
    rc = source_make_bpe(out, path, &(struct source_bpe){vocab, merges, pre->json, pre->ignore_merges}, err);
    if (!rc && pre->nfc)
        rc =
            json_object_set_new(out->json, "normalizer", json_pack("{s:s}", "type", "NFC")) ? text_nomem(path, err) : 0;
    return rc ? rc : add_tokens(t, out, err);
}

static int make_spm(struct tokenizer_source *out, const struct gguf_tokenizer *t, struct error *err)
{
    const struct gguf *g = t->file;
    const char *path = t->path;
    int64_t n = gguf_array_length(g, "tokenizer.ggml.scores", NULL);
    int prefix = 1;
    if (n != (int64_t)t->n)
        return error_set(err, ERROR_DATA, "%s: tokenizer.ggml.scores: wanted %zu entries, found %lld", path, t->n,
                         (long long)n);
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &prefix);
    double *score = mem_alloc(t->n * sizeof *score);
    struct spm_piece *piece = mem_alloc(t->n * sizeof *piece);
    int rc = !score || !piece ? text_nomem(path, err) : 0;
    if (!rc && gguf_array_floats(g, "tokenizer.ggml.scores", score))
        rc = error_set(err, ERROR_DATA, "%s: tokenizer.ggml.scores: wanted numbers", path);
    for (size_t i = 0; i < t->n && !rc; i++)
        piece[i] = (struct spm_piece){t->copy[i], score[i], (int)t->type[i]};
    if (!rc)
        rc = source_make_spm(out, path, &(struct spm_file){.piece = piece, .n = t->n, .dummy_prefix = prefix}, 0, err);
    mem_free(score);
    mem_free(piece);
    return rc;
}

/* Both are on unless the file says otherwise; accents go with the case. */
static int set_normalizer(struct tokenizer_source *out, const struct gguf *g, const char *path, struct error *err)
{
    json_t *normalizer = json_object_get(out->json, "normalizer");
    int lower = 1, accents;
    gguf_get_bool(g, "tokenizer.ggml.normalizer.lowercase", &lower);
    accents = lower;
    gguf_get_bool(g, "tokenizer.ggml.normalizer.strip_accents", &accents);
    if (json_object_set_new(normalizer, "lowercase", json_boolean(lower)) ||
        json_object_set_new(normalizer, "strip_accents", json_boolean(accents)))
        return text_nomem(path, err);
    return 0;
}

/* BERT's vocabulary in llama.cpp's spelling: a word's first token has U+2581 before it where WordPiece's others have
 * "##". */
static int make_wordpiece(struct tokenizer_source *out, struct gguf_tokenizer *t, struct error *err)
{
    const char *path = t->path;
    json_t *vocab = json_object();
    struct buf name = BUF_INIT;
    int64_t unk = -1;
    int rc = 0;
    gguf_get_int(t->file, "tokenizer.ggml.unknown_token_id", &unk);
    for (size_t i = 0; i < t->n && !rc; i++) {
        const char *s = t->copy[i];
        size_t n = strlen(s);
        buf_reset(&name);
        if (!strncmp(s, "\xe2\x96\x81", 3))
            buf_puts(&name, s + 3);
        else
            buf_printf(&name, "%s%s", n && s[0] == '[' && s[n - 1] == ']' ? "" : "##", s);
        char *spelled = name.failed ? NULL : mem_strdup(name.data);
        if (spelled) {
            mem_free(t->copy[i]);
            t->copy[i] = spelled;
        }
        rc = spelled ? put_token(t, vocab, i, err) : text_nomem(path, err);
    }
    buf_free(&name);
    if (!rc && (unk < 0 || (uint64_t)unk >= t->n))
        rc = error_set(err, ERROR_DATA, "%s: tokenizer.ggml.unknown_token_id: wanted an id in 0..%zu, found %lld", path,
                       t->n - 1, (long long)unk);
    if (rc) {
        json_decref(vocab);
        return rc;
    }
    rc = source_make_wordpiece(out, path, vocab, t->copy[unk], err);
    if (!rc)
        rc = set_normalizer(out, t->file, path, err);
    return rc ? rc : add_tokens(t, out, err);
}

/* The token whose id stands at key, or -1. */
static int special_id(const struct gguf_tokenizer *t, const char *key, int64_t *id, struct error *err)
{
    *id = -1;
    if (gguf_get_int(t->file, key, id))
        return 0;
    if (*id < 0 || (uint64_t)*id >= t->n)
        return error_set(err, ERROR_DATA, "%s: %s: wanted an id in 0..%zu, found %lld", t->path, key, t->n - 1,
                         (long long)*id);
    return 0;
}

/* The template, or a list of them by name. */
static int set_templates(json_t *config, const struct gguf *g, const char *path, struct error *err)
{
    static const char prefix[] = "tokenizer.chat_template";
    json_t *list = json_array();
    int bad = !list, named = 0;
    for (size_t i = 0; i < gguf_n_key(g) && !bad; i++) {
        const char *key = gguf_key_at(g, i), *name = key + sizeof prefix - 1;
        struct gguf_string chat;
        if (strncmp(key, prefix, sizeof prefix - 1) || (*name && *name != '.') || gguf_get_string(g, key, &chat))
            continue;
        json_t *text = json_stringn(chat.data, chat.len);
        if (!text) {
            json_decref(list);
            return error_set(err, ERROR_DATA, "%s: %s is not UTF-8", path, key);
        }
        named |= *name == '.';
        bad |= json_array_append_new(
                   list, json_pack("{s:s, s:o}", "name", *name ? name + 1 : "default", "template", text)) != 0;
    }
    json_t *value = named ? json_incref(list) : json_incref(json_object_get(json_array_get(list, 0), "template"));
    if (value)
        bad |= json_object_set_new(config, "chat_template", value) != 0;
    json_decref(list);
    return bad ? text_nomem(path, err) : 0;
}

/* tokenizer_config.json's part, and the post-processor. */
static int make_config(struct tokenizer_source *out, const struct gguf_tokenizer *t, int add_bos, int add_eos,
                       struct error *err)
{
    static const char *const keys[][2] = {{"tokenizer.ggml.bos_token_id", "bos_token"},
                                          {"tokenizer.ggml.eos_token_id", "eos_token"},
                                          {"tokenizer.ggml.unknown_token_id", "unk_token"},
                                          {"tokenizer.ggml.padding_token_id", "pad_token"}};
    int64_t id[4], end;
    int bad = 0;
    if (special_id(t, "tokenizer.ggml.eot_token_id", &end, err) ||
        special_id(t, "tokenizer.ggml.eom_token_id", &end, err))
        return ERROR_DATA; /* src/io has them end a generation */
    out->config =
        json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
    for (int i = 0; i < 4; i++) {
        int rc = special_id(t, keys[i][0], id + i, err);
        if (rc)
            return rc;
        if (id[i] < 0 && i < 2 &&
            (rc = special_id(t, i ? "tokenizer.ggml.seperator_token_id" : "tokenizer.ggml.cls_token_id", id + i, err)))
            return rc;
        if (id[i] >= 0)
            bad |= json_object_set_new(out->config, keys[i][1], json_string(t->copy[id[i]]));
    }
    gguf_get_bool(t->file, "tokenizer.ggml.add_bos_token", &add_bos);
    gguf_get_bool(t->file, "tokenizer.ggml.add_sep_token", &add_eos); /* of BERT only */
    gguf_get_bool(t->file, "tokenizer.ggml.add_eos_token", &add_eos);
    add_bos = add_bos && id[0] >= 0;
    add_eos = add_eos && id[1] >= 0;
    bad |= json_object_set_new(out->config, "add_bos_token", json_boolean(add_bos));
    bad |= json_object_set_new(out->config, "add_eos_token", json_boolean(add_eos));
    int rc = set_templates(out->config, t->file, t->path, err);
    if (rc)
        return rc;
    bad |= source_set_around(out->json, add_bos ? id[0] : -1, add_bos ? t->copy[id[0]] : NULL, add_eos ? id[1] : -1,
                             add_eos ? t->copy[id[1]] : NULL);
    return bad ? text_nomem(t->path, err) : 0;
}

static int from_metadata(struct tokenizer_source *out, const struct gguf *g, const char *path, struct error *err)
{
    struct gguf_tokenizer t = {.file = g, .path = path};
    struct gguf_string model;
    int spm, bert, rc;
    if (gguf_get_string(g, "tokenizer.ggml.model", &model))
        return error_set(err, ERROR_DATA, "%s: no tokenizer in this file (no tokenizer.ggml.model)", path);
    if (model.len == 4 && !memcmp(model.data, "none", 4))
        return error_set(err, ERROR_NOINPUT, "%s: tokenizer.ggml.model says that there is no tokenizer in this file",
                         path);
    spm = model.len == 5 && !memcmp(model.data, "llama", 5);
    bert = model.len == 4 && !memcmp(model.data, "bert", 4);
    if (!spm && !bert && (model.len != 4 || memcmp(model.data, "gpt2", 4)))
        return error_set(err, ERROR_DATA,
                         "%s: tokenizer.ggml.model: \"%.*s\" is not supported (gpt2, llama and bert are)", path,
                         (int)model.len, model.data);
    rc = source_gguf_check_keys(g, bert, path, err);
    if (!rc)
        rc = read_tokens(&t, err);
    if (!rc && spm)
        rc = make_spm(out, &t, err);
    else if (!rc)
        rc = bert ? make_wordpiece(out, &t, err) : make_bpe(out, &t, err);
    if (!rc) {
        const struct gguf_pre *pre = spm || bert ? NULL : find_pre(&t, err);
        rc = make_config(out, &t, spm || bert || (pre && pre->add_bos), bert, err);
    }
    gguf_tokenizer_deinit(&t);
    return rc;
}

int source_from_gguf(struct tokenizer_source *out, const char *path, struct error *err)
{
    struct file_map map;
    struct gguf *g;
    int rc = file_map(&map, path, err);
    if (rc)
        return rc;
    rc = gguf_parse(&g, map.data, map.size, path, err);
    if (!rc) {
        rc = from_metadata(out, g, path, err);
        gguf_free(g);
    }
    int cut = file_map_check(&map, path, err);
    file_unmap(&map);
    return cut ? cut : rc;
}
