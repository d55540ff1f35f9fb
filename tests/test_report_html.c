/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a document made by hand, with hostile texts: well-formed, its anchors single and its links leading
 * somewhere, nothing in it that runs or loads; and what the document says stands in it. */
#include "tests/check.h"

#include "base/mem.h"
#include "report/html.h"
#include "report/html_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOSTILE "</td></p><script>alert(1)</script>\"'&<!--\x1b[2J\u202e\xff"
#define LONG_TEXT "a text of more than sixty bytes, which needs a line of its own wherever it stands. "

static const struct column columns[] = {{"arm", "arm", COLUMN_TEXT, 0},
                                        {"steps", "steps", COLUMN_COUNT, 0},
                                        {"change", "change", COLUMN_CHANGE, 3},
                                        {"share", "share", COLUMN_SHARE, 1},
                                        {"p", "p", COLUMN_P, 0},
                                        {"note", "note " HOSTILE, COLUMN_TEXT, 0}};
static const struct column texts[] = {
    {"id", "attempt", COLUMN_TEXT, 0}, {"q", "question", COLUMN_TEXT, 0}, {"a", "answer", COLUMN_TEXT, 0}};

static void add_arms(struct section *s)
{
    struct table *t = section_table(s, "arms", "Arms " HOSTILE, columns, 6);
    struct table_row *r = table_add(t);
    row_link(r, "round-1", "samples");
    row_number(r, 1234567);
    row_interval(r, -0.25, -0.5, 0.125);
    row_interval(r, 0.5, 0.25, 0.75);
    row_number(r, 1e-9);
    row_link(r, HOSTILE, "nowhere");
    r->marked = 1;
    r = table_add(t);
    row_link(r, "control", "attempts");
    row_number(r, 12);
    table_note(t, "note %s", HOSTILE);
    t = section_table(s, "grouped", "Grouped", columns, 3);
    for (int i = 0; i < 3; i++) {
        r = table_add(t);
        row_text(r, i < 2 ? "twice" : "once");
        row_number(r, 12345 + i);
        r->marked = i == 1;
    }
    section_table(s, "empty", "Empty", columns, 6);
}

static void add_figures(struct section *s)
{
    for (int kind = FIGURE_LINES; kind <= FIGURE_HEAT; kind++) {
        char name[8] = {'f', (char)('0' + kind), 0};
        struct figure *f = section_figure(s, &(struct figure){.kind = (enum figure_kind)kind,
                                                              .name = name,
                                                              .title = "Figure " HOSTILE,
                                                              .x_title = "step",
                                                              .y_title = HOSTILE,
                                                              .y_kind = kind % 2 ? COLUMN_CHANGE : COLUMN_SHARE,
                                                              .digits = 1});
        for (int i = 0; i < 2; i++) {
            struct series *line = figure_series(f, i ? "one" : HOSTILE);
            for (int k = 0; k < 70; k++)
                series_add(line, &(struct point){.x = k,
                                                 .y = k % 7 ? 0.01 * k : NAN,
                                                 .low = 0.009 * k,
                                                 .high = 0.011 * k,
                                                 .name = kind != FIGURE_LINES && k % 2 ? HOSTILE : NULL});
        }
    }
    section_figure(s, &(struct figure){.kind = FIGURE_LINES, .name = "none", .title = "Nothing"});
}

static void make(struct document *d)
{
    document_begin(d, "Title " HOSTILE);
    document_summary(d, "Finding -0.5 (-1 to 2) at step-4 %s", HOSTILE);
    struct section *s = document_section(d, "results", "Results " HOSTILE);
    section_text(s, "Paragraph %s", HOSTILE);
    section_code(s, "isara align \\\n  --seeds '" HOSTILE "' a/path/of/thirty-nine/bytes/that-was-cut");
    add_arms(s);
    add_figures(s);
    s = document_section(d, "samples", "Samples");
    struct table *t = section_table(s, "attempts", "Attempts", texts, 3);
    for (int i = 0; i < 5; i++) {
        struct table_row *r = table_add(t);
        row_text(r, "r1-a0");
        row_text(r, LONG_TEXT HOSTILE);
        row_text(r, LONG_TEXT HOSTILE);
        r->marked = i == 1;
    }
}

/* Nested tags, each closed by its own; void ones and those that close themselves aside. */
static void check_nesting(const char *page)
{
    static const char *const alone[] = {"!DOCTYPE", "meta", NULL};
    char open[64][16];
    int depth = 0;
    const char *body = strstr(page, "</style>"); /* a style sheet is no markup */
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
        char name[16] = "";
        int closes = at[1] == '/';
        const char *end = strchr(at, '>');
        assert_non_null(end);
        sscanf(at + 1 + closes, "%15[!a-zA-Z0-9]", name);
        int skip_it = end[-1] == '/';
        for (int i = 0; alone[i]; i++)
            skip_it |= !strcmp(alone[i], name);
        if (skip_it)
            continue;
        if (!closes) {
            assert_true(depth < 64);
            strcpy(open[depth++], name);
            if (!strcmp(name, "style"))
                at = body - 1;
        } else if (!depth || strcmp(open[--depth], name)) {
            fail_msg("</%s> closes <%s> at %.200s", name, open[depth], at - 100);
        }
    }
    assert_int_equal(depth, 0);
}

