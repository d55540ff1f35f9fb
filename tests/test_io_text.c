/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, JSON Lines, CSV: what they accept, equal to Python's readers on published files; what they refuse, with the
 * place in the message. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/log.h"
#include "base/utf8.h"
#include "io/csv.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Reads all records; returns their number or the error code, with the line of the last record in *line. */
static long count_records(const char *text, size_t n, long *line, struct error *err)
{
    struct jsonl *r;
    json_t *record;
    long count = 0;
    int rc = jsonl_open_bytes(&r, text, n, "t", err);
    if (rc)
        return rc;
    while ((rc = jsonl_next(r, &record, err)) == 1) {
        json_decref(record);
        count++;
    }
    assert_int_equal(jsonl_next(r, &record, err), 0); /* after the end or an error: no more */
    if (line)
        *line = jsonl_line(r);
    jsonl_close(r);
    return rc ? rc : count;
}

static void assert_refused(const char *text, const char *where)
{
    struct error err = {0};
    long n = count_records(text, strlen(text), NULL, &err);
    if (n != ERROR_DATA || !strstr(err.message, where))
        fail_msg("%s gave %ld \"%s\", wanted \"%s\"", text, n, err.message, where);
}

static long accepted(const char *text)
{
    struct error err = {0};
    long n = count_records(text, strlen(text), NULL, &err);
    if (n < 0)
        fail_msg("%s: %s", text, err.message);
    return n;
}

static void remember(void *user, enum log_level level, const char *text)
{
    assert_int_equal(level, LOG_WARNING);
    snprintf(user, 256, "%s", text);
}

static void jsonl_accepts_what_people_have(void **state)
{
    (void)state;
    assert_int_equal(accepted(""), 0);
    assert_int_equal(accepted("\n\n  \n"), 0);
    assert_int_equal(accepted("{\"a\":1}\n{\"a\":2}"), 2);
    assert_int_equal(accepted("\xef\xbb\xbf{\"a\":1}\r\n\r\n{\"a\":\"\xc3\xa4\"}\r\n"), 2);
    assert_int_equal(accepted("[]"), 0);
    assert_int_equal(accepted("\xef\xbb\xbf \n[ {\"a\":\"]}\\\"{\"} ,\r\n {\"b\":[{}]}\n]\n"), 2);
    long line;
    struct error err = {0};
    const char *lines = "{}\n\n{\"a\":1}\n";
    assert_int_equal(count_records(lines, strlen(lines), &line, &err), 2);
    assert_int_equal(line, 3);
    const char *lone =
        "{\"a\":\"x\\ud83d y\"}\n{\"a\":\"\\ud83d\\ude00\"}\n{\"a\":\"\\\\ud83d\"}\n{\"a\":\"\\ude00\\ud83d\"}\n";
    char said[256] = "";
    log_set_sink(&(struct log_sink){.line = remember, .user = said});
    assert_int_equal(count_records(lone, strlen(lone), NULL, &err), 4);
    log_set_sink(NULL);
    assert_string_equal(said, "t: 2 records hold lone surrogate escapes (\\ud83d without its half), which are read as "
                              "U+FFFD");
}

static void lone_surrogates_become_the_replacement_character(void **state)
{
    (void)state;
    json_t *v;
    long repaired = 0;
    const char *text = "[\"\\ud83d!\\ud83d\\ude00\"]";
    assert_int_equal(jsontext_parse(&v, jsontext_whole(text, strlen(text), "t"), &repaired, NULL), 0);
    assert_string_equal(json_string_value(json_array_get(v, 0)), "\xef\xbf\xbd!\xf0\x9f\x98\x80");
    json_decref(v);
    assert_int_equal(repaired, 1);
    assert_int_equal(jsontext_parse(&v, jsontext_whole(text, strlen(text), "t"), NULL, NULL), ERROR_DATA);
}

