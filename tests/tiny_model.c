/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"
#include "tests/tiny_model.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "train/train.h"

#include <string.h>
#include <utf8proc.h>

static const char *const things[] = {"a kettle", "the lamp", "a rope",    "the boat", "a ladder",
                                     "the oven", "a saw",    "the drain", "a bike",   "the roof"};
static const char *const deeds[] = {"clean", "move", "mend", "store", "paint"};
static const char *const cares[] = {"wear thick gloves", "go slowly", "ask a friend to hold it", "look twice first",
                                    "keep it dry"};

static void pair(int i, char question[160], char answer[160])
{
    static const char *const forms[] = {"How do I %s %s?", "What helps to %s %s at home?",
                                        "Can you tell me how to %s %s?"};
    const char *thing = things[i * 7 % 10], *deed = deeds[i % 5];
    snprintf(question, 160, forms[i % 3], deed, thing);
    snprintf(answer, 160, "To %s %s, %s and %s.", deed, thing, cares[i * 3 % 5], cares[(i + 2) % 5]);
}

/* GPT-2's byte alphabet, one token a byte, and an end of sequence. */
static void write_tokenizer(const char *dir)
{
    struct buf b = BUF_INIT;
    char path[3000];
    buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":256,\"content\":"
                 "\"</s>\",\"single_word\":false,\"lstrip\":false,"
                 "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":{"
                 "\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                 "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":"
                 "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                 "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_"
                 "subword_prefix\":null,\"end_of_word_suffix\":null,"
                 "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{");
    int next = 256;
    for (int c = 0; c < 256; c++) {
        int plain = (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || c >= 0xae;
        utf8proc_uint8_t text[5] = {0};
        text[utf8proc_encode_char(plain ? c : next++, text)] = 0;
        buf_printf(&b, "%s\"%s%s\":%d", c ? "," : "", c == '"' || c == '\\' ? "\\" : "", (char *)text, c);
    }
    buf_puts(&b, ",\"</s>\":256},\"merges\":[]}}");
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    assert_int_equal(file_write(path, b.data, b.len, NULL), 0);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    static const char config[] = "{\"eos_token\":\"</s>\",\"tokenizer_class\":\"PreTrainedTokenizerFast\"}";
    assert_int_equal(file_write(path, config, sizeof config - 1, NULL), 0);
    buf_free(&b);
}

static json_t *config(int n_label)
{
    json_t *c =
        json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:i, s:b, s:i, s:i, s:s, s:s, s:f}",
                  "architectures", n_label ? "LlamaForSequenceClassification" : "LlamaForCausalLM", "model_type",
                  "llama", "hidden_size", 32, "intermediate_size", 64, "num_hidden_layers", 2, "num_attention_heads", 4,
                  "num_key_value_heads", 2, "head_dim", 8, "vocab_size", 260, "rms_norm_eps", 1e-5, "rope_theta",
                  10000.0, "max_position_embeddings", 768, "tie_word_embeddings", 1, "bos_token_id", 256,
                  "eos_token_id", 256, "hidden_act", "silu", "torch_dtype", "float32", "initializer_range", 0.08);
    if (!n_label)
        return c;
    json_object_set_new(c, "id2label",
                        n_label > 1 ? json_pack("{s:s, s:s}", "0", "long", "1", "short")
                                    : json_pack("{s:s}", "0", "good"));
    json_object_set_new(c, "label2id",
                        n_label > 1 ? json_pack("{s:i, s:i}", "long", 0, "short", 1) : json_pack("{s:i}", "good", 0));
    json_object_set_new(c, "problem_type", json_string("multi_label_classification"));
    json_object_set_new(c, "pad_token_id", json_integer(256));
    return c;
}

static void write_lines(const char *dir, const char *name, int first, int n)
{
    struct buf b = BUF_INIT;
    char path[2048], q[160], a[160];
    for (int i = first; i < first + n; i++) {
        pair(i, q, a);
        buf_printf(&b, "{\"question\": \"%s\", \"answer\": \"%s\"}\n", q, a);
    }
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_write(path, b.data, b.len, NULL), 0);
    buf_free(&b);
}

static void make(struct device *device, const char *dir, int n_label, const struct tokenizer *t, int steps)
{
    struct model *m;
    struct train_data data = {0};
    struct train_options o;
    struct train_result r;
    struct error err = {0, ""};
    json_t *c = config(n_label);
    train_options_default(&o);
    o.learning_rate = 0.01;
    o.max_steps = steps;
    o.dtype = DTYPE_F32;
    o.batch_size = 8;
    o.seed = 5;
    if (model_init(&m, device, c, "tiny", &(struct model_options){.dtype = DTYPE_F32, .seed = 3}, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < 100; i++) {
        char q[160], a[160], prompt[200], completion[400], id[16];
        pair(i, q, a);
        snprintf(prompt, sizeof prompt, "Question: %s\nAnswer:", q);
        snprintf(completion, sizeof completion, " %s\n\nQuestion: %s\nAnswer: Yes.", a, q);
        snprintf(id, sizeof id, "%d", i);
        const struct train_text row = {
            {prompt, n_label ? 0 : strlen(prompt), NULL}, {completion, strlen(completion), NULL}, id, 0, 0};
        if (train_data_add(&(struct row_maker){&data, t, model_desc(m), 512}, &row, &err))
            fail_msg("%s", err.message);
        data.rows[data.n - 1].label = n_label == 1 ? i % 2 : 1 << i % 2;
    }
    struct train_job job = {.model = m, .data = &data, .options = &o, .directory = dir, .tokenizer = t};
    if (train_run(&job, &r, &err))
        fail_msg("%s", err.message);
    train_data_free(&data);
    model_close(m);
    json_decref(c);
}

static void make_in(struct device *device, const char *dir, const char *name, int n_label, int steps)
{
    char path[2048];
    struct tokenizer *t;
    struct error err = {0, ""};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(dirs_make(path, NULL), 0);
    write_tokenizer(path);
    if (tokenizer_open(&t, path, &err))
        fail_msg("%s", err.message);
    make(device, path, n_label, t, steps);
    tokenizer_close(t);
}

void tiny_model_make(struct device *device, const char *dir)
{
    make_in(device, dir, "model", 0, 40);
    write_lines(dir, "seeds.jsonl", 0, 24);
    write_lines(dir, "test.jsonl", 24, 6);
}

void tiny_judge_make(struct device *device, const char *dir)
{
    make_in(device, dir, "judge", 2, 3);
}

void tiny_reward_make(struct device *device, const char *dir)
{
    make_in(device, dir, "reward", 1, 3);
}
