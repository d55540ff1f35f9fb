/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/parts.h"

#include "io/jsontext.h"

void answer_json(struct http_exchange *x, int status, json_t *value)
{
    struct buf body = BUF_INIT;
    int rc = jsontext_dump(&body, value, 0, NULL);
    json_decref(value);
    if (!rc && !body.failed) {
        http_answer(x, status, "application/json", &body);
        return;
    }
    buf_free(&body);
    http_error(x, 503, NULL, "out of memory");
}

int status_of(int code)
{
    switch (code) {
    case ERROR_USAGE:
    case ERROR_DATA:
    case ERROR_CONFIG: return 400;
    case ERROR_NOINPUT: return 404;
    case ERROR_UNAVAILABLE:
    case ERROR_NOMEM: return 503;
    default: return 500;
    }
}
