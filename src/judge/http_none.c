/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libcurl. */
#include "judge/http.h"

int http_open(struct http **out, const struct http_options *o, struct error *err)
{
    (void)out;
    return error_set(
        err, ERROR_UNAVAILABLE,
        "%s: this build has no libcurl; install libcurl4-openssl-dev and build again, or judge with a local model",
        o->endpoint);
}

void http_close(struct http *h)
{
    (void)h;
}

int http_post(struct http *h, const char *path, const json_t *body, json_t **answer, int *n_try, struct error *err)
{
    (void)h;
    (void)path;
    (void)body;
    (void)answer;
    (void)n_try;
    return error_set(err, ERROR_UNAVAILABLE, "this build has no libcurl");
}
