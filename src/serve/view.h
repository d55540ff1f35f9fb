/* SPDX-License-Identifier: Apache-2.0 */
/* isara view: a page on a run directory, whether a process works on it or not: how far it is, its attempts, judging
 * before and after blind, the report. Reads the journal; what people decide and judge there goes to the journal too
 * (method/review.c, method/judging.c).
 *
 *     http_options_default(&h);
 *     if (view_open(&v, "runs/first", &h, &err)) ...
 *     while (!http_wait_signal(0.1))
 *         view_tend(v);
 *     view_close(v); */
#ifndef SERVE_VIEW_H
#define SERVE_VIEW_H

#include "serve/http.h"

struct view;
/* ERROR_NOINPUT: there is no run. ERROR_USAGE: the address is not of this machine alone, or a key is asked for, which
 * the page could not give. */
int view_open(struct view **out, const char *directory, const struct http_options *h, struct error *err);
int view_port(const struct view *v);
void view_tend(struct view *v);
void view_close(struct view *v); /* NULL is fine */

#endif
