/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass against the double-precision oracle and transformers' values, and against itself: paged against
 * bordered, alone against together, one thread against many. */
#include "check.h"

#include "base/mem.h"
#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct device *device;

static int open_device(void **state)
{
    (void)state;
    return device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL);
}
static int close_device(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

static struct model *tiny(const char *extra, uint64_t seed, enum dtype dtype)
{
    struct model *m;
    struct error err = {0};
    json_t *config = oracle_config(extra);
    if (model_init(&m, device, config, "tiny", &(struct model_options){.dtype = dtype, .seed = seed}, &err))
        fail_msg("%s", err.message);
    json_decref(config);
    return m;
}

static void random_ids(int32_t *ids, int n, int vocab, unsigned seed)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((seed = seed * 1664525u + 1013904223u) >> 8) % vocab;
}

/* Every completion log-probability of some texts within tolerance of the oracle's. */
static void compare_scores(const char *extra, enum dtype dtype, double tolerance)
{
    enum { N = 7 };
    static const int lengths[N] = {5, 2, 33, 1, 300, 8, 64};
    struct model *m = tiny(extra, 3, dtype);
    double *flat = oracle_weights(m, 3), worst = 0;
    int32_t *ids[N];
    struct model_text texts[N];
    float got[512];
    int at = 0;
    for (int i = 0; i < N; i++) {
        ids[i] = malloc((size_t)lengths[i] * sizeof **ids);
        random_ids(ids[i], lengths[i], m->desc.n_vocab, (unsigned)i);
        texts[i] = (struct model_text){ids[i], lengths[i], lengths[i] > 4 ? 3 : 1};
    }
    assert_int_equal(model_score(m, texts, N, got, NULL), 0);
    for (int i = 0; i < N; i++)
        for (int j = texts[i].n_prompt; j < lengths[i]; j++, at++) {
            uint8_t target[300] = {0};
            target[j] = 1;
            if (lengths[i] < 100 || j % 37 == 0) /* the oracle is slow */
                worst = fmax(
                    worst, fabs(oracle_loss(m, flat, &(struct train_row){.ids = ids[i], .target = target, .n = j + 1}) +
                                (double)got[at]));
        }
    if (!(worst <= tolerance))
        fail_msg("%s: log-probabilities differ by %g", extra ? extra : "tied", worst);
    for (int i = 0; i < N; i++)
        free(ids[i]);
    free(flat);
    model_close(m);
}

static void test_scores_equal_the_oracles_in_f32(void **state)
{
    (void)state;
    compare_scores(NULL, DTYPE_F32, 2e-5);
    compare_scores("{\"tie_word_embeddings\":false,\"num_key_value_heads\":4}", DTYPE_F32, 2e-5);
    compare_scores(
        "{\"head_dim\":6,\"num_key_value_heads\":1,\"hidden_size\":18,\"intermediate_size\":37,\"vocab_size\":31}",
        DTYPE_F32, 2e-5);
}

static void test_scores_are_near_the_oracles_in_bf16(void **state)
{
    (void)state;
    compare_scores("{\"initializer_range\":0.1}", DTYPE_BF16, 0.05);
}

static void test_embeddings_and_labels_equal_the_oracles(void **state)
{
    (void)state;
    struct model *m = tiny("{\"architectures\":[\"LlamaForSequenceClassification\"],\"num_labels\":3}", 5, DTYPE_F32);
    double *flat = oracle_weights(m, 5), hidden[11 * 16], mean[16] = {0}, length = 0, wanted[11 * 3];
    int32_t a[11], b[4];
    float embedding[2 * 16], labels[2 * 3];
    random_ids(a, 11, 29, 1);
    random_ids(b, 4, 29, 2);
    struct model_text texts[] = {{b, 4, 0}, {a, 11, 0}};
    assert_int_equal(model_embed(m, texts, 2, 1, embedding, NULL), 0);
    assert_int_equal(model_classify(m, texts, 2, labels, NULL), 0);
    oracle_hidden(m, flat, a, 11, hidden);
    oracle_logits(m, flat, hidden, 11, wanted);
    for (int c = 0; c < 16; c++) {
        for (int t = 0; t < 11; t++)
            mean[c] += hidden[t * 16 + c] / 11;
        length += mean[c] * mean[c];
    }
    for (int c = 0; c < 16; c++)
        assert_true(fabs((double)embedding[16 + c] - mean[c] / sqrt(length)) < 2e-6);
    for (int j = 0; j < 3; j++)
        assert_true(fabs((double)labels[3 + j] - wanted[10 * 3 + j]) < 2e-5);
    struct error err = {0};
    assert_int_equal(model_score(m, texts, 1, labels, &err), ERROR_CONFIG);
    free(flat);
    model_close(m);
}

