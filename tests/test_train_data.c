/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and masks: the end token is trained, prompts are not, boundaries inside a token are counted, the start is kept,
 * every bad record is named; the order of rows; the learning rate; the event file's bytes. */
#include "check.h"

#include "base/mem.h"
#include "io/file.h"
#include "train/events.h"
#include "train/parts.h"

#include <math.h>
#include <string.h>

/* Letters and their merges "ab" and "bc"; id 0 is the end token. */
static const char tokenizer_json[] = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{"
                                     "\"id\":0,\"content\":\"<end>\",\"single_word\":false,\"lstrip\":false,"
                                     "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":null,"
                                     "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                                     "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,\"decoder\":{"
                                     "\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"dropout\":null,"
                                     "\"unk_token\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":"
                                     "null,\"fuse_unk\":false,\"byte_fallback\":false,"
                                     "\"vocab\":{\"<end>\":0,\"a\":1,\"b\":2,\"c\":3,\"ab\":4,\"bc\":5,\"\xc4\xa0\":6,"
                                     "\":\":7,\"Q\":8,\"u\":9,\"e\":10,\"s\":11,\"t\":12,\"i\":13,\"o\":14,\"n\":15,"
                                     "\"A\":16,\"w\":17,\"r\":18,\"\xc4\x8a\":19},\"merges\":[\"a b\",\"b c\"]}}";

static struct tokenizer *tokenizer;
static struct model_desc desc = {.n_vocab = 40, .n_ctx = 100, .n_eos = 1};

static int open_tokenizer(void **state)
{
    (void)state;
    struct error err = {0};
    int rc = tokenizer_open_json(&tokenizer, "test", tokenizer_json, sizeof tokenizer_json - 1, NULL, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.message);
    return rc;
}
static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static int read_text(struct train_data *data, const char *text, const struct model_desc *d, int max_length,
                     struct error *err)
{
    char path[300];
    snprintf(path, sizeof path, "%s/rows.jsonl", check_tmpdir("train_data"));
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
    return train_data_read(data, (struct record_source){.path = path},
                           &(struct row_maker){.tokenizer = tokenizer, .desc = d, .max_length = max_length}, err);
}

static void expect_row(const struct train_row *r, const char *wanted_ids, const char *wanted_mask)
{
    char shown[400] = "", mask[100] = "";
    for (int i = 0; i < r->n; i++) {
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s%d", i ? " " : "", (int)r->ids[i]);
        mask[i] = r->target[i] ? '1' : '0';
    }
    assert_string_equal(shown, wanted_ids);
    assert_string_equal(mask, wanted_mask);
}

static void test_completions_and_their_end_are_trained_and_prompts_are_not(void **state)
{
    (void)state;
    struct train_data data;
    struct error err = {0};
    if (read_text(&data,
                  "{\"prompt\":\"ca\",\"completion\":\"ca\"}\n\n{\"id\":\"x\",\"prompt\":\"a\",\"completion\":\"ca<end>"
                  "\"}\n{\"text\":\"cab\"}\n"
                  "{\"prompt_token_ids\":[5,6],\"completion_token_ids\":[7]}\n{\"question\":\"a\",\"answer\":\"b\"}\n",
                  &desc, 90, &err))
        fail_msg("%s", err.message);
    assert_int_equal(data.n, 5);
    expect_row(&data.rows[0], "3 1 3 1 0", "00111");
    expect_row(&data.rows[1], "1 3 1 0", "0111");
    expect_row(&data.rows[2], "3 4 0", "011");
    expect_row(&data.rows[3], "5 6 7", "001");
    expect_row(&data.rows[4], "8 9 10 11 12 13 14 15 7 6 1 19 16 15 11 17 10 18 7 6 2 0", "0000000000000000000111");
    assert_string_equal(data.rows[0].id, "0");
    assert_string_equal(data.rows[1].id, "x");
    assert_string_equal(data.rows[2].id, "3");
    assert_int_equal(data.n_boundary, 0);
    assert_int_equal(data.n_target, 3 + 3 + 2 + 1 + 3);
    train_data_free(&data);
}

/* TRL's conversational preferences are the same rows as the texts; a question or an answer more is refused. */
static void test_preferences_may_be_turns(void **state)
{
    (void)state;
    struct train_data data;
    struct error err = {0};
    struct model_desc d = desc;
    d.task = MODEL_REWARD;
    if (read_text(&data,
                  "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n"
                  "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":[{\"role\":\"assistant\",\"content\":"
                  "\"b\"}],\"rejected\":[{\"role\":\"assistant\",\"content\":\"c\"}]}\n"
                  "{\"prompt\":\"a\",\"chosen\":[{\"role\":\"assistant\",\"content\":\"b\"}],\"rejected\":[{\"role\":"
                  "\"assistant\",\"content\":\"c\"}]}\n"
                  "{\"chosen\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],"
                  "\"rejected\":"
                  "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"c\"}]}\n",
                  &d, 90, &err))
        fail_msg("%s", err.message);
    assert_int_equal(data.n, 4);
    for (int i = 1; i < 4; i++) {
        const struct train_row *first = &data.rows[0], *r = &data.rows[i];
        assert_true(r->n == first->n && r->n_rejected == first->n_rejected);
        assert_memory_equal(r->ids, first->ids, (size_t)r->n * sizeof *r->ids);
        assert_memory_equal(r->rejected, first->rejected, (size_t)r->n_rejected * sizeof *r->rejected);
    }
    train_data_free(&data);
    assert_int_equal(
        read_text(&data,
                  "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
                  "{\"role\":\"user\",\"content\":\"c\"}],\"chosen\":[{\"role\":\"assistant\",\"content\":\"b\"}],"
                  "\"rejected\":[{\"role\":\"assistant\",\"content\":\"c\"}]}\n",
                  &d, 90, &err),
        ERROR_DATA);
    assert_non_null(strstr(err.message, "rows.jsonl:1: \"chosen\": wanted one question and one answer"));
}

static void test_boundaries_inside_a_token_are_counted(void **state)
{
    (void)state;
    struct train_data data;
    assert_int_equal(read_text(&data,
                               "{\"prompt\":\"ca\",\"completion\":\"b\"}\n{\"prompt\":\"cc\",\"completion\":\"b\"}\n{"
                               "\"prompt\":\"b\",\"completion\":\"c\"}\n",
                               &desc, 90, NULL),
                     0);
    assert_int_equal(data.n_boundary, 2);
    expect_row(&data.rows[0], "3 1 2 0", "0011");
    train_data_free(&data);
}

/* The tokenizer's end, not the first of the model's list; and the prompt's special tokens as generate reads them. */
static void test_the_end_is_the_tokenizers_and_special_tokens_are_read(void **state)
{
    (void)state;
    const char *config = "{\"eos_token\": \"<end>\"}";
    struct tokenizer *letters = tokenizer, *own = NULL;
    struct model_desc other = desc;
    struct train_data data;
    other.eos_ids[0] = 7;
    assert_int_equal(tokenizer_open_json(&own, "test", tokenizer_json, sizeof tokenizer_json - 1, config, NULL), 0);
    tokenizer = own;
    assert_int_equal(
        read_text(&data, "{\"prompt\":\"a<end>\",\"completion\":\"b\"}\n{\"text\":\"c<end>c\"}\n", &other, 90, NULL),
        0);
    tokenizer = letters;
    expect_row(&data.rows[0], "1 0 2 0", "0011");
    expect_row(&data.rows[1], "3 0 3 0", "0111");
    train_data_free(&data);
    tokenizer_close(own);
}

/* A tokenizer that puts <end> behind every text: a prompt ends with it, too, as generate and transformers have it; what
 * a template asks is to be continued. */
static void test_a_prompt_has_the_ids_that_generate_sees(void **state)
{
    (void)state;
    static const char processor[] = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{"
                                    "\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"<end>\","
                                    "\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<end>\":{\"id\":\"<end>\","
                                    "\"ids\":[0],\"tokens\":[\"<end>\"]}}}";
    const char *config = "{\"eos_token\": \"<end>\"}", *none = strstr(tokenizer_json, "\"post_processor\":null");
    struct tokenizer *letters = tokenizer, *own = NULL;
    struct tokens seen = TOKENS_INIT;
    struct train_data data;
    struct buf json = BUF_INIT;
    buf_append(&json, tokenizer_json, (size_t)(none - tokenizer_json));
    buf_puts(&json, processor);
    buf_puts(&json, none + strlen("\"post_processor\":null"));
    assert_int_equal(tokenizer_open_json(&own, "test", json.data, json.len, config, NULL), 0);
    assert_int_equal(tokenizer_encode(own, "ca", 2, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, &seen, NULL), 0);
    assert_int_equal(seen.n, 3); /* what generate feeds: 3 1 0 */
    assert_int_equal(seen.ids[2], 0);
    tokenizer = own;
    assert_int_equal(read_text(&data,
                               "{\"prompt\":\"ca\",\"completion\":\"ca\"}\n{\"prompt\":\"ca\",\"completion\":\"b\"}\n{"
                               "\"text\":\"cab\"}\n{\"question\":\"a\",\"answer\":\"b\"}\n",
                               &desc, 90, NULL),
                     0);
    tokenizer = letters;
    expect_row(&data.rows[0], "3 1 0 3 1 0", "000111");
    expect_row(&data.rows[1], "3 1 0 2 0", "00011");
    expect_row(&data.rows[2], "3 4 0", "011");
    expect_row(&data.rows[3], "8 9 10 11 12 13 14 15 7 6 1 19 16 15 11 17 10 18 7 6 2 0", "0000000000000000000111");
    assert_int_equal(data.n_boundary, 1);
    train_data_free(&data);
    tokens_free(&seen);
    buf_free(&json);
    tokenizer_close(own);
}

static void test_truncation_keeps_the_start_and_drops_rows_without_targets(void **state)
{
    (void)state;
    struct train_data data;
    assert_int_equal(read_text(&data,
                               "{\"prompt\":\"ca\",\"completion\":\"cccc\"}\n{\"prompt\":\"cacac\",\"completion\":"
                               "\"c\"}\n{\"prompt\":\"c\",\"completion\":\"c\"}\n",
                               &desc, 4, NULL),
                     0);
    assert_int_equal(data.n, 2);
    assert_int_equal(data.n_truncated, 2);
    assert_int_equal(data.n_dropped, 1);
    expect_row(&data.rows[0], "3 1 3 3", "0011");
    train_data_free(&data);
}

static void test_unsafe_rows_are_not_fine_tuned_on(void **state)
{
    (void)state;
    struct train_data data;
    assert_int_equal(read_text(&data,
                               "{\"prompt\":\"a\",\"completion\":\"b\",\"is_safe\":false}\n{\"prompt\":\"a\","
                               "\"completion\":\"b\",\"is_safe\":true}\n",
                               &desc, 90, NULL),
                     0);
    assert_int_equal(data.n, 1);
    assert_int_equal(data.n_unsafe, 1);
    train_data_free(&data);
}

static void expect_labels(const char *text, const char *wanted, enum model_problem problem)
{
    char path[300], names[300] = "";
    struct train_labels l;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/labels.jsonl", check_tmpdir("train_labels"));
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
    int rc = train_labels_read(&l, path, &err);
    for (int i = 0; i < l.n && !rc; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s|", l.names[i]);
    const char *found = rc ? err.message : names;
    assert_string_equal(rc && strstr(err.message, wanted) ? wanted : found, wanted);
    if (!rc)
        assert_int_equal(l.problem, problem);
}

static void test_labels_of_a_new_head_come_from_the_rows(void **state)
{
    (void)state;
    expect_labels("{\"labels\":[\"b\"]}\n{\"labels\":[\"a\",\"b\"]}\n", "a|b|", PROBLEM_MULTI_LABEL);
    expect_labels("{\"label\":\"no\"}\n{\"label\":\"yes\"}\n", "no|yes|", PROBLEM_SINGLE_LABEL);
    expect_labels("{\"labels\":[2]}\n{\"labels\":[]}\n", "LABEL_0|LABEL_1|LABEL_2|", PROBLEM_MULTI_LABEL);
    expect_labels("{\"category\":{\"z,a\":true,\"b\":false}}\n", "z,a|b|", PROBLEM_MULTI_LABEL);
    expect_labels("{\"label\":\"one\"}\n", "found 1 labels", 0);
    expect_labels("{\"labels\":[\"a\",1]}\n", "some labels are names and some numbers", 0);
    expect_labels("{\"prompt\":\"a\"}\n", "found 0 labels", 0);
}

static void test_labels_are_names_or_ids(void **state)
{
    (void)state;
    struct model_desc d = desc;
    struct train_data data;
    struct error err = {0};
    d.task = MODEL_CLASSIFY;
    d.n_label = 3;
    strcpy(d.labels[0], "rude");
    strcpy(d.labels[2], "long, dull");
    struct buf text = BUF_INIT;
    train_classify_text(&text, "a", "b");
    assert_string_equal(text.data, "BEGINNING OF CONVERSATION: USER: a ASSISTANT:b");
    buf_free(&text);
    /* The template's letters are not all in this vocabulary: only the refusals can be shown here. */
    assert_int_equal(read_text(&data, "{\"prompt\":\"a\",\"response\":\"b\",\"labels\":[\"kind\"]}", &d, 90, &err),
                     ERROR_DATA);
    assert_non_null(strstr(err.message, "no label \"kind\""));
    assert_int_equal(read_text(&data, "{\"prompt\":\"a\",\"response\":\"b\",\"labels\":[3]}", &d, 90, &err),
                     ERROR_DATA);
    assert_int_equal(read_text(&data, "{\"prompt\":\"a\",\"response\":\"b\"}", &d, 90, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "labels"));
}

static void test_bad_records_name_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":3,\"completion\":\"b\"}", "rows.jsonl:2: \"prompt\""},
        {"{\"prompt\":\"a\"}", "rows.jsonl:1: no known kind"},
        {"[1]", "rows.jsonl:1:2: wanted '{' of a record"},
        {"{\"prompt\":", "rows.jsonl:1"},
        {"{\"text\":\"a\",\"text\":\"b\"}", "rows.jsonl:1"},
        {"{\"messages\":[]}", "need a chat template"},
        {"{\"prompt_token_ids\":[1,-2],\"completion_token_ids\":[1]}", "prompt_token_ids"},
        {"{\"prompt_token_ids\":[1],\"completion_token_ids\":[1,40]}", "vocabulary of 40"},
        {"{\"prompt_token_ids\":[1]}", "completion_token_ids"},
        {"", "no row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_data data;
        struct error err = {0};
        int rc = read_text(&data, cases[i].text, &desc, 90, &err);
        if (rc >= 0 || !strstr(err.message, cases[i].says))
            fail_msg("%s: rc %d \"%s\"", cases[i].text, rc, err.message);
    }
}

/* What align takes as seeds, train takes as rows: the same row from every shape. */
static void test_seeds_in_every_shape_are_rows(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"question\":\"a\",\"answer\":\"b\"}\n",
        "[{\"Question\": \"a\", \"Answer\": \"b\"}]",
        "{\"instruction\":\"a\",\"context\":\"\",\"response\":\"b\"}\n",
        "{\"input\":\"a\",\"output\":\"b\",\"hash\":18446744073709551615,\"loss\":NaN}\n",
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]}\n",
        ("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\","
         "\"content\":\"b\"}]}\n"),
        "{\"question\":\"a\",\"answer\":\"b\",\"kept\":true}\n{\"question\":\"b\",\"answer\":\"a\",\"kept\":false}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct train_data data;
        struct error err = {0};
        if (read_text(&data, texts[i], &desc, 90, &err))
            fail_msg("%s: %s", texts[i], err.message);
        assert_int_equal(data.n, 1);
        expect_row(&data.rows[0], "8 9 10 11 12 13 14 15 7 6 1 19 16 15 11 17 10 18 7 6 2 0", "0000000000000000000111");
        assert_int_equal(data.n_left_out, i == 6);
        assert_int_equal(data.n_first_pair, i == 4 || i == 5);
        train_data_free(&data);
    }
}

