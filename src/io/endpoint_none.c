/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libcurl. */
#include "io/endpoint.h"

int endpoint_open(struct endpoint **out, const struct endpoint_options *o, struct error *err)
{
    (void)out;
    return error_set(
        err, ERROR_UNAVAILABLE,
        "%s: this build has no libcurl; install libcurl4-openssl-dev and build again, or take a model of this machine",
        o->url);
}

void endpoint_close(struct endpoint *h)
{
    (void)h;
}

int endpoint_post(struct endpoint *h, const char *path, const json_t *body, json_t **answer, int *n_try,
                  struct error *err)
{
    (void)h;
    (void)path;
    (void)body;
    (void)answer;
    (void)n_try;
    return error_set(err, ERROR_UNAVAILABLE, "this build has no libcurl");
}

int endpoint_post_all(struct endpoint *h, const struct endpoint_work *w, struct error *err)
{
    (void)h;
    (void)w;
    return error_set(err, ERROR_UNAVAILABLE, "this build has no libcurl");
}
