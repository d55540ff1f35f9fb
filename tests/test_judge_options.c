/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no server of a judge behind HTTP: Retry-After's two forms, the endpoint as it may be shown; and text made
 * safe for a terminal. */
#include "check.h"

#include "base/printable.h"
#include "io/endpoint.h"

#include <string.h>

/* The dates are those of RFC 9110: Sunday, 6 November 1994, 08:49:37 GMT is 784111777. */
static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        double wanted;
    } cases[] = {
        {" 120\r\n", 120},
        {"0", 0},
        {"1.5", 1.5},
        {"-5", -1},
        {"nan", -1},
        {"inf", -1},
        {"soon", -1},
        {"", -1},
        {"12 monkeys", -1},
        {" Sun, 06 Nov 1994 08:49:37 GMT\r\n", 77},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 77},
        {"Sun Nov  6 08:49:37 1994", 77},
        {"Sun, 06 Nov 1994 08:00:00 GMT", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (http_retry_after(cases[i].value, 784111700) != cases[i].wanted)
            fail_msg("\"%s\": %g, wanted %g", cases[i].value, http_retry_after(cases[i].value, 784111700),
                     cases[i].wanted);
}

static void test_an_endpoint_is_shown_without_its_secrets(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://h:1/v1", "http://h:1/v1"},
        {"https://me:pass@h/v1", "https://h/v1"},
        {"https://me:p@ss@h/v1?key=k#x", "https://h/v1"},
        {"token@h", "h"},
        {"http://h/a@b", "http://h/a@b"},
    };
    char shown[100];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_shown(cases[i][0], shown, sizeof shown);
        assert_string_equal(shown, cases[i][1]);
    }
}

static void test_text_is_made_safe(void **state)
{
    (void)state;
    char text[] = "a\033[31mb\tc\n\x7f\xc2\x9b"
                  "d\xe2\x80\xae"
                  "e\xff\xc3\xa9\r";
    printable(text);
    assert_string_equal(text, "a?[31mb\tc\n??d?e?\xc3\xa9?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_an_endpoint_is_shown_without_its_secrets),
        cmocka_unit_test(test_text_is_made_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
