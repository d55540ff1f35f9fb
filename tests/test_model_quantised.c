/* SPDX-License-Identifier: Apache-2.0 */
/* Models in q8: what a GGUF file has in blocks of whole numbers is kept as it is, the rest becomes int8; scores stay
 * near f32's and have the same bits for every instruction set, number of threads and company.
 * tests/golden/tiny_q4.gguf: layer 0 all Q4_0; layer 1 Q4_1, but its gate and up differ; a tied Q8_0 embedding.
 * tiny_k.gguf: one layer, no two of whose q, k and v, or gate and up, have one type. */
#include "check.h"

#include "model/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TEXT = 4, LENGTH = 40, N_SCORE = N_TEXT * (LENGTH - 1) };

static struct device *open_device(const char *isa, int n_thread)
{
    struct device *d = NULL;
    return device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = n_thread, .isa = isa}, NULL) ? NULL : d;
}

static struct model *open_model(struct device *d, const char *path, enum dtype dtype)
{
    struct checkpoint *ck = NULL;
    struct model *m = NULL;
    struct error err = {0};
    if (checkpoint_open(&ck, path, &err) ||
        model_open(&m, d, ck, &(struct model_options){.dtype = dtype, .check_finite = 1}, &err))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    return m;
}

/* Whole texts from their second token on. */
static void score(const struct model *m, float *out, int together)
{
    static int32_t ids[N_TEXT][LENGTH];
    struct model_text texts[N_TEXT];
    unsigned seed = 5;
    for (int i = 0; i < N_TEXT; i++) {
        for (int j = 0; j < LENGTH; j++)
            ids[i][j] = (int32_t)((seed = seed * 1664525u + 1013904223u) >> 8) % m->desc.n_vocab;
        texts[i] = (struct model_text){ids[i], LENGTH, 1};
    }
    for (int i = 0; i < N_TEXT; i += together)
        assert_int_equal(model_score(m, texts + i, together, out + i * (LENGTH - 1), NULL), 0);
}

static const char *const files[] = {"tests/golden/tiny_q4.gguf", "tests/golden/tiny_k.gguf"};

static void check_rows(struct device *d, const struct model *m, const struct checkpoint *ck, int index)
{
    const struct model_param *p = &m->params[index];
    const struct model_group *g = &m->groups[m->param_group[index]];
    int64_t row = (p->offset - g->offset) / g->k;
    size_t count = (size_t)p->count;
    float *wanted = malloc(count * 4), *got = malloc(count * 4);
    struct buffer *b;
    struct error err = {0};
    assert_int_equal(weight_row_dtype(g->weight, row), storage_dtype(checkpoint_find(ck, p->name)->storage));
    assert_int_equal(buffer_new(&b, d, count * 4, "rows", &err), 0);
    tensor_weight_unpack(device_queue(d), &(struct weight_unpack_args){g->weight, row, p->shape[0], {b, 0}});
    queue_download(device_queue(d), got, (struct span){b, 0}, count * 4);
    assert_int_equal(queue_wait(device_queue(d), NULL), 0);
    assert_int_equal(checkpoint_read_f32(ck, checkpoint_find(ck, p->name), 0, p->shape[0], wanted, &err), 0);
    for (size_t i = 0; i < count; i++)
        if (got[i] != wanted[i])
            fail_msg("%s: element %zu is %g, wanted %g", p->name, i, (double)got[i], (double)wanted[i]);
    buffer_free(b);
    free(wanted);
    free(got);
}

static void test_a_files_blocks_are_kept(void **state)
{
    (void)state;
    struct device *d = open_device(NULL, 2);
    struct error err = {0};
    for (int f = 0; f < 2; f++) {
        struct checkpoint *ck;
        size_t bytes, sum = 0;
        assert_int_equal(checkpoint_open(&ck, files[f], &err), 0);
        struct model *m = open_model(d, files[f], DTYPE_Q8);
        for (int i = 0; i < m->n_param; i++) {
            const struct model_param *p = &m->params[i];
            if (p->ndim == 2)
                check_rows(d, m, ck, i);
            enum dtype t = storage_dtype(checkpoint_find(ck, p->name)->storage);
            sum += p->ndim == 2 ? weight_bytes(d, (struct weight_shape){p->shape[0], p->shape[1], t})
                                : ((size_t)p->count * 4 + 63) / 64 * 64;
        }
        assert_int_equal(
            model_weight_bytes(&bytes, &m->desc, d, &(struct model_packing){.source = ck, .dtype = DTYPE_Q8}, &err), 0);
        assert_int_equal(bytes, sum);
        model_close(m);
        checkpoint_close(ck);
    }
    device_close(d);
}

/* Greatest and mean distance of q8's scores to f32's. */
static void compare(const char *path, double most, double most_mean)
{
    static float f32[N_SCORE], q8[N_SCORE];
    struct device *d = open_device(NULL, 2);
    struct model *m = open_model(d, path, DTYPE_F32);
    double greatest = 0, mean = 0;
    score(m, f32, N_TEXT);
    model_close(m);
    m = open_model(d, path, DTYPE_Q8);
    score(m, q8, N_TEXT);
    model_close(m);
    device_close(d);
    for (int i = 0; i < N_SCORE; i++) {
        greatest = fmax(greatest, fabs((double)q8[i] - (double)f32[i]));
        mean += fabs((double)q8[i] - (double)f32[i]) / N_SCORE;
    }
    printf("%s: q8 against f32: greatest %.3g, mean %.3g\n", path, greatest, mean);
    assert_true(greatest > 0 && greatest < most && mean < most_mean);
}