static void test_a_texts_bits_do_not_depend_on_its_company_or_the_threads(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        int32_t ids[3][40];
        float together[30 + 34 + 38], alone[40];
        struct model_text texts[3];
        struct model *m = tiny(NULL, 9, bf16 ? DTYPE_BF16 : DTYPE_F32);
        for (int i = 0; i < 3; i++) {
            random_ids(ids[i], 40, 29, (unsigned)i + 50);
            texts[i] = (struct model_text){ids[i], 31 + i * 4, 1};
        }
        assert_int_equal(model_score(m, texts, 3, together, NULL), 0);
        assert_int_equal(model_score(m, texts + 1, 1, alone, NULL), 0);
        assert_memory_equal(alone, together + 30, 34 * sizeof *alone);
        struct device *one, *home = device;
        assert_int_equal(device_open(&one, DEVICE_CPU, &(struct device_options){.n_thread = 1}, NULL), 0);
        device = one;
        struct model *single = tiny(NULL, 9, bf16 ? DTYPE_BF16 : DTYPE_F32);
        assert_int_equal(model_score(single, texts + 1, 1, alone, NULL), 0);
        assert_memory_equal(alone, together + 30, 34 * sizeof *alone);
        model_close(single);
        device_close(one);
        device = home;
        model_close(m);
    }
}

struct paged {
    struct model *m;
    struct model_workspace *w;
    struct buffer *pages, *index;
};

