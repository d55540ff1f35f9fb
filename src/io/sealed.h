/* SPDX-License-Identifier: Apache-2.0 */
/* Records that carry their own checksum: "sha256" is that of the record's one-line text (io/jsontext.h) without it. */
#ifndef IO_SEALED_H
#define IO_SEALED_H

#include "base/error.h"

#include <jansson.h>

int sealed_close(json_t *record, struct error *err);            /* puts the checksum behind the other members */
int sealed_open(json_t *record, int *whole, struct error *err); /* takes it off; *whole: it was the right one */

#endif
