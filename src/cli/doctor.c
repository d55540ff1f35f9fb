/* SPDX-License-Identifier: Apache-2.0 */
/* isara doctor: what this machine and build can do, with measured rates of products. */
#include "cli/parts.h"

#include "base/energy.h"
#include "base/threads.h"
#include "method/plan.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* of the products that are timed */
enum { ROWS = 256 };

int verb_doctor(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct cli_model p = {0};
    int rc = cli_open_device(&p, v, err);
    if (rc)
        return rc;
    struct utsname host;
    uname(&host);
    double memory = plan_machine(p.device);
    double f32 = plan_rate(p.device, DTYPE_F32, ROWS) * 1e-9, bf16 = plan_rate(p.device, DTYPE_BF16, ROWS) * 1e-9,
           q8 = plan_rate(p.device, DTYPE_Q8, ROWS) * 1e-9;
    const char *compiler = __VERSION__, *pairs = device_pairs(p.device);
    struct energy *energy = energy_open(NULL);
    const char *unread = energy_why(energy);
    if (v->json)
        printf("{\"machine\": \"%s\", \"isa\": \"%s\", \"bf16_pairs\": %s%s%s, \"threads\": %d, \"memory_bytes\": "
               "%.0f, \"f32_gflops\": %.1f, "
               "\"bf16_gflops\": %.1f, \"q8_gops\": %.1f, \"q8\": %s, \"compiler\": \"%s\", \"energy\": %s}\n",
               host.machine, device_isa(p.device), pairs ? "\"" : "", pairs ? pairs : "null", pairs ? "\"" : "",
               device_n_thread(p.device), memory, f32, bf16, q8,
               weight_supported(p.device, DTYPE_Q8) ? "true" : "false", compiler, unread ? "false" : "true");
    else
        printf("machine          %s, %s %s\nprocessors       %d (threads used: %d)\nmemory           %.1f "
               "GiB\ninstruction set  %s%s%s\nproducts         f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, q8 %.0f "
               "GOP/s\ncompiler         %s\nenergy           %s\n",
               host.machine, host.sysname, host.release, threads_available(), device_n_thread(p.device),
               memory / (1 << 30), device_isa(p.device), pairs ? ", bf16 in pairs by " : "", pairs ? pairs : "", f32,
               bf16, q8, compiler, unread ? unread : "is read (RAPL)");
    energy_close(energy);
    cli_close(&p);
    return 0;
}
