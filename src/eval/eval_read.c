/* SPDX-License-Identifier: Apache-2.0 */
/* What all tasks read alike. */
#include "eval/parts.h"

#include "io/record.h"

#include <string.h>

int eval_require(const char *value, const char *option, const char *what, struct error *err)
{
    return value ? 0 : error_set(err, ERROR_USAGE, "--%s is needed: %s", option, what);
}

struct record_source eval_source(const struct eval_options *o, const char *path)
{
    return (struct record_source){path, o->question_field, o->answer_field, 0};
}

const char *eval_output_text(const json_t *record)
{
    static const char *const names[] = {"answer", "text", "output", "response", "completion", NULL};
    for (int i = 0; names[i]; i++)
        if (json_is_string(json_object_get(record, names[i])))
            return json_string_value(json_object_get(record, names[i]));
    return NULL;
}

/* A record whose output stands in a shape alone gets it as "answer", and its "question". */
static int name_output(void *user, json_t *record, struct error *err)
{
    (void)user;
    const struct record_shape *shape = eval_output_text(record) ? NULL : record_shape(record, 1);
    struct record_pair pair = {.n_more = 0};
    int rc = shape ? record_pair(&pair, record, shape, err) : 0;
    if (!rc && pair.answer.len &&
        (json_object_set_new(record, "answer", json_string(pair.answer.data)) ||
         json_object_set_new(record, "question", json_string(buf_text(&pair.question)))))
        rc = error_set_nomem(err, pair.answer.len, "an output");
    record_pair_free(&pair);
    return rc;
}

int eval_outputs_load(json_t **outputs, const struct eval_options *o, const char *path, struct error *err)
{
    return record_load(outputs, eval_source(o, path), 0, name_output, NULL, err);
}

const json_t *eval_output_of(const json_t *outputs, const char *question, int row)
{
    static const char *const names[] = {"question", "prompt", "instruction"};
    size_t i;
    json_t *item;
    const json_t *first = json_array_get(outputs, 0);
    int n = record_has(first, "n_prompt_tokens") ? 1 : 3; /* generate's own "prompt" is what a template wrote */
    for (int k = 0; k < n; k++) {
        if (!json_is_string(json_object_get(first, names[k])))
            continue;
        json_array_foreach(outputs, i, item)
        {
            const char *own = json_string_value(json_object_get(item, names[k]));
            if (own && !strcmp(own, question))
                return item;
        }
        return NULL;
    }
    return json_array_get(outputs, (size_t)row);
}
