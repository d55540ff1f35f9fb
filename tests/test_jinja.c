/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates against jinja2 as transformers sets it up (tests/golden/chat, made by tools/golden_chat.py): whole
 * templates over conversations, single expressions, white space; what is not known is named; no template runs away. */
#include "check.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "jinja/jinja.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static json_t *golden;
static int load(void **state)
{
    (void)state;
    golden = json_load_file("tests/golden/chat/cases.json", 0, NULL);
    return golden ? 0 : -1;
}
static int drop(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static int render(const char *source, size_t n, const json_t *variables, struct buf *out, struct jinja_spans *spans,
                  struct error *err)
{
    struct jinja *t;
    int rc = jinja_parse(&t, source, n, "test", err);
    if (!rc)
        rc = jinja_render(t, variables, json_integer_value(json_object_get(golden, "now")), out, spans, err);
    jinja_free(t);
    return rc;
}

/* The same text, or an error where there is one. */
static int check(const char *name, const char *source, size_t n, const json_t *variables, const json_t *wanted)
{
    struct buf out = BUF_INIT;
    struct jinja_spans spans;
    struct error err = {0};
    const json_t *text = json_object_get(wanted, "text"), *marks = json_object_get(wanted, "spans"), *pair;
    int rc = render(source, n, variables, &out, &spans, &err), bad = 0;
    size_t i;
    const char *got = out.data ? out.data : "";
    if (!text ? !rc : rc || out.len != json_string_length(text) || memcmp(got, json_string_value(text), out.len)) {
        printf("%s: %s\n  wanted %s\n  got    %s\n", name, source,
               text ? json_string_value(text) : string_of(wanted, "error"), rc ? err.message : got);
        bad = 1;
    }
    if (!rc && marks) {
        bad |= (int)json_array_size(marks) != spans.n;
        json_array_foreach(marks, i, pair)
        { /* golden has characters */
            if ((int)i < spans.n)
                bad |= utf8_count(got, spans.items[i].begin) != (size_t)json_integer_value(json_array_get(pair, 0)) ||
                       utf8_count(got, spans.items[i].end) != (size_t)json_integer_value(json_array_get(pair, 1));
        }
        if (bad)
            printf("%s: spans differ\n", name);
    }
    if (!rc)
        mem_free(spans.items);
    buf_free(&out);
    return bad;
}

static void test_templates_of_well_known_models(void **state)
{
    (void)state;
    const json_t *c, *special = json_object_get(golden, "special");
    size_t i;
    int bad = 0, n = 0, n_template = 0;
    char last[64] = "";
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        char path[200], name[200];
        struct buf source = BUF_INIT;
        json_t *variables = json_deep_copy(json_object_get(c, "variables"));
        snprintf(path, sizeof path, "tests/golden/chat/%s", string_of(c, "template"));
        snprintf(name, sizeof name, "%s, %s", string_of(c, "template"), string_of(c, "name"));
        n_template += strcmp(last, string_of(c, "template")) != 0;
        snprintf(last, sizeof last, "%s", string_of(c, "template"));
        assert_int_equal(file_read(&source, path, 1 << 20, NULL), 0);
        json_object_update_missing(variables, (json_t *)(uintptr_t)special);
        if (!json_object_get(variables, "add_generation_prompt"))
            json_object_set_new(variables, "add_generation_prompt", json_false());
        bad += check(name, source.data, source.len, variables, c);
        n++;
        json_decref(variables);
        buf_free(&source);
    }
    assert_true(n_template >= 14 && n >= 140);
    if (bad)
        fail_msg("%d of %d differ", bad, n);
}

static void test_expressions_statements_and_white_space(void **state)
{
    (void)state;
    const json_t *c;
    size_t i;
    int bad = 0;
    json_array_foreach(json_object_get(golden, "snippets"), i, c) bad += check(
        "snippet", string_of(c, "source"), strlen(string_of(c, "source")), json_object_get(golden, "variables"), c);
    if (bad)
        fail_msg("%d of %zu differ", bad, json_array_size(json_object_get(golden, "snippets")));
}

static void test_values_as_jinja2_writes_them(void **state)
{
    (void)state;
    json_error_t e;
    json_t *all = json_load_file("tests/golden/chat/expressions.json", JSON_ALLOW_NUL, &e),
           *rows = json_object_get(all, "rows"), *row;
    size_t i;
    int bad = 0;
    assert_true(json_array_size(rows) > 500);
    json_array_foreach(rows, i, row)
    {
        const json_t *source = json_array_get(row, 0), *text = json_array_get(row, 1);
        json_t *wanted =
            json_is_string(text) ? json_pack("{s:O}", "text", text) : json_pack("{s:s}", "error", "an error");
        bad += check("expression", json_string_value(source), json_string_length(source),
                     json_object_get(all, "variables"), wanted);
        json_decref(wanted);
    }
    if (bad)
        fail_msg("%d of %zu differ", bad, json_array_size(rows));
    json_decref(all);
}

