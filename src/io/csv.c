/* SPDX-License-Identifier: Apache-2.0 */
/* One byte at a time through four states. A row is one buffer of NUL-terminated fields and the places where they
 * begin. */
#include "io/csv.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "io/input.h"

#include <string.h>

enum { MAX_FIELD = 1 << 14, MAX_ROW = 1 << 24 };
enum state { AT_START, PLAIN, QUOTED, QUOTE_SEEN };

struct row {
    struct buf text;
    size_t *begin; /* of each field in text */
    size_t n, cap;
};
struct csv {
    struct input *in;
    struct row names, row;
    long line, row_line;
    size_t n_blank; /* after a closing quote */
    char delimiter;
    int done, loose; /* loose: a table of people, whose input is borrowed */
    int has_row;     /* the next row was read already */
    int too_long;    /* the row at hand, of which only the end of it was looked for */
    int after_cr;    /* which ended a row: a newline behind it is no other row's end */
};

static int begin_field(struct csv *c, struct row *row, struct error *err)
{
    if (row->n == row->cap) {
        size_t cap = row->cap ? row->cap * 2 : 16;
        size_t *begin = cap > MAX_FIELD ? NULL : mem_resize(row->begin, cap * sizeof *begin);
        if (cap > MAX_FIELD)
            return error_set(err, ERROR_DATA, "%s:%ld: more than %d fields in a row", input_name(c->in), c->row_line,
                             MAX_FIELD / 2);
        if (!begin)
            return error_set_nomem(err, cap * sizeof *begin, input_name(c->in));
        row->begin = begin;
        row->cap = cap;
    }
    row->begin[row->n++] = row->text.len;
    return 0;
}

static int finish_row(struct csv *c, struct row *row, struct error *err)
{
    buf_putc(&row->text, 0);
    if (row->text.failed)
        return error_set_nomem(err, row->text.len, input_name(c->in));
    if (c->too_long)
        return 1;
    size_t valid = utf8_valid(row->text.data, row->text.len);
    if (valid < row->text.len)
        return error_set(
            err, ERROR_DATA,
            "%s:%ld: byte 0x%02x, byte %zu of the row that begins here, is not valid UTF-8; save the file as UTF-8",
            input_name(c->in), c->row_line, (unsigned char)row->text.data[valid], valid + 1);
    return 1;
}

/* A quote after nothing but blanks opens the field all the same. */
static int opens_field(const struct csv *c, struct row *row, enum state state)
{
    size_t begin = row->begin[row->n - 1];
    if (!c->loose || state != PLAIN)
        return 0;
    for (size_t i = begin; i < row->text.len; i++)
        if (row->text.data[i] != ' ')
            return 0;
    row->text.len = begin;
    row->text.data[begin] = 0;
    return 1;
}

/* The quotes of the field at hand were text. */
static void unquote(struct csv *c, struct row *row)
{
    size_t begin = row->begin[row->n - 1], n = row->text.len - begin;
    buf_putc(&row->text, '"');
    if (!row->text.failed) {
        memmove(row->text.data + begin + 1, row->text.data + begin, n);
        row->text.data[begin] = '"';
    }
    buf_putc(&row->text, '"');
    while (c->n_blank) {
        buf_putc(&row->text, ' ');
        c->n_blank--;
    }
}

/* A byte that is no end of the field, after its closing quote. 0 or an error. */
static int behind_quote(struct csv *c, struct row *row, enum state *state, char byte, struct error *err)
{
    if (byte == '\r')
        return 0;
    if (c->loose && byte == ' ') {
        c->n_blank++;
        return 0;
    }
    if (c->loose && c->delimiter == '\t') {
        unquote(c, row);
        buf_putc(&row->text, byte);
        *state = PLAIN;
        return 0;
    }
    const char *wanted = c->delimiter == ';' ? "';'" : "','";
    if (c->delimiter == '\t')
        wanted = "a tab";
    return error_set(
        err, ERROR_DATA,
        "%s:%ld: wanted %s or a line end after a closing quote, found 0x%02x; double the quotes inside a quoted field",
        input_name(c->in), c->line, wanted, (unsigned char)byte);
}