static int count(const char *page, const char *what)
{
    int n = 0;
    for (const char *at = page; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* Every id stands once; every link within the page and every aria-labelledby names one. */
static void check_anchors(const char *page)
{
    static const char *const uses[] = {"href=\"#", "aria-labelledby=\"", " id=\""};
    for (size_t i = 0; i < 3; i++)
        for (const char *at = page; (at = strstr(at, uses[i])); at++) {
            char name[64], id[80];
            assert_int_equal(sscanf(at + strlen(uses[i]), "%63[^\" ]", name), 1);
            snprintf(id, sizeof id, " id=\"%s\"", name);
            if (count(page, id) != 1)
                fail_msg("%s%s: wanted one element of that id, found %d", uses[i], name, count(page, id));
        }
}

static void check_harmless(const char *page, size_t n)
{
    static const char *const never[] = {"<script", "<!--",   "javascript:", "http://", "https://", " src=", "onload",
                                        "\x1b",    "\u202e", "\xff",        "nan",     "(null)",   NULL};
    assert_int_equal(strlen(page), n);
    for (int i = 0; never[i]; i++)
        if (strstr(page, never[i]))
            fail_msg("'%s' stands in the page: %.200s", never[i], strstr(page, never[i]) - 80);
}

static void test_page(void **state)
{
    (void)state;
    struct document d;
    struct buf page = BUF_INIT;
    make(&d);
    report_html(&d, &page);
    assert_int_equal(page.failed, 0);
    check_nesting(page.data);
    check_anchors(page.data);
    check_harmless(page.data, page.len);
    const char *const stands[] = {
        ("<h1>Title "
         "&lt;/td&gt;&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;&lt;!--␛[2J[U+202E]\ufffd</h1>"),
        "<td class=\"n\">−0.250 <span class=\"interval\">−0.500 to +0.125</span></td>",
        "Finding −0.5 (−1 to 2) at step-4 &lt;",
        "align \\\n  <span class=\"word\">--seeds</span> ",
        "<td class=\"n\">50.0 % <span class=\"interval\">25.0 to 75.0</span></td>",
        "<td class=\"n\">1\u202f234\u202f567</td>",
        "<td class=\"n\">&lt; 0.0001</td>",
        "<a href=\"#samples\"><span class=\"word\">round-1</span></a>",
        "<a href=\"#table-attempts\">control</a>",
        "<tr class=\"marked\"><th scope=\"row\">",
        "<caption id=\"caption-arms\"><span>Arms",
        ("<tr><th scope=\"rowgroup\" rowspan=\"2\">twice</th><th scope=\"row\" class=\"n\">12\u202f345</th>"),
        "<th scope=\"rowgroup\" rowspan=\"1\">once</th>",
        "<p>Empty: nothing.</p>",
        "<p>There is nothing to draw.</p>",
        "<details class=\"sample marked\" open>",
    };
    for (size_t i = 0; i < sizeof stands / sizeof *stands; i++)
        if (!strstr(page.data, stands[i]))
            fail_msg("'%s' does not stand in the page:\n%s", stands[i], page.data);
    assert_int_equal(count(page.data, "<details class=\"sample"), 5);
    assert_int_equal(count(page.data, "<details class=\"sample\" open>"), 2);
    assert_int_equal(count(page.data, "role=\"img\""), 4);
    assert_null(strstr(page.data, "href=\"#nowhere\""));
    buf_free(&page);
    document_free(&d);
}

/* Each allocation failing once: the page says so, or it is whole. */
static void test_memory(void **state)
{
    (void)state;
    struct document d;
    struct buf whole = BUF_INIT;
    make(&d);
    report_html(&d, &whole);
    for (int at = 0; at < 400; at++) {
        struct buf page = BUF_INIT;
        mem_fail_at(at);
        report_html(&d, &page);
        int pending = mem_fail_pending();
        mem_fail_at(-1);
        if (!page.failed)
            assert_string_equal(page.data, whole.data);
        assert_true(pending || page.failed);
        buf_free(&page);
        if (pending)
            break;
    }
    buf_free(&whole);
    document_free(&d);
}

/* The page into a file, for tools/check-report. */
static int write_page(const char *path)
{
    struct document d;
    struct buf page = BUF_INIT;
    make(&d);
    report_html(&d, &page);
    FILE *f = fopen(path, "w");
    int rc = !f || fwrite(page.data, 1, page.len, f) != page.len;
    rc |= f && fclose(f);
    buf_free(&page);
    document_free(&d);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return write_page(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
