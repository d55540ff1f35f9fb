/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/ops_check.h"

#include "base/rng.h"
#include "cpu/isa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 };

void ops_open(struct ops *o, const char *isa, int n_thread)
{
    struct error err = {0};
    memset(o, 0, sizeof *o);
    if (device_open(&o->device, DEVICE_CPU, &(struct device_options){.isa = isa, .n_thread = n_thread}, &err))
        fail_msg("%s", err.message);
    o->queue = device_queue(o->device);
}

static void check_guards(struct ops *o, int i)
{
    unsigned char guard[GUARD];
    for (int side = 0; side < 2; side++) {
        queue_download(o->queue, guard, (struct span){o->buffers[i], side ? GUARD + o->sizes[i] : 0}, GUARD);
        assert_int_equal(queue_wait(o->queue, NULL), 0);
        for (int j = 0; j < GUARD; j++)
            if (guard[j] != 0xa5)
                fail_msg("buffer %d of %zu bytes: byte %d %s it was overwritten", i, o->sizes[i], j,
                         side ? "after" : "before");
    }
}

void ops_close(struct ops *o)
{
    for (int i = 0; i < o->n; i++) {
        check_guards(o, i);
        buffer_free(o->buffers[i]);
    }
    device_close(o->device);
}

struct span ops_new(struct ops *o, const void *data, size_t bytes)
{
    struct error err = {0};
    size_t all = bytes + 2 * GUARD;
    unsigned char *image = malloc(all);
    assert_non_null(image);
    memset(image, 0xa5, all);
    memset(image + GUARD, 0x5a, bytes);
    if (data && bytes)
        memcpy(image + GUARD, data, bytes);
    assert_true(o->n < 64);
    if (buffer_new(&o->buffers[o->n], o->device, all, "test", &err))
        fail_msg("%s", err.message);
    o->sizes[o->n] = bytes;
    struct span s = {o->buffers[o->n++], 0};
    queue_upload(o->queue, s, image, all);
    assert_int_equal(queue_wait(o->queue, NULL), 0);
    free(image);
    return span_at(s, GUARD);
}

void ops_get(struct ops *o, void *out, struct span s, size_t bytes)
{
    queue_download(o->queue, out, s, bytes);
    assert_int_equal(queue_wait(o->queue, NULL), 0);
}

int ops_reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

static void compare(const char *isa, int n_thread, const float *got, const float *first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &first[i], sizeof *got))
            fail_msg("%s with %d threads: element %zu is %.9g, elsewhere %.9g", isa, n_thread, i, (double)got[i],
                     (double)first[i]);
}

float *ops_same_bits(ops_case *run, const void *parameter, size_t *n)
{
    static const struct {
        enum cpu_isa isa;
        const char *name;
    } isas[] = {{ISA_GENERIC, "generic"}, {ISA_AVX2, "avx2"}, {ISA_AVX512, "avx512"}};
    float *first = NULL, *other = malloc(OPS_MAX_RESULT * sizeof *other);
    assert_non_null(other);
    for (int i = 0; i < 3; i++) {
        if (!isa_available(isas[i].isa))
            continue;
        for (int n_thread = 1; n_thread <= (ops_reduced() || i == 0 ? 1 : 3); n_thread++) {
            struct ops o;
            ops_open(&o, isas[i].name, n_thread);
            size_t count = run(&o, parameter, other);
            assert_true(count <= OPS_MAX_RESULT);
            ops_close(&o);
            if (first) {
                assert_int_equal(count, *n);
                compare(isas[i].name, n_thread, other, first, count);
                continue;
            }
            *n = count;
            first = malloc((count + 1) * sizeof *first);
            assert_non_null(first);
            memcpy(first, other, count * sizeof *first);
        }
    }
    free(other);
    return first;
}

float ops_random(uint64_t stream, uint64_t index)
{
    return 2 * rng_uniform(&(struct rng_stream){7, stream, 0}, index) - 1;
}

void ops_fill(float *x, size_t n, uint64_t stream)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ops_random(stream, i);
}

void ops_close_to(const char *what, size_t at, double got, double want, double absolute, double relative)
{
    if (!(fabs(got - want) <= absolute + relative * fabs(want)))
        fail_msg("%s[%zu] is %.9g, should be %.9g (off by %.3g)", what, at, got, want, got - want);
}