static void test_what_is_not_known_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        int code;
        const char *says;
    } cases[] = {
        {"{% include 'x' %}", ERROR_UNAVAILABLE, "line 1: not supported: statement \"include\""},
        {"a\n{{ x|wordwrap }}", ERROR_UNAVAILABLE, "line 2: not supported: filter \"wordwrap\""},
        {"{{ x is prime }}", ERROR_UNAVAILABLE, "test \"prime\""},
        {"{% call x() %}{% endcall %}", ERROR_DATA, "no function"},
        {"{{ [1]|sort(foo=1) }}", ERROR_DATA, "such as foo"},
        {"{{ 'a'.split(foo=1) }}", ERROR_DATA, "such as foo"},
        {"{{ 'a'.encode() }}", ERROR_UNAVAILABLE, "method \"encode\""},
        {"{{ l|map('string') }}", ERROR_DATA, "generator"},
        {"{{ lipsum() }}", ERROR_UNAVAILABLE, "lipsum"},
        {"{{ l.append(1) }}", ERROR_DATA, "'append' is called"},
        {"{% if x %}", ERROR_DATA, "wanted elif, found \"the end\""},
        {"{% endif %}", ERROR_DATA, "not begun"},
        {"{{ x", ERROR_DATA, "no \"}}\""},
        {"{{ 'a }}", ERROR_DATA, "no end"},
        {"{{ x ? 1 : 2 }}", ERROR_DATA, "means nothing"},
        {"{{ raise_exception('no system') }}", ERROR_DATA, "the template says: no system"},
        {"{% break %}", ERROR_DATA, "outside of a loop"},
        {"{% for i in range(900000000) %}{% endfor %}", ERROR_DATA, "more than 100000"},
        {"{% for i in range(9000) %}{% for j in range(9000) %}{% endfor %}{% endfor %}", ERROR_DATA, "takes more than"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", ERROR_DATA, "deep"},
        {"{% set a = 'x' * 60000000 %}{% set a = a ~ a ~ a ~ a ~ a %}", ERROR_DATA, "MiB"},
        {"{{ 0 ** -1 }}", ERROR_DATA, "negative power"},
        {"{% set s = 'a' * 15000000 %}{% for i in range(100000) %}{% if 'ab' in s %}{% endif %}{% endfor %}",
         ERROR_DATA, "MiB"},
        {"{% set s = 'a' * 5000000 %}{% for i in range(100000) %}{% if s.rfind('ab') %}{% endif %}{% endfor %}",
         ERROR_DATA, "MiB"},
        {"{% set s = 'a' * 5000000 %}{% for i in range(100000) %}{% if s|length > 9 or s == s ~ '' %}{% endif %}{% "
         "endfor %}",
         ERROR_DATA, "MiB"},
        {"{% set s = [1] * 100000 %}{% for i in range(100000) %}{% if s == s + [] or 2 in s %}{% endif %}{% endfor %}",
         ERROR_DATA, "MiB"},
        {"{{ 9223372036854775 * 9223372036854775 }}", ERROR_DATA, "too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = BUF_INIT;
        struct error err = {0};
        int rc =
            render(cases[i].source, strlen(cases[i].source), json_object_get(golden, "variables"), &out, NULL, &err);
        if (rc != cases[i].code || !strstr(err.message, cases[i].says))
            fail_msg("%s: rc %d \"%s\", wanted \"%s\"", cases[i].source, rc, err.message, cases[i].says);
        buf_free(&out);
    }
}

static void test_a_signal_stops_a_template(void **state)
{
    (void)state;
    static const char source[] = "{% for i in range(9000) %}{% endfor %}";
    struct buf out = BUF_INIT;
    struct error err = {0};
    interrupt_request(SIGTERM);
    int rc = render(source, sizeof source - 1, json_object_get(golden, "variables"), &out, NULL, &err);
    interrupt_clear();
    assert_int_equal(rc, ERROR_INTERRUPTED);
    assert_int_equal(render(source, sizeof source - 1, json_object_get(golden, "variables"), &out, NULL, &err), 0);
    buf_free(&out);
}

/* Allocation 0, 1, 2, ... fails, until none does. */
static void test_memory_may_run_out(void **state)
{
    (void)state;
    struct buf source = BUF_INIT, text = BUF_INIT;
    json_t *variables = json_pack("{s:[{s:s,s:s},{s:s,s:s}],s:s,s:s}", "messages", "role", "user", "content", "q",
                                  "role", "assistant", "content", "a", "bos_token", "<s>", "eos_token", "</s>");
    assert_int_equal(file_read(&source, "tests/golden/chat/mistral-v0.3.jinja", 1 << 20, NULL), 0);
    int rc = ERROR_NOMEM;
    for (long n = 0; rc == ERROR_NOMEM && n < 2000; n++) {
        struct error err = {0};
        buf_free(&text);
        mem_fail_at(n);
        rc = render(source.data, source.len, variables, &text, NULL, &err);
        mem_fail_at(-1);
    }
    assert_int_equal(rc, 0);
    assert_string_equal(text.data, "<s>[INST] q[/INST] a</s>");
    buf_free(&source);
    buf_free(&text);
    json_decref(variables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_of_well_known_models),
        cmocka_unit_test(test_expressions_statements_and_white_space),
        cmocka_unit_test(test_values_as_jinja2_writes_them),
        cmocka_unit_test(test_what_is_not_known_is_named),
        cmocka_unit_test(test_a_signal_stops_a_template),
        cmocka_unit_test(test_memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, load, drop);
}
