/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a model of random weights in the shape of a real one: for measuring memory, start and speed without the real
 * one's files. What it says is noise, its tokenizer's pieces are made up. The same arguments give the same bytes.
 *
 *     make_shape SHAPE [--type TYPE] [--layers N] [--seed N] FILE.gguf|DIRECTORY
 *
 * A directory (f32, f16, bf16 only) gets Hugging Face's files. Without arguments it lists shapes and types. A GGUF of
 * quantised weights has the mix of types that llama.cpp's quantiser chooses. Nothing but a megabyte of the weights is
 * in memory at a time, and the file's space is reserved before the first of them is made. */
#include "base/dtype.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/file.h"
#include "io/gguf_write.h"
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* A weight's standard deviation, as such models are initialised; numbers in the table of normals. */
#define SPREAD 0.02f
enum { N_NORMAL = 1 << 16, PIECE_BYTES = 1 << 20, N_SPECIAL = 3, N_BYTE = 256, MAX_NAME = 96 };

struct shape {
    const char *name;
    int n_layer, n_embd, n_ff, n_head, n_kv_head, n_vocab, n_ctx;
    float rope_theta, norm_eps;
    int tied;
};
static const struct shape shapes[] = {
    {"tiny", 4, 256, 512, 4, 2, 700, 512, 10000, 1e-5f, 0},
    {"smollm2-135m", 30, 576, 1536, 9, 3, 49152, 8192, 100000, 1e-5f, 1},
    {"tinyllama-1.1b", 22, 2048, 5632, 32, 4, 32000, 2048, 10000, 1e-5f, 0},
    {"llama-7b", 32, 4096, 11008, 32, 32, 32000, 2048, 10000, 1e-6f, 0},
    {"llama-3-8b", 32, 4096, 14336, 32, 8, 128256, 8192, 500000, 1e-5f, 0},
};
/* base: of every matrix; more: of attention's values and the second half of the MLP in some layers; head: of the
 * vocabulary's. file_type: llama.cpp's number of the mix. */
struct mix {
    const char *name;
    enum storage base, more, head;
    unsigned file_type;
};
static const struct mix mixes[] = {
    {"q4_k_m", STORAGE_Q4_K, STORAGE_Q6_K, STORAGE_Q6_K, 15}, {"q5_k_m", STORAGE_Q5_K, STORAGE_Q6_K, STORAGE_Q6_K, 17},
    {"q6_k", STORAGE_Q6_K, STORAGE_Q6_K, STORAGE_Q6_K, 18},   {"q8_0", STORAGE_Q8_0, STORAGE_Q8_0, STORAGE_Q8_0, 7},
    {"q4_0", STORAGE_Q4_0, STORAGE_Q4_0, STORAGE_Q6_K, 2},    {"q4_1", STORAGE_Q4_1, STORAGE_Q4_1, STORAGE_Q6_K, 3},
    {"q5_0", STORAGE_Q5_0, STORAGE_Q5_0, STORAGE_Q6_K, 8},    {"q5_1", STORAGE_Q5_1, STORAGE_Q5_1, STORAGE_Q6_K, 9},
    {"bf16", STORAGE_BF16, STORAGE_BF16, STORAGE_BF16, 32},   {"f16", STORAGE_F16, STORAGE_F16, STORAGE_F16, 1},
    {"f32", STORAGE_F32, STORAGE_F32, STORAGE_F32, 0},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes, N_MIX = sizeof mixes / sizeof *mixes };

struct piece {
    char text[16];
    int prefix; /* the piece that it goes on from by one letter, or -1 */
};
struct maker {
    struct shape shape;
    const struct mix *mix;
    uint64_t seed;
    int is_directory;
    const char *path;
    struct piece *pieces; /* [n_vocab] */
    struct tensor_info *tensors;
    char (*names)[MAX_NAME];
    size_t n_tensor;
    float *normal; /* [N_NORMAL] of mean 0 and variance 1 */
    unsigned char *values;
    struct gguf_writer *gguf;
    struct safetensors_writer *safetensors;
};

/* --- the table of tensors --- */

/* As llama.cpp's quantiser gives more bits. */
static int gets_more(int layer, int n_layer)
{
    int eighth = n_layer / 8;
    return layer < eighth || layer >= 7 * n_layer / 8 || (layer - eighth) % 3 == 2;
}