static void jsonl_refuses_with_file_line_and_column(void **state)
{
    (void)state;
    assert_refused("{}\n{\"a\":}\n", "t:2:");
    assert_refused("{}\n{\"a\":1,\"a\":2}\n", "t:2:");
    assert_refused("{}\n[1]\n", "t:2: wanted a JSON object, found an array");
    assert_refused("{}\n\"x\"\n", "t:2: wanted a JSON object, found a string");
    assert_refused("{}\n{\"a\":\"\xff\"}\n", "t:2: byte 0xff at byte 7");
    assert_refused("{\"a\":\"\xed\xa0\x80\"}\n", "not valid UTF-8");
    assert_refused("{\"a\":\"\xc0\x80\"}\n", "not valid UTF-8");
    assert_refused("{\"a\":\"b\\u0000c\"}\n", "t:1:");
    assert_refused("{\n  \"a\": 1\n}\n", "one whole JSON object");
    assert_refused("{\"a\":1} {\"a\":2}\n", "t:1:");
    assert_refused("{\"a\":NaN}\n", "t:1:");
    assert_refused("{\"a\":1e400}\n", "t:1:");
    assert_refused("[{},\n{\"a\":\n]}\n]", "t:3:");
    assert_refused("[{}\n", "end of the file");
    assert_refused("[{\"a\":\"", "t:1: the file ends inside the record");
    assert_refused("[{} {}]", "t:1:5: wanted ',' or ']'");
    assert_refused("[{}] x", "t:1:6: wanted the end of the file");
    assert_refused("[1]", "t:1:2: wanted '{'");
    assert_refused("[{},]", "t:1:5: a trailing comma");
    assert_refused("[{},\n ]", "t:2:2: a trailing comma");
    assert_refused("[{\"a\":\"\xff\"}]", "t:1: byte 0xff at byte 8");
    assert_refused("\x28\xb5\x2f\xfd....", "zstd");
    assert_refused("PAR1....", "Parquet");
}

static void deep_nesting_is_refused_not_followed(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct error err = {0};
    buf_puts(&b, "{\"a\":");
    for (int i = 0; i < 200000; i++)
        buf_putc(&b, '[');
    assert_int_equal(count_records(b.data, b.len, NULL, &err), ERROR_DATA);
    buf_free(&b);
}

/* gz bytes of text (several members when members > 1). */
static void gz(struct buf *out, const char *text, size_t n, int members)
{
    for (int i = 0; i < members; i++) {
        size_t from = n * (size_t)i / (size_t)members, to = n * (size_t)(i + 1) / (size_t)members;
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0), Z_OK);
        uLong bound = deflateBound(&z, (uLong)(to - from));
        assert_int_equal(buf_reserve(out, bound), 0);
        z.next_in = (unsigned char *)text + from;
        z.avail_in = (unsigned)(to - from);
        z.next_out = (unsigned char *)out->data + out->len;
        z.avail_out = (unsigned)bound;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        out->len += bound - z.avail_out;
        deflateEnd(&z);
    }
}

static void gzip_reads_as_plain_and_cut_gzip_is_named(void **state)
{
    (void)state;
    struct buf text = BUF_INIT, packed = BUF_INIT;
    struct error err = {0};
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "{\"i\": %d, \"t\": \"%x\"}\n", i, i * 2654435761u);
    for (int members = 1; members <= 3; members++) {
        buf_reset(&packed);
        gz(&packed, text.data, text.len, members);
        assert_int_equal(count_records(packed.data, packed.len, NULL, &err), 20000);
    }
    assert_int_equal(count_records(packed.data, packed.len - 20, NULL, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "cut off"));
    packed.data[packed.len / 2] ^= 0x55;
    assert_int_equal(count_records(packed.data, packed.len, NULL, &err), ERROR_DATA);
    buf_free(&text);
    buf_free(&packed);
}

/* Lines of three forms, a record each, cut off: the error is on the line behind the last record. */
static void cut_gzip_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *name, *head, *line;
        int heads;
    } forms[] = {{"t", "", "{\"i\": %d, \"t\": \"%x\"}\n", 0},
                 {"t", "[", "{\"i\": %d, \"t\": \"%x\"},\n", 0},
                 {"t.csv", "i,t\n", "%d,%x\n", 1}};
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        struct buf text = BUF_INIT, packed = BUF_INIT;
        struct error err = {0};
        struct jsonl *r;
        json_t *record;
        char wanted[80];
        int n = 0, rc;
        buf_puts(&text, forms[k].head);
        for (int i = 0; i < 20000; i++)
            buf_printf(&text, forms[k].line, i, i * 2654435761u);
        gz(&packed, text.data, text.len, 1);
        assert_int_equal(jsonl_open_bytes(&r, packed.data, packed.len / 2, forms[k].name, &err), 0);
        for (; (rc = jsonl_next(r, &record, &err)) == 1; n++)
            json_decref(record);
        snprintf(wanted, sizeof wanted, "%s:%d: the gzip data ends early", forms[k].name, n + forms[k].heads + 1);
        assert_true(rc == ERROR_DATA && n > 1000);
        assert_ptr_equal(strstr(err.message, wanted), err.message);
        jsonl_close(r);
        buf_free(&text);
        buf_free(&packed);
    }
}

