/* SPDX-License-Identifier: Apache-2.0 */
/* The report's charts and escapes: places and ticks by hand arithmetic, hostile texts and numbers. */
#include "tests/check.h"

#include "report/html_text.h"
#include "report/svg_parts.h"

#include <math.h>
#include <string.h>

static void expect_ticks(double low, double high, int most, const char *wanted)
{
    struct svg_ticks t = svg_ticks_of(low, high, most, 0);
    struct buf found = BUF_INIT;
    char text[48];
    for (int i = 0; i < t.n; i++)
        buf_printf(&found, "%s%s", i ? " " : "", svg_tick_text(text, &t, i, NULL));
    assert_string_equal(buf_text(&found), wanted);
    buf_free(&found);
}

static void test_ticks(void **state)
{
    (void)state;
    expect_ticks(0, 1, 6, "0.0 0.2 0.4 0.6 0.8 1.0");
    expect_ticks(-0.2298, 0.4032, 6, "−0.4 −0.2 0.0 0.2 0.4 0.6");
    expect_ticks(0, 100, 6, "0 20 40 60 80 100");
    expect_ticks(2.31, 2.44, 6, "2.30 2.35 2.40 2.45");
    expect_ticks(-3, -1, 3, "−3 −2 −1");
    expect_ticks(0, 2e-5, 6, "0 5×10⁻⁶ 1×10⁻⁵ 1.5×10⁻⁵ 2×10⁻⁵");
    expect_ticks(5, 5, 6, "2 4 6 8");                     /* all the same: 2.5 to 7.5 */
    expect_ticks(NAN, NAN, 6, "0.0 0.2 0.4 0.6 0.8 1.0"); /* nothing */
    expect_ticks(0, 3e7, 4, "0 1×10⁷ 2×10⁷ 3×10⁷");
    assert_int_equal(svg_ticks_of(-1e308, 1e308, 6, 0).n, 6); /* a range that is no number */
    struct svg_ticks whole = svg_ticks_of(1, 2, 6, 1);
    assert_int_equal(whole.n, 2); /* rounds 1 and 2: nothing between */
    assert_true(whole.step == 1);
}

static void test_places(void **state)
{
    (void)state;
    struct svg_scale s = {-0.4, 0.6, 3, 97};
    assert_true(fabs(svg_place(&s, -0.4) - 3) < 1e-9);
    assert_true(fabs(svg_place(&s, 0) - 40.6) < 1e-9); /* 3 + 0.4 * 94 */
    assert_true(fabs(svg_place(&s, 0.6) - 97) < 1e-9);
    assert_true(fabs(svg_place(&s, INFINITY) - 98.88) < 1e-9); /* to the edge: 3 + 1.02 * 94 */
}

static const struct svg_words words = {"c", "Change <of> all", "It \"rose\".", "nats & more", NULL, NULL};

static void has(const struct buf *out, const char *wanted, int times)
{
    int n = 0;
    for (const char *at = buf_text(out); (at = strstr(at, wanted)); at++)
        n++;
    if (n != times)
        fail_msg("wanted %d times '%s', found %d in:\n%s", times, wanted, n, buf_text(out));
}

static void test_intervals(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct svg_row rows[] = {{"clear", "+0.3", 0.3, 0.2, 0.5, 0},
                             {"not clear", NULL, 0.1, -0.3, 0.6, 0},
                             {"nothing", NULL, NAN, NAN, NAN, 0},
                             {"open", NULL, 0.2, 0.1, INFINITY, 1}};
    svg_intervals(&out, &words, rows, 4, SVG_ZERO_NULL);
    has(&out, "role=\"img\"", 1);
    has(&out, "aria-labelledby=\"c-t c-d\"", 1);
    has(&out, "<title id=\"c-t\">Change &lt;of&gt; all</title>", 1);
    has(&out, "<desc id=\"c-d\">It &quot;rose&quot;.</desc>", 1);
    has(&out, "nats &amp; more", 1);
    /* ticks -0.4 to 0.6: zero at 40 %, 0.3 at 70, its interval 60 to 90 */
    has(&out, "<line class=\"zero\" x1=\"40.00%\"", 1);
    has(&out, "<svg class=\"mark s0 full\" x=\"70.00%\" y=\"34.0\">", 1);
    has(&out, "<line class=\"whisker\" x1=\"60.00%\" y1=\"34.0\" x2=\"90.00%\" y2=\"34.0\"/>", 1);
    has(&out, "class=\"mark s0 hollow\" x=\"50.00%\" y=\"80.0\"", 1);
    has(&out, "class=\"mark s1 full\" x=\"60.00%\"", 1);
    has(&out, "class=\"mark", 3);
    has(&out, "class=\"whisker\"", 3 + 3 + 2); /* no cap where it has no end */
    has(&out, "nan", 0);
    has(&out, "inf", 0);
    buf_reset(&out);
    struct svg_row far = {"far", NULL, -2.4, -2.5, -2.3, 0};
    svg_intervals(&out, &words, &far, 1, SVG_ZERO_NONE); /* -2.5 to -2.3 */
    has(&out, "<svg class=\"mark s0 full\" x=\"50.00%\"", 1);
    has(&out, "class=\"zero\"", 0);
    buf_free(&out);
}