/* What llama.cpp falls back to where blocks of 256 do not divide the width. */
static enum storage fitting(enum storage t, int64_t width)
{
    if (width % storage_block_elements(t) == 0)
        return t;
    switch (t) {
    case STORAGE_Q4_K: return STORAGE_Q5_0;
    case STORAGE_Q5_K: return STORAGE_Q5_1;
    case STORAGE_Q6_K: return width % 32 ? STORAGE_F16 : STORAGE_Q8_0;
    default: return STORAGE_F16;
    }
}

/* k 0: a vector. */
static void add_tensor(struct maker *m, const char *name, enum storage storage, int64_t n, int64_t k)
{
    struct tensor_info *t = &m->tensors[m->n_tensor];
    snprintf(m->names[m->n_tensor], MAX_NAME, "%s", name);
    *t = (struct tensor_info){.name = m->names[m->n_tensor],
                              .storage = k ? fitting(storage, k) : STORAGE_F32,
                              .n_dim = k ? 2 : 1,
                              .shape = {n, k}};
    if (!k && m->is_directory)
        t->storage = m->mix->base;
    m->n_tensor++;
}

static void add_layer(struct maker *m, int layer)
{
    static const struct {
        const char *gguf, *hf;
        int more;
    } rows[] = {
        {"attn_norm", "input_layernorm", 0},    {"attn_q", "self_attn.q_proj", 0},
        {"attn_k", "self_attn.k_proj", 0},      {"attn_v", "self_attn.v_proj", 1},
        {"attn_output", "self_attn.o_proj", 0}, {"ffn_norm", "post_attention_layernorm", 0},
        {"ffn_gate", "mlp.gate_proj", 0},       {"ffn_up", "mlp.up_proj", 0},
        {"ffn_down", "mlp.down_proj", 1},
    };
    const struct shape *s = &m->shape;
    int64_t c = s->n_embd, kv = c / s->n_head * s->n_kv_head, f = s->n_ff;
    const int64_t sizes[][2] = {{c, 0}, {c, c}, {kv, c}, {kv, c}, {c, c}, {c, 0}, {f, c}, {f, c}, {c, f}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[MAX_NAME];
        int more = rows[i].more && gets_more(layer, s->n_layer);
        snprintf(name, sizeof name, m->is_directory ? "model.layers.%d.%s.weight" : "blk.%d.%s.weight", layer,
                 m->is_directory ? rows[i].hf : rows[i].gguf);
        add_tensor(m, name, more ? m->mix->more : m->mix->base, sizes[i][0], sizes[i][1]);
    }
}

static void add_tensors(struct maker *m)
{
    const struct shape *s = &m->shape;
    add_tensor(m, m->is_directory ? "model.embed_tokens.weight" : "token_embd.weight",
               s->tied ? m->mix->head : m->mix->base, s->n_vocab, s->n_embd);
    for (int i = 0; i < s->n_layer; i++)
        add_layer(m, i);
    add_tensor(m, m->is_directory ? "model.norm.weight" : "output_norm.weight", STORAGE_F32, s->n_embd, 0);
    if (!s->tied)
        add_tensor(m, m->is_directory ? "lm_head.weight" : "output.weight", m->mix->head, s->n_vocab, s->n_embd);
}

/* --- pieces --- */

/* Printable characters, then strings of letters by length, each with its beginnings before it: two and more letters are
 * merged out of what stands earlier. */
static void make_pieces(struct maker *m)
{
    static const char letters[] = "etaoinshrdlcumwfgypbvkjxqz";
    int n = m->shape.n_vocab, used = 0, single, level = 0, at, end;
    for (int i = 0; i < N_SPECIAL; i++)
        snprintf(m->pieces[used++].text, sizeof m->pieces->text, "%s", (const char *[]){"<unk>", "<s>", "</s>"}[i]);
    for (int i = 0; i < N_BYTE; i++)
        snprintf(m->pieces[used++].text, sizeof m->pieces->text, "<0x%02X>", i);
    single = used;
    for (int c = '!' - 1; c <= '~' && used < n; c++) /* what stands before them is the sign of a blank */
        snprintf(m->pieces[used++].text, sizeof m->pieces->text, "%s", c < '!' ? "\u2581" : (char[]){(char)c, 0});
    for (int i = 0; i < used; i++)
        m->pieces[i].prefix = -1;
    for (at = single, end = used; used < n; at = end, end = used, level++)
        for (int i = at; i < end && used < n; i++) {
            const char *text = m->pieces[i].text;
            int goes_on = level || i == single || strchr(letters, text[0]);
            for (int c = 0; goes_on && c < 26 && used < n; c++, used++) {
                snprintf(m->pieces[used].text, sizeof m->pieces->text, "%.11s%c", text, letters[c]);
                m->pieces[used].prefix = i;
            }
        }
}

