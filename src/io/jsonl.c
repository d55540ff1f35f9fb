/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte decides: '[' is one array, read whole; anything else is a record a line. */
#include "io/jsonl.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/input.h"
#include "io/jsontext.h"

#include <string.h>

enum { LINE_MAX_BYTES = 64 << 20, ARRAY_MAX_BYTES = 1 << 30 };

struct jsonl {
    struct input *input;
    struct buf line;
    json_t *array; /* the whole file, when it is one array */
    size_t next;   /* in array */
    long number, repaired;
    int begun;
};

static int wrap(struct jsonl **out, struct input *input, int rc, struct error *err)
{
    if (rc)
        return rc;
    struct jsonl *r = mem_calloc(1, sizeof *r);
    if (!r) {
        input_close(input);
        return error_set_nomem(err, sizeof *r, "reading records");
    }
    r->input = input;
    *out = r;
    return 0;
}

int jsonl_open(struct jsonl **out, const char *path, struct error *err)
{
    struct input *input = NULL;
    int rc = input_open(&input, path, err);
    return wrap(out, input, rc, err);
}

int jsonl_open_bytes(struct jsonl **out, const void *bytes, size_t n, const char *name, struct error *err)
{
    struct input *input = NULL;
    int rc = input_open_bytes(&input, bytes, n, name, err);
    return wrap(out, input, rc, err);
}

void jsonl_close(struct jsonl *r)
{
    if (!r)
        return;
    input_close(r->input);
    json_decref(r->array);
    buf_free(&r->line);
    mem_free(r);
}

/* Reads the rest of the input into line. */
static int read_all(struct jsonl *r, struct error *err)
{
    const char *bytes;
    size_t n;
    int rc;
    while ((rc = input_peek(r->input, &bytes, &n, err)) == 1) {
        buf_append(&r->line, bytes, n);
        input_skip(r->input, n);
        if (r->line.failed || r->line.len > ARRAY_MAX_BYTES)
            return error_set(err, ERROR_DATA, "%s: a JSON array of more than %d MiB; use JSON Lines", jsonl_name(r), ARRAY_MAX_BYTES >> 20);
    }
    return rc;
}

/* Looks whether the file is an array: skips a BOM and blanks. */
static int begin(struct jsonl *r, struct error *err)
{
    const char *bytes;
    size_t n, i = 0;
    r->begun = 1;
    int rc = input_peek(r->input, &bytes, &n, err);
    if (rc != 1)
        return rc;
    if (n >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3))
        i = 3;
    while (i < n && (bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\r' || bytes[i] == '\n'))
        i++;
    if (i == n || bytes[i] != '[')
        return 0;
    rc = read_all(r, err);
    return rc ? rc : jsontext_parse(&r->array, r->line.data, r->line.len, jsonl_name(r), 1, &r->repaired, err);
}

static int object_or_error(struct jsonl *r, json_t *value, json_t **record, struct error *err)
{
    if (!json_is_object(value)) {
        json_decref(value);
        return error_set(err, ERROR_DATA, "%s:%ld: wanted a JSON object", jsonl_name(r), r->number);
    }
    *record = value;
    return 1;
}

int jsonl_next(struct jsonl *r, json_t **record, struct error *err)
{
    int rc = r->begun ? 0 : begin(r, err);
    if (rc)
        return rc;
    if (r->array) {
        json_t *item = json_array_get(r->array, r->next++);
        r->number = (long)r->next;
        return item ? object_or_error(r, json_incref(item), record, err) : 0;
    }
    while ((rc = input_line(r->input, &r->line, LINE_MAX_BYTES, err)) == 1) {
        r->number++;
        const char *text = r->line.data ? r->line.data : "";
        if (strspn(text, " \t\r") == r->line.len)
            continue;
        json_t *value = NULL;
        rc = jsontext_parse(&value, text, r->line.len, jsonl_name(r), r->number, &r->repaired, err);
        return rc ? rc : object_or_error(r, value, record, err);
    }
    return rc;
}

long jsonl_line(const struct jsonl *r)
{
    return r->number;
}

const char *jsonl_name(const struct jsonl *r)
{
    return input_name(r->input);
}

long jsonl_repaired(const struct jsonl *r)
{
    return r->repaired;
}
