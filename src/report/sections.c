/* SPDX-License-Identifier: Apache-2.0 */
#include "report/sections.h"

void report_run_document(struct document *d, const struct report_run *r)
{
    document_begin(d, "An alignment by ISARA");
    sections_results(d, r);
    sections_controls(d, r);
    sections_tax(d, r);
    sections_samples(d, r);
    sections_rounds(d, r);
    sections_training(d, r);
    sections_people(d, r);
    sections_account(d, r);
    sections_limits(d, r);
    sections_about(d, r);
    sections_checklist(d, r);
}
