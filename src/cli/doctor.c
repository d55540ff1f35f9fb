/* SPDX-License-Identifier: Apache-2.0 */
/* isara doctor: what this machine and build can do, with a measured product rate and memory bandwidth. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static double product_rate(struct device *d, enum dtype t)
{
    enum { M = 256, N = 1024, K = 1024, RUNS = 8 };
    struct weight *w = NULL;
    struct buffer *b = NULL;
    double rate = 0;
    struct queue *q = device_queue(d);
    if (weight_new(&w, d, N, K, t, "doctor", NULL) || buffer_new(&b, d, (size_t)(M * K + M * N) * 4, "doctor", NULL))
        goto out;
    struct linear_args a = {.w = w, .n_row = M, .x = {b, 0}, .y = {b, (size_t)M * K * 4}};
    tensor_linear(q, &a);
    queue_wait(q);
    double start = clock_now();
    for (int i = 0; i < RUNS; i++)
        tensor_linear(q, &a);
    queue_wait(q);
    rate = 2.0 * M * N * K * RUNS / (clock_now() - start) * 1e-9;
out:
    weight_free(w);
    buffer_free(b);
    return rate;
}

int verb_doctor(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct parts p = {0};
    int rc = cli_open_device(&p, v, err);
    if (rc)
        return rc;
    struct utsname host;
    uname(&host);
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double f32 = product_rate(p.device, DTYPE_F32), bf16 = product_rate(p.device, DTYPE_BF16), q8 = product_rate(p.device, DTYPE_Q8);
    const char *compiler = __VERSION__;
    if (v->json)
        printf("{\"machine\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"memory_bytes\": %.0f, \"f32_gflops\": %.1f, \"bf16_gflops\": %.1f, \"q8_gops\": %.1f, \"q8\": %s, \"compiler\": \"%s\"}\n",
               host.machine, device_isa(p.device), device_n_thread(p.device), memory, f32, bf16, q8, weight_supported(p.device, DTYPE_Q8) ? "true" : "false", compiler);
    else
        printf("machine          %s, %s %s\nprocessors       %d (threads used: %d)\nmemory           %.1f GiB\ninstruction set  %s\nproducts         f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, q8 %.0f GOP/s\ncompiler         %s\n",
               host.machine, host.sysname, host.release, threads_available(), device_n_thread(p.device), memory / (1 << 30), device_isa(p.device), f32, bf16, q8,
               compiler);
    cli_close(&p);
    return 0;
}
