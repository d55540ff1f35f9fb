/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that learn distributions. A step whose rows are mixed takes them all as distributions: an id is one that is
 * sure. */
#include "train/parts.h"

#include "base/mem.h"

#include <string.h>

int train_data_set_soft(struct train_data *data, int row, const struct soft_targets *soft, struct error *err)
{
    struct train_row *r = &data->rows[row];
    size_t bytes = (size_t)row_targets(r, MODEL_LM) * (size_t)soft->n_top * 4;
    struct soft_targets s = {soft->n_top, mem_alloc(bytes + 1), mem_alloc(bytes + 1)};
    if (!s.ids || !s.logprobs) {
        mem_free(s.ids);
        mem_free(s.logprobs);
        return error_set_nomem(err, 2 * bytes, "soft targets");
    }
    memcpy(s.ids, soft->ids, bytes);
    memcpy(s.logprobs, soft->logprobs, bytes);
    mem_free(r->soft.ids);
    mem_free(r->soft.logprobs);
    r->soft = s;
    return 0;
}

static void add_list(struct soft_lists *l, const int32_t *ids, const float *logprobs, int n)
{
    size_t at = (size_t)l->n++ * (size_t)l->n_top;
    for (int i = 0; i < l->n_top; i++) {
        l->ids[at + (size_t)i] = i < n ? ids[i] : -1;
        l->logprobs[at + (size_t)i] = i < n ? logprobs[i] : 0;
    }
}

void soft_lists_add(struct soft_lists *l, const struct train_row *r)
{
    static const float sure = 0;
    int first = l->n, n = r->soft.n_top;
    for (int j = 1; j < r->n; j++) {
        size_t at = (size_t)(l->n - first) * (size_t)n;
        if (r->target[j] && n)
            add_list(l, r->soft.ids + at, r->soft.logprobs + at, n);
        else if (r->target[j])
            add_list(l, &r->ids[j], &sure, 1);
    }
    if ((l->n - first) & 1)
        add_list(l, NULL, NULL, 0);
}

int soft_check(const struct train_row *r, int n_vocab, struct error *err)
{
    int n = r->soft.n_top;
    size_t lists = (size_t)row_targets(r, MODEL_LM);
    if (n > DIVERGENCE_MAX_TOP)
        return error_set(err, ERROR_DATA, "row %s: %d soft targets a token, wanted at most %d", r->id, n,
                         DIVERGENCE_MAX_TOP);
    for (size_t i = 0; i < lists * (size_t)n; i++) {
        int32_t id = r->soft.ids[i];
        if (id < -1 || id >= n_vocab || (id < 0 && i % (size_t)n == 0))
            return error_set(err, ERROR_DATA, "row %s: soft target %zu is token %d, outside of the vocabulary of %d",
                             r->id, i, (int)id, n_vocab);
        if (id >= 0 && !(r->soft.logprobs[i] <= 0))
            return error_set(err, ERROR_DATA, "row %s: soft target %zu: %g is no log-probability", r->id, i,
                             (double)r->soft.logprobs[i]);
    }
    return 0;
}
