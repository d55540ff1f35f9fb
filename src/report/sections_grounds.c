/* SPDX-License-Identifier: Apache-2.0 */
/* What an experiment rests on and what it cannot show, from its own facts: limitations, every arm's settings, and how
 * to do it again. */
#include "report/sections.h"

#include "base/build.h"

#include <math.h>
#include <string.h>

static const struct column setting_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"option", "option", COLUMN_TEXT, 0},
    {"value", "value", COLUMN_TEXT, 0},
};
enum { N_SETTING_COLUMN = (int)(sizeof setting_columns / sizeof *setting_columns) };

/* Each once, with commas between. */
static void add_name(struct buf *names, int *n, const struct report_comparison *c, int i,
                     const char *(*name)(const struct report_measured *m))
{
    for (int k = 0; k < i; k++)
        if (!strcmp(name(&c->list[k]), name(&c->list[i])))
            return;
    buf_printf(names, "%s%s", *n ? ", " : "", name(&c->list[i]));
    ++*n;
}

static const char *metric_of(const struct report_measured *m)
{
    return m->metric;
}

static const char *test_of(const struct report_measured *m)
{
    return *m->test ? m->test : "the test set";
}

static void scope(struct section *s, const struct report_comparison *c)
{
    struct buf models = BUF_INIT, tests = BUF_INIT;
    int n = 0;
    for (int i = 0; i < c->n_model; i++)
        buf_printf(&models, "%s%s", i ? ", " : "", c->models[i]);
    for (int i = 0; i < c->n; i++)
        add_name(&tests, &n, c, i, test_of);
    section_text(
        s,
        "Scope. %d base model%s (%s), measured on %s. Nothing here says how another model, domain, language or "
        "size would do.",
        c->n_model, c->n_model == 1 ? "" : "s", buf_text(&models), buf_text(&tests));
    s->document->failed |= models.failed || tests.failed;
    buf_free(&models);
    buf_free(&tests);
}

static void seeds(struct section *s, const struct report_comparison *c)
{
    if (c->n_random_seed < 2)
        section_text(s, "Random seeds. There was one: intervals and p-values are over questions, and how another seed "
                        "would draw contexts, questions and training rows is in none of them.");
    else
        section_text(s,
                     "Random seeds. There were %d: means and intervals over them are Student's t over so few values. "
                     "The base model, the seed pairs and the test are the same in all of them.",
                     c->n_random_seed);
}

static void measures(struct section *s, const struct report_comparison *c)
{
    struct buf names = BUF_INIT;
    int n = 0, missing = 0, wanted = 0;
    for (int i = 0; i < c->n; i++) {
        add_name(&names, &n, c, i, metric_of);
        missing += c->list[i].n - c->list[i].n_value;
        wanted += c->list[i].n;
    }
    section_text(s,
                 "Proxy and outcome. What is compared is %s: likelihoods of references, words in common with them, or "
                 "verdicts of automated judges, which err. What people would say of the answers was not asked here.",
                 buf_text(&names));
    section_text(s,
                 "Many numbers. p-values are corrected by Holm over the arms and controls of one metric; over the %d "
                 "metrics of this report they are not.",
                 n);
    if (missing)
        section_text(s, "Missing. %d of %d values of an arm with a random seed are missing.", missing, wanted);
    s->document->failed |= names.failed;
    buf_free(&names);
}

static void controls(struct section *s, const struct report_comparison *c)
{
    int tuned = 0;
    for (int i = 0; i < c->n_control; i++)
        for (int k = 0; k < c->n_arm; k++)
            tuned |= !strcmp(c->arms[k].name, c->controls[i]) && strcmp(c->arms[k].kind, "pretrained") != 0;
    if (!tuned)
        section_text(s, "Controls. No control was tuned: a gain may come from more optimizer steps or from the seeds "
                        "alone.");
    section_text(s, "Settings. Each arm has those of the table below. Whether each has the best it could have is not "
                    "known to this program: what was chosen for one arm favours it.");
    section_text(s, "Contamination. Whether the base model's own training had the test questions, or texts about them, "
                    "is not known to this program.");
}

static void settings(struct document *d, const struct report_comparison *c)
{
    struct section *s = document_section(d, "settings", "Settings");
    struct table *t = section_table(s, "settings", "What each arm was given", setting_columns, N_SETTING_COLUMN);
    for (int i = 0; i < c->n_arm; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(c->arms[i].options, name, value)
        {
            struct buf text = BUF_INIT;
            for (size_t k = 0; k < (json_is_array(value) ? json_array_size(value) : 1); k++) {
                const char *one = json_string_value(json_is_array(value) ? json_array_get(value, k) : value);
                buf_printf(&text, "%s%s", k ? ", " : "", one ? one : "");
            }
            struct table_row *row = table_add(t);
            row_text(row, c->arms[i].name);
            row_text(row, name);
            row_text(row, buf_text(&text));
            d->failed |= text.failed;
            buf_free(&text);
        }
    }
    table_note(t, "options of align, train and eval-NAME of eval; the others have their defaults, which "
                  "config.resolved.json of each alignment lists (work/*/run)");
}

static void environment(struct document *d, const struct report_comparison *c)
{
    struct section *s = document_section(d, "environment", "Environment and how to do it again");
    struct buf line = BUF_INIT;
    buf_puts(&line, "isara experiment ");
    sections_shell_word(&line, c->name);
    buf_puts(&line, " --output again");
    section_text(s,
                 "isara %s (commit %s). The file has SHA-256 %s; jobs are known by the SHA-256 of models, data and "
                 "options, and each alignment's manifest.json has those of its own. In f32 the numbers are the same on "
                 "another machine. The whole again:",
                 build_version, build_commit, c->sha256);
    section_code(s, buf_text(&line));
    d->failed |= line.failed;
    buf_free(&line);
}

void sections_grounds(struct document *d, const struct report_comparison *c)
{
    environment(d, c);
    settings(d, c);
    struct section *s = document_section(d, "limitations", "Limitations");
    if (s) {
        scope(s, c);
        seeds(s, c);
        measures(s, c);
        controls(s, c);
    }
    sections_terms(d);
}
