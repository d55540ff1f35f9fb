/* SPDX-License-Identifier: Apache-2.0 */
#include "report/differences.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void differences_add(struct differences *x, const char *format, ...)
{
    char line[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (x->n++ < DIFFERENCES_SHOWN)
        buf_printf(&x->text, "%s\n", line);
}

void differences_free(struct differences *x)
{
    buf_free(&x->text);
    *x = (struct differences){.n = 0};
}

/* A value in at most so many bytes. */
static const char *shown(const json_t *value, char text[80])
{
    char *all = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    snprintf(text, 80, "%s", all ? all : "nothing");
    free(all);
    return text;
}

/* Whose members are compared where the other one has none. */
enum members { OF_BOTH, OF_WANTED, OF_FOUND };

static void walk(struct differences *x, const char *where, const json_t *wanted, const json_t *found,
                 enum members members);

static void compare(struct differences *x, const char *where, const json_t *wanted, const json_t *found,
                    enum members members)
{
    char one[80], other[80];
    if ((json_is_object(wanted) && json_is_object(found)) ||
        (json_is_array(wanted) && json_is_array(found) && json_array_size(wanted) == json_array_size(found)))
        walk(x, where, wanted, found, members);
    else if (!json_equal(wanted, found))
        differences_add(x, "%s: run.db gives %s, the file has %s", where, shown(wanted, one), shown(found, other));
}

/* What stands in two objects or two lists of one length. */
static void walk(struct differences *x, const char *where, const json_t *wanted, const json_t *found,
                 enum members members)
{
    const char *name;
    json_t *value;
    size_t i;
    char place[300];
    json_object_foreach((json_t *)wanted, name, value)
    {
        snprintf(place, sizeof place, "%.200s%s%.60s", where, *where ? "." : "", name);
        if (members != OF_FOUND || json_object_get(found, name))
            compare(x, place, value, json_object_get(found, name), members);
    }
    json_object_foreach((json_t *)found, name, value)
    {
        snprintf(place, sizeof place, "%.200s%s%.60s", where, *where ? "." : "", name);
        if (members != OF_WANTED && !json_object_get(wanted, name))
            compare(x, place, NULL, value, members);
    }
    json_array_foreach((json_t *)wanted, i, value)
    {
        snprintf(place, sizeof place, "%.200s[%zu]", where, i);
        compare(x, place, value, json_array_get(found, i), members);
    }
}

void differences_json(struct differences *x, const char *where, const json_t *wanted, const json_t *found)
{
    compare(x, where, wanted, found, OF_BOTH);
}

void differences_members(struct differences *x, const char *where, const json_t *wanted, const json_t *found)
{
    compare(x, where, wanted, found, OF_WANTED);
}

void differences_known(struct differences *x, const char *where, const json_t *wanted, const json_t *found)
{
    compare(x, where, wanted, found, OF_FOUND);
}
