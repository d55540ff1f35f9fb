/* SPDX-License-Identifier: Apache-2.0 */
/* Files of torch.save (tests/golden/pickle, made by tools/golden_pickle.py): the same tensors as in the safetensors
 * beside them, model directories in the forms of 2023, and what must be refused, with what the message has to name. */
#include "tests/check.h"

#include "io/checkpoint.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/pickle.h"
#include "io/weights.h"
#include "io/zip.h"

#include <stdlib.h>
#include <string.h>

struct opened {
    struct file_map map;
    struct weights w;
};

static void open_weights(struct opened *o, const char *name)
{
    char path[256];
    struct error err = {0};
    snprintf(path, sizeof path, "tests/golden/pickle/%s", name);
    if (file_map(&o->map, path, &err) || weights_parse(&o->w, o->map.data, o->map.size, path, &err))
        fail_msg("%s", err.message);
}

static void close_weights(struct opened *o)
{
    weights_free(&o->w);
    file_unmap(&o->map);
}

static void check_same(const struct tensor_info *t, const void *data, const struct weights *wanted)
{
    long i = weights_find(wanted, t->name);
    if (i < 0)
        fail_msg("%s is not in the safetensors", t->name);
    const struct tensor_info *e = weights_tensor(wanted, (size_t)i);
    if (t->storage != e->storage || t->n_dim != e->n_dim || memcmp(t->shape, e->shape, sizeof t->shape) ||
        t->n_byte != e->n_byte)
        fail_msg("%s: another type or shape", t->name);
    if (t->n_byte && memcmp(data, weights_data(wanted, (size_t)i), (size_t)t->n_byte))
        fail_msg("%s: other values", t->name);
}

static void check_file(const char *bin, const char *safetensors)
{
    struct opened a, b;
    open_weights(&a, bin);
    open_weights(&b, safetensors);
    assert_int_equal(weights_n_tensor(&a.w), weights_n_tensor(&b.w));
    for (size_t i = 0; i < weights_n_tensor(&a.w); i++) {
        const struct tensor_info *t = weights_tensor(&a.w, i);
        assert_int_equal(weights_find(&a.w, t->name), i);
        check_same(t, weights_data(&a.w, i), &b.w);
    }
    assert_int_equal(weights_find(&a.w, "absent"), -1);
    close_weights(&a);
    close_weights(&b);
}

static void files_hold_what_their_safetensors_hold(void **state)
{
    (void)state;
    check_file("types.bin", "types.safetensors");
    check_file("module.bin", "module.safetensors");
    check_file("views_2.bin", "views.safetensors");
    check_file("views_3.bin", "views.safetensors");
    check_file("views_4.bin", "views.safetensors");
    check_file("views_5.bin", "views.safetensors");
}

/* What is contiguous is where it lies in the file; the rest is not. */
static void contiguous_tensors_are_not_copied(void **state)
{
    (void)state;
    struct opened o;
    static const char *const inside[] = {"whole", "row", "rows", "one", "deep"};
    static const char *const copied[] = {"column", "turned", "steps", "corner", "permuted", "swapped", "part"};
    open_weights(&o, "views_2.bin");
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        const unsigned char *p = weights_data(&o.w, (size_t)weights_find(&o.w, inside[i]));
        assert_true(p > o.map.data && p < o.map.data + o.map.size);
    }
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const unsigned char *p = weights_data(&o.w, (size_t)weights_find(&o.w, copied[i]));
        assert_true(p < o.map.data || p >= o.map.data + o.map.size);
    }
    const unsigned char *whole = weights_data(&o.w, (size_t)weights_find(&o.w, "whole"));
    assert_ptr_equal(weights_data(&o.w, (size_t)weights_find(&o.w, "row")), whole + 24);
    assert_true((whole - o.map.data) % 64 == 0);
    close_weights(&o);
}

static struct checkpoint *open_model(const char *path)
{
    struct checkpoint *ck;
    struct error err = {0};
    if (checkpoint_open(&ck, path, &err))
        fail_msg("%s", err.message);
    return ck;
}

