/* SPDX-License-Identifier: Apache-2.0 */
/* Trains a byte-level BPE vocabulary: text is split into words by GPT-2's pattern, every word starts as its bytes, and
 * the pair of neighbours that is most frequent over all words becomes one symbol, until the vocabulary is full. Ties go
 * to the pair with the smaller ids, so the same corpus always gives the same file. The world has some two thousand
 * different words, so every pair is simply counted anew before each merge. */
#include "world.h"

#include "base/hash.h"
#include "base/mem.h"
#include "text/regex.h"

#include <jansson.h>
#include <string.h>

enum { N_SPECIAL = 2, N_BYTE = 256, FIRST_MERGE = N_SPECIAL + N_BYTE };
static const char *const special_token[N_SPECIAL] = {"<|endoftext|>", "<|pad|>"};
static const char word_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct word {
    char *bytes;
    size_t n_byte;
    uint64_t count;
    uint32_t *symbol;
    size_t n_symbol;
};

struct trainer {
    struct word *words; /* n_word used of n_slot, found by slot[] */
    size_t n_word, cap_word, n_slot;
    uint32_t *slot;    /* index into words + 1, 0 = free; n_slot is a power of two */
    struct buf *token; /* n_vocab raw byte strings */
    uint32_t (*merge)[2];
    int n_vocab;
};

static int word_grow(struct trainer *t)
{
    if (t->n_word < t->cap_word)
        return 0;
    size_t cap = t->cap_word ? 2 * t->cap_word : 4096;
    struct word *words = mem_resize(t->words, cap * sizeof *words);
    uint32_t *slot = mem_calloc(4 * cap, sizeof *slot);
    if (words)
        t->words = words;
    if (!words || !slot) {
        mem_free(slot);
        return -1;
    }
    mem_free(t->slot);
    t->cap_word = cap;
    t->n_slot = 4 * cap;
    t->slot = slot;
    for (size_t i = 0; i < t->n_word; i++) {
        size_t at = hash64(words[i].bytes, words[i].n_byte) & (t->n_slot - 1);
        while (slot[at])
            at = (at + 1) & (t->n_slot - 1);
        slot[at] = (uint32_t)i + 1;
    }
    return 0;
}