/* A paged pass over positions [from, to) of one sequence; hidden states to host. */
static void paged_pass(const struct paged *p, const int32_t *ids, int from, int to, float *hidden)
{
    enum { MAX = 512 };
    const struct model *m = p->m;
    struct queue *q = device_queue(device);
    int n = to - from, n_page = 16;
    int32_t host[4 * MAX];
    struct kv_layout layout = {DTYPE_F32, 32, m->desc.n_kv_head, m->desc.head_dim};
    struct span layer_pages[2], at = {p->index, 0};
    for (int i = 0; i < n; i++) {
        host[i] = ids[from + i];
        host[MAX + i] = from + i;
        host[2 * MAX + i] = 0;
    }
    for (int i = 0; i < n_page; i++)
        host[3 * MAX + i] = (i * 7 + 3) % n_page; /* pages lie scattered */
    queue_upload(q, at, host, sizeof host);
    for (int l = 0; l < 2; l++)
        layer_pages[l] = (struct span){p->pages, (size_t)l * 16 * kv_page_bytes(device, &layout)};
    struct model_batch b = {.n_row = n,
                            .tokens = at,
                            .positions = span_at(at, MAX * 4),
                            .pages = layer_pages,
                            .layout = layout,
                            .row_seq = span_at(at, 2 * MAX * 4),
                            .block_table = span_at(at, 3 * MAX * 4),
                            .table_stride = n_page,
                            .n_seq = 1};
    struct span out;
    model_forward(m, q, p->w, &b, &out);
    queue_download(q, hidden, out, (size_t)(n * m->desc.n_embd) * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
}

static void test_paged_passes_in_pieces_have_the_bits_of_one_bordered_pass(void **state)
{
    (void)state;
    enum { N = 300 };
    static const int cuts[] = {0, 100, 101, 102, 257, 300};
    struct model *m = tiny(NULL, 21, DTYPE_F32);
    struct kv_layout layout = {DTYPE_F32, 32, m->desc.n_kv_head, m->desc.head_dim};
    struct buffer *pages, *index;
    struct model_workspace *w;
    struct rows rows;
    struct model_batch b;
    struct span out;
    int32_t ids[N];
    float *paged = malloc(N * 16 * 4), *bordered = malloc(N * 16 * 4);
    random_ids(ids, N, 29, 77);
    assert_int_equal(buffer_new(&pages, device, 32 * kv_page_bytes(device, &layout), "pages", NULL), 0);
    assert_int_equal(buffer_new(&index, device, 4 * 512 * 4, "index", NULL), 0);
    assert_int_equal(model_workspace_new(&w, m, N, N, NULL), 0);
    for (int i = 0; i < 5; i++)
        paged_pass(&(struct paged){m, w, pages, index}, ids, cuts[i], cuts[i + 1], paged + cuts[i] * 16);
    assert_int_equal(rows_new(&rows, device, N, 1, NULL), 0);
    assert_int_equal(rows_add(&rows, ids, N), 0);
    rows_upload(&rows, device_queue(device));
    rows_batch(&rows, &b);
    model_forward(m, device_queue(device), w, &b, &out);
    queue_download(device_queue(device), bordered, out, N * 16 * 4);
    assert_int_equal(queue_wait(device_queue(device), NULL), 0);
    assert_memory_equal(paged, bordered, N * 16 * 4);
    rows_free(&rows);
    buffer_free(pages);
    buffer_free(index);
    model_workspace_free(w);
    free(paged);
    free(bordered);
    model_close(m);
}

/* Hidden states of the rows in `wanted` (NULL: all) of one bordered pass over `rows`. */
static void bordered_pass(struct model *m, struct rows *rows, struct buffer *index, const int32_t *wanted, int n,
                          float *hidden)
{
    struct queue *q = device_queue(device);
    struct model_workspace *w;
    struct model_batch b;
    struct span out;
    assert_int_equal(model_workspace_new(&w, m, rows->n_row, rows->n_row, NULL), 0);
    rows_batch(rows, &b);
    if (wanted) {
        queue_upload(q, (struct span){index, 0}, wanted, (size_t)n * 4);
        b.out_rows = (struct span){index, 0};
        b.n_out = n;
    }
    model_forward(m, q, w, &b, &out);
    queue_download(q, hidden, out, (size_t)(n * m->desc.n_embd) * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
    model_workspace_free(w);
}

static void test_wanted_rows_alone_have_the_bits_of_all_rows(void **state)
{
    (void)state;
    enum { N = 90, C = 16 };
    static const int32_t wanted[] = {89, 0, 31, 31, 64, 7, 32};
    static const int counts[] = {1, 7, 3};
    for (int i = 0; i < 2; i++) {
        struct model *m = tiny("{\"initializer_range\":0.3}", 31, i ? DTYPE_BF16 : DTYPE_F32);
        struct buffer *index;
        struct rows rows;
        int32_t ids[N];
        float all[N * C], some[N * C];
        random_ids(ids, N, 29, 5);
        assert_int_equal(m->desc.n_embd, C);
        assert_int_equal(buffer_new(&index, device, sizeof wanted, "index", NULL), 0);
        assert_int_equal(rows_new(&rows, device, N, 2, NULL), 0);
        assert_int_equal(rows_add(&rows, ids, 34), 0);
        assert_int_equal(rows_add(&rows, ids + 34, N - 34), 34);
        rows_upload(&rows, device_queue(device));
        bordered_pass(m, &rows, index, NULL, N, all);
        for (int j = 0; j < 3; j++) {
            bordered_pass(m, &rows, index, wanted, counts[j], some);
            for (int k = 0; k < counts[j]; k++)
                assert_memory_equal(some + k * C, all + wanted[k] * C, C * sizeof *all);
        }
        rows_free(&rows);
        buffer_free(index);
        model_close(m);
    }
}

static struct model *open_golden(struct checkpoint **ck, const char *path, enum dtype dtype)
{
    struct model *m = NULL;
    struct error err = {0};
    if (checkpoint_open(ck, path, &err) ||
        model_open(&m, device, *ck, &(struct model_options){.dtype = dtype, .check_finite = 1}, &err))
        fail_msg("%s", err.message);
    return m;
}

static void test_random_llama_has_transformers_logits(void **state)
{
    (void)state;
    struct checkpoint *ck;
    struct model *m = open_golden(&ck, "tests/golden/random_llama", DTYPE_F32);
    json_t *values = json_load_file("tests/golden/random_llama/values.json", 0, NULL),
           *list = json_object_get(values, "ids"), *wanted = json_object_get(values, "logits");
    int n = (int)json_array_size(list), n_vocab = m->desc.n_vocab;
    double worst = 0;
    struct rows rows;
    struct model_workspace *w;
    struct model_batch b;
    struct buffer *logits;
    struct span hidden;
    struct queue *q = device_queue(device);
    int32_t *ids = malloc((size_t)n * 4);
    float *got = malloc((size_t)(n * n_vocab) * 4);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    assert_int_equal(rows_new(&rows, device, n, 1, NULL), 0);
    assert_int_equal(model_workspace_new(&w, m, n, n, NULL), 0);
    assert_int_equal(buffer_new(&logits, device, (size_t)(n * n_vocab) * 4, "logits", NULL), 0);
    assert_int_equal(rows_add(&rows, ids, n), 0);
    rows_upload(&rows, q);
    rows_batch(&rows, &b);
    model_forward(m, q, w, &b, &hidden);
    model_head(m, q, hidden, n, (struct span){logits, 0});
    queue_download(q, got, (struct span){logits, 0}, (size_t)(n * n_vocab) * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        int row = (int)json_integer_value(json_array_get(json_object_get(values, "rows_at"), i));
        for (int j = 0; j < n_vocab; j++)
            worst = fmax(worst, fabs(json_number_value(json_array_get(json_array_get(wanted, i), (size_t)j)) -
                                     (double)got[row * n_vocab + j]));
    }
    if (worst > 2e-4)
        fail_msg("logits differ by %g", worst);
    rows_free(&rows);
    model_workspace_free(w);
    buffer_free(logits);
    free(ids);
    free(got);
    json_decref(values);
    model_close(m);
    checkpoint_close(ck);
}

static void test_a_checkpoint_that_contradicts_its_config_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int value;
        const char *says;
    } cases[] = {
        {"hidden_size", 34, "model.embed_tokens.weight"},
        {"intermediate_size", 40, "gate_proj"},
        {"num_hidden_layers", 3, "model.layers.2."},
        {"vocab_size", 71, "embed_tokens"},
    };
    char dir[256];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("model_contradiction"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[300], command[700];
        struct checkpoint *ck;
        struct model *m = NULL;
        struct error err = {0};
        json_t *config = json_load_file("tests/golden/random_llama/config.json", 0, NULL);
        json_object_set_new(config, cases[i].key, json_integer(cases[i].value));
        snprintf(command, sizeof command, "cp tests/golden/random_llama/model.safetensors %s/", dir);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof path, "%s/config.json", dir);
        assert_int_equal(json_dump_file(config, path, 0), 0);
        json_decref(config);
        assert_int_equal(checkpoint_open(&ck, dir, &err), 0);
        int rc = model_open(&m, device, ck, &(struct model_options){.dtype = DTYPE_F32}, &err);
        if (rc >= 0 || m || !strstr(err.message, cases[i].says))
            fail_msg("%s: rc %d, \"%s\"", cases[i].key, rc, err.message);
        checkpoint_close(ck);
    }
}

