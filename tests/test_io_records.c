/* SPDX-License-Identifier: Apache-2.0 */
/* Records as people have them: tables of any delimiter, and JSON with one odd member. */
#include "tests/check.h"

#include "base/buf.h"
#include "io/jsonl.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/record_reader.h"

#include <stdlib.h>
#include <string.h>

/* All records of text as one line of JSON each, what is odd behind "!". */
static void read_all(const char *text, size_t n, const char *name, struct buf *out)
{
    struct jsonl *r;
    struct error err = {0};
    json_t *record = NULL;
    const char *odd = NULL;
    int rc = jsonl_open_bytes(&r, text, n, name, &err);
    buf_reset(out);
    while (!rc && (rc = jsonl_next_record(r, &record, &odd, &err)) == 1) {
        rc = jsontext_dump(out, record, 0, &err);
        buf_printf(out, "%s%s\n", odd ? "!" : "", odd ? odd : "");
        json_decref(record);
    }
    if (rc < 0)
        buf_printf(out, "error %s\n", err.message);
    jsonl_close(r);
}

static void assert_reads(const char *name, const char *text, const char *wanted)
{
    struct buf out = BUF_INIT;
    read_all(text, strlen(text), name, &out);
    assert_string_equal(out.data ? out.data : "", wanted);
    buf_free(&out);
}

static void tables_of_every_delimiter_are_the_same_records(void **state)
{
    (void)state;
    const char *two =
        "{\"question\": \"a, b; c\", \"answer\": \"say \\\"d\\\"\\ne\"}\n{\"question\": \"f\", \"answer\": \"\"}\n";
    assert_reads("t.csv", "question,answer\n\"a, b; c\",\"say \"\"d\"\"\ne\"\nf,\n", two);
    assert_reads("t.csv", "\xef\xbb\xbfquestion;answer\r\n\"a, b; c\";\"say \"\"d\"\"\ne\"\r\n\r\n;\r\nf;\r\n", two);
    assert_reads("t.tsv", "question\tanswer\na, b; c\t\"say \"\"d\"\"\ne\"\nf\t\n", two);
    assert_reads("-", "question\tanswer\na, b; c\t\"say \"\"d\"\"\ne\"\nf\t\n", two);
    assert_reads("t.csv", "sep=;\nquestion;answer\n\"a, b; c\";\"say \"\"d\"\"\ne\"\nf;\n", two);
    assert_reads("t.txt", "\"question\", \"answer\"\n\"a, b; c\", \"say \"\"d\"\"\ne\"\nf,,\n", two);
    assert_reads("t.csv", "question;answer\r\"a, b; c\";\"say \"\"d\"\"\ne\"\r\rf;\r", two);
    assert_reads("t.csv", "question;answer\r\n\"a, b; c\";\"say \"\"d\"\"\ne\"\rf;", two);
    assert_reads("-", "prompt\rone\r\"two\r three\"\r", "{\"prompt\": \"one\"}\n{\"prompt\": \"two\\r three\"}\n");
    assert_reads(
        "t.csv", "prompt,answer\ra,b\r\nc,d\na,b,c\n",
        "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"prompt\": \"c\", \"answer\": \"d\"}\nerror t.csv:4: wanted "
        "2 fields as in the first row, found 3\n");
    assert_reads("t.csv", "prompt\none\n\"two, three\"\n", "{\"prompt\": \"one\"}\n{\"prompt\": \"two, three\"}\n");
}

/* What Python's csv module wrote and reads (tools/golden_tables.py). */
static void tables_are_read_as_by_python(void **state)
{
    (void)state;
    json_t *golden = json_load_file("tests/golden/tables.json", 0, NULL), *table, *record, *more;
    size_t i, k;
    json_array_foreach(json_object_get(golden, "tables"), i, table)
    {
        const char *text = json_string_value(json_object_get(table, "text"));
        struct jsonl *r;
        struct error err = {0};
        assert_int_equal(
            jsonl_open_bytes(&r, text, strlen(text), json_string_value(json_object_get(table, "name")), &err), 0);
        json_array_foreach(json_object_get(table, "records"), k, record)
        {
            if (jsonl_next(r, &more, &err) != 1)
                fail_msg("table %zu, record %zu: %s", i, k, err.message);
            if (!json_equal(more, record))
                fail_msg("table %zu, record %zu is another", i, k);
            json_decref(more);
        }
        assert_int_equal(jsonl_next(r, &more, &err), 0);
        jsonl_close(r);
    }
    assert_int_equal(i, 24);
    json_decref(golden);
}

