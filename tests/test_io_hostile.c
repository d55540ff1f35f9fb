/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile and damaged models: each is refused with one line that names the place and what is wrong. The safetensors and
 * GGUF files are the fuzz corpus (tools/make-fuzz-corpus.py); directories are made here. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char dir[1024];
static const char *in_dir(const char *name)
{
    static char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

struct expectation {
    const char *file, *message; /* NULL: accepted */
};

static void safetensors_corpus_is_judged_right(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {"one", NULL},
        {"padded", NULL},
        {"empty", NULL},
        {"scalar_and_empty_tensor", NULL},
        {"all_types", NULL},
        {"huge_header", "the header claims 1152921504606846976 bytes, at most 100000000"},
        {"header_past_end", "the header claims 400 bytes, the file has"},
        {"truncated", "tensor a: bytes 0..16 are not inside the 9 bytes of data; the file is cut off"},
        {"trailing", "17 bytes of data, but the tensors fill 16"},
        {"overlap", "tensor b begins at byte 8 of the data, wanted 16: tensors overlap"},
        {"hole", "tensor b begins at byte 8 of the data, wanted 4: tensors leave a hole"},
        {"negative", "tensor a: wanted \"data_offsets\" to be two non-negative integers"},
        {"reversed", "tensor a: bytes 16..0 are not inside"},
        {"overflow", "tensor a: its shape does not fit F32"},
        {"float_shape", "tensor a: dimension 0 of \"shape\" is no non-negative integer"},
        {"bad_dtype", "tensor a: unknown dtype \"F31\""},
        {"nul_name", "safetensors header: FILE:1:"},
        {"duplicate", "duplicate object key"},
        {"deep", "maximum parsing depth"},
        {"metadata_number", "wanted \"__metadata__\" to hold strings only, found \"a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct file_map m;
        struct safetensors *s;
        struct error err = {0};
        snprintf(path, sizeof path, "fuzz/corpus/safetensors/%s", cases[i].file);
        assert_int_equal(file_map(&m, path, &err), 0);
        int rc = safetensors_parse(&s, m.data, m.size, "FILE", &err);
        if (rc != (cases[i].message ? ERROR_DATA : 0) ||
            (rc && (!strstr(err.message, "FILE") || !strstr(err.message, cases[i].message))))
            fail_msg("%s: %d \"%s\", wanted \"%s\"", cases[i].file, rc, err.message,
                     cases[i].message ? cases[i].message : "accepted");
        safetensors_free(s);
        file_unmap(&m);
    }
}

static void gguf_corpus_is_judged_right(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {"small", NULL},
        {"version2", NULL},
        {"empty", NULL},
        {"scaled_rope", NULL},
        {"llama3_rope", NULL},
        {"version1", "GGUF version 1; wanted 2 or 3"},
        {"big_endian", "a big-endian file"},
        {"many_pairs", "claims 4611686018427387904 metadata entries"},
        {"many_tensors", "claims 4611686018427387904 tensors"},
        {"long_string", "a metadata key; the file is cut off"},
        {"long_array", "inside a; the file is cut off"},
        {"deep_array", "nested too deep"},
        {"bad_type", "key a has the unknown type 77"},
        {"duplicate_key", "key a is given twice"},
        {"duplicate_tensor", "tensor a is given twice"},
        {"overlap", "tensors a and b overlap"},
        {"past_end", "tensor a: 256 bytes at offset 0 are not inside the 32 bytes"},
        {"offset_wraps", "tensor a: 256 bytes at offset 18446744073709551584 are not inside"},
        {"dims_overflow", "multiply to more than 63 bits"},
        {"odd_blocks", "rows of 33 elements are no whole number of Q8_0 blocks"},
        {"five_dims", "5 dimensions, at most 4"},
        {"nul_name", "holds a NUL"},
        {"alignment", "general.alignment is no multiple of 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct file_map m;
        struct gguf *g;
        struct error err = {0};
        snprintf(path, sizeof path, "fuzz/corpus/gguf/%s", cases[i].file);
        assert_int_equal(file_map(&m, path, &err), 0);
        int rc = gguf_parse(&g, m.data, m.size, "FILE", &err);
        if (rc != (cases[i].message ? ERROR_DATA : 0) ||
            (rc && (strncmp(err.message, "FILE", 4) || !strstr(err.message, cases[i].message))))
            fail_msg("%s: %d \"%s\", wanted \"%s\"", cases[i].file, rc, err.message,
                     cases[i].message ? cases[i].message : "accepted");
        gguf_free(g);
        file_unmap(&m);
    }
}

/* Cut at every length, a real small file is refused or at least never read beyond. */
static void a_gguf_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct file_map m;
    assert_int_equal(file_map(&m, "tests/golden/tiny_llama.gguf", NULL), 0);
    for (size_t n = 0; n < m.size; n += n < 4096 ? 1 : 37) {
        struct gguf *g;
        struct error err = {0};
        unsigned char *exact = malloc(n ? n : 1);
        memcpy(exact, m.data, n);
        assert_int_equal(gguf_parse(&g, exact, n, "f", &err), ERROR_DATA);
        free(exact);
    }
    file_unmap(&m);
}