static struct train_data plain_data(struct train_row *rows, uint8_t *target, int n)
{
    for (int i = 0; i < n; i++) {
        rows[i] = (struct train_row){.ids = NULL, .target = target, .n = 3 + i % 5};
        snprintf(rows[i].id, sizeof rows[i].id, "%d", i);
    }
    return (struct train_data){.rows = rows, .n = n};
}

static void test_every_epoch_takes_every_row_once_in_its_own_order(void **state)
{
    (void)state;
    struct train_row rows[23];
    uint8_t target[8] = {0, 1, 1, 1, 1, 1, 1, 1};
    struct train_data data = plain_data(rows, target, 23);
    struct train_options o;
    train_options_default(&o);
    o.accumulation = 2;
    int differs = 0, order[2][23];
    for (int packing = 0; packing < 2; packing++) {
        struct order order_state;
        o.packing = packing;
        o.max_length = 10;
        assert_int_equal(order_init(&order_state, &data, &o, MODEL_LM, NULL), 0);
        assert_int_equal(order_state.per_epoch, 3);
        assert_int_equal(order_state.total, 9);
        for (int epoch = 0; epoch < 2; epoch++) {
            int seen[23] = {0}, at = 0;
            for (int step = 0; step < 3; step++) {
                order_step(&order_state, epoch * 3 + step);
                assert_int_equal(order_state.n_row, step < 2 ? 8 : 7);
                assert_int_equal(order_state.ends[order_state.n_micro - 1], order_state.n_row);
                for (int i = 0; i < order_state.n_row; i++) {
                    order[epoch][at++] = (int)(order_state.rows[i] - rows);
                    seen[order_state.rows[i] - rows]++;
                }
            }
            for (int i = 0; i < 23; i++)
                assert_int_equal(seen[i], 1);
        }
        differs |= memcmp(order[0], order[1], sizeof order[0]);
        order_deinit(&order_state);
    }
    assert_true(differs);
}

