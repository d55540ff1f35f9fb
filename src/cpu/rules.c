/* SPDX-License-Identifier: Apache-2.0 */
/* Penalty first, then bans, as transformers orders them. */
#include "cpu/rules.h"

#include <math.h>

struct id_list {
    const int32_t *ids;
    int n;
};

static struct id_list list_of(struct span offsets, struct span ids, int row)
{
    const int32_t *o = cpu_ptr(offsets), *all = cpu_ptr(ids);
    return o && all ? (struct id_list){all + o[row], o[row + 1] - o[row]} : (struct id_list){NULL, 0};
}

int rules_change(const struct logit_rules *rules, int row)
{
    return list_of(rules->banned_offsets, rules->banned_ids, row).n > 0 ||
           list_of(rules->seen_offsets, rules->seen_ids, row).n > 0;
}

void rules_apply(const struct logit_rules *rules, int row, float *scores, int n_vocab)
{
    struct id_list banned = list_of(rules->banned_offsets, rules->banned_ids, row),
                   seen = list_of(rules->seen_offsets, rules->seen_ids, row);
    const float *penalties = cpu_ptr(rules->penalty);
    float penalty = penalties ? penalties[row] : 1;
    for (int i = 0; i < seen.n && penalty != 1; i++)
        if (seen.ids[i] >= 0 && seen.ids[i] < n_vocab) {
            float *s = &scores[seen.ids[i]];
            *s = *s < 0 ? *s * penalty : *s / penalty;
        }
    for (int i = 0; i < banned.n; i++)
        if (banned.ids[i] >= 0 && banned.ids[i] < n_vocab)
            scores[banned.ids[i]] = -INFINITY;
}
