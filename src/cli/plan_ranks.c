/* SPDX-License-Identifier: Apache-2.0 */
/* isara plan --ranks: what one of several processes takes and sends, and what a network makes of more of them. */
#include "cli/plan_ranks.h"

#include <stdio.h>
#include <stdlib.h>

static const double MIB = 1 << 20;

int cli_plan_asked(struct plan_asked *asked, const struct cli_values *v, struct error *err)
{
    *asked = (struct plan_asked){v->ranks, {v->network, v->latency}};
    if (v->ranks || v->network == 0)
        return 0;
    return error_set(err, ERROR_USAGE, "--network: how many ranks? Give --ranks too");
}

static void say_times(const struct plan_ranks *r)
{
    double alone = r->ranks[0].step;
    printf("             ranks  leaves   MB sent   s a step  times as fast  computing");
    printf(r->ranks[0].round > 0 ? "   s a round\n" : "\n");
    for (int i = 0; i < r->n; i++) {
        const struct plan_rank *x = &r->ranks[i];
        printf("             %5d  %6d  %8.2f  %9.3g  %13.2f  %7.0f %%", x->share.n_rank, x->share.n_leaf,
               x->share.sent * 1e-6, x->step, alone / x->step, 100 * alone / x->step / x->share.n_rank);
        if (x->round > 0)
            printf("   %9.3g", x->round);
        printf("\n");
    }
    int last = r->ranks[r->pays].share.n_rank;
    if (r->pays + 1 < r->n)
        printf("             more than %d rank%s do not pay: the next step up is less than %.1f times as fast\n", last,
               last > 1 ? "s" : "", PLAN_PAYS);
    else
        printf("             up to %d ranks, one for each row of a step at most, more of them pay\n", last);
}

void cli_plan_ranks(const struct plan_ranks *r, const struct tokenizer *t, const struct plan_asked *asked)
{
    const struct train_share *s = &r->ranks[r->asked].share;
    printf(
        "a rank       %.0f MiB at the peak of tuning by %d: weights %.0f, its part of masters, moments and gradients "
        "%.0f,\n"
        "             gradients on their way %.0f, activations %.0f; it sends %.2f MB a step\n",
        plan_rank_bytes(s, t) / MIB, s->n_rank, s->weights / MIB, s->sharded / MIB, s->windows / MIB,
        s->activations / MIB, s->sent * 1e-6);
    if (s->is_whole && s->n_rank > 1)
        printf(
            "             a leaf has several micro-batches, so its whole gradient is kept: more --gradient-leaves, or "
            "a larger\n"
            "             --per-device-train-batch-size, would keep two layers'\n");
    if (asked->network.gbit > 0) {
        printf("network      %g Gbit/s each way, %g ms, each rank a machine like this one; computed, not measured\n",
               asked->network.gbit, asked->network.ms);
        say_times(r);
    }
}

int cli_plan_ranks_json(const struct plan_ranks *r, const struct tokenizer *t, struct error *err)
{
    json_t *list = json_array();
    for (int i = 0; i < r->n; i++) {
        const struct plan_rank *x = &r->ranks[i];
        const struct train_share *s = &x->share;
        json_array_append_new(list, json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:f}", "ranks",
                                              s->n_rank, "gradient_leaves", s->n_leaf, "peak_bytes",
                                              plan_rank_bytes(s, t), "weight_bytes", s->weights, "part_bytes",
                                              s->sharded, "window_bytes", s->windows, "activation_bytes",
                                              s->activations, "sent_bytes", s->sent, "whole_gradient", s->is_whole,
                                              "step_seconds", x->step, "round_seconds", x->round));
    }
    char *text = json_dumps(list, 0);
    if (text && r->n)
        printf(", \"ranks\": %s", text);
    free(text);
    json_decref(list);
    return text ? 0 : error_set_nomem(err, 256, "a plan");
}