static int word_count(struct trainer *t, const char *bytes, size_t n)
{
    if (word_grow(t))
        return -1;
    size_t at = hash64(bytes, n) & (t->n_slot - 1);
    for (; t->slot[at]; at = (at + 1) & (t->n_slot - 1)) {
        struct word *w = &t->words[t->slot[at] - 1];
        if (w->n_byte == n && memcmp(w->bytes, bytes, n) == 0) {
            w->count++;
            return 0;
        }
    }
    struct word w = {mem_strndup(bytes, n), n, 1, mem_alloc(n * sizeof(uint32_t)), n};
    if (!w.bytes || !w.symbol) {
        mem_free(w.bytes);
        mem_free(w.symbol);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        w.symbol[i] = N_SPECIAL + (unsigned char)bytes[i];
    t->words[t->n_word++] = w;
    t->slot[at] = (uint32_t)t->n_word;
    return 0;
}

static int count_text(struct trainer *t, const char *text, const struct regex *re, struct regex_match *match,
                      struct error *err)
{
    struct regex_scan scan = {.re = re, .match = match, .text = text, .n = strlen(text)};
    size_t start, end;
    int found;
    while ((found = regex_next(&scan, &start, &end, err)) > 0)
        if (word_count(t, text + start, end - start))
            return error_set_nomem(err, 0, "the words of the corpus");
    return found;
}

static int count_file(struct trainer *t, const char *path, struct error *err)
{
    struct regex_match *match = regex_match_new();
    struct regex *re = NULL;
    int status = match ? regex_new(&re, word_pattern, strlen(word_pattern), err)
                       : error_set_nomem(err, 0, "the words of the corpus");
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    if (!file && !status)
        status = error_set_errno(err, "%s", path);
    for (long n = 1; status == 0 && getline(&line, &cap, file) > 0; n++) {
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *text = json_string_value(json_object_get(row, "text"));
        if (!text)
            status = error_set(err, ERROR_DATA, "%s:%ld: wanted an object with a string \"text\"", path, n);
        else
            status = count_text(t, text, re, match, err);
        json_decref(row);
    }
    free(line);
    if (file)
        fclose(file);
    regex_match_free(match);
    regex_free(re);
    return status;
}

/* The most frequent pair of neighbours; 0 when there is none that occurs twice. */
static uint64_t best_pair(const struct trainer *t, uint64_t *count, uint32_t pair[2])
{
    size_t v = (size_t)t->n_vocab;
    memset(count, 0, v * v * sizeof *count);
    for (size_t i = 0; i < t->n_word; i++)
        for (size_t j = 0; j + 1 < t->words[i].n_symbol; j++)
            count[t->words[i].symbol[j] * v + t->words[i].symbol[j + 1]] += t->words[i].count;
    uint64_t best = 1;
    for (size_t at = 0; at < v * v; at++)
        if (count[at] > best) {
            best = count[at];
            pair[0] = (uint32_t)(at / v);
            pair[1] = (uint32_t)(at % v);
        }
    return best > 1 ? best : 0;
}

static void apply_merge(struct word *w, const uint32_t pair[2], uint32_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_symbol; i++) {
        int here = i + 1 < w->n_symbol && w->symbol[i] == pair[0] && w->symbol[i + 1] == pair[1];
        w->symbol[n++] = here ? id : w->symbol[i];
        i += (size_t)here;
    }
    w->n_symbol = n;
}

static int learn_merges(struct trainer *t, struct error *err)
{
    size_t v = (size_t)t->n_vocab;
    uint64_t *count = mem_alloc(v * v * sizeof *count);
    if (!count)
        return error_set_nomem(err, v * v * sizeof *count, "pair counts");
    int status = 0;
    for (uint32_t id = 0; id < N_SPECIAL; id++)
        buf_puts(&t->token[id], special_token[id]);
    for (uint32_t byte = 0; byte < N_BYTE; byte++)
        buf_putc(&t->token[N_SPECIAL + byte], (char)byte);
    for (uint32_t id = FIRST_MERGE; status == 0 && id < v; id++) {
        uint32_t *pair = t->merge[id];
        if (!best_pair(t, count, pair)) {
            status = error_set(err, ERROR_DATA,
                               "the corpus is too small: it gives %u tokens, wanted %d; mend: more documents", id,
                               t->n_vocab);
            break;
        }
        for (size_t i = 0; i < t->n_word; i++)
            apply_merge(&t->words[i], pair, id);
        buf_append(&t->token[id], t->token[pair[0]].data, t->token[pair[0]].len);
        buf_append(&t->token[id], t->token[pair[1]].data, t->token[pair[1]].len);
        if (t->token[id].failed)
            status = error_set_nomem(err, 0, "the vocabulary");
    }
    mem_free(count);
    return status;
}

/* GPT-2's printable stand-in for a byte, as UTF-8: bytes that print stand for themselves, the others from U+0100 on. */
static void put_byte(struct buf *out, unsigned byte)
{
    unsigned code = byte, next = 0x100;
    for (unsigned b = 0; b <= byte; b++) {
        int prints = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
        if (b == byte)
            code = prints ? byte : next;
        next += !prints;
    }
    if (code < 0x80)
        buf_putc(out, (char)code);
    else
        buf_printf(out, "%c%c", 0xc0 | (int)(code >> 6), 0x80 | (int)(code & 0x3f));
}

static void put_token(struct buf *out, const struct trainer *t, uint32_t id)
{
    if (id < N_SPECIAL)
        buf_puts(out, special_token[id]);
    else
        for (size_t i = 0; i < t->token[id].len; i++)
            put_byte(out, (unsigned char)t->token[id].data[i]);
}

