/* SPDX-License-Identifier: Apache-2.0 */
/* What people's records hold and JSON, or its reader, does not take: a key twice, NaN and Infinity as Python writes
 * them, numbers too great, U+0000. Only a record that the strict reader refused comes here. Its numbers are mended in a
 * copy; then its members are read one by one, so that what is wrong in one spoils that one only. */
#include "io/jsontext.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mending {
    const char *name;
    long line, *repaired;
    struct buf *odd;
    struct error *err;
};

static void note(const struct mending *m, const char *what, const char *text, size_t n)
{
    if (!m->odd->len)
        buf_printf(m->odd, "%s:%ld: %s: %.*s", m->name, m->line, what, (int)(n > 60 ? 60 : n), text);
}

static int in_number(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
           c == '.';
}

static int is_word(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && !memcmp(s, word, n);
}

/* A run of letters and digits outside of strings, into out. */
static void put_literal(const struct mending *m, const char *s, size_t n, struct buf *out)
{
    char digits[400];
    if (is_word(s, n, "NaN") || is_word(s, n, "Infinity") || is_word(s, n, "-Infinity")) {
        note(m, "no JSON number", s, n);
        buf_puts(out, "null");
        return;
    }
    buf_append(out, s, n);
    size_t sign = *s == '-';
    if (n == sign || s[sign] < '0' || s[sign] > '9')
        return;
    snprintf(digits, sizeof digits, "%.*s", (int)(n < sizeof digits ? n : sizeof digits - 1), s);
    errno = 0;
    if (n >= sizeof digits || !isfinite(strtod(digits, NULL))) {
        note(m, "a number too great", s, n);
        out->len -= n;
        buf_puts(out, "null");
    } else if (strspn(s + sign, "0123456789") >= n - sign && (strtoll(digits, NULL, 10), errno == ERANGE)) {
        note(m, "an integer beyond 64 bits", s, n);
        buf_puts(out, ".0");
    }
}

static size_t string_end(const char *s, size_t n)
{
    size_t i = 1;
    while (i < n && s[i] != '"')
        i += s[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
}

static void mend_numbers(const struct mending *m, const char *s, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        if (s[i] == '"')
            end = i + string_end(s + i, n - i);
        else if (in_number(s[i]))
            while (end < n && in_number(s[end]))
                end++;
        if (s[i] != '"' && in_number(s[i]))
            put_literal(m, s + i, end - i, out);
        else
            buf_append(out, s + i, end - i);
        i = end;
    }
}

static size_t skip_space(const char *s, size_t n, size_t i)
{
    while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
        i++;
    return i;
}

/* Where the value at s ends: at a comma or bracket that is not its own. */
static size_t value_end(const char *s, size_t n)
{
    long depth = 0;
    size_t i = 0;
    while (i < n) {
        if (s[i] == '"') {
            i += string_end(s + i, n - i);
            continue;
        }
        if (!depth && (s[i] == ',' || s[i] == '}' || s[i] == ']'))
            break;
        depth += s[i] == '{' || s[i] == '[';
        depth -= s[i] == '}' || s[i] == ']';
        i++;
    }
    return i;
}

/* One member into the object; a key that it has already, or that is twice inside of the value, leaves null, and so does
 * a text with U+0000, which most of the house would take for the text's end. */
static int put_member(const struct mending *m, json_t *object, const char *key, const char *value, size_t n)
{
    struct error own = {0, ""};
    json_t *v = NULL;
    int rc = jsontext_parse(&v, (struct jsontext){value, n, m->name, m->line, 1}, m->repaired, &own);
    int inside = rc && strstr(own.message, "duplicate object key") != NULL,
        twice = inside || json_object_get(object, key) != NULL,
        nul = rc && strstr(own.message, "\\u0000 is not allowed") != NULL;
    if (rc && !inside && !nul)
        return rc;
    if (nul && !twice) {
        note(m, "U+0000 in a text", key, strlen(key));
        v = json_null();
    }
    if (twice) {
        note(m, "a key that is given twice", key, strlen(key));
        json_decref(v);
        v = json_null();
    }
    return json_object_set_new(object, key, v) ? error_set_nomem(m->err, n, m->name) : 0;
}

static int put_members(const struct mending *m, json_t *object, const char *s, size_t n)
{
    size_t i = skip_space(s, n, 0);
    if (i >= n || s[i] != '{')
        return ERROR_DATA;
    i = skip_space(s, n, i + 1);
    while (i < n && s[i] == '"') {
        size_t end = i + string_end(s + i, n - i);
        json_t *key = NULL;
        int rc = jsontext_parse(&key, (struct jsontext){s + i, end - i, m->name, m->line, 1}, m->repaired, NULL);
        i = skip_space(s, n, end);
        if (!rc && (i >= n || s[i] != ':'))
            rc = ERROR_DATA;
        i = skip_space(s, n, i + 1);
        if (!rc && i < n) {
            end = i + value_end(s + i, n - i);
            rc = put_member(m, object, json_string_value(key), s + i, end - i);
        }
        json_decref(key);
        if (rc)
            return rc;
        i = end;
        if (i < n && s[i] == ',') {
            i = skip_space(s, n, i + 1);
            if (i < n && s[i] != '"')
                return ERROR_DATA;
        }
    }
    return i < n && s[i] == '}' && skip_space(s, n, i + 1) == n ? 0 : ERROR_DATA;
}

int jsontext_parse_record(json_t **out, struct jsontext text, long *repaired, struct buf *odd, struct error *err)
{
    const char *s = text.bytes, *name = text.name;
    size_t n = text.n;
    struct error own = {0, ""};
    struct buf copy = BUF_INIT;
    long changed = 0;
    int rc = jsontext_parse(out, text, repaired, &own);
    if (rc != ERROR_DATA || utf8_valid(s, n) < n)
        return rc ? error_set(err, rc, "%s", own.message) : 0;
    const struct mending m = {name, text.line, &changed, odd, err};
    size_t bom = n >= 3 && !memcmp(s, "\xef\xbb\xbf", 3) ? 3 : 0;
    json_t *object = json_object();
    mend_numbers(&m, s + bom, n - bom, &copy);
    int mended =
        !object || copy.failed ? error_set_nomem(err, n, name) : put_members(&m, object, buf_text(&copy), copy.len);
    buf_free(&copy);
    if (!mended && odd->len) {
        *repaired += changed;
        *out = object;
        return odd->failed ? error_set_nomem(err, odd->len, name) : 0;
    }
    json_decref(object);
    buf_reset(odd);
    return mended == ERROR_NOMEM ? error_set_nomem(err, n, name) : error_set(err, rc, "%s", own.message);
}
