/* SPDX-License-Identifier: Apache-2.0 */
/* io/jsonl: what it tolerates, and that errors name the line. */
#include "tests/check.h"

#include "io/jsonl.h"

#include <string.h>

static int count(const char *text, size_t n, struct error *err, long *repaired)
{
    struct jsonl *r = NULL;
    json_t *record = NULL;
    int rc = jsonl_open_bytes(&r, text, n, "f", err), found = 0;
    while (!rc && (rc = jsonl_next(r, &record, err)) == 1) {
        found++;
        json_decref(record);
        rc = 0;
    }
    if (repaired)
        *repaired = jsonl_repaired(r);
    jsonl_close(r);
    return rc < 0 ? rc : found;
}
#define COUNT(text, err) count(text, sizeof(text) - 1, err, NULL)

static void tolerates(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(COUNT("\xef\xbb\xbf{\"a\":1}\r\n\r\n {\"b\":2}", &err), 2);
    assert_int_equal(COUNT(" [ {\"a\":1},\n{\"b\":2}, {} ]\n", &err), 3);
    assert_int_equal(COUNT("", &err), 0);
    long repaired = 0;
    const char half[] = "{\"a\":\"x\\ud83d\"}";
    assert_int_equal(count(half, sizeof half - 1, &err, &repaired), 1);
    assert_int_equal(repaired, 1);
}

static void errors_name_the_line(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(COUNT("{}\n{\"a\":}\n", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "f:2"));
    assert_int_equal(COUNT("{}\n3\n", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "f:2: wanted a JSON object"));
    assert_int_equal(COUNT("{}\n\n{\"a\":\"\xff\"}\n", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "f:3"));
    assert_int_equal(COUNT("{\"a\":1,\"a\":2}\n", &err), ERROR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tolerates), cmocka_unit_test(errors_name_the_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