/* Takes one byte; 1 when the row is complete, 0, or an error code. */
static int take_byte(struct csv *c, struct row *row, enum state *state, char byte, struct error *err)
{
    if (byte == 0)
        return error_set(err, ERROR_DATA, "%s:%ld: a NUL byte; this is no text", input_name(c->in), c->line);
    int is_pair = c->after_cr && byte == '\n';
    c->after_cr = c->loose && byte == '\r' && *state != QUOTED;
    if (is_pair)
        return 0;
    c->line += byte == '\n' || c->after_cr;
    if (c->after_cr)
        return 1;
    if (*state == QUOTED) {
        if (byte == '"')
            *state = QUOTE_SEEN;
        else
            buf_putc(&row->text, byte);
        return 0;
    }
    if (byte == '"' && (*state == AT_START || *state == QUOTE_SEEN || opens_field(c, row, *state))) {
        if (*state == QUOTE_SEEN)
            buf_putc(&row->text, '"');
        *state = QUOTED;
        c->n_blank = 0;
        return 0;
    }
    if (byte == c->delimiter) {
        buf_putc(&row->text, 0);
        *state = AT_START;
        return begin_field(c, row, err);
    }
    if (byte == '\n') {
        if (row->text.len > row->begin[row->n - 1] && row->text.data[row->text.len - 1] == '\r' && *state == PLAIN)
            row->text.data[--row->text.len] = 0;
        return 1;
    }
    if (*state == QUOTE_SEEN)
        return behind_quote(c, row, state, byte, err);
    *state = PLAIN;
    buf_putc(&row->text, byte);
    return 0;
}

static int end_of_input(struct csv *c, struct row *row, enum state state, struct error *err)
{
    c->done = 1;
    if (state == QUOTED)
        return error_set(err, ERROR_DATA, "%s:%ld: a quoted field of the row that begins here is never closed",
                         input_name(c->in), c->row_line);
    return row->n == 1 && !row->text.len && state == AT_START ? 0 : finish_row(c, row, err);
}

/* Of a table of people the row is passed over: what it has is forgotten. */
static int pass_over(struct csv *c, struct row *row, struct error *err)
{
    if (!c->loose || row == &c->names)
        return error_set(err, ERROR_DATA, "%s:%ld: a row is longer than %d bytes", input_name(c->in), c->row_line,
                         MAX_ROW);
    c->too_long = 1;
    row->n = 1;
    row->text.len = 0;
    return 0;
}

static int read_row(struct csv *c, struct row *row, struct error *err)
{
    enum state state = AT_START;
    c->too_long = 0;
    buf_reset(&row->text);
    row->n = 0;
    c->row_line = c->line;
    int rc = begin_field(c, row, err);
    while (!rc) {
        const char *bytes = NULL;
        size_t n = 0, i = 0;
        int got = input_peek(c->in, &bytes, &n, err);
        if (got < 0)
            return input_place(c->in, c->line, got, err);
        if (!got)
            return end_of_input(c, row, state, err);
        while (!rc && i < n)
            rc = take_byte(c, row, &state, bytes[i++], err);
        input_skip(c->in, i);
        if (rc >= 0 && row->text.len > MAX_ROW && (got = pass_over(c, row, err)))
            rc = got;
        if (rc == 1 && !c->too_long && row->n == 1 && !row->text.len && state != QUOTE_SEEN) { /* a blank line */
            state = AT_START;
            c->row_line = c->line;
            rc = 0;
        }
    }
    return rc < 0 ? rc : finish_row(c, row, err);
}

