/* SPDX-License-Identifier: Apache-2.0 */
/* What all sources share of reading JSON. */
#include "text/source.h"

#include <string.h>

int text_json_error(const json_error_t *why, const char *name, const char *part, struct error *err)
{
    if (!why->text[0] || json_error_code(why) == json_error_out_of_memory)
        return error_set(err, ERROR_NOMEM, "%s: %sout of memory", name, part);
    return error_set(err, ERROR_DATA, "%s: %sline %d, column %d: %s", name, part, why->line, why->column, why->text);
}

static int is_name(const json_t *v, const char *text)
{
    const char *name = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    return name && !strcmp(name, text);
}

int source_is_named(const json_t *config, const char *text)
{
    static const char *const lists[] = {"extra_special_tokens", "additional_special_tokens"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value) if (is_name(value, text)) return 1;
    for (int k = 0; k < 2; k++) {
        const json_t *list = json_object_get(config, lists[k]);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (is_name(json_array_get(list, i), text))
                return 1;
    }
    return 0;
}

int text_nomem(const char *name, struct error *err)
{
    return error_set(err, ERROR_NOMEM, "%s: out of memory while reading the tokenizer", name);
}
