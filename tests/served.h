/* SPDX-License-Identifier: Apache-2.0 */
/* A server of the miniature, with a chat template ("chatty") and an adapter over it ("other"), for tests of what it
 * answers. */
#ifndef TESTS_SERVED_H
#define TESTS_SERVED_H

#include "base/buf.h"
#include "serve/serve.h"

#include <jansson.h>

struct served_test {
    char dir[512], model[600], adapter[600]; /* a directory of the test's own; what is served */
    int port;
};
extern struct served_test served;
int served_set_up(void **state);
int served_tear_down(void **state);
void served_start(const struct served_options *o); /* another one; served_stop first */
void served_stop(void);
/* isara with these arguments; fails the test unless it ends with 0. */
void served_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *served_parse(const struct buf *text);
/* The answer to a body (NULL: GET), which has this status. */
json_t *served_ask(const char *path, const char *body, int status);
json_t *served_choice(const json_t *answer, size_t i);
/* Of a choice, whole or a stream's; "" when there is none. */
const char *served_text(const json_t *choice);
double served_metric(const char *name);
void served_wait(void); /* until nothing is in flight and no pages are taken */

#endif