static long load_published(const char *name)
{
    struct error err = {0};
    json_t *all;
    if (jsonl_load(&all, check_data(name), &err))
        fail_msg("%s", err.message);
    long n = (long)json_array_size(all);
    json_decref(all);
    return n;
}

/* Counts by Python's json module. */
static void published_jsonl_and_arrays_read_whole(void **state)
{
    (void)state;
    if (!check_data("self_instruct/seed_tasks.jsonl") || !check_data("beavertails/30k_test.derived.jsonl"))
        SKIP_TEST("reference data self_instruct, beavertails, alpaca_eval are not here");
    assert_int_equal(load_published("self_instruct/seed_tasks.jsonl"), 175);
    assert_int_equal(load_published("beavertails/30k_test.derived.jsonl"), 3021);
    assert_int_equal(load_published("alpaca_eval/text_davinci_003.model_outputs.json"), 805);
}

static void json_text_reads_back_equal(void **state)
{
    (void)state;
    const char *text = "{\"a\": 1, \"b\": [0.1, 1e-05, 1.0, 1e+300, -0.0, 9007199254740993], \"c\": "
                       "\"q\\\"\\\\\\n\\u0001\xc3\xa9\", \"d\": {}, \"e\": [], \"f\": null, \"g\": [true, false]}";
    json_t *v, *again;
    struct buf b = BUF_INIT;
    assert_int_equal(jsontext_parse(&v, jsontext_whole(text, strlen(text), "t"), NULL, NULL), 0);
    assert_int_equal(jsontext_dump(&b, v, 0, NULL), 0);
    assert_string_equal(b.data, text);
    buf_reset(&b);
    assert_int_equal(jsontext_dump(&b, NULL, 1, NULL), ERROR_NOMEM); /* what json_pack gives when memory is short */
    assert_int_equal(jsontext_dump(&b, v, 1, NULL), 0);
    assert_non_null(strstr(b.data, "\n  \"b\": [\n    0.1,\n"));
    assert_non_null(strstr(b.data, "\"d\": {},\n"));
    assert_int_equal(jsontext_parse(&again, jsontext_whole(b.data, b.len, "t"), NULL, NULL), 0);
    assert_true(json_equal(v, again));
    json_decref(v);
    json_decref(again);
    buf_free(&b);
}

/* ---- CSV */

static void assert_csv_refused(const char *text, size_t n, const char *where)
{
    struct error err = {0};
    struct csv *c;
    int rc = csv_open_bytes(&c, text, n, "t", &err);
    while (!rc && (rc = csv_next(c, &err)) == 1)
        rc = 0;
    if (c)
        csv_close(c);
    if (rc != ERROR_DATA || !strstr(err.message, where))
        fail_msg("%s gave %d \"%s\", wanted \"%s\"", text, rc, err.message, where);
}

static void csv_reads_quotes_newlines_and_blank_lines(void **state)
{
    (void)state;
    struct csv *c;
    struct error err = {0};
    const char *text = "\xef\xbb\xbf\r\nname,\"the \"\"text\"\"\"\r\n\r\na,\"x\r\ny,z\"\r\n,\r\n\"\",last";
    assert_int_equal(csv_open_bytes(&c, text, strlen(text), "t", &err), 0);
    assert_int_equal(csv_n_column(c), 2);
    assert_int_equal(csv_column(c, "the \"text\""), 1);
    assert_int_equal(csv_column(c, "absent"), -1);
    assert_int_equal(csv_next(c, &err), 1);
    assert_string_equal(csv_field(c, 1), "x\r\ny,z");
    assert_int_equal(csv_line(c), 4);
    assert_int_equal(csv_next(c, &err), 1);
    assert_string_equal(csv_field(c, 0), "");
    assert_string_equal(csv_field(c, 1), "");
    assert_int_equal(csv_next(c, &err), 1);
    assert_string_equal(csv_field(c, 1), "last");
    assert_int_equal(csv_next(c, &err), 0);
    assert_int_equal(csv_next(c, &err), 0);
    csv_close(c);
}

static void csv_refuses_with_the_line(void **state)
{
    (void)state;
    assert_csv_refused("", 0, "empty");
    assert_csv_refused("a,b\n1\n", 6, "t:2: wanted 2 fields as in the first row, found 1");
    assert_csv_refused("a,b\n1,2,3\n", 10, "t:2:");
    assert_csv_refused("a\n\"x\ny", 6, "t:2: a quoted field");
    assert_csv_refused("a\n\"x\"y\n", 7, "t:2: wanted ',' or a line end");
    assert_csv_refused("a\nx\0y\n", 6, "t:2: a NUL byte");
    assert_csv_refused("a\n\n\xff\n", 5, "t:3: byte 0xff");
}

