/* SPDX-License-Identifier: Apache-2.0 */
/* What each stage had to do for its time: tokens, arithmetic, texts. */
#include "method/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORWARD = 2, TUNING = 6 }; /* operations a parameter and token */

static int is_elsewhere(const struct report_run *r, const char *role)
{
    for (int i = 0; i < r->n_elsewhere; i++)
        if (!strcmp(r->elsewhere[i].role, role))
            return 1;
    return 0;
}

/* Generated here; of what was said elsewhere nothing is. */
static void of_texts(struct report_phase *p, const struct report_run *r, int asks)
{
    double tokens = 0;
    for (int i = 0; i < r->n_round; i++) {
        tokens += asks ? r->rounds[i].asked_tokens : r->rounds[i].answered_tokens;
        p->texts += r->rounds[i].attempts;
    }
    if (!is_elsewhere(r, asks ? "asker" : "answerer"))
        p->tokens = tokens;
    if (p->texts)
        p->seconds_each = p->seconds / p->texts;
}

static void of_tuning(struct report_phase *p, const struct report_run *r)
{
    p->tokens = 0;
    for (int i = 0; i < r->n_curve; i++)
        for (int k = 0; k < r->curves[i].n && !strncmp(r->curves[i].name, "round-", 6); k++)
            p->tokens += (double)r->curves[i].steps[k].tokens;
}

void results_cost(struct report_run *r)
{
    const char *text = report_fact_find(&r->manifest, "model.parameters");
    double parameters = text ? strtod(text, NULL) : NAN;
    r->seconds = r->cpu = 0;
    for (int i = 0; i < r->n_phase; i++) {
        struct report_phase *p = &r->phases[i];
        int tunes = !strcmp(p->name, "tune");
        p->tokens = p->seconds_each = NAN;
        if (!strcmp(p->name, "ask") || !strcmp(p->name, "answer"))
            of_texts(p, r, !strcmp(p->name, "ask"));
        if (tunes)
            of_tuning(p, r);
        p->gflop = (tunes ? TUNING : FORWARD) * parameters * p->tokens * 1e-9;
        r->seconds += p->seconds;
        r->cpu += p->cpu;
    }
}