static json_t *model_json(const struct trainer *t)
{
    json_t *vocab = json_object(), *merges = json_array();
    struct buf text = BUF_INIT;
    for (uint32_t id = 0; id < (uint32_t)t->n_vocab; id++) {
        buf_reset(&text);
        put_token(&text, t, id);
        json_object_set_new(vocab, text.data, json_integer(id));
        if (id < FIRST_MERGE)
            continue;
        buf_reset(&text);
        put_token(&text, t, t->merge[id][0]);
        buf_putc(&text, ' ');
        put_token(&text, t, t->merge[id][1]);
        json_array_append_new(merges, json_string(text.data));
    }
    buf_free(&text);
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                     "ignore_merges", 0, "vocab", vocab, "merges", merges);
}

static json_t *tokenizer_json(const struct trainer *t)
{
    json_t *added = json_array();
    for (int id = 0; id < N_SPECIAL; id++)
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", special_token[id],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:b, s:b, s:b}, s:o}", "version",
                     "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer", "type",
                     "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1, "post_processor", "decoder",
                     "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model",
                     model_json(t));
}

static int write_json(const char *directory, const char *name, json_t *value, size_t flags, struct error *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", directory, name);
    int status = 0;
    FILE *file = path.failed ? NULL : fopen(path.data, "w");
    if (!value || path.failed)
        status = error_set_nomem(err, 0, name);
    else if (!file)
        status = error_set_errno(err, "%s", path.data);
    else if (json_dumpf(value, file, flags) || fputc('\n', file) == EOF)
        status = error_set_errno(err, "%s", path.data);
    if (file && fclose(file) && status == 0)
        status = error_set_errno(err, "%s", path.data);
    json_decref(value);
    buf_free(&path);
    return status;
}

static int write_tokenizer(const struct trainer *t, const char *directory, struct error *err)
{
    const char *end = special_token[0], *pad = special_token[1];
    int status = write_json(directory, "tokenizer.json", tokenizer_json(t), JSON_INDENT(1), err);
    if (status == 0)
        status =
            write_json(directory, "tokenizer_config.json",
                       json_pack("{s:s, s:b, s:s, s:s, s:s, s:i, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                                 "add_prefix_space", 0, "bos_token", end, "eos_token", end, "pad_token", pad,
                                 "model_max_length", 512, "clean_up_tokenization_spaces", 0),
                       JSON_INDENT(2), err);
    if (status == 0)
        status = write_json(directory, "special_tokens_map.json",
                            json_pack("{s:s, s:s, s:s}", "bos_token", end, "eos_token", end, "pad_token", pad),
                            JSON_INDENT(2), err);
    return status;
}

int world_tokenizer(const char *input, const char *directory, int n_vocab, struct error *err)
{
    if (n_vocab <= FIRST_MERGE || n_vocab > 8192)
        return error_set(err, ERROR_USAGE, "--vocab %d: wanted %d to 8192", n_vocab, FIRST_MERGE + 1);
    struct trainer t = {.n_vocab = n_vocab};
    t.token = mem_calloc((size_t)n_vocab, sizeof *t.token);
    t.merge = mem_calloc((size_t)n_vocab, sizeof *t.merge);
    int status = t.token && t.merge ? count_file(&t, input, err) : error_set_nomem(err, 0, "the vocabulary");
    if (status == 0)
        status = learn_merges(&t, err);
    if (status == 0)
        status = write_tokenizer(&t, directory, err);
    for (size_t i = 0; i < t.n_word; i++) {
        mem_free(t.words[i].bytes);
        mem_free(t.words[i].symbol);
    }
    for (int i = 0; t.token && i < n_vocab; i++)
        buf_free(&t.token[i]);
    mem_free(t.token);
    mem_free(t.merge);
    mem_free(t.words);
    mem_free(t.slot);
    return status;
}