static void random_csv_round_trips(void **state)
{
    (void)state;
    static const char letters[] = "ab,\"\n\r \xc3\xa9";
    struct rng_stream s = {9, 1, 1};
    uint64_t k = 0;
    for (int round = 0; round < 200; round++) {
        struct buf text = BUF_INIT, fields[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
        struct csv *c;
        struct error err = {0};
        buf_puts(&text, "h1,h2,h3\n");
        for (int f = 0; f < 3; f++) {
            int n = (int)rng_below(&s, k++, 6);
            for (int i = 0; i < n; i++) {
                uint32_t l = rng_below(&s, k++, 8);
                buf_append(&fields[f], l == 7 ? "\xc3\xa9" : &letters[l], l == 7 ? 2 : 1);
            }
            buf_puts(&text, f ? ",\"" : "\"");
            for (size_t i = 0; i < fields[f].len; i++)
                buf_printf(&text, fields[f].data[i] == '"' ? "\"\"" : "%c", fields[f].data[i]);
            buf_putc(&text, '"');
        }
        buf_putc(&text, '\n');
        assert_int_equal(csv_open_bytes(&c, text.data, text.len, "t", &err), 0);
        assert_int_equal(csv_next(c, &err), 1);
        for (size_t f = 0; f < 3; f++)
            assert_string_equal(csv_field(c, f), fields[f].data ? fields[f].data : "");
        assert_int_equal(csv_next(c, &err), 0);
        csv_close(c);
        buf_free(&text);
        for (int f = 0; f < 3; f++)
            buf_free(&fields[f]);
    }
}

/* Hash of every field + 0x1f, every row + 0x1e, as Python's csv module reads the file. */
static void csv_equals_python_on(const char *name, long rows, const char *want)
{
    struct csv *c;
    struct error err = {0};
    struct buf all = BUF_INIT;
    char hex[65];
    long n = 0;
    if (csv_open(&c, check_data(name), &err))
        fail_msg("%s", err.message);
    while (csv_next(c, &err) == 1) {
        for (size_t i = 0; i < csv_n_column(c); i++)
            buf_printf(&all, "%s\x1f", csv_field(c, i));
        buf_putc(&all, 0x1e);
        n++;
    }
    csv_close(c);
    sha256_bytes(all.data, all.len, hex);
    buf_free(&all);
    assert_int_equal(n, rows);
    assert_string_equal(hex, want);
}

static void published_csv_equals_python(void **state)
{
    (void)state;
    if (!check_data("truthfulqa/TruthfulQA_817.derived.csv") || !check_data("xstest/xstest_prompts.csv"))
        SKIP_TEST("reference data truthfulqa, xstest are not here");
    csv_equals_python_on("truthfulqa/TruthfulQA_817.derived.csv", 817,
                         "1fd20cd7404dd418a7036d82fb1432f9b2930cd72bee3f5252643a603133ac68");
    csv_equals_python_on("xstest/xstest_prompts.csv", 450,
                         "de958c8adb0b3cc31dfe3f260db21eea921f88711da04aefa737647d79fb8c72");
}

static void utf8_is_checked_to_the_letter(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n, valid;
    } cases[] = {
        {"abc", 3, 3},
        {"\xc3\xa9x", 3, 3},
        {"\xe2\x82\xac", 3, 3},
        {"\xf0\x9f\x98\x80", 4, 4},
        {"a\x80", 2, 1},
        {"\xc3", 1, 0},
        {"\xe2\x82", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xed\xa0\x80", 3, 0},
        {"\xee\x80\x80", 3, 3},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"a\0b", 3, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_valid(cases[i].s, cases[i].n), cases[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonl_accepts_what_people_have),
        cmocka_unit_test(lone_surrogates_become_the_replacement_character),
        cmocka_unit_test(jsonl_refuses_with_file_line_and_column),
        cmocka_unit_test(deep_nesting_is_refused_not_followed),
        cmocka_unit_test(gzip_reads_as_plain_and_cut_gzip_is_named),
        cmocka_unit_test(cut_gzip_says_where),
        cmocka_unit_test(published_jsonl_and_arrays_read_whole),
        cmocka_unit_test(json_text_reads_back_equal),
        cmocka_unit_test(csv_reads_quotes_newlines_and_blank_lines),
        cmocka_unit_test(csv_refuses_with_the_line),
        cmocka_unit_test(random_csv_round_trips),
        cmocka_unit_test(published_csv_equals_python),
        cmocka_unit_test(utf8_is_checked_to_the_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