static void model_directories_open(void **state)
{
    (void)state;
    struct opened o;
    struct checkpoint *ck = open_model("tests/golden/pickle/llama");
    open_weights(&o, "llama.safetensors");
    assert_int_equal(checkpoint_n_tensor(ck), weights_n_tensor(&o.w));
    for (size_t i = 0; i < checkpoint_n_tensor(ck); i++)
        check_same(checkpoint_tensor(ck, i), checkpoint_raw(ck, checkpoint_tensor(ck, i)), &o.w);
    assert_int_equal(checkpoint_dtype(ck), DTYPE_F16);
    char hex[65];
    assert_int_equal(checkpoint_sha256(ck, hex, NULL), 0);
    checkpoint_close(ck);
    close_weights(&o);
    ck = open_model("tests/golden/pickle/dam");
    struct checkpoint *wanted = open_model("tests/golden/heads/dam");
    assert_int_equal(checkpoint_n_tensor(ck), checkpoint_n_tensor(wanted));
    for (size_t i = 0; i < checkpoint_n_tensor(ck); i++) {
        float x[8192], y[8192];
        const struct tensor_info *t = checkpoint_tensor(ck, i), *e = checkpoint_tensor(wanted, i);
        assert_string_equal(t->name, e->name);
        assert_true(t->storage == STORAGE_BF16 && t->n_element <= 8192);
        assert_int_equal(checkpoint_read_f32(ck, t, 0, t->n_row, x, NULL), 0);
        assert_int_equal(checkpoint_read_f32(wanted, e, 0, e->n_row, y, NULL), 0);
        assert_memory_equal(x, y, t->n_element * 4);
    }
    checkpoint_close(ck);
    checkpoint_close(wanted);
}

/* One storage under two names: tied stays tied, and the second name costs nothing. */
static void a_shared_storage_is_a_tie(void **state)
{
    (void)state;
    struct checkpoint *ck = open_model("tests/golden/pickle/tied");
    const struct tensor_info *embed = checkpoint_find(ck, "model.embed_tokens.weight"),
                             *head = checkpoint_find(ck, "lm_head.weight");
    assert_true(embed && head && embed != head);
    assert_ptr_equal(checkpoint_raw(ck, embed), checkpoint_raw(ck, head));
    assert_true(json_is_true(json_object_get(checkpoint_config(ck), "tie_word_embeddings")));
    checkpoint_close(ck);
}

/* Whatever the embedding is called, a tie is written once and under its name. */
static void a_tie_is_written_once(void **state)
{
    (void)state;
    struct checkpoint *ck = open_model("tests/golden/pickle/tied_other"), *again;
    struct error err = {0};
    const char *dir = check_tmpdir("io_torch");
    assert_true(json_is_true(json_object_get(checkpoint_config(ck), "tie_word_embeddings")));
    assert_int_equal(hf_dir_config(dir, checkpoint_config(ck), DTYPE_F32, &err), 0);
    assert_int_equal(hf_dir_weights(dir, ck, DTYPE_F32, &err), 0);
    checkpoint_close(ck);
    again = open_model(dir);
    assert_int_equal(checkpoint_n_tensor(again), 2);
    assert_string_equal(checkpoint_tensor(again, 0)->name, "transformer.ln_f.weight");
    assert_string_equal(checkpoint_tensor(again, 1)->name, "transformer.wte.weight");
    checkpoint_close(again);
}

static void an_adapter_in_a_bin_is_the_same_adapter(void **state)
{
    (void)state;
    struct checkpoint *a, *b;
    struct error err = {0};
    if (checkpoint_open_adapter(&a, "tests/golden/adapters/model", "tests/golden/pickle/adapter", &err) ||
        checkpoint_open_adapter(&b, "tests/golden/adapters/model", "tests/golden/adapters/saved", &err))
        fail_msg("%s", err.message);
    assert_int_equal(checkpoint_n_tensor(a), checkpoint_n_tensor(b));
    for (size_t i = 0; i < checkpoint_n_tensor(a); i++) {
        float x[4096], y[4096];
        const struct tensor_info *t = checkpoint_tensor(a, i);
        assert_true(t->n_element <= 4096);
        assert_int_equal(checkpoint_read_f32(a, t, 0, t->n_row, x, NULL), 0);
        assert_int_equal(checkpoint_read_f32(b, checkpoint_tensor(b, i), 0, t->n_row, y, NULL), 0);
        assert_memory_equal(x, y, t->n_element * 4);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

static void refused(const unsigned char *bytes, size_t n, const char *wanted)
{
    struct torch_bin *t;
    struct error err = {0};
    assert_int_equal(torch_bin_parse(&t, bytes, n, "x.bin", &err), ERROR_DATA);
    if (!strstr(err.message, wanted))
        fail_msg("wanted \"%s\", found \"%s\"", wanted, err.message);
}

static void other_files_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"legacy.bin", "before 1.6"},
        {"legacy.bin", "torch.save(torch.load("},
        {"tar.bin", "is the tar format"},
        {"script.bin", "TorchScript"},
        {"whole_module.bin", "torch.nn.modules.linear.Linear"},
        {"training.bin", "key \"state_dict\" holds a dict, wanted a tensor"},
        {"expanded.bin", "tensor w: is an expanded or repeated view"},
        {"conjugate.bin", "resolve_conj"},
        {"list.bin", "holds a list, wanted a dict of tensors"},
        {"system.bin", "(GLOBAL): names posix.system"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256];
        struct file_map m;
        snprintf(path, sizeof path, "tests/golden/pickle/refused/%s", cases[i][0]);
        assert_int_equal(file_map(&m, path, NULL), 0);
        refused(m.data, m.size, cases[i][1]);
        file_unmap(&m);
    }
    refused((const unsigned char *)"version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull");
    refused((const unsigned char *)"", 0, "is no file of torch.save");
}

