/* SPDX-License-Identifier: Apache-2.0 */
/* Energy by counters that are files of the test's own, laid out as Linux lays out RAPL's: what is counted, turning
 * over, what cannot be read; and an alignment that is told of them, and the card that weighs them. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "base/energy.h"
#include "base/log.h"
#include "cli/parts.h"
#include "io/file.h"
#include "report/cards.h"
#include "report/sections.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[1100];

static void put(const char *zone, const char *name, const char *text)
{
    char path[1300];
    snprintf(path, sizeof path, "%s/%s", root, zone);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_zone(const char *zone, const char *name, const char *energy, const char *range)
{
    put(zone, "name", name);
    put(zone, "energy_uj", energy);
    put(zone, "max_energy_range_uj", range);
}

/* Two processors, one of them with its cores and memory beside it, and a counter of the whole machine. */
static void put_machine(void)
{
    put_zone("intel-rapl:0", "package-0\n", "5000000\n", "262143328850\n");
    put_zone("intel-rapl:0:0", "core\n", "1000000\n", "262143328850\n");
    put_zone("intel-rapl:0:1", "dram\n", "65712999000\n", "65712999613\n");
    put_zone("intel-rapl:1", "package-1\n", "262143000000\n", "262143328850\n");
    put_zone("intel-rapl:2", "psys\n", "9000000\n", "262143328850\n");
    put("intel-rapl", "enabled", "1\n"); /* the driver itself */
}

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) < 1e-6))
        fail_msg("wanted %.9g, found %.9g", wanted, found);
}

static void counters_add_up_and_turn_over(void **state)
{
    (void)state;
    put_machine();
    struct energy *e = energy_open(root);
    near(energy_joules(e), 0);
    put("intel-rapl:0", "energy_uj", "5250000\n");
    put("intel-rapl:0:0", "energy_uj", "2000000\n"); /* in its processor's */
    put("intel-rapl:2", "energy_uj", "99000000\n");  /* of which the processors are parts */
    near(energy_joules(e), 0.25);
    put("intel-rapl:0:1", "energy_uj", "387\n"); /* 613 to its end, 387 on */
    near(energy_joules(e), 0.251);
    put("intel-rapl:1", "energy_uj", "671150\n"); /* 328850 to its end */
    near(energy_joules(e), 1.251);
    near(energy_joules(e), 1.251);
    assert_null(energy_why(e));
    put("intel-rapl:1", "energy_uj", "not a number\n");
    assert_true(isnan(energy_joules(e)));
    assert_non_null(strstr(energy_why(e), "/intel-rapl:1/energy_uj: Invalid argument"));
    put("intel-rapl:1", "energy_uj", "671150\n");
    assert_true(isnan(energy_joules(e))); /* what was missed stays missed */
    energy_close(e);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    char path[1300];
    put_machine();
    snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", root);
    if (geteuid()) { /* root reads everything */
        assert_int_equal(chmod(path, 0), 0);
        struct energy *e = energy_open(root);
        assert_true(isnan(energy_joules(e)));
        assert_non_null(strstr(energy_why(e), "energy_uj: Permission denied (root can let it be read: chmod a+r)"));
        energy_close(e);
    }
    assert_int_equal(unlink(path), 0);
    struct energy *e = energy_open(root);
    assert_true(isnan(energy_joules(e)));
    assert_non_null(strstr(energy_why(e), "/intel-rapl:0/energy_uj: No such file or directory"));
    energy_close(e);
    snprintf(path, sizeof path, "%s/nowhere", root);
    e = energy_open(path);
    assert_true(isnan(energy_joules(e)));
    assert_non_null(strstr(energy_why(e), "/nowhere has no counter of a processor: a virtual machine, "));
    energy_close(e);
    assert_true(isnan(energy_joules(NULL)) && energy_why(NULL));
}

static unsigned long long counter = 262143328850 - 100;
static long n_tick;

