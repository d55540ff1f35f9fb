/* SPDX-License-Identifier: Apache-2.0 */
/* The part of Jinja2 that chat templates are written in, as transformers renders them: trim_blocks, lstrip_blocks, loop
 * controls, {% generation %}, tojson without HTML escaping, undefined values that are false and empty. What is not
 * known (another statement, filter, test, method or function) is an error that names it and the line: a template that
 * runs with something left out would give a plausible wrong prompt.
 *
 *     if (jinja_parse(&t, text, n, "tokenizer_config.json", &err) || jinja_render(t, variables, 0, &out, NULL, &err))
 *     ...
 *
 * Known: if/elif/else, for (if, else, recursive, loop.*, break, continue), set (tuples, namespace attributes, blocks,
 * filters), macro (varargs, kwargs, caller), call, filter, with, print, generation, raw, comments; all operators; calls
 * with keywords, *list and **mapping; slices; the tests; the methods of Python's str (but encode, translate,
 * maketrans), list, tuple and dict that change nothing; Markup and its escaping; range, dict, namespace, cycler,
 * joiner, raise_exception, strftime_now; filters abs attr batch capitalize center count d default dictsort e escape
 * first float forceescape format from_json groupby indent int items join last length list lower map max min reject
 * rejectattr replace reverse round safe select selectattr slice sort string sum title tojson trim truncate unique upper
 * wordcount. Whole numbers have 64 bits; beyond them is an error. A template's steps, the bytes it holds and the bytes
 * it reads and writes are bounded; a signal stops it. */
#ifndef JINJA_JINJA_H
#define JINJA_JINJA_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct jinja;
/* name stands for the file in messages. ERROR_UNAVAILABLE for what is Jinja but not known here, ERROR_DATA for what is
 * no template. */
int jinja_parse(struct jinja **out, const char *text, size_t n, const char *name, struct error *err);
void jinja_free(struct jinja *t); /* NULL is fine */

/* bytes of the output */
struct jinja_span {
    size_t begin, end;
};
/* what {% generation %} blocks wrote, in order; mem_free(items) */
struct jinja_spans {
    struct jinja_span *items;
    int n;
};
/* Appends the rendered text. variables: an object. now: seconds since 1970 for strftime_now (UTC). spans may be NULL. A
 * template's own raise_exception, an undefined value used, too much work or memory: ERROR_DATA with the line. */
int jinja_render(const struct jinja *t, const json_t *variables, int64_t now, struct buf *out,
                 struct jinja_spans *spans, struct error *err);

#endif
