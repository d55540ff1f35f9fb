/* SPDX-License-Identifier: Apache-2.0 */
/* isara serve: a model, or one with several adapters, behind an interface as OpenAI's (docs/SERVE.md).
 *
 *     serve_options_default(&o);
 *     http_options_default(&h);
 *     if (serve_open(&s, &o, &h, device, &err)) ...
 *     while (!http_wait_signal(0.1))
 *         serve_tend(s);
 *     serve_close(s, 30);
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "serve/http.h"
#include "serve/served.h"

extern const struct field_table serve_fields; /* of struct served_options */
void serve_options_default(struct served_options *o);

struct serve;
/* Loads the models and listens. Options are borrowed. */
int serve_open(struct serve **out, const struct served_options *o, const struct http_options *h, struct device *device,
               struct error *err);
int serve_port(const struct serve *s);
int serve_n_model(const struct serve *s);
const char *serve_model(const struct serve *s, int i); /* its name */
void serve_tend(struct serve *s);                      /* http_tend */
/* Takes no more requests and waits so many seconds for those it has, ending early on a signal; then ends. NULL is
 * fine. */
void serve_close(struct serve *s, double seconds);

#endif
