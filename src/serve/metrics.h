/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered and how long it took, for Prometheus. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "base/buf.h"
#include "serve/http.h"
#include "serve/worker.h"

#include <pthread.h>

enum { METRICS_BUCKETS = 12 };
struct histogram {
    long counts[METRICS_BUCKETS + 1]; /* the last: beyond all */
    double sum;
};
struct metrics {
    pthread_mutex_t lock;
    struct histogram first_token, whole; /* seconds from the request on */
    long answered, failed;
};
void metrics_init(struct metrics *m);
void metrics_deinit(struct metrics *m);
void metrics_answered(struct metrics *m, double first_token, double whole); /* first_token 0: there was none */
void metrics_failed(struct metrics *m);
void metrics_write(struct metrics *m, const struct worker_counts *w, const struct http_counts *h, struct buf *out);

#endif