static void two_columns_may_have_no_names(void **state)
{
    (void)state;
    assert_reads("t.csv", "What is 2+2?,4\n\"Who, then?\",He.\n",
                 "{\"question\": \"What is 2+2?\", \"answer\": \"4\"}\n{\"question\": \"Who, then?\", \"answer\": "
                 "\"He.\"}\n");
    assert_reads("-", "the capital of France\tParis\r\n",
                 "{\"question\": \"the capital of France\", \"answer\": \"Paris\"}\n");
    assert_reads("t.tsv", "one, two, three\tcounted", "{\"question\": \"one, two, three\", \"answer\": \"counted\"}\n");
    assert_reads(
        "t.csv", "Who, when, where?;Here, now.\nAnd why, then?;So.\n",
        "{\"question\": \"Who, when, where?\", \"answer\": \"Here, now.\"}\n{\"question\": \"And why, then?\", "
        "\"answer\": \"So.\"}\n");
    assert_reads("t.csv", "Frage,Antwort\nWarum?,Darum.\n", "{\"Frage\": \"Warum?\", \"Antwort\": \"Darum.\"}\n");
    assert_reads("t.csv", "prompt,What is it called?\na,b\n", "{\"prompt\": \"a\", \"What is it called?\": \"b\"}\n");
}

/* All that a reader with these fields gives, one JSON a line, what is left out and odd behind. */
static void assert_records(const char *text, const char *question, const char *answer, const char *wanted)
{
    struct record_reader *r = NULL;
    struct buf out = BUF_INIT;
    struct error err = {0};
    json_t *record;
    char path[300];
    snprintf(path, sizeof path, "%s/r.csv", check_tmpdir("io_records"));
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
    const struct record_source source = {path, question, answer, 0};
    int rc = record_reader_open(&r, source, &err);
    while (!rc && (rc = record_reader_next(r, &record, &err)) == 1) {
        rc = jsontext_dump(&out, record, 0, &err);
        buf_printf(&out, " %ld\n", record_reader_number(r));
        json_decref(record);
    }
    if (rc)
        buf_printf(&out, "error%s\n", err.message + strlen(path));
    else if (record_reader_count(r).n_left_out)
        buf_printf(&out, "%ld left out\n", record_reader_count(r).n_left_out);
    record_reader_close(r);
    assert_string_equal(buf_text(&out), wanted);
    buf_free(&out);
}

static void fields_may_be_named(void **state)
{
    (void)state;
    assert_records("Frage;Meine Antwort;x\nWarum?;Darum.;1\n", "frage", "Meine-antwort",
                   "{\"question\": \"Warum?\", \"answer\": \"Darum.\"} 0\n");
    assert_records("[{\"q\":\"Why?\",\"response\":\"So.\",\"prompt\":\"no\",\"id\":7}]", "q", NULL,
                   "{\"id\": 7, \"question\": \"Why?\", \"answer\": \"So.\"} 0\n");
    assert_records("{\"prompt\":\"Why?\",\"completion\":\"no\",\"gold\":\"So.\"}", NULL, "gold",
                   "{\"question\": \"Why?\", \"answer\": \"So.\"} 0\n");
    assert_records("What is it?,That.\nWho is he?,She.\n", "what_is_it?", NULL, "{\"question\": \"Who is he?\"} 0\n");
    assert_records("a,b\n1,2\n", "q", NULL, "error:2: wanted a field \"q\" (--question-field), found \"a\", \"b\"\n");
    assert_records("q,b\n1,2\n", "q", "c", "error:2: wanted a field \"c\" (--answer-field), found \"q\", \"b\"\n");
    assert_records("question,answer\nWhy?,So.\n", "q", "a", "{\"question\": \"Why?\", \"answer\": \"So.\"} 0\n");
}

static void what_was_sifted_out_is_left_out(void **state)
{
    (void)state;
    assert_records("{\"question\":\"a\",\"kept\":false}\n\n{\"question\":\"b\",\"kept\":true}\n{\"question\":\"c\"}\n",
                   NULL, NULL, "{\"question\": \"b\", \"kept\": true} 2\n{\"question\": \"c\"} 3\n1 left out\n");
}

