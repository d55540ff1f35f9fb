/* SPDX-License-Identifier: Apache-2.0 */
/* Every loader and writer with allocation 0, 1, 2, ... failing (jansson's and zlib's among them) until it succeeds:
 * each time it says that memory ran out, and the sanitizer run sees neither leak nor crash. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/appender.h"
#include "io/checkpoint.h"
#include "io/csv.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/hf_dir.h"
#include "io/hub.h"
#include "io/hub_list.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "io/torch_bin.h"

#include <stdlib.h>
#include <string.h>

static char dir[1024];

static int open_gguf(struct error *err)
{
    struct checkpoint *ck;
    float y[64];
    int rc = checkpoint_open(&ck, "tests/golden/tiny_llama.gguf", err);
    if (!rc)
        rc = checkpoint_read_f32(ck, checkpoint_find(ck, "model.layers.0.self_attn.q_proj.weight"), 0, 1, y, err);
    checkpoint_close(ck);
    return rc;
}

static int open_directory(struct error *err)
{
    struct checkpoint *ck;
    char hex[65];
    int rc = checkpoint_open(&ck, dir, err);
    if (!rc)
        rc = checkpoint_check_finite(ck, err);
    if (!rc)
        rc = checkpoint_sha256(ck, hex, err);
    checkpoint_close(ck);
    return rc;
}

static int open_torch(struct error *err)
{
    struct checkpoint *ck;
    int rc = checkpoint_open_adapter(&ck, "tests/golden/pickle/tied", "tests/golden/pickle/adapter", err);
    checkpoint_close(ck);
    if (!rc)
        rc = checkpoint_open(&ck, "tests/golden/pickle/llama", err);
    if (!rc)
        checkpoint_close(ck);
    struct file_map m = {.guard = -1};
    struct torch_bin *t = NULL;
    if (!rc)
        rc = file_map(&m, "tests/golden/pickle/views_4.bin", err);
    if (!rc)
        rc = torch_bin_parse(&t, m.data, m.size, "views_4.bin", err);
    torch_bin_free(t);
    file_unmap(&m);
    return rc;
}

static int list_hub(struct error *err)
{
    struct file_map m;
    struct hub_list l = {.n = 0};
    int rc = file_map(&m, "fuzz/corpus/hub/model", err);
    if (rc)
        return rc;
    rc = hub_list_parse(&l, (const char *)m.data, m.size, "hub", err);
    if (!rc)
        rc = hub_list_choose(&l, NULL, 0, "hub", err);
    hub_list_free(&l);
    file_unmap(&m);
    return rc;
}

static int write_directory(struct error *err)
{
    struct checkpoint *ck;
    char out[1100];
    snprintf(out, sizeof out, "%s/written", dir);
    int rc = checkpoint_open(&ck, dir, err);
    if (!rc)
        rc = dirs_make(out, err);
    if (!rc)
        rc = hf_dir_config(out, checkpoint_config(ck), DTYPE_BF16, err);
    if (!rc)
        rc = hf_dir_generation(out, checkpoint_generation_config(ck), checkpoint_config(ck), err);
    if (!rc)
        rc = hf_dir_tokenizer(out, ck, NULL, err);
    if (!rc)
        rc = hf_dir_weights(out, ck, DTYPE_BF16, err);
    checkpoint_close(ck);
    return rc;
}

static int read_lines(struct error *err)
{
    json_t *all;
    char path[1100];
    snprintf(path, sizeof path, "%s/lines.jsonl", dir);
    int rc = jsonl_load(&all, path, err);
    if (!rc)
        json_decref(all);
    return rc;
}

static int read_array(struct error *err)
{
    struct jsonl *r;
    json_t *record;
    const char *text = "[{\"a\": \"\\ud83d\"}, {\"b\": [1, {\"c\": 2.5}]}]";
    int rc = jsonl_open_bytes(&r, text, strlen(text), "t", err);
    while (!rc && (rc = jsonl_next(r, &record, err)) == 1) {
        json_decref(record);
        rc = 0;
    }
    jsonl_close(r);
    return rc;
}

static int read_csv(struct error *err)
{
    struct csv *c;
    const char *text = "a,b\n1,\"2\"\n";
    int rc = csv_open_bytes(&c, text, strlen(text), "t", err);
    while (!rc && (rc = csv_next(c, err)) == 1)
        rc = 0;
    csv_close(c);
    return rc;
}

static int append(struct error *err)
{
    struct appender *a;
    char path[1100];
    snprintf(path, sizeof path, "%s/log.jsonl", dir);
    int rc = appender_open(&a, path, 0, err);
    if (!rc)
        rc = appender_append(a, "{}", 2, err);
    appender_close(a);
    return rc;
}

static int look_in_cache(struct error *err)
{
    char *found;
    int rc = hub_resolve(&found, "org/name", err);
    mem_free(found);
    return rc;
}

static void loop(const char *what, int (*fn)(struct error *), int least)
{
    int n = 0;
    for (;; n++) {
        struct error err = {0};
        mem_fail_at(n);
        int rc = fn(&err), pending = mem_fail_pending();
        mem_fail_at(-1);
        if (pending) { /* it never came to the n-th allocation */
            if (rc)
                fail_msg("%s fails without a failed allocation: %s", what, err.message);
            break;
        }
        if (rc != ERROR_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("%s, allocation %d: %d \"%s\"", what, n, rc, err.message);
    }
    printf("%s: %d allocations failed one by one\n", what, n);
    assert_true(n >= least);
}