static void test_packing_fills_bins_and_changes_no_steps_rows(void **state)
{
    (void)state;
    struct train_row rows[23];
    uint8_t target[8] = {0, 1, 1, 1, 1, 1, 1, 1};
    struct train_data data = plain_data(rows, target, 23);
    struct train_options o;
    struct order a, b;
    train_options_default(&o);
    o.batch_size = 8;
    o.max_length = 12;
    assert_int_equal(order_init(&a, &data, &o, MODEL_LM, NULL), 0);
    o.packing = 1;
    o.batch_size = 1;
    o.accumulation = 8;
    assert_int_equal(order_init(&b, &data, &o, MODEL_LM, NULL), 0);
    for (long step = 0; step < a.total; step++) {
        order_step(&a, step);
        order_step(&b, step);
        assert_int_equal(a.n_row, b.n_row);
        for (int i = 0; i < a.n_row; i++) {
            int found = 0;
            for (int j = 0; j < b.n_row; j++)
                found += a.rows[i] == b.rows[j];
            assert_int_equal(found, 1);
        }
        for (int i = 0, begin = 0; i < b.n_micro; begin = b.ends[i++]) {
            int tokens = 0;
            for (int j = begin; j < b.ends[i]; j++)
                tokens += rows_even(row_tokens(b.rows[j], MODEL_LM));
            assert_true(tokens <= 12);
        }
        assert_true(b.n_micro < b.n_row);
    }
    order_deinit(&a);
    order_deinit(&b);
}