/* Of two columns of one name, in any case and spacing, none may win in silence. */
static void names_of_columns_stand_once(void **state)
{
    (void)state;
    const char *end = "; wanted every name once (in any case and spacing); rename one of them or take it out\n";
    static const struct {
        const char *name, *text, *says;
    } twice[] = {
        {"t.csv", "question,answer,answer\na,b,c\n", "columns 2 and 3 have one name, \"answer\" and \"answer\""},
        {"t.csv", "Question,note,QUESTION,answer\na,b,c,d\n",
         "columns 1 and 3 have one name, \"Question\" and \"QUESTION\""},
        {"t.tsv", "question\tbest answer\tBest-Answer \na\tb\tc\n",
         "columns 2 and 3 have one name, \"best answer\" and \"Best-Answer \""},
        {"t.csv", "x;\xc3\xa9;question;\xc3\xa9\na;b;c;d\n",
         "columns 2 and 4 have one name, \"\xc3\xa9\" and \"\xc3\xa9\""},
    };
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        char wanted[400];
        snprintf(wanted, sizeof wanted, "error %s:1: %s%s", twice[i].name, twice[i].says, end);
        assert_reads(twice[i].name, twice[i].text, wanted);
    }
    assert_reads("t.csv", "question,,answer,\na,b,c,d\n", "{\"question\": \"a\", \"answer\": \"c\"}\n");
    assert_reads("t.csv", "question,questions\na,b\n", "{\"question\": \"a\", \"questions\": \"b\"}\n");
}

static void quotes_between_tabs_may_be_text(void **state)
{
    (void)state;
    assert_reads("t.tsv", "question\tanswer\n\"No\" or yes?\tIt is \"no\".\n",
                 "{\"question\": \"\\\"No\\\" or yes?\", \"answer\": \"It is \\\"no\\\".\"}\n");
    assert_reads("t.csv", "question,answer\n\"No\" or yes?,no\n",
                 "error t.csv:2: wanted ',' or a line end after a closing quote, found 0x6f; double the quotes inside "
                 "a quoted field\n");
    assert_reads("t.csv", "question,answer\na,b,c\n", "error t.csv:2: wanted 2 fields as in the first row, found 3\n");
}

static void what_is_no_table_stays_json(void **state)
{
    (void)state;
    assert_reads("t.jsonl", "question,answer\na,b\n",
                 "error t.jsonl:1:8: not valid JSON: invalid token near 'question'\n");
    assert_reads("t", "nonsense, more of it\n", "error t:1:8: not valid JSON: invalid token near 'nonsense'\n");
    assert_reads("t.csv", "{\"question\": \"a, b\"}\n", "{\"question\": \"a, b\"}\n");
}

static void an_odd_member_spoils_itself(void **state)
{
    (void)state;
    assert_reads("t", "{\"a\":1}\n{\"a\":NaN,\"b\":\"NaN\",\"c\":[-Infinity,2]}\n{\"a\":2}\n",
                 "{\"a\": 1}\n{\"a\": null, \"b\": \"NaN\", \"c\": [null, 2]}!t:2: no JSON number: NaN\n{\"a\": 2}\n");
    assert_reads("t", "{\"a\":18446744073709551615,\"b\":-9223372036854775808}\n",
                 "{\"a\": 1.8446744073709552e+19, \"b\": -9223372036854775808}!t:1: an integer beyond 64 bits: "
                 "18446744073709551615\n");
    assert_reads("t", "[{\"a\":-9223372036854775809},{\"a\":1e999}]",
                 "{\"a\": -9.223372036854776e+18}!t:1: an integer beyond 64 bits: -9223372036854775809\n{\"a\": "
                 "null}!t:1: a number too great: 1e999\n");
    assert_reads("t", "{\"a\":1,\"b\":\"}\\\"\",\"a\":2}\n",
                 "{\"a\": null, \"b\": \"}\\\"\"}!t:1: a key that is given twice: a\n");
    assert_reads("t", "{\"a\": {\"x\": [{\"k\":1,\"k\":2}]}, \"b\": \"\\ud83d\"}\n",
                 "{\"a\": null, \"b\": \"\xef\xbf\xbd\"}!t:1: a key that is given twice: a\n");
    assert_reads("t", "{\"a\":\"x\\u0000y\",\"b\":1}\n{\"a\":2}\n",
                 "{\"a\": null, \"b\": 1}!t:1: U+0000 in a text: a\n{\"a\": 2}\n");
}