static int open_table(struct csv **out, struct csv *c, int rc, struct error *err)
{
    const char *bytes = NULL;
    size_t n = 0;
    if (!c->delimiter)
        c->delimiter = ',';
    if (!rc && (rc = input_peek(c->in, &bytes, &n, err)) == 1) {
        if (n >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3))
            input_skip(c->in, 3);
        c->line = 1;
        rc = read_row(c, &c->names, err);
    }
    if (rc == 0)
        rc = error_set(err, ERROR_DATA, "%s: empty; wanted a first row with the names of the columns",
                       input_name(c->in));
    if (rc < 0) {
        csv_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

int csv_open(struct csv **out, const char *path, struct error *err)
{
    *out = NULL;
    struct csv *c = mem_calloc(1, sizeof *c);
    return c ? open_table(out, c, input_open(&c->in, path, err), err) : error_set_nomem(err, sizeof *c, path);
}

int csv_open_bytes(struct csv **out, const void *bytes, size_t n, const char *name, struct error *err)
{
    *out = NULL;
    struct csv *c = mem_calloc(1, sizeof *c);
    return c ? open_table(out, c, input_open_bytes(&c->in, bytes, n, name, err), err)
             : error_set_nomem(err, sizeof *c, name);
}

int csv_open_table(struct csv **out, struct input *in, char delimiter, struct error *err)
{
    *out = NULL;
    struct csv *c = mem_calloc(1, sizeof *c);
    if (!c)
        return error_set_nomem(err, sizeof *c, input_name(in));
    *c = (struct csv){.in = in, .delimiter = delimiter, .loose = 1};
    return open_table(out, c, 0, err);
}

static const char delimiters[] = ",;\t";

/* How often each delimiter stands in the row that begins at bytes, outside of quotes; where the next row begins, or n
 * where the row has no end. */
static size_t count_delimiters(const char *bytes, size_t n, size_t count[3])
{
    int quoted = 0;
    size_t i = 0;
    memset(count, 0, 3 * sizeof *count);
    for (; i < n && (quoted || (bytes[i] != '\n' && bytes[i] != '\r')); i++) {
        quoted ^= bytes[i] == '"';
        const char *at = quoted || !bytes[i] ? NULL : strchr(delimiters, bytes[i]);
        if (at)
            count[at - delimiters]++;
    }
    if (i + 1 < n && bytes[i] == '\r' && bytes[i + 1] == '\n')
        i++;
    return i < n ? i + 1 : n;
}

/* Rows behind the first that are looked at: prose has commas too, but not as many in every row. */
enum { LOOKED_AT = 20 };

char csv_delimiter(const char *bytes, size_t n)
{
    size_t first[3], count[3], at = count_delimiters(bytes, n, first), next;
    int alike[3] = {1, 1, 1}, best = 0;
    for (int row = 0; row < LOOKED_AT && at < n; row++, at = next) {
        next = at + count_delimiters(bytes + at, n - at, count);
        if ((bytes[next - 1] != '\n' && bytes[next - 1] != '\r') || bytes[at] == '\n' ||
            bytes[at] == '\r') /* cut off, or blank */
            continue;
        for (int i = 0; i < 3; i++)
            alike[i] &= count[i] == first[i];
    }
    for (int i = 1; i < 3; i++) {
        int mine = first[i] && alike[i], other = first[best] && alike[best];
        if (mine != other ? mine : first[i] > first[best])
            best = i;
    }
    return first[best] ? delimiters[best] : 0;
}

int csv_rename_columns(struct csv *c, const char *const *names, struct error *err)
{
    const struct row first = c->names;
    c->names = c->row;
    c->row = first;
    c->has_row = 1;
    buf_reset(&c->names.text);
    c->names.n = 0;
    for (size_t i = 0; i < c->row.n; i++) {
        int rc = begin_field(c, &c->names, err);
        if (rc)
            return rc;
        buf_append(&c->names.text, names[i], strlen(names[i]) + 1);
    }
    return c->names.text.failed ? error_set_nomem(err, 64, input_name(c->in)) : 0;
}

void csv_close(struct csv *c)
{
    if (!c)
        return;
    if (!c->loose)
        input_close(c->in);
    buf_free(&c->names.text);
    buf_free(&c->row.text);
    mem_free(c->names.begin);
    mem_free(c->row.begin);
    mem_free(c);
}

size_t csv_n_column(const struct csv *c)
{
    return c->names.n;
}

const char *csv_column_name(const struct csv *c, size_t i)
{
    return c->names.text.data + c->names.begin[i];
}

long csv_column(const struct csv *c, const char *name)
{
    for (size_t i = 0; i < c->names.n; i++)
        if (!strcmp(csv_column_name(c, i), name))
            return (long)i;
    return -1;
}

int csv_next(struct csv *c, struct error *err)
{
    if (c->has_row) {
        c->has_row = 0;
        return 1;
    }
    if (c->done)
        return 0;
    int rc = read_row(c, &c->row, err);
    while (rc == 1 && c->loose && c->row.n > c->names.n && !*csv_field(c, c->row.n - 1))
        c->row.n--;
    if (rc == 1 && !c->too_long && c->row.n != c->names.n)
        rc = error_set(err, ERROR_DATA, "%s:%ld: wanted %zu fields as in the first row, found %zu", input_name(c->in),
                       c->row_line, c->names.n, c->row.n);
    if (rc < 0)
        c->done = 1;
    return rc;
}

const char *csv_field(const struct csv *c, size_t i)
{
    return c->row.text.data + c->row.begin[i];
}

int csv_is_too_long(const struct csv *c)
{
    return c->too_long;
}

long csv_line(const struct csv *c)
{
    return c->row_line;
}

void csv_put_quoted(struct buf *out, const char *text)
{
    buf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            buf_putc(out, '"');
        buf_putc(out, *text);
    }
    buf_putc(out, '"');
}

void csv_put(struct buf *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n"))
        csv_put_quoted(out, text);
    else
        buf_puts(out, text);
}