static void pickle_refused(const char *bytes, size_t n, const char *wanted)
{
    struct pickle *p;
    struct error err = {0};
    assert_int_equal(pickle_parse(&p, bytes, n, "x", &err), ERROR_DATA);
    if (!strstr(err.message, wanted))
        fail_msg("wanted \"%s\", found \"%s\"", wanted, err.message);
}
#define REFUSED(text, wanted) pickle_refused(text, sizeof text - 1, wanted)

static void opcodes_are_refused_by_name_and_place(void **state)
{
    (void)state;
    REFUSED("\x80\x02}I5\n.", "byte 3 of the pickle (INT): an opcode that no state dict needs");
    REFUSED("\x80\x02(cos\nsystem\no.", "byte 3 of the pickle (GLOBAL): names os.system");
    REFUSED("\x80\x04\x8c\x05posix\x8c\x06system\x93.", "byte 17 of the pickle (STACK_GLOBAL): names posix.system");
    REFUSED("\x80\x02(ios\nsystem\n.", "(INST)");
    REFUSED("\x80\x02\x82\x01.", "(EXT1)");
    REFUSED("\x80\x02"
            "cbuiltins\neval\n.",
            "names builtins.eval");
    REFUSED("\x80\x02"
            "ctorch.cuda\n_lazy_call\n.",
            "names torch.cuda._lazy_call");
    REFUSED("\x80\x02"
            "ctorch\nload\n.",
            "names torch.load");
    REFUSED("\x80\x06}.", "protocol 6");
    REFUSED("\x80\x02\xff.", "0xff is no opcode");
    REFUSED("\x80\x02}", "byte 3 of the pickle (end of file): is cut off");
    REFUSED("\x80\x02}.x", "1 bytes follow its end");
    REFUSED("\x80\x02}}.", "ends with 2 values");
    REFUSED("\x80\x02(}.", "1 marks");
    REFUSED("\x80\x02.", "ends with 0 values");
    REFUSED("\x80\x02N.", "holds None");
    REFUSED("\x80\x02R.", "wanted 2 values on the stack, found 0");
    REFUSED("\x80\x02}(0t.", "(TUPLE): wanted a mark");
    REFUSED("\x80\x02}(NNNs.", "(SETITEM): wanted a dict to put items into");
    REFUSED("\x80\x02}(Nu.", "a key without a value");
    REFUSED("\x80\x02}h\x05.", "entry 5 of the memo, which holds none");
    REFUSED("\x80\x02}r\xff\xff\xff\xff.", "entry 4294967295 of the memo of a pickle of");
    REFUSED("\x80\x02X\xff\xff\xff\x7f"
            "abc.",
            "(BINUNICODE): is cut off: wanted 2147483647 bytes more");
    REFUSED("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "(BINUNICODE8): is cut off");
    REFUSED("\x80\x02\x8a\x09"
            "123456789.",
            "more than 64 bits");
    REFUSED("\x80\x02}X\x01\0\0\0aNs.", "key \"a\" holds None");
    REFUSED("\x80\x02}NNs.", "wanted a key of the dict of tensors, found None");
    REFUSED("\x80\x02}X\x02\0\0\0a\xffNs.", "no UTF-8");
    REFUSED("\x80\x02"
            "ccollections\nOrderedDict\n(K\x01tR.",
            "collections.OrderedDict with arguments");
    REFUSED("\x80\x02NNN\x86R.", "wanted a function and a tuple");
    REFUSED("\x80\x02"
            "ctorch\ndevice\n)R.",
            "calls torch.device, which makes no tensor");
    REFUSED("\x80\x02K\x01N\x86Q.", "(BINPERSID): wanted ('storage'");
    REFUSED("\x80\x02"
            "ctorch._tensor\n_rebuild_from_type_v2\n(h\0.",
            "(BINGET)");
    REFUSED("\x80\x02NNb.", "sets the attributes of None");
    REFUSED("\x80\x02\x81.", "(NEWOBJ)");
}

#define STORAGE                                           \
    "X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" \
    "0X\x03\0\0\0cpu"
#define REBUILD "\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n("

static void sizes_that_lie_are_refused(void **state)
{
    (void)state;
    REFUSED(REBUILD "(" STORAGE "J\xff\xff\xff\xfftQ", "a storage of");
    REFUSED(REBUILD "(" STORAGE "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ftQ",
            "a storage of 9223372036854775807 elements");
    REFUSED(REBUILD "(" STORAGE "K\x04tQJ\xff\xff\xff\xffK\x04\x85K\x01\x85\x89NtRs.",
            "wanted a tensor's storage, offset, size and stride");
    REFUSED(REBUILD "(" STORAGE "K\x04tQK\0J\xff\xff\xff\xff\x85K\x01\x85\x89NtRs.", "non-negative");
    REFUSED(REBUILD "(" STORAGE "K\x04tQK\0K\x04\x85K\x01K\x01\x86\x89NtRs.", "tuples of the same length");
    REFUSED(REBUILD "(" STORAGE
                    "K\x04tQK\0\x8a\x08\0\0\0\0\0\0\0\x10\x8a\x08\0\0\0\0\0\0\0\x10\x86K\x01K\x01\x86\x89NtRs.",
            "too many elements");
    REFUSED(REBUILD "(" STORAGE "K\x04tQK\0K\x01\x85K\x01\x85\x89NtRX\x01\0\0\0wN", "end of file");
}

/* views_2.bin with one thing changed. */
static void patched(const char *signature, size_t n_signature, size_t at, const char *bytes, size_t n,
                    const char *wanted)
{
    struct file_map m;
    assert_int_equal(file_map(&m, "tests/golden/pickle/views_2.bin", NULL), 0);
    unsigned char *copy = malloc(m.size);
    assert_non_null(copy);
    memcpy(copy, m.data, m.size);
    unsigned char *found = memmem(copy, m.size, signature, n_signature);
    assert_non_null(found);
    memcpy(found + at, bytes, n);
    refused(copy, m.size, wanted);
    free(copy);
    file_unmap(&m);
}
#define PATCHED(signature, at, bytes, wanted) \
    patched(signature, sizeof signature - 1, at, bytes, sizeof bytes - 1, wanted)
#define CENTRAL "PK\1\2"

static void archives_that_lie_are_refused(void **state)
{
    (void)state;
    PATCHED(CENTRAL, 10, "\x08\0", "zip entry \"views_2/data.pkl\": is compressed");
    PATCHED(CENTRAL, 8, "\x01\0", "is encrypted");
    PATCHED(CENTRAL, 20, "\x01\0\0\0", "is compressed");
    PATCHED(CENTRAL, 20, "\0\0\0\x7f\0\0\0\x7f", "do not fit before byte");
    PATCHED(CENTRAL, 20, "\xff\xff\xff\xff\xff\xff\xff\xff", "zip64 field is missing or too short");
    PATCHED(CENTRAL, 42, "\xff\xff\xff\x7f", "its local header is not where the directory says");
    PATCHED(CENTRAL, 46, "x", "has another name in its local header");
    PATCHED(CENTRAL, 46, "\0", "its name is empty or has a NUL");
    PATCHED(CENTRAL, 30, "\xff\xff", "an entry of its central directory is cut off");
    PATCHED("PK\5\6", 12, "\xff\xff\xff\x7f", "its central directory is not inside the file");
    PATCHED("PK\5\6", 10, "\x01\x10", "its central directory is not inside the file");
    PATCHED("PK\5\6", 4, "\1\0", "is one part of an archive in several files");
    PATCHED("PK\5\6", 20, "\1\0", "has no end record");
    PATCHED("little", 0, "big\0\0\0", "byteorder\": wanted \"little\"");
    PATCHED("K\x18tq", 1, "\x19", "has 96 bytes, the pickle says 100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_hold_what_their_safetensors_hold),
        cmocka_unit_test(contiguous_tensors_are_not_copied),
        cmocka_unit_test(model_directories_open),
        cmocka_unit_test(a_shared_storage_is_a_tie),
        cmocka_unit_test(a_tie_is_written_once),
        cmocka_unit_test(an_adapter_in_a_bin_is_the_same_adapter),
        cmocka_unit_test(other_files_are_refused_by_name),
        cmocka_unit_test(opcodes_are_refused_by_name_and_place),
        cmocka_unit_test(sizes_that_lie_are_refused),
        cmocka_unit_test(archives_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