static void every_loader_survives_every_failed_allocation(void **state)
{
    (void)state;
    loop("GGUF", open_gguf, 50);
    loop("directory", open_directory, 50);
    loop("torch.save", open_torch, 50);
    loop("JSON Lines", read_lines, 10);
    loop("JSON array", read_array, 10);
    loop("CSV", read_csv, 5);
    loop("cache", look_in_cache, 5);
    loop("hub", list_hub, 5);
}

static void every_writer_survives_every_failed_allocation(void **state)
{
    (void)state;
    loop("appender", append, 3);
    loop("directory writer", write_directory, 50);
}

/* Made while nothing fails: a directory like any other, a cache, gzip'd lines. */
static int set_up(void **state)
{
    (void)state;
    static const unsigned char gz[] = {/* {"a": "b"} and {"c": 1}, a line each */
                                       31, 139, 8,   0,  0,   0,   0,   0,   2,   3,  171, 86, 74,
                                       84, 178, 82,  80, 74,  82,  170, 229, 170, 86, 74,  6,  50,
                                       13, 107, 185, 0,  178, 139, 215, 102, 20,  0,  0,   0};
    struct checkpoint *ck;
    char path[1100];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("io_oom"));
    json_set_alloc_funcs(mem_alloc, mem_free);
    assert_int_equal(checkpoint_open(&ck, "tests/golden/tiny_llama.gguf", NULL), 0);
    assert_int_equal(hf_dir_config(dir, checkpoint_config(ck), DTYPE_F32, NULL), 0);
    assert_int_equal(hf_dir_generation(dir, NULL, checkpoint_config(ck), NULL), 0);
    assert_int_equal(hf_dir_weights(dir, ck, DTYPE_F32, NULL), 0);
    checkpoint_close(ck);
    snprintf(path, sizeof path, "%s/lines.jsonl", dir);
    assert_int_equal(file_write(path, gz, sizeof gz, NULL), 0);
    snprintf(path, sizeof path, "%s/cache/models--org--name/snapshots/c", dir);
    assert_int_equal(dirs_make(path, NULL), 0);
    snprintf(path, sizeof path, "%s/cache/models--org--name/refs", dir);
    assert_int_equal(dirs_make(path, NULL), 0);
    snprintf(path, sizeof path, "%s/cache/models--org--name/refs/main", dir);
    assert_int_equal(file_write(path, "c", 1, NULL), 0);
    snprintf(path, sizeof path, "%s/cache", dir);
    return setenv("HF_HUB_CACHE", path, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loader_survives_every_failed_allocation),
        cmocka_unit_test(every_writer_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
