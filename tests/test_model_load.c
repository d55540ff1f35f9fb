/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: bf16 goes into panels as the file has it, on a device of the host's memory and on one elsewhere; a NaN among
 * it is named; what was packed of the file is given back. */
#include "check.h"

#include "io/file.h"
#include "model/parts.h"

#include <stdlib.h>
#include <string.h>

static const char model_dir[] = "models/miniature";

static struct device *open_device(enum device_kind kind)
{
    struct device *d = NULL;
    return device_open(&d, kind, &(struct device_options){.n_thread = 2}, NULL) ? NULL : d;
}

static void check_param(struct device *d, const struct model *m, const struct checkpoint *ck, int index)
{
    const struct model_param *p = &m->params[index];
    const struct model_group *g = &m->groups[m->param_group[index]];
    size_t bytes = (size_t)p->count * 4;
    float *wanted = malloc(bytes), *got = malloc(bytes);
    struct buffer *b;
    assert_int_equal(buffer_new(&b, d, bytes, "rows", NULL), 0);
    tensor_weight_unpack(device_queue(d),
                         &(struct weight_unpack_args){g->weight, (p->offset - g->offset) / g->k, p->shape[0], {b, 0}});
    queue_download(device_queue(d), got, (struct span){b, 0}, bytes);
    assert_int_equal(queue_wait(device_queue(d), NULL), 0);
    assert_int_equal(checkpoint_read_f32(ck, checkpoint_find(ck, p->name), 0, p->shape[0], wanted, NULL), 0);
    if (memcmp(got, wanted, bytes))
        fail_msg("%s is not as the file has it", p->name);
    buffer_free(b);
    free(wanted);
    free(got);
}

static void bf16_is_as_the_file_has_it(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct device *d = open_device(kind ? DEVICE_REMOTE : DEVICE_CPU);
        struct checkpoint *ck;
        struct model *m;
        struct error err = {0};
        assert_int_equal(checkpoint_open(&ck, model_dir, &err), 0);
        if (model_open(&m, d, ck, &(struct model_options){.dtype = DTYPE_BF16, .check_finite = 1}, &err))
            fail_msg("%s", err.message);
        for (int i = 0; i < m->n_param; i++)
            if (m->params[i].ndim == 2)
                check_param(d, m, ck, i);
        model_close(m);
        checkpoint_close(ck);
        device_close(d);
    }
}

/* KiB of the files whose name ends so that lie in memory of this process. */
static long resident(const char *tail)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[600];
    long sum = 0, here = 0, value;
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
            here = path_ends_in(line, tail);
        if (here && sscanf(line, "Rss: %ld", &value) == 1)
            sum += value;
    }
    fclose(f);
    return sum;
}

static void what_was_packed_is_given_back(void **state)
{
    (void)state;
    struct device *d = open_device(DEVICE_CPU);
    struct checkpoint *ck;
    struct model *m;
    struct error err = {0};
    char hex[65];
    static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F32, DTYPE_Q8};
    if (resident("/no such file") < 0)
        SKIP_TEST("there is no /proc here");
    for (int t = 0; t < 3; t++) {
        assert_int_equal(checkpoint_open(&ck, model_dir, &err), 0);
        assert_int_equal(model_open(&m, d, ck, &(struct model_options){.dtype = dtypes[t], .check_finite = 1}, &err),
                         0);
        long left =
            resident("model.safetensors"); /* of 5.5 MB; the header, and vectors' pages that a page has more of */
        if (left > 300)
            fail_msg("%s: %ld KiB of the file are left in memory", dtype_name(dtypes[t]), left);
        assert_int_equal(checkpoint_sha256(ck, hex, &err), 0);
        assert_true(resident("model.safetensors") <= left + 64);
        model_close(m);
        checkpoint_close(ck);
    }
    device_close(d);
}

/* A copy of the model with one number of a matrix made into a NaN. */
static void spoil(const char *dir, const char *tensor, int64_t element)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    struct checkpoint *ck;
    struct buf bytes = BUF_INIT;
    char from[300], to[300];
    for (int i = 0; i < 2; i++) {
        snprintf(from, sizeof from, "%s/%s", model_dir, names[i]);
        snprintf(to, sizeof to, "%s/%s", dir, names[i]);
        assert_int_equal(file_copy(from, to, NULL), 0);
    }
    assert_int_equal(file_read(&bytes, from, 1 << 24, NULL), 0);
    assert_int_equal(checkpoint_open(&ck, model_dir, NULL), 0);
    const struct tensor_info *t = checkpoint_find(ck, tensor);
    char *at = memmem(bytes.data, bytes.len, checkpoint_raw(ck, t), t->n_byte);
    assert_non_null(at);
    memcpy(at + 2 * element, (uint16_t[]){0xff81}, 2);
    assert_int_equal(file_write(to, bytes.data, bytes.len, NULL), 0);
    checkpoint_close(ck);
    buf_free(&bytes);
}

static void a_nan_is_named(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("model_load");
    struct device *d = open_device(DEVICE_CPU);
    struct checkpoint *ck;
    struct model *m = NULL;
    struct error err = {0};
    spoil(dir, "model.layers.3.mlp.down_proj.weight", 101 * 512 + 509);
    assert_int_equal(checkpoint_open(&ck, dir, &err), 0);
    assert_int_not_equal(model_open(&m, d, ck, &(struct model_options){.dtype = DTYPE_BF16, .check_finite = 1}, &err),
                         0);
    if (!strstr(err.message, "model.layers.3.mlp.down_proj.weight") || !strstr(err.message, "row 101, column 509"))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_is_as_the_file_has_it),
        cmocka_unit_test(what_was_packed_is_given_back),
        cmocka_unit_test(a_nan_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
