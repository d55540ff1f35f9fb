/* SPDX-License-Identifier: Apache-2.0 */
/* What all tasks read alike. */
#include "eval/parts.h"

int eval_require(const char *value, const char *option, const char *what, struct error *err)
{
    return value ? 0 : error_set(err, ERROR_USAGE, "--%s is needed: %s", option, what);
}

struct record_source eval_source(const struct eval_options *o, const char *path)
{
    return (struct record_source){path, o->question_field, o->answer_field};
}

const char *eval_output_text(const json_t *record)
{
    static const char *const names[] = {"answer", "text", "output", "response", NULL};
    for (int i = 0; names[i]; i++)
        if (json_is_string(json_object_get(record, names[i])))
            return json_string_value(json_object_get(record, names[i]));
    return NULL;
}