static void test_masters_pack_to_the_opened_model(void **state)
{
    (void)state;
    struct checkpoint *ck, *again;
    struct model *m = open_golden(&ck, "tests/golden/random_llama", DTYPE_BF16),
                 *other = open_golden(&again, "tests/golden/random_llama", DTYPE_BF16);
    struct buffer *masters;
    struct queue *q = device_queue(device);
    int32_t ids[20];
    float before[19], after[19];
    random_ids(ids, 20, 70, 4);
    struct model_text text = {ids, 20, 1};
    assert_int_equal(buffer_new(&masters, device, (size_t)m->n_element * 4, "masters", NULL), 0);
    assert_int_equal(model_score(m, &text, 1, before, NULL), 0);
    assert_int_equal(model_init_masters(other, 1, q, (struct span){masters, 0}, NULL), 0);
    model_pack(other, q, (struct span){masters, 0}, 0);
    assert_int_equal(model_score(other, &text, 1, after, NULL), 0);
    assert_memory_not_equal(before, after, sizeof before);
    assert_int_equal(model_read_masters(other, ck, q, (struct span){masters, 0}, NULL), 0);
    model_pack(other, q, (struct span){masters, 0}, 0);
    assert_int_equal(model_score(other, &text, 1, after, NULL), 0);
    assert_memory_equal(before, after, sizeof before);
    buffer_free(masters);
    model_close(m);
    model_close(other);
    checkpoint_close(ck);
    checkpoint_close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_equal_the_oracles_in_f32),
        cmocka_unit_test(test_scores_are_near_the_oracles_in_bf16),
        cmocka_unit_test(test_embeddings_and_labels_equal_the_oracles),
        cmocka_unit_test(test_a_texts_bits_do_not_depend_on_its_company_or_the_threads),
        cmocka_unit_test(test_paged_passes_in_pieces_have_the_bits_of_one_bordered_pass),
        cmocka_unit_test(test_wanted_rows_alone_have_the_bits_of_all_rows),
        cmocka_unit_test(test_random_llama_has_transformers_logits),
        cmocka_unit_test(test_a_checkpoint_that_contradicts_its_config_is_named),
        cmocka_unit_test(test_masters_pack_to_the_opened_model),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