/* A joule whenever something is done. */
static void tick(void *user, const struct progress *p)
{
    char text[40];
    (void)user;
    (void)p;
    counter = (counter + 1000000) % 262143328850;
    snprintf(text, sizeof text, "%llu\n", counter);
    put("intel-rapl:0", "energy_uj", text);
    n_tick++;
}

static void align(const char *output, int rounds, struct align_result *r)
{
    struct align_options o;
    tiny_align_options(&o, output);
    o.rounds = rounds;
    o.attempts = 3;
    o.samples = 0;
    o.retriever = RETRIEVER_BM25;
    o.energy_root = root;
    log_set_sink(&(struct log_sink){NULL, tick, NULL});
    tiny_align(&o, 1, r);
    log_set_sink(NULL);
}

static void card_of(struct report_run *r, struct buf *card)
{
    struct document d;
    report_run_document(&d, r);
    buf_reset(card);
    card_model(card, r, &d);
    document_free(&d);
}

/* What people say of the grid. */
static void weigh(struct report_run *r, const char *grams)
{
    char path[1200], text[80];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/about.yaml", tiny.root);
    snprintf(text, sizeof text, "grid_gco2_per_kwh: %s\n", grams);
    assert_int_equal(file_write(path, text, strlen(text), &err), 0);
    if (cli_read_about(r, path, &err))
        fail_msg("%s", err.message);
}

static void an_alignment_records_it(void **state)
{
    (void)state;
    char output[1200], line[100];
    struct align_result r;
    struct buf card = BUF_INIT;
    double sum = 0;
    snprintf(output, sizeof output, "%s/run", tiny.root);
    assert_int_equal(tree_remove(root, NULL), 0);
    assert_int_equal(mkdir(root, 0700), 0);
    put_zone("intel-rapl:0", "package-0\n", "262143328750\n", "262143328850\n");
    align(output, 1, &r);
    struct report_run *run = &r.report;
    for (int i = 0; i < run->n_phase; i++)
        sum += run->phases[i].joules;
    near(run->joules, sum);
    assert_true(sum > 0 && sum <= (double)n_tick && fabs(sum - floor(sum + 0.5)) < 1e-2);
    assert_null(run->joules_unread);
    card_of(run, &card);
    assert_non_null(strstr(buf_text(&card), " J ("));
    assert_null(strstr(buf_text(&card), "co2_eq_emissions"));
    weigh(run, "360");
    near(run->co2, sum * 1e-4); /* 3.6 MJ a kilowatt-hour */
    snprintf(line, sizeof line, "\nco2_eq_emissions:\n  emissions: %.6g\n", sum * 1e-4);
    card_of(run, &card);
    assert_non_null(strstr(buf_text(&card), line));
    assert_non_null(strstr(r.json.data, "\"joules_unread\": null"));
    align_result_free(&r);
    put("intel-rapl:0", "name", "core\n"); /* the machine that goes on has no counter */
    align(output, 1, &r);
    assert_true(isnan(r.report.joules) && isnan(r.report.phases[0].joules));
    assert_non_null(strstr(r.report.joules_unread, " has no counter of a processor"));
    assert_non_null(strstr(r.json.data, "\"joules\": null"));
    card_of(&r.report, &card);
    assert_non_null(strstr(buf_text(&card), "Energy was not read: "));
    weigh(&r.report, "360");
    card_of(&r.report, &card);
    assert_null(strstr(buf_text(&card), "co2_eq_emissions")); /* of an energy that nobody knows */
    align_result_free(&r);
    buf_free(&card);
}

static int setup(void **state)
{
    int rc = tiny_align_setup(state);
    snprintf(root, sizeof root, "%s/powercap", tiny.root);
    return rc ? rc : mkdir(root, 0700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counters_add_up_and_turn_over),
                                       cmocka_unit_test(what_cannot_be_read_is_said),
                                       cmocka_unit_test(an_alignment_records_it)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