static void what_is_broken_is_still_refused(void **state)
{
    (void)state;
    assert_reads("t", "{\"a\":NaN}\n{\"a\":[NaN}\n",
                 "{\"a\": null}!t:1: no JSON number: NaN\nerror t:2:9: not valid JSON: invalid token near 'NaN'\n");
    assert_reads("t", "{\"a\":NaN,}\n", "error t:1:8: not valid JSON: invalid token near 'NaN'\n");
    assert_reads("t", "{\"a\":nan}\n", "error t:1:8: not valid JSON: invalid token near 'nan'\n");
    assert_reads("t", "{\"a\":007}\n", "error t:1:6: not valid JSON: invalid token near '0'\n");
}

/* text with more than a record's limit in place of its '@'. */
static void put_long(struct buf *out, const char *text)
{
    size_t at = strcspn(text, "@");
    buf_reset(out);
    buf_append(out, text, at);
    for (int i = 0; i < JSONL_MAX_RECORD / 16 + 10000; i++)
        buf_puts(out, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    buf_puts(out, text + at + 1);
    assert_false(out->failed);
}

/* One record beyond the limit between two others, in every form. */
static void a_record_too_long_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *wanted;
    } forms[] = {
        {"t", "{\"a\":1}\n{\"a\":\"@\"}\n{\"a\":2}\n",
         "{\"a\": 1}\n{}!t:2: the record is longer than the 16777216 bytes allowed\n{\"a\": 2}\n"},
        {"t", "[{\"a\":1},\n{\"a\":\"@\"},\n{\"a\":2}]",
         "{\"a\": 1}\n{}!t:2: the record is longer than the 16777216 bytes allowed\n{\"a\": 2}\n"},
        {"t.csv", "a,b\n1,\n\"x\n\xc3\xa9@\",\xc3\xa9\n2,\n",
         "{\"a\": \"1\", \"b\": \"\"}\n{}!t.csv:3: the record is longer than the 16777216 bytes allowed\n"
         "{\"a\": \"2\", \"b\": \"\"}\n"},
        {"t.csv", "a\n1\n@", "{\"a\": \"1\"}\n{}!t.csv:3: the record is longer than the 16777216 bytes allowed\n"},
        {"t.csv", "a\n1\n\"@\n2\n",
         "{\"a\": \"1\"}\nerror t.csv:3: a quoted field of the row that begins here is never closed\n"},
        {"t.csv", "a@\n1\n", "error t.csv:1: a row is longer than 16777216 bytes\n"},
    };
    struct buf text = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        put_long(&text, forms[i].text);
        read_all(text.data, text.len, forms[i].name, &out);
        assert_string_equal(out.data, forms[i].wanted);
    }
    buf_free(&text);
    buf_free(&out);
}

/* A file comes in pieces, which end inside of letters. */
static void a_row_too_long_is_passed_over_in_pieces(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    char path[1200];
    json_t *all;
    snprintf(path, sizeof path, "%s/long.csv", check_tmpdir("records"));
    put_long(&text, "a,b\n1,2\nx@,\n3,4\n");
    assert_int_equal(strcspn(text.data, "x") % 2, 0);
    assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
    assert_int_equal(record_load(&all, (struct record_source){.path = path}, 0, NULL, NULL, NULL), 0);
    char *found = json_dumps(all, JSON_COMPACT);
    assert_string_equal(found, "[{\"a\":\"1\",\"b\":\"2\"},{},{\"a\":\"3\",\"b\":\"4\"}]");
    free(found);
    json_decref(all);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_of_every_delimiter_are_the_same_records),
        cmocka_unit_test(tables_are_read_as_by_python),
        cmocka_unit_test(two_columns_may_have_no_names),
        cmocka_unit_test(fields_may_be_named),
        cmocka_unit_test(what_was_sifted_out_is_left_out),
        cmocka_unit_test(names_of_columns_stand_once),
        cmocka_unit_test(quotes_between_tabs_may_be_text),
        cmocka_unit_test(what_is_no_table_stays_json),
        cmocka_unit_test(an_odd_member_spoils_itself),
        cmocka_unit_test(what_is_broken_is_still_refused),
        cmocka_unit_test(a_record_too_long_is_passed_over),
        cmocka_unit_test(a_row_too_long_is_passed_over_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
