/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of requests will make resident, from the descriptor alone. The engine reserves pages for the worst case,
 * but only those that are written to become resident: the prompt's and, for every beam, those of what is generated.
 * Finished prompts stay in the prefix cache while there is room. */
#include "generate/parts.h"

#include <string.h>

/* slabs are resident in pieces of this size; records, results and the host's own arrays, measured */
enum { CHUNK = 512, HUGE = 2 << 20, HOST = 4 << 20 };

static int pages_of(const struct generate_options *o, const struct generate_load *load, int page)
{
    struct generate_options expected = *o;
    expected.max_new_tokens = load->n_new > 0 ? load->n_new : 1;
    return job_bound(&expected, load->n_prompt, page, 0, 0);
}

/* Greatest sum over any window of the requests in flight, with the whole pages of prompts that finished before it. */
static double pages_used(const struct generate_options *o, const struct generate_load *loads, int n, int page, int jobs)
{
    double now = 0, cached = 0, most = 0;
    for (int i = 0; i < n; i++) {
        now += pages_of(o, &loads[i], page);
        if (i >= jobs) {
            now -= pages_of(o, &loads[i - jobs], page);
            cached += loads[i - jobs].n_prompt / page;
        }
        most = now + cached > most ? now + cached : most;
    }
    return most;
}

/* Prompts come in at most CHUNK rows a step, so short answers are gone before the last prompt is in. */
static int in_flight(const struct generate_load *loads, int n, int jobs)
{
    double prompt = 0, new = 0;
    for (int i = 0; i < n; i++) {
        prompt += loads[i].n_prompt;
        new += loads[i].n_new;
    }
    double steps = new / (n ? n : 1) + 1, come = n ? CHUNK *n / prompt : 1;
    return steps * come + 1 < jobs ? (int)(steps * come) + 1 : jobs;
}

size_t generate_memory(const struct device *device, const struct model_desc *d, enum dtype dtype,
                       const struct generate_options *o, const struct generate_load *loads, int n)
{
    enum dtype kv_dtype = dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
    struct kv_layout layout = {kv_dtype, plan_page(d, kv_dtype), d->n_kv_head, d->head_dim};
    int lanes = job_lanes(o), jobs = BATCH / lanes < 1 ? 1 : BATCH / lanes, batch, longest = 0;
    long reserved = 0;
    jobs = n < jobs ? n : jobs;
    batch = jobs * lanes;
    for (int i = 0; i < n; i++) {
        int bound = job_bound(o, loads[i].n_prompt, layout.page, 0, 0) + 1;
        reserved += bound;
        longest = bound > longest ? bound : longest;
    }
    double most = 2.0 * (jobs + 1) * (longest + 1), layer = (double)kv_page_bytes(device, &layout);
    most = most < (double)reserved ? most : (double)reserved;
    double allowed = (double)plan_kv_most(device, 1) / (layer * d->n_layer);
    most = most < allowed ? most : allowed;
    double used = pages_used(o, loads, n, layout.page, in_flight(loads, n, jobs));
    used = used < most ? used : most;
    double kv = used * layer, slack = (most - used) * layer; /* a layer's pages end somewhere inside a huge one */
    kv += slack < HUGE / 2 ? slack : HUGE / 2;
    int head = batch < HEAD_ROWS ? batch : HEAD_ROWS;
    return (size_t)(kv * d->n_layer) + model_workspace_bytes(device, d, dtype, batch + CHUNK, batch) +
           4 * (size_t)head * (size_t)d->n_vocab + HOST;
}
