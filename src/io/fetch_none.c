/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libcurl. */
#include "io/fetch.h"

int fetch_open(struct fetch **out, struct error *err)
{
    *out = NULL;
    return error_set(err, ERROR_UNAVAILABLE,
                     "this build has no libcurl; install libcurl4-openssl-dev and build again, or download with: hf "
                     "download ORG/NAME");
}

void fetch_close(struct fetch *f)
{
    (void)f;
}

int fetch_get(struct fetch *f, const struct fetch_request *request, struct fetch_answer *answer, struct error *err)
{
    (void)f;
    (void)request;
    (void)answer;
    return error_set(err, ERROR_UNAVAILABLE, "this build has no libcurl");
}
