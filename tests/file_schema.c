/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the rows "| `PATH` | TYPE | ... |" of docs/FORMATS.md that stand behind a heading. In a path [] is every item
 * of a list and * every key of an object that has no row of its own; "TYPE or TYPE"; "optional TYPE". */
#include "tests/file_schema.h"

#include "tests/check.h"

#include <string.h>

enum { MOST_ROWS = 200, MOST_FILES = 8 };
struct row {
    char path[96], types[48];
    int optional;
};
struct file_schema {
    char name[64];
    struct row rows[MOST_ROWS];
    int n;
};
static struct file_schema files[MOST_FILES];
static char fault[320];

static void read_row(struct file_schema *s, const char *line)
{
    struct row *r = &s->rows[s->n];
    char type[64] = "";
    if (sscanf(line, "| `%95[^`]` | %63[^|]", r->path, type) != 2)
        return;
    r->optional = !strncmp(type, "optional ", 9);
    snprintf(r->types, sizeof r->types, "%.46s", type + (r->optional ? 9 : 0));
    assert_true(++s->n < MOST_ROWS);
}

static void read_rows(struct file_schema *s)
{
    char line[1024], heading[80];
    int inside = 0;
    FILE *f = fopen("docs/FORMATS.md", "r");
    assert_non_null(f);
    snprintf(heading, sizeof heading, "### %s\n", s->name);
    while (fgets(line, sizeof line, f)) {
        inside = line[0] == '#' ? !strcmp(line, heading) : inside;
        if (inside)
            read_row(s, line);
    }
    fclose(f);
    if (s->n < 4)
        fail_msg("docs/FORMATS.md: wanted a table behind the heading ### %s", s->name);
}

const struct file_schema *file_schema(const char *name)
{
    int i = 0;
    while (i < MOST_FILES && files[i].n && strcmp(files[i].name, name))
        i++;
    assert_true(i < MOST_FILES);
    if (!files[i].n) {
        snprintf(files[i].name, sizeof files[i].name, "%s", name);
        read_rows(&files[i]);
    }
    return &files[i];
}

int file_schema_rows(const struct file_schema *s)
{
    return s->n;
}

static int find(const struct file_schema *s, const char *path)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->rows[i].path, path))
            return i;
    return -1;
}

static int is_of(const json_t *v, const char *type)
{
    return (json_is_null(v) && !strcmp(type, "null")) || (json_is_integer(v) && !strcmp(type, "integer")) ||
           (json_is_number(v) && !strcmp(type, "number")) || (json_is_string(v) && !strcmp(type, "text")) ||
           (json_is_array(v) && !strcmp(type, "list")) || (json_is_object(v) && !strcmp(type, "object"));
}

/* types: "number or null ". "anything" is not looked into. */
static int is_type(const json_t *v, const struct row *r)
{
    char types[sizeof r->types], *rest = types;
    snprintf(types, sizeof types, "%s", r->types);
    for (char *end; *rest; rest = end) {
        char * or = strstr(rest, " or ");
        end = or ? or +4 : rest + strlen(rest);
        if (or)
            * or = 0;
        rest[strcspn(rest, " ")] = 0;
        if (is_of(v, rest) || !strcmp(rest, "anything"))
            return 1;
    }
    return 0;
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

static int check_object(const struct file_schema *s, const json_t *o, const char *path, unsigned char *used);
static int check_value(const struct file_schema *s, const json_t *v, const char *path, unsigned char *used);

static int check_list(const struct file_schema *s, const json_t *list, const char *path, unsigned char *used)
{
    char below[160];
    size_t i;
    const json_t *item;
    int wrong = 0;
    snprintf(below, sizeof below, "%.100s[]", path);
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        if (!wrong && find(s, below) >= 0)
            wrong = check_value(s, item, below, used);
        else if (!wrong && json_is_object(item))
            wrong = check_object(s, item, below, used);
        else if (!wrong)
            wrong = snprintf(fault, sizeof fault, "%.160s: wanted object", below);
    }
    return wrong;
}

static int check_value(const struct file_schema *s, const json_t *v, const char *path, unsigned char *used)
{
    int row = find(s, path);
    if (!is_type(v, &s->rows[row]))
        return snprintf(fault, sizeof fault, "%.160s: wanted %s", path, s->rows[row].types);
    if (used)
        used[row] = 1;
    if (!strncmp(s->rows[row].types, "anything", 8))
        return 0;
    return json_is_object(v) ? check_object(s, v, path, used) : check_list(s, v, path, used);
}

static int check_key(const struct file_schema *s, const json_t *v, const char *path, const char *name,
                     unsigned char *used)
{
    char below[160], any[160];
    const char *point = *path ? "." : "";
    snprintf(below, sizeof below, "%.100s%s%.50s", path, point, name);
    snprintf(any, sizeof any, "%.100s%s*", path, point);
    if (find(s, below) >= 0)
        return check_value(s, v, below, used);
    if (find(s, any) >= 0)
        return check_value(s, v, any, used);
    return snprintf(fault, sizeof fault, "%.160s: docs/FORMATS.md does not say what that is", below);
}

static int check_object(const struct file_schema *s, const json_t *o, const char *path, unsigned char *used)
{
    const char *name, *key;
    const json_t *v;
    int wrong = 0;
    json_object_foreach((json_t *)(uintptr_t)o, name, v) wrong = wrong ? wrong : check_key(s, v, path, name, used);
    for (int i = 0; i < s->n && !wrong; i++)
        if ((key = key_below(path, &s->rows[i])) && !s->rows[i].optional && !json_object_get(o, key))
            wrong = snprintf(fault, sizeof fault,
                             "%s: docs/FORMATS.md has it and does not say that it is optional; it is not there",
                             s->rows[i].path);
    return wrong;
}

const char *file_schema_fault(const struct file_schema *s, const json_t *file, unsigned char *used)
{
    if (!json_is_object(file))
        return "wanted an object";
    return check_object(s, file, "", used) ? fault : NULL;
}

void file_schema_check(const struct file_schema *s, const json_t *file, unsigned char *used)
{
    const char *found = file_schema_fault(s, file, used);
    if (found)
        fail_msg("%s: %s", s->name, found);
}

void file_schema_all_used(const struct file_schema *s, const unsigned char *used)
{
    for (int i = 0; i < s->n; i++)
        if (!used[i])
            fail_msg("%s: docs/FORMATS.md says there is %s; nothing writes it", s->name, s->rows[i].path);
}