static void test_scores_are_near_f32s(void **state)
{
    (void)state;
    compare("tests/golden/tiny_q4.gguf", 0.8, 0.15);
    compare("tests/golden/tiny_k.gguf", 0.8, 0.15);
    compare("models/miniature", 0.5, 0.08);
}

static void test_the_same_bits_everywhere(void **state)
{
    (void)state;
    static const char *const paths[] = {"tests/golden/tiny_q4.gguf", "tests/golden/tiny_k.gguf", "models/miniature"};
    static const char *const isas[] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"};
    static float wanted[N_SCORE], got[N_SCORE];
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < 6; i++) {
            struct device *d = open_device(isas[i], 1 + i % 3);
            if (!d)
                continue;
            struct model *m = open_model(d, paths[p], DTYPE_Q8);
            score(m, i ? got : wanted, N_TEXT >> i % 3);
            if (i && memcmp(wanted, got, sizeof got))
                fail_msg("%s: %s gives other bits than generic", paths[p], isas[i]);
            model_close(m);
            device_close(d);
        }
}

static void test_memory_out_of_the_hosts_reach(void **state)
{
    (void)state;
    static float wanted[N_SCORE], got[N_SCORE];
    struct device *near = open_device(NULL, 2), *far = NULL;
    assert_int_equal(device_open(&far, DEVICE_REMOTE, &(struct device_options){.n_thread = 2}, NULL), 0);
    struct model *a = open_model(near, "tests/golden/tiny_q4.gguf", DTYPE_Q8),
                 *b = open_model(far, "tests/golden/tiny_q4.gguf", DTYPE_Q8);
    score(a, wanted, N_TEXT);
    score(b, got, N_TEXT);
    assert_memory_equal(wanted, got, sizeof got);
    model_close(a);
    model_close(b);
    device_close(near);
    device_close(far);
}

static void test_a_broken_scale_is_named(void **state)
{
    (void)state;
    char path[300];
    struct checkpoint *ck;
    struct model *m = NULL;
    struct error err = {0};
    struct device *d = open_device(NULL, 1);
    FILE *f = fopen("tests/golden/tiny_q4.gguf", "rb");
    static unsigned char bytes[1 << 17];
    size_t size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    assert_true(size > 0 && size < sizeof bytes);
    fclose(f);
    assert_int_equal(checkpoint_open(&ck, "tests/golden/tiny_q4.gguf", &err), 0);
    const struct tensor_info *t = checkpoint_find(ck, "model.layers.1.mlp.down_proj.weight");
    unsigned char *at = memmem(bytes, size, checkpoint_raw(ck, t), t->n_byte);
    assert_non_null(at);
    at[2 * 20 + 3] = 0x7c;
    at[2 * 20 + 2] = 0; /* the third block's minimum: infinite */
    checkpoint_close(ck);
    snprintf(path, sizeof path, "%s/broken.gguf", check_tmpdir("model_quantised"));
    f = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
    assert_int_equal(checkpoint_open(&ck, path, &err), 0);
    assert_int_not_equal(model_open(&m, d, ck, &(struct model_options){.dtype = DTYPE_Q8, .check_finite = 1}, &err), 0);
    assert_non_null(strstr(err.message, "model.layers.1.mlp.down_proj.weight"));
    assert_non_null(strstr(err.message, "row 0, column 64"));
    checkpoint_close(ck);
    device_close(d);
}

static void test_smollm2_keeps_its_width(void **state)
{
    (void)state;
    const char *path = check_smollm2();
    struct checkpoint *ck;
    struct error err = {0};
    size_t bytes;
    struct model_desc desc;
    if (!path)
        SKIP_TEST("no SmolLM2 (tools/get-smollm2)");
    struct device *d = open_device(NULL, 1);
    assert_int_equal(checkpoint_open(&ck, path, &err), 0);
    assert_int_equal(model_desc_parse(&desc, checkpoint_config(ck), path, &err), 0);
    assert_int_equal(
        model_weight_bytes(&bytes, &desc, d, &(struct model_packing){.source = ck, .dtype = DTYPE_Q8}, &err), 0);
    /* 34 bytes of 32 for the embedding, 20 for the layers' 960 + 576 + 3072 + 1536 * 576 / 576 rows of 576, and 61
     * norms */
    assert_int_equal(bytes, 49152 * 18 * 34 + 30 * (960 + 576 + 3072 + 1536) * 18 * 20 + 61 * 576 * 4);
    checkpoint_close(ck);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_files_blocks_are_kept),  cmocka_unit_test(test_scores_are_near_f32s),
        cmocka_unit_test(test_the_same_bits_everywhere), cmocka_unit_test(test_memory_out_of_the_hosts_reach),
        cmocka_unit_test(test_a_broken_scale_is_named),  cmocka_unit_test(test_smollm2_keeps_its_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
