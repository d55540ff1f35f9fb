/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/metrics.h"

#include <string.h>

static const double bounds[METRICS_BUCKETS] = {0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120};

void metrics_init(struct metrics *m)
{
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
}

void metrics_deinit(struct metrics *m)
{
    pthread_mutex_destroy(&m->lock);
}

static void add(struct histogram *h, double seconds)
{
    int i = 0;
    while (i < METRICS_BUCKETS && seconds > bounds[i])
        i++;
    h->counts[i]++;
    h->sum += seconds;
}

void metrics_answered(struct metrics *m, double first_token, double whole)
{
    pthread_mutex_lock(&m->lock);
    m->answered++;
    if (first_token > 0)
        add(&m->first_token, first_token);
    add(&m->whole, whole);
    pthread_mutex_unlock(&m->lock);
}

void metrics_failed(struct metrics *m)
{
    pthread_mutex_lock(&m->lock);
    m->failed++;
    pthread_mutex_unlock(&m->lock);
}

static void write_one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    buf_printf(out, "# HELP isara_%s %s\n# TYPE isara_%s %s\nisara_%s %.17g\n", name, help, name, type, name, value);
}

static void write_histogram(struct buf *out, const char *name, const char *help, const struct histogram *h)
{
    long n = 0;
    buf_printf(out, "# HELP isara_%s %s\n# TYPE isara_%s histogram\n", name, help, name);
    for (int i = 0; i < METRICS_BUCKETS; i++) {
        n += h->counts[i];
        buf_printf(out, "isara_%s_bucket{le=\"%g\"} %ld\n", name, bounds[i], n);
    }
    n += h->counts[METRICS_BUCKETS];
    buf_printf(out, "isara_%s_bucket{le=\"+Inf\"} %ld\nisara_%s_sum %.17g\nisara_%s_count %ld\n", name, n, name, h->sum,
               name, n);
}

void metrics_write(struct metrics *m, const struct worker_counts *w, const struct http_counts *h, struct buf *out)
{
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"http_requests_total", "counter", "Requests whose header was read.", (double)h->requests},
        {"http_refused_total", "counter", "Requests refused by their header.", (double)h->refused},
        {"http_connections", "gauge", "Connections that are open.", (double)h->connections},
        {"clients_gone_total", "counter", "Clients that went before their answer.", (double)h->gone},
        {"texts_pending", "gauge", "Prompts and texts that are worked on or wait.", (double)w->pending},
        {"requests_running", "gauge", "Prompts that are being generated from.", (double)w->generating},
        {"requests_refused_total", "counter", "Requests refused because too many wait.", (double)w->refused},
        {"texts_cancelled_total", "counter", "Prompts and texts that were given up.", (double)w->cancelled},
        {"prompt_tokens_total", "counter", "Tokens of prompts that were generated from.", (double)w->prompt_tokens},
        {"computed_prompt_tokens_total", "counter", "Those that were not found in the cache.",
         (double)w->computed_prompt_tokens},
        {"generated_tokens_total", "counter", "Tokens of finished answers.", (double)w->generated_tokens},
        {"scored_tokens_total", "counter", "Tokens read for log-probabilities and embeddings.",
         (double)w->scored_tokens},
        {"steps_total", "counter", "Passes of the model over what is in flight.", (double)w->steps},
        {"busy_seconds_total", "counter", "Time in which there was something to compute.", w->busy_seconds},
        {"kv_pages_reserved", "gauge", "Pages of the key-value cache that requests in flight may take.",
         (double)w->reserved_pages},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        write_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
    pthread_mutex_lock(&m->lock);
    write_one(out, "answers_total", "counter", "Requests of the model that were answered.", (double)m->answered);
    write_one(out, "errors_total", "counter", "Those that were answered with an error.", (double)m->failed);
    write_histogram(out, "time_to_first_token_seconds", "From the request to its first token.", &m->first_token);
    write_histogram(out, "request_seconds", "From the request to its whole answer.", &m->whole);
    pthread_mutex_unlock(&m->lock);
}