static void test_learning_rates_are_transformers_schedules(void **state)
{
    (void)state;
    struct train_options o;
    train_options_default(&o);
    /* 12 steps, warm-up ceil(0.36) = 1: shared with sft.json's schedule. */
    assert_true(train_learning_rate(&o, 0, 12) == 0);
    assert_true(train_learning_rate(&o, 1, 12) == 2e-5);
    assert_true(fabs(train_learning_rate(&o, 6, 12) - 2e-5 * 0.5 * (1 + cos(3.141592653589793 * 5 / 11))) < 1e-18);
    o.min_lr_ratio = 0.05;
    assert_true(fabs(train_learning_rate(&o, 12, 12) - 1e-6) < 1e-18);
    o.schedule = LR_LINEAR;
    o.min_lr_ratio = 0;
    assert_true(fabs(train_learning_rate(&o, 6, 12) - 2e-5 * 6 / 11) < 1e-18);
    o.schedule = LR_CONSTANT;
    assert_true(train_learning_rate(&o, 11, 12) == 2e-5);
}

static void test_options_out_of_range_are_named(void **state)
{
    (void)state;
    struct train_options o;
    struct error err = {0};
    train_options_default(&o);
    assert_int_equal(train_options_check(&o, &err), 0);
    o.adam_beta2 = 1;
    assert_int_equal(train_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "adam_beta2"));
    train_options_default(&o);
    o.learning_rate = NAN;
    assert_int_equal(train_options_check(&o, &err), ERROR_USAGE);
    train_options_default(&o);
    o.dtype = DTYPE_Q8;
    assert_int_equal(train_options_check(&o, &err), ERROR_USAGE);
}

