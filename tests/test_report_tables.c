/* SPDX-License-Identifier: Apache-2.0 */
/* A document made by hand in each of its forms: texts that would break a form, numbers, intervals, empty cells. */
#include "tests/check.h"

#include "io/file.h"
#include "report/tables.h"

#include <string.h>

static const struct column columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0}, {"share", "share", COLUMN_SHARE, 1}, {"change", "change", COLUMN_CHANGE, 2},
    {"p", "p", COLUMN_P, 0},        {"n", "n", COLUMN_COUNT, 0},
};

static const struct table *make(struct document *d)
{
    document_begin(d, "By hand");
    document_summary(d, "%d of %d", 1, 2);
    struct section *s = document_section(d, "first", "First");
    struct table *t = section_table(s, "odd", "Odd & even", columns, 5);
    struct table_row *r = table_add(t);
    row_text(r, "a \"b\",\nc_{d} 5 % $x^2$ | \\end~<i>");
    row_interval(r, 0.5, 0.25, 0.75);
    row_number(r, -0.125);
    row_number(r, 1e-9);
    row_number(r, 3);
    table_add(t); /* nothing in it */
    r = table_add(t);
    row_link(r, "plain", "first");
    row_number(r, 1.0 / 3);
    row_interval(r, 0.5, -1, 2);
    row_number(r, 0.0424);
    table_note(t, "see #%d", 1);
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_LINES, .name = "loss", .title = "Loss"});
    struct series *line = figure_series(f, "round-1");
    for (int i = 1; i <= 2; i++)
        series_add(line, &(struct point){.x = i, .y = 0.5, .low = NAN, .high = NAN});
    assert_int_equal(document_check(d, NULL), 0);
    return document_table(d, "odd");
}

static void expect(void (*render)(struct buf *out, const struct table *t), const struct table *t, const char *wanted)
{
    struct buf text = BUF_INIT;
    render(&text, t);
    if (!strstr(buf_text(&text), wanted))
        fail_msg("wanted\n%s\nin\n%s", wanted, buf_text(&text));
    buf_free(&text);
}

static void tables_in_their_forms(void **state)
{
    (void)state;
    struct document d;
    const struct table *t = make(&d);
    assert_non_null(document_find(&d, "first"));
    assert_null(document_find(&d, "second"));
    expect(table_csv, t,
           "arm,share,share_low,share_high,change,change_low,change_high,p,n\r\n"
           "\"a \"\"b\"\",\nc_{d} 5 % $x^2$ | \\end~<i>\",0.5,0.25,0.75,-0.125,,,1e-09,3\r\n"
           ",,,,,,,,\r\n"
           "plain,0.3333333333333333,,,0.5,-1,2,0.0424,\r\n");
    expect(table_latex, t, "\\caption{Odd \\& even}\n\\label{tab:odd}\n\\begin{tabular}{p{0.75\\linewidth}rrrr}\n");
    expect(table_latex, t,
           "a \\textquotedbl{}b\\textquotedbl{}, c\\_\\{d\\} 5 \\% \\$x\\textasciicircum{}2\\$ \\textbar{} "
           "\\textbackslash{}end\\textasciitilde{}\\textless{}i\\textgreater{} & 50.0 \\% (25.0 to 75.0) & $-$0.12 & "
           "\\textless{} 0.0001 & 3 \\\\\n"
           " &  &  &  &  \\\\\n"
           "plain & 33.3 \\% & +0.50 ($-$1.00 to +2.00) & 0.042 &  \\\\\n\\bottomrule\n");
    expect(table_latex, t, "see \\#1\n\\end{table}\n");
    expect(table_markdown, t, "| plain | 33.3 % | +0.50 (-1.00 to +2.00) | 0.042 |  |\n\nsee \\#1\n");
    expect(table_markdown, t, "| a \"b\", c\\_\\{d\\} 5 % $x^2$ \\| \\\\end~\\<i\\> |");
    document_free(&d);
}

/* The scalar record of PROTOCOLS' form: 24 bytes of frame and what TensorBoard's own writer gives for the tag. */
static void curves_are_events(void **state)
{
    (void)state;
    static const unsigned char step_2[] = {0x09, 0,    0,   0,    0,   0,    0,   0xf0, 0x3f, 0x10, 2,   0x2a,
                                           21,   0x0a, 19,  0x0a, 12,  'l',  'o', 's',  's',  '/',  'r', 'o',
                                           'u',  'n',  'd', '-',  '1', 0x15, 0,   0,    0,    0x3f};
    const char *directory = check_tmpdir("events");
    char path[1200];
    struct document d;
    struct error err = {0};
    struct buf bytes = BUF_INIT;
    make(&d);
    if (figures_write_events(&d, 1, directory, &err))
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/events.out.tfevents.0.report.0", directory);
    assert_int_equal(file_read(&bytes, path, 1 << 20, &err), 0);
    assert_int_equal(bytes.len, 40 + 2 * (16 + sizeof step_2));
    assert_memory_equal(bytes.data + bytes.len - 4 - sizeof step_2, step_2, sizeof step_2);
    buf_free(&bytes);
    assert_int_equal(tables_write(&d, directory, &err), 0);
    snprintf(path, sizeof path, "%s/tables/odd.tex", directory);
    assert_true(file_exists(path));
    document_free(&d);
    tree_remove(directory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_in_their_forms), cmocka_unit_test(curves_are_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
