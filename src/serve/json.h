/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and answers that are JSON. */
#ifndef SERVE_JSON_H
#define SERVE_JSON_H

#include "serve/http.h"

#include <jansson.h>

/* body.c: 0 and the body's object, or the exchange has been answered with what is wrong. */
int request_body(struct http_exchange *x, json_t **body);
/* answer.c */
void answer_json(struct http_exchange *x, int status, json_t *value); /* takes value; NULL: out of memory */
int status_of(int code);                                              /* an error's as HTTP has it */

#endif
