/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the rows "| `PATH` | TYPE | ... |" of docs/FORMATS.md that stand behind the heading "### metrics.json". In a
 * path [] is every item of a list and * every key of an object; "TYPE or null"; "optional TYPE". */
#include "tests/metrics_schema.h"

#include "tests/check.h"

#include <string.h>

enum { MOST_ROWS = 200 };
static struct row {
    char path[96], type[24];
    int optional, nullable;
} rows[MOST_ROWS];
static int n_row;

static void read_row(const char *line)
{
    struct row *r = &rows[n_row];
    char type[64] = "";
    if (sscanf(line, "| `%95[^`]` | %63[^|]", r->path, type) != 2)
        return;
    r->optional = !strncmp(type, "optional ", 9);
    r->nullable = strstr(type, " or null") != NULL;
    assert_int_equal(sscanf(type + (r->optional ? 9 : 0), "%23s", r->type), 1);
    assert_true(++n_row < MOST_ROWS);
}

int metrics_schema_rows(void)
{
    char line[1024];
    FILE *f = n_row ? NULL : fopen("docs/FORMATS.md", "r");
    int inside = 0;
    if (n_row)
        return n_row;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        inside = line[0] == '#' ? !strcmp(line, "### metrics.json\n") : inside;
        if (inside)
            read_row(line);
    }
    fclose(f);
    assert_true(n_row > 20);
    return n_row;
}

const char *metrics_schema_path(int row)
{
    return rows[row].path;
}

static int find(const char *path)
{
    for (int i = 0; i < n_row; i++)
        if (!strcmp(rows[i].path, path))
            return i;
    return -1;
}

static int is_type(const json_t *v, const struct row *r)
{
    if (json_is_null(v))
        return r->nullable;
    if (!strcmp(r->type, "integer"))
        return json_is_integer(v);
    if (!strcmp(r->type, "number"))
        return json_is_number(v);
    if (!strcmp(r->type, "text"))
        return json_is_string(v);
    return !strcmp(r->type, "list") ? json_is_array(v) : !strcmp(r->type, "object") && json_is_object(v);
}

/* The key of a row that stands directly below `path`, or NULL. */
static const char *key_below(const char *path, const struct row *r)
{
    size_t n = strlen(path);
    if (strncmp(r->path, path, n) || (n && r->path[n] != '.'))
        return NULL;
    const char *key = r->path + n + (n > 0);
    return *key && !strpbrk(key, ".[*") ? key : NULL;
}

static void check_object(const json_t *o, const char *path, unsigned char *used);

static void check_value(const json_t *v, const char *path, int row, unsigned char *used)
{
    char below[160];
    size_t i;
    const json_t *item;
    if (!is_type(v, &rows[row]))
        fail_msg("%s: wanted %s%s", path, rows[row].type, rows[row].nullable ? " or null" : "");
    if (used)
        used[row] = 1;
    if (json_is_object(v))
        check_object(v, path, used);
    snprintf(below, sizeof below, "%.100s[]", path);
    json_array_foreach((json_t *)v, i, item) check_object(item, below, used);
}

static void check_object(const json_t *o, const char *path, unsigned char *used)
{
    const char *name, *key;
    json_t *v;
    char below[128];
    json_object_foreach((json_t *)o, name, v)
    {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", name);
        int row = find(below);
        if (row < 0) {
            snprintf(below, sizeof below, "%s.*", path);
            row = find(below);
        }
        if (row < 0)
            fail_msg("%s%s%s: docs/FORMATS.md does not say what that is", path, *path ? "." : "", name);
        check_value(v, below, row, used);
    }
    for (int i = 0; i < n_row; i++)
        if ((key = key_below(path, &rows[i])) && !rows[i].optional && !json_object_get(o, key))
            fail_msg("%s: docs/FORMATS.md has it and does not say that it is optional; it is not there", rows[i].path);
}

void metrics_schema_check(const json_t *metrics, unsigned char *used)
{
    metrics_schema_rows();
    assert_true(json_is_object(metrics));
    check_object(metrics, "", used);
}
