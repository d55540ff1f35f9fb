/* SPDX-License-Identifier: Apache-2.0 */
/* What a call of include/isara.h is made of: errors across the border, options from JSON, two texts of a result. Also
 * for the call that a higher room has (experiment/call.c). */
#ifndef API_CALL_H
#define API_CALL_H

#include "base/buf.h"
#include "base/fields.h"
#include "isara.h"

/* error.c: the code, and what is said of it to the caller. */
int api_return(struct isara_error *to, int code, const struct error *from);

/* api_options.c: an object's names go to the first table that has them; with a prefix, only names that begin with it,
 * without it. *keep: what texts point into; json_decref when the options are not needed any more. */
struct api_table {
    const struct field_table *table;
    void *object;
    const char *prefix;
};
int api_options(const char *json, const struct api_table *tables, int n, json_t **keep, struct error *err);

/* work.c: what the caller is given; json and text are taken, json may be empty. */
int api_give(struct isara_report *out, struct buf *json, struct buf *text, struct error *err);

#endif