static void test_bars(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct svg_words percent = words;
    percent.unit = " %";
    struct svg_row rows[] = {{"a", "50 %", 50, 40, 60, 0}, {"b", "-20 %", -20, NAN, NAN, 0}};
    svg_bars(&out, &percent, rows, 2);
    /* -20 to 60: zero at a quarter, 50 is five eighths wide */
    has(&out, "<rect class=\"bar s0\" x=\"25.00%\" y=\"27.0\" width=\"62.50%\" height=\"14\"/>", 1);
    has(&out, "<rect class=\"bar s0\" x=\"0.00%\" y=\"73.0\" width=\"25.00%\" height=\"14\"/>", 1);
    has(&out, ">−20 %</text>", 1);
    buf_free(&out);
}

static void test_lines(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    double x[] = {0, 5, 10}, y[] = {4, NAN, 2}, z[] = {0, 1, 2}, low[] = {0, 0, 1}, high[] = {1, 2, 4};
    struct svg_series list[] = {{"loss", x, y, NULL, NULL, 3}, {"other", x, z, low, high, 3}};
    svg_lines(&out, &words, list, 2, 1);
    /* y 0 to 4 on 220 pixels; the point that is no number breaks the line */
    has(&out, "<path class=\"line s0\" d=\"M0.0 0.0M1000.0 110.0\"/>", 1);
    has(&out, "<path class=\"line s1\" d=\"M0.0 220.0L500.0 165.0L1000.0 110.0\"/>", 1);
    has(&out, "<path class=\"band s1\" d=\"M0.0 165.0L500.0 110.0L1000.0 0.0L1000.0 165.0L500.0 220.0L0.0 220.0\"/>",
        1);
    has(&out, "preserveAspectRatio=\"none\"", 3);
    has(&out, "nan", 0);
    buf_free(&out);
}

/* Of 100000 points at most two a pixel are drawn, and the greatest of all is among them. */
static void test_long_line(void **state)
{
    (void)state;
    enum { N = 100000 };
    static double x[N], y[N];
    struct buf out = BUF_INIT;
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i == 54321 ? 1 : 0.5 + i % 2 * 0.01;
    }
    struct svg_series one = {"loss", x, y, NULL, NULL, N};
    svg_lines(&out, &words, &one, 1, 1);
    const char *path = strstr(buf_text(&out), "line s0");
    int points = 0;
    for (const char *at = path; *at && *at != '/'; at++)
        points += *at == 'L';
    assert_in_range(points, 900, 999);
    has(&out, "L543.2 0.0", 1); /* axis 0.5 to 1 */
    buf_free(&out);
}

static void test_heat(void **state)
{
    (void)state;
    static const char *const names[] = {"sport", "food"};
    static const char *const texts[] = {"+0.6", "-0.3", "+0.0", ""};
    static const double values[] = {0.6, -0.3, 0, NAN};
    struct buf out = BUF_INIT;
    svg_heat_map(&out, &words, &(struct svg_heat){names, names, 2, 2, values, texts});
    has(&out, "<rect class=\"cell up6\" x=\"30.00%\" y=\"26.0\" width=\"35.00%\" height=\"40\"/>", 1);
    has(&out, "<rect class=\"cell down3\" x=\"65.00%\" y=\"26.0\"", 1);
    has(&out, "<rect class=\"cell up0\" x=\"30.00%\" y=\"66.0\"", 1);
    has(&out, "<rect class=\"cell none\"", 1);
    static const char *const many[] = {"violence, aiding and abetting", "b", "c", "d", "e"};
    static const char *const cells[] = {"1", "1", "1", "1", "1"};
    static const double ones[] = {1, 1, 1, 1, 1};
    buf_reset(&out);
    svg_heat_map(&out, &words, &(struct svg_heat){many, many, 1, 5, ones, cells});
    has(&out, ">violence,</text>", 1);
    has(&out, ">aiding and ab…</text>", 1);
    has(&out, ">1  violence, aiding and ab…</text>", 1);
    has(&out, ">5  e</text>", 1);
    buf_reset(&out);
    svg_heat_map(&out, &words, &(struct svg_heat){NULL, NULL, 0, 0, NULL, NULL});
    has(&out, "</svg>", 1);
    buf_free(&out);
}

static void expect_text(const char *s, const char *wanted)
{
    struct buf out = BUF_INIT;
    html_text(&out, s);
    assert_string_equal(buf_text(&out), wanted);
    buf_free(&out);
}

static void test_escapes(void **state)
{
    (void)state;
    expect_text("a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c&#39;");
    expect_text("</title><script>alert(1)</script>", "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
    expect_text("\x1b[31mred\a\x7f", "␛[31mred␇␡");
    expect_text("one\r\ntwo\rthree\tfour", "one\ntwo␍three\tfour");
    expect_text("abc\u202egpj.exe", "abc[U+202E]gpj.exe");
    expect_text("\u2066x\u2069 \u200b\ufeff\u00ad\xc2\x85", "[U+2066]x[U+2069] [U+200B][U+FEFF][U+00AD][U+0085]");
    expect_text("\U000e0041\ufffe\U0010ffff", "[U+E0041][U+FFFE][U+10FFFF]");
    expect_text("caf\xe9 \xc0\xaf \xed\xa0\x80", "caf\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd");
    expect_text("नमस्ते \u0645\u200c \U0001f468\u200d\U0001f469", "नमस्ते \u0645\u200c \U0001f468\u200d\U0001f469");
    struct buf out = BUF_INIT;
    html_text_cut(&out, "é\n<more", 3);
    assert_string_equal(buf_text(&out), "é &lt;…");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks), cmocka_unit_test(test_places),  cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_bars),  cmocka_unit_test(test_lines),   cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_heat),  cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