/* ---- directories */

static void put(const char *name, const void *bytes, size_t n)
{
    struct error err = {0};
    if (file_write(in_dir(name), bytes, n, &err))
        fail_msg("%s", err.message);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A safetensors file with one f32 tensor of four values. */
static void put_tensor(const char *file, const char *name, const float values[4])
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", name);
    uint64_t n = b.len;
    struct buf all = BUF_INIT;
    buf_append(&all, &n, 8);
    buf_append(&all, b.data, b.len);
    buf_append(&all, values, 16);
    put(file, all.data, all.len);
    buf_free(&b);
    buf_free(&all);
}

static const float ones[4] = {1, 1, 1, 1};

static void start_dir(void)
{
    snprintf(dir, sizeof dir, "%s", check_tmpdir("io_hostile"));
    put_text("config.json", "{\"model_type\": \"llama\"}");
}

static void assert_dir_refused(const char *message)
{
    struct checkpoint *ck;
    struct error err = {0};
    int rc = checkpoint_open(&ck, dir, &err);
    if (!rc || !strstr(err.message, message))
        fail_msg("%d \"%s\", wanted \"%s\"", rc, err.message, message);
}

static void put_index(const char *map)
{
    char text[2000];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": \"nonsense\"}, \"weight_map\": %s}", map);
    put_text("model.safetensors.index.json", text);
}

static void shards_are_opened_by_their_index(void **state)
{
    (void)state;
    struct checkpoint *ck;
    struct error err = {0};
    char hex[65];
    const float other[4] = {2, 3, 4, 5};
    float y[2];
    start_dir();
    put_tensor("model-00001-of-00002.safetensors", "a", ones);
    put_tensor("model-00002-of-00002.safetensors", "b", other);
    put_index("{\"b\": \"model-00002-of-00002.safetensors\", \"a\": \"model-00001-of-00002.safetensors\"}");
    if (checkpoint_open(&ck, dir, &err))
        fail_msg("%s", err.message);
    assert_int_equal(checkpoint_n_tensor(ck), 2);
    assert_int_equal(checkpoint_read_f32(ck, checkpoint_find(ck, "b"), 1, 1, y, &err), 0);
    assert_true(y[0] == 4 && y[1] == 5);
    assert_int_equal(checkpoint_sha256(ck, hex, &err), 0);
    checkpoint_close(ck);
}