static void test_events_have_tensorboards_bytes(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a",
        "200000000000000029eda95009000000000000f03f10072a130a110a0a747261696e2f6c6f7373150000003fb0409f72",
    };
    struct buf records[2] = {BUF_INIT, BUF_INIT};
    assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
    events_version(&records[0], 1);
    events_scalar(&records[1], 1, 7, "train/loss", 0.5f);
    for (int i = 0; i < 2; i++) {
        struct buf hex = BUF_INIT;
        for (size_t j = 0; j < records[i].len; j++)
            buf_printf(&hex, "%02x", (unsigned char)records[i].data[j]);
        assert_string_equal(hex.data, wanted[i]);
        buf_free(&hex);
        buf_free(&records[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completions_and_their_end_are_trained_and_prompts_are_not),
        cmocka_unit_test(test_preferences_may_be_turns),
        cmocka_unit_test(test_boundaries_inside_a_token_are_counted),
        cmocka_unit_test(test_the_end_is_the_tokenizers_and_special_tokens_are_read),
        cmocka_unit_test(test_a_prompt_has_the_ids_that_generate_sees),
        cmocka_unit_test(test_truncation_keeps_the_start_and_drops_rows_without_targets),
        cmocka_unit_test(test_unsafe_rows_are_not_fine_tuned_on),
        cmocka_unit_test(test_labels_of_a_new_head_come_from_the_rows),
        cmocka_unit_test(test_labels_are_names_or_ids),
        cmocka_unit_test(test_bad_records_name_file_line_and_key),
        cmocka_unit_test(test_seeds_in_every_shape_are_rows),
        cmocka_unit_test(test_every_epoch_takes_every_row_once_in_its_own_order),
        cmocka_unit_test(test_packing_fills_bins_and_changes_no_steps_rows),
        cmocka_unit_test(test_learning_rates_are_transformers_schedules),
        cmocka_unit_test(test_options_out_of_range_are_named),
        cmocka_unit_test(test_events_have_tensorboards_bytes),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