/* --- values --- */

/* Word i of a tensor's stream of random bits (SplitMix64). */
static uint64_t word(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void put_half(unsigned char *at, float value)
{
    uint16_t half = f32_to_f16(value);
    memcpy(at, &half, 2);
}

/* Eight scales and minima of six bits: both the same number of 32 to 63. */
static void put_k_scales(unsigned char *at, uint64_t bits)
{
    for (int j = 0; j < 4; j++) {
        int low = 32 + (int)(bits >> 5 * j & 31), high = 32 + (int)(bits >> (20 + 5 * j) & 31);
        at[j] = at[j + 4] = (unsigned char)(low | (high >> 4) << 6);
        at[8 + j] = (unsigned char)((high & 15) | (high & 15) << 4);
    }
}

/* The head of a block whose integers are random: a uniform integer of b bits spreads by 2^b / sqrt(12), and scales vary
 * by a quarter both ways. */
static void put_head(enum storage t, unsigned char *b, uint64_t bits)
{
    float spread = SPREAD * (0.75f + (float)(bits & 255) / 512);
    float four = spread / 4.61f, five = spread / 9.23f;
    switch (t) {
    case STORAGE_Q4_0: put_half(b, four); break;
    case STORAGE_Q5_0: put_half(b, five); break;
    case STORAGE_Q4_1:
    case STORAGE_Q5_1:
        put_half(b, t == STORAGE_Q4_1 ? four : five);
        put_half(b + 2, t == STORAGE_Q4_1 ? -7.5f * four : -15.5f * five);
        break;
    case STORAGE_Q4_K:
    case STORAGE_Q5_K:
        put_half(b, (t == STORAGE_Q4_K ? four : five) / 47);
        put_half(b + 2, (t == STORAGE_Q4_K ? 7.5f * four : 15.5f * five) / 47);
        put_k_scales(b + 4, bits >> 8);
        break;
    case STORAGE_Q6_K:
        put_half(b + 208, spread / (18.5f * 95));
        for (int i = 0; i < 16; i++) /* 64 to 127, either sign */
            b[192 + i] = (unsigned char)((b[192 + i] & 128 ? -1 : 1) * (64 + (b[192 + i] & 63)));
        break;
    default: /* Q8_0, whose integers are -127 to 127 */
        put_half(b, spread / 73.9f);
        for (int i = 0; i < 32; i++)
            b[2 + i] = b[2 + i] == 128 ? 129 : b[2 + i];
        break;
    }
}

/* n blocks (elements of a plain type) of a tensor from the first on, each a function of its place alone. */
static void make_blocks(const struct maker *m, const struct tensor_info *t, uint64_t first, size_t n)
{
    uint64_t key = hash64(t->name, strlen(t->name)) ^ m->seed * 0x9e3779b97f4a7c15u;
    size_t size = (size_t)storage_block_bytes(t->storage), words = (size + 7) / 8 + 1;
    for (size_t i = 0; i < n && storage_block_elements(t->storage) > 1; i++) {
        uint64_t bits[64], at = (first + i) * words;
        for (size_t k = 0; k < words; k++)
            bits[k] = word(key, at + k);
        memcpy(m->values + i * size, bits + 1, size);
        put_head(t->storage, m->values + i * size, bits[0]);
    }
    for (size_t i = 0; i < n && storage_block_elements(t->storage) == 1; i++) {
        float x = m->normal[word(key, (first + i) / 4) >> (first + i) % 4 * 16 & (N_NORMAL - 1)] * SPREAD;
        x += t->n_dim == 1;
        uint16_t half = t->storage == STORAGE_F16 ? f32_to_f16(x) : f32_to_bf16(x);
        memcpy(m->values + i * size, size == 4 ? (const void *)&x : &half, size);
    }
}

static int write_tensor(struct maker *m, size_t i, struct error *err)
{
    const struct tensor_info *t = &m->tensors[i];
    uint64_t elements = (uint64_t)t->shape[0] * (uint64_t)(t->n_dim == 2 ? t->shape[1] : 1);
    uint64_t n = elements / (uint64_t)storage_block_elements(t->storage), at = 0;
    size_t size = (size_t)storage_block_bytes(t->storage), step = PIECE_BYTES / size;
    int rc = 0;
    for (; !rc && at < n; at += step) {
        size_t some = n - at < step ? (size_t)(n - at) : step;
        make_blocks(m, t, at, some);
        rc = m->gguf ? gguf_write_bytes(m->gguf, (int)i, at * size, m->values, some * size, err)
                     : safetensors_write_bytes(m->safetensors, i, at * size, m->values, some * size, err);
    }
    return rc;
}

/* --- GGUF --- */

static int put_vocabulary(struct maker *m, struct error *err)
{
    size_t n = (size_t)m->shape.n_vocab;
    struct gguf_string *text = mem_alloc(n * sizeof *text);
    float *score = mem_alloc(n * sizeof *score);
    int32_t *type = mem_alloc(n * sizeof *type);
    int rc = text && score && type ? 0 : error_set_nomem(err, n * sizeof *text, "a vocabulary");
    for (size_t i = 0; !rc && i < n; i++) {
        enum { NORMAL = 1, UNKNOWN, CONTROL, BYTE = 6 };
        text[i] = (struct gguf_string){m->pieces[i].text, strlen(m->pieces[i].text)};
        score[i] = i < N_SPECIAL + N_BYTE ? 0 : -(float)(i - N_SPECIAL - N_BYTE);
        type[i] = i < N_SPECIAL + N_BYTE ? BYTE : NORMAL;
        if (i < N_SPECIAL)
            type[i] = i ? CONTROL : UNKNOWN;
    }
    if (!rc) {
        gguf_put_string(m->gguf, "tokenizer.ggml.model", "llama");
        gguf_put_string(m->gguf, "tokenizer.ggml.pre", "default");
        gguf_put_strings(m->gguf, "tokenizer.ggml.tokens", text, n);
        gguf_put_floats(m->gguf, "tokenizer.ggml.scores", score, n);
        gguf_put_ints(m->gguf, "tokenizer.ggml.token_type", type, n);
    }
    mem_free(text);
    mem_free(score);
    mem_free(type);
    return rc;
}

static int put_metadata(struct maker *m, struct error *err)
{
    const struct shape *s = &m->shape;
    const struct {
        const char *key;
        int value;
    } numbers[] = {
        {"general.file_type", (int)m->mix->file_type},
        {"general.quantization_version", 2},
        {"llama.block_count", s->n_layer},
        {"llama.context_length", s->n_ctx},
        {"llama.embedding_length", s->n_embd},
        {"llama.feed_forward_length", s->n_ff},
        {"llama.attention.head_count", s->n_head},
        {"llama.attention.head_count_kv", s->n_kv_head},
        {"llama.rope.dimension_count", s->n_embd / s->n_head},
        {"llama.vocab_size", s->n_vocab},
    };
    gguf_put_string(m->gguf, "general.architecture", "llama");
    gguf_put_string(m->gguf, "general.name", s->name);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        gguf_put_u32(m->gguf, numbers[i].key, (uint32_t)numbers[i].value);
    gguf_put_f32(m->gguf, "llama.attention.layer_norm_rms_epsilon", s->norm_eps);
    gguf_put_f32(m->gguf, "llama.rope.freq_base", s->rope_theta);
    int rc = put_vocabulary(m, err);
    gguf_put_u32(m->gguf, "tokenizer.ggml.unknown_token_id", 0);
    gguf_put_u32(m->gguf, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(m->gguf, "tokenizer.ggml.eos_token_id", 2);
    gguf_put_bool(m->gguf, "tokenizer.ggml.add_bos_token", 1);
    gguf_put_bool(m->gguf, "tokenizer.ggml.add_eos_token", 0);
    return rc;
}

static int write_gguf(struct maker *m, struct error *err)
{
    int rc = gguf_writer_new(&m->gguf, err);
    rc = rc ? rc : put_metadata(m, err);
    for (size_t i = 0; !rc && i < m->n_tensor; i++) {
        const struct tensor_info *t = &m->tensors[i];
        uint64_t dim[2] = {(uint64_t)t->shape[t->n_dim - 1], (uint64_t)t->shape[0]};
        gguf_put_tensor(m->gguf, t->name, t->storage, t->n_dim, dim);
    }
    rc = rc ? rc : gguf_writer_begin(m->gguf, m->path, err);
    for (size_t i = 0; !rc && i < m->n_tensor; i++)
        rc = write_tensor(m, i, err);
    return gguf_writer_end(m->gguf, rc, err);
}

/* --- a Hugging Face directory --- */

static int write_json(const struct maker *m, const char *name, json_t *value, struct error *err)
{
    char *text = value ? json_dumps(value, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL,
         *path = path_join(m->path, name);
    int rc = text && path ? file_write(path, text, strlen(text), err) : error_set_nomem(err, 1 << 20, name);
    free(text);
    mem_free(path);
    json_decref(value);
    return rc;
}

static json_t *config_of(const struct maker *m)
{
    const struct shape *s = &m->shape;
    const char *dtype = m->mix->base == STORAGE_BF16 ? "bfloat16" : "float32";
    if (m->mix->base == STORAGE_F16)
        dtype = "float16";
    return json_pack("{s:[s], s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:b, s:i, s:i, s:s}",
                     "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_act", "silu",
                     "tie_word_embeddings", s->tied, "hidden_size", s->n_embd, "intermediate_size", s->n_ff,
                     "num_hidden_layers", s->n_layer, "num_attention_heads", s->n_head, "num_key_value_heads",
                     s->n_kv_head, "vocab_size", s->n_vocab, "max_position_embeddings", s->n_ctx, "rms_norm_eps",
                     (double)s->norm_eps, "rope_theta", (double)s->rope_theta, "attention_bias", 0, "mlp_bias", 0,
                     "bos_token_id", 1, "eos_token_id", 2, "torch_dtype", dtype);
}

static json_t *special(int id, const char *text)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text, "single_word", 0, "lstrip", 0,
                     "rstrip", 0, "normalized", 0, "special", 1);
}

/* Every way to put a piece together, earlier pieces first: the order of scores in the GGUF. */
static json_t *merges_of(const struct maker *m)
{
    json_t *merges = json_array();
    for (int i = 0; i < m->shape.n_vocab; i++) {
        const char *text = m->pieces[i].text, *end = text + strlen(text);
        const char *cut = m->pieces[i].prefix < 0 ? end : text;
        while (cut < end) {
            cut += cut == text && *text == '\xe2' ? 3 : 1;
            if (cut < end)
                json_array_append_new(merges, json_pack("[s%, s]", text, (size_t)(cut - text), cut));
        }
    }
    return merges;
}

static json_t *tokenizer_of(const struct maker *m)
{
    static const char rest[] =
        "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}]}, "
        "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
        "{\"String\": \"\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, "
        "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}, "
        "\"post_processor\": {\"type\": \"TemplateProcessing\", "
        "\"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
        "\"type_id\": 0}}], \"pair\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": "
        "{\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], "
        "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [1], \"tokens\": [\"<s>\"]}}}, "
        "\"pre_tokenizer\": null, \"truncation\": null, \"padding\": null, \"version\": \"1.0\"}";
    json_t *all = json_loads(rest, 0, NULL), *vocabulary = json_object();
    for (int i = 0; i < m->shape.n_vocab; i++)
        json_object_set_new(vocabulary, m->pieces[i].text, json_integer(i));
    json_t *model =
        json_pack("{s:s, s:n, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", "<unk>",
                  "fuse_unk", 1, "byte_fallback", 1, "ignore_merges", 0, "vocab", vocabulary, "merges", merges_of(m));
    json_object_set_new(all, "model", model);
    json_object_set_new(all, "added_tokens",
                        json_pack("[o, o, o]", special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")));
    return all;
}

static int write_directory(struct maker *m, struct error *err)
{
    json_t *format = json_pack("{s:s}", "format", "pt");
    char *path = path_join(m->path, "model.safetensors");
    int rc = format && path ? dirs_make(m->path, err) : error_set_nomem(err, 256, m->path);
    rc = rc ? rc : safetensors_create(&m->safetensors, path, m->tensors, m->n_tensor, format, err);
    for (size_t i = 0; !rc && i < m->n_tensor; i++)
        rc = write_tensor(m, i, err);
    rc = safetensors_end(m->safetensors, rc, err);
    rc = rc ? rc : write_json(m, "config.json", config_of(m), err);
    rc = rc ? rc : write_json(m, "tokenizer.json", tokenizer_of(m), err);
    rc = rc ? rc
            : write_json(m, "tokenizer_config.json",
                         json_pack("{s:s, s:s, s:s, s:s}", "tokenizer_class", "PreTrainedTokenizerFast", "bos_token",
                                   "<s>", "eos_token", "</s>", "unk_token", "<unk>"),
                         err);
    json_decref(format);
    mem_free(path);
    return rc;
}

/* --- */

static int make(struct maker *m, struct error *err)
{
    size_t n = (size_t)m->shape.n_layer * 9 + 3, vocabulary = (size_t)m->shape.n_vocab;
    const struct rng_stream stream = {1, 0, 0};
    m->tensors = mem_calloc(n, sizeof *m->tensors);
    m->names = mem_calloc(n, sizeof *m->names);
    m->pieces = mem_calloc(vocabulary, sizeof *m->pieces);
    m->normal = mem_alloc(N_NORMAL * sizeof *m->normal);
    m->values = mem_alloc(PIECE_BYTES);
    int rc = m->tensors && m->names && m->pieces && m->normal && m->values
                 ? 0
                 : error_set_nomem(err, vocabulary * sizeof *m->pieces, m->shape.name);
    for (uint64_t i = 0; !rc && i < N_NORMAL; i++)
        m->normal[i] = (float)rng_normal(&stream, i);
    if (!rc) {
        add_tensors(m);
        make_pieces(m);
        rc = m->is_directory ? write_directory(m, err) : write_gguf(m, err);
    }
    mem_free(m->tensors);
    mem_free(m->names);
    mem_free(m->pieces);
    mem_free(m->normal);
    mem_free(m->values);
    return rc;
}

static int usage(void)
{
    fprintf(stderr, "usage: make-shape SHAPE [--type TYPE] [--layers N] [--seed N] FILE.gguf|DIRECTORY\n  shapes:");
    for (int i = 0; i < N_SHAPE; i++)
        fprintf(stderr, " %s", shapes[i].name);
    fprintf(stderr, "\n  types:");
    for (int i = 0; i < N_MIX; i++)
        fprintf(stderr, " %s", mixes[i].name);
    fprintf(stderr, " (default q4_k_m; a directory takes bf16, f16 and f32)\n");
    return 2;
}

/* One option with its value, or a word that is the shape or the path; 0, or -1: not understood. */
static int take(struct maker *m, const char *name, const char *value)
{
    char *end = NULL;
    if (!strcmp(name, "--type")) {
        for (int i = 0; i < N_MIX; i++)
            m->mix = strcmp(mixes[i].name, value) ? m->mix : &mixes[i];
        return m->mix && !strcmp(m->mix->name, value) ? 0 : -1;
    }
    unsigned long long number = strtoull(value, &end, 10);
    if (!*value || *end)
        return -1;
    if (!strcmp(name, "--seed"))
        m->seed = number;
    else if (!strcmp(name, "--layers") && number >= 1 && number <= 512)
        m->shape.n_layer = (int)number;
    else
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct maker m = {.mix = &mixes[0], .seed = 1};
    struct error err = {0};
    int at = 2;
    for (int i = 0; argc > 2 && i < N_SHAPE; i++)
        if (!strcmp(argv[1], shapes[i].name))
            m.shape = shapes[i];
    for (; m.shape.name && at + 1 < argc; at += 2)
        if (take(&m, argv[at], argv[at + 1]))
            return usage();
    if (!m.shape.name || at + 1 != argc || argv[at][0] == '-')
        return usage();
    m.path = argv[at];
    m.is_directory = !path_ends_in(m.path, ".gguf");
    if (m.is_directory && m.mix->base != STORAGE_BF16 && m.mix->base != STORAGE_F16 && m.mix->base != STORAGE_F32)
        return usage();
    if (make(&m, &err)) {
        fprintf(stderr, "make-shape: %s\n", err.message);
        return error_exit_code(err.code);
    }
    return 0;
}
