/* SPDX-License-Identifier: Apache-2.0 */
/* What only people know, as they said it. */
#include "report/sections.h"

#include <string.h>

static const struct column about_columns[] = {
    {"name", "name", COLUMN_TEXT, 0},
    {"what", "what", COLUMN_TEXT, 0},
    {"stated", "as the authors state it", COLUMN_TEXT, 0},
};
enum { N_ABOUT_COLUMN = (int)(sizeof about_columns / sizeof *about_columns) };

static const char *const asked[][2] = {
    {"authors", "who did it"},
    {"affiliations", "where they work"},
    {"funding", "who paid for it"},
    {"funder_role", "whether the funder had a say in the outcome"},
    {"interests", "financial interests"},
    {"contribution", "what it is to contribute"},
    {"terms", "terms of their own"},
    {"prior_work", "what was there before"},
    {"training_cutoff", "up to when the base model's training data go"},
    {"grid_gco2_per_kwh", "grams of CO2 that a kilowatt-hour causes where it ran"},
    {"recruitment", "how people who labelled answers were found"},
    {"ethics", "ethics approval of their labelling"},
    {"demographics", "who they were"},
    {"inclusion", "whose labels counted, and whose not"},
    {"preregistration", "what was registered before"},
    {"sample_sizes", "why so many seeds, attempts, questions and random seeds"},
};
enum { N_ASKED = (int)(sizeof asked / sizeof *asked), OF_LABELLING = 10 };

int report_about_knows(const char *name)
{
    for (int i = 0; i < N_ASKED; i++)
        if (!strcmp(asked[i][0], name))
            return 1;
    return 0;
}

void sections_about(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "about", "What the authors state");
    struct table *t = section_table(s, "about", "Statements", about_columns, N_ABOUT_COLUMN);
    for (int i = 0; i < N_ASKED; i++) {
        if (i >= OF_LABELLING && i < N_ASKED - 1 && !r->people.n_labelled)
            continue; /* nobody labelled anything */
        const char *said = report_fact_find(&r->about, asked[i][0]);
        struct table_row *row = table_add(t);
        row_text(row, asked[i][0]);
        row_text(row, asked[i][1]);
        row_text(row, said ? said : "not stated");
    }
    table_note(t, "asked of people, printed as theirs and not checked (isara report --about FILE)");
}

void sections_stated(struct document *d, const json_t *about)
{
    struct section *s = document_section(d, "about", "What the authors state");
    struct table *t = section_table(s, "about", "Statements", about_columns, N_ABOUT_COLUMN);
    for (int i = 0; i < N_ASKED; i++) {
        const char *said = json_string_value(json_object_get(about, asked[i][0]));
        struct table_row *row = table_add(t);
        row_text(row, asked[i][0]);
        row_text(row, asked[i][1]);
        row_text(row, said ? said : "not stated");
    }
    table_note(t, "asked of people, printed as theirs and not checked (about: in the experiment's file)");
}
