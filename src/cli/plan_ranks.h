/* SPDX-License-Identifier: Apache-2.0 */
/* What plan prints of several ranks. */
#ifndef CLI_PLAN_RANKS_H
#define CLI_PLAN_RANKS_H

#include "cli/parts.h"
#include "method/plan.h"

/* --ranks and --network; n_rank 0: one process. */
int cli_plan_asked(struct plan_asked *asked, const struct cli_values *v, struct error *err);
void cli_plan_ranks(const struct plan_ranks *r, const struct tokenizer *t, const struct plan_asked *asked);
/* As one more member of an object; nothing when nobody asked. */
int cli_plan_ranks_json(const struct plan_ranks *r, const struct tokenizer *t, struct error *err);

#endif