static void a_lying_index_is_refused(void **state)
{
    (void)state;
    start_dir();
    put_tensor("s1", "a", ones);
    put_index("{\"a\": \"../s1\"}");
    assert_dir_refused("tensor a: wanted the plain name of a file beside it, found \"../s1\"");
    put_index("{\"a\": \"/etc/passwd\"}");
    assert_dir_refused("wanted the plain name of a file beside it, found \"/etc/passwd\"");
    put_index("{\"a\": \"..\"}");
    assert_dir_refused("wanted the plain name");
    put_index("{\"a\": \"sub/s1\"}");
    assert_dir_refused("wanted the plain name");
    put_index("{\"a\": 3}");
    assert_dir_refused("found \"no string\"");
    put_index("{\"a\": \"s2\"}");
    assert_dir_refused("s2: No such file");
    put_index("{\"a\": \"s1\", \"b\": \"s1\"}");
    assert_dir_refused("says that tensor b is in s1, but it is not");
    put_index("{}");
    assert_dir_refused("wanted an object \"weight_map\" that is not empty");
    put_index("[]");
    assert_dir_refused("wanted an object \"weight_map\"");
    put_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"s1\"}, \"weight_map\": {}}");
    assert_dir_refused("model.safetensors.index.json:1:");
    put_text("s1", "short");
    put_index("{\"a\": \"s1\"}");
    assert_dir_refused("too few for a safetensors file");
}

static void directories_that_are_no_models_say_what_is_missing(void **state)
{
    (void)state;
    start_dir();
    assert_dir_refused(
        "wanted model.safetensors, pytorch_model.bin, or one of them with .index.json and shards, found none");
    put_text("tf_model.h5", "x");
    assert_dir_refused("tf_model.h5: isara does not read it");
    put_text("pytorch_model.bin", "x");
    assert_dir_refused("pytorch_model.bin: is no file of torch.save");
    put_text("config.json", "[1]");
    assert_dir_refused("config.json: wanted a JSON object");
    put_text("config.json", "{\"a\": \xff}");
    assert_dir_refused("config.json:1: byte 0xff");
    put_text("model.gguf", "x");
    assert_int_equal(tree_remove(in_dir("config.json"), NULL), 0);
    assert_dir_refused("wanted config.json in this directory, found none; give the file itself:");
    assert_dir_refused("model.gguf");
    struct checkpoint *ck;
    struct error err = {0};
    put_tensor("x.safetensors", "a", ones);
    assert_int_equal(checkpoint_open(&ck, in_dir("x.safetensors"), &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "give the directory that holds it"));
    assert_int_equal(checkpoint_open(&ck, in_dir("absent"), &err), ERROR_NOINPUT);
    assert_int_equal(checkpoint_open(&ck, "fuzz/corpus/gguf/empty", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "architecture \"\"; wanted llama, "));
}

static void nan_and_infinity_are_found_and_named(void **state)
{
    (void)state;
    struct checkpoint *ck;
    struct error err = {0};
    const float bad[4] = {0, 1, -INFINITY, NAN};
    start_dir();
    put_tensor("model.safetensors", "w", bad);
    assert_int_equal(checkpoint_open(&ck, dir, &err), 0);
    assert_int_equal(checkpoint_check_finite(ck, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "model.safetensors: tensor w: element 2 (row 1, column 0) is infinite"));
    assert_int_equal(tensor_check_finite(ck, checkpoint_tensor(ck, 0), 3, bad + 3, 1, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "element 3 (row 1, column 1) is not a number"));
    checkpoint_close(ck);
}

static void unreadable_types_are_named_when_read(void **state)
{
    (void)state;
    struct checkpoint *ck;
    struct error err = {0};
    float y[1];
    const char *header = "{\"q\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    struct buf b = BUF_INIT;
    uint64_t n = strlen(header);
    start_dir();
    buf_append(&b, &n, 8);
    buf_puts(&b, header);
    buf_putc(&b, 'x');
    put("model.safetensors", b.data, b.len);
    buf_free(&b);
    assert_int_equal(checkpoint_open(&ck, dir, &err), 0);
    assert_int_equal(checkpoint_read_f32(ck, checkpoint_tensor(ck, 0), 0, 1, y, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "tensor q is stored as F8_E4M3"));
    checkpoint_close(ck);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_corpus_is_judged_right),
        cmocka_unit_test(gguf_corpus_is_judged_right),
        cmocka_unit_test(a_gguf_cut_anywhere_is_refused),
        cmocka_unit_test(shards_are_opened_by_their_index),
        cmocka_unit_test(a_lying_index_is_refused),
        cmocka_unit_test(directories_that_are_no_models_say_what_is_missing),
        cmocka_unit_test(nan_and_infinity_are_found_and_named),
        cmocka_unit_test(unreadable_types_are_named_when_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
