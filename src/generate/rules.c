/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/rules.h"

#include <string.h>

static int add_distinct(struct rule_marks *m, const int32_t *ids, int n, int32_t *out, int n_out)
{
    for (int i = 0; i < n; i++) {
        int32_t id = ids[i];
        if (m->mark[id] == m->now)
            continue;
        m->mark[id] = m->now;
        out[n_out++] = id;
    }
    return n_out;
}

int rule_seen(struct rule_marks *m, const struct rule_text *t, const struct generate_options *o, int32_t *out)
{
    int n = 0;
    if (o->repetition_penalty == 1)
        return 0;
    if (!++m->now) { /* after 2^32 sequences the marks start anew */
        memset(m->mark, 0, (size_t)m->n_vocab * sizeof *m->mark);
        m->now = 1;
    }
    if (o->penalty_scope == PENALTY_ALL)
        n = add_distinct(m, t->prompt, t->n_prompt, out, n);
    return add_distinct(m, t->ids, t->n, out, n);
}

static int32_t token_at(const struct rule_text *t, int i)
{
    return i < t->n_prompt ? t->prompt[i] : t->ids[i - t->n_prompt];
}

int rule_banned(const struct rule_text *t, const struct generate_options *o, int n_vocab, int32_t *out)
{
    int n_out = 0, size = o->no_repeat_ngram_size, end = t->n_prompt + t->n;
    int start = o->penalty_scope == PENALTY_ALL ? 0 : t->n_prompt;
    if (size > 0 && end - start + 1 >= size)
        for (int i = start; i + size <= end; i++) { /* i: first of an n-gram seen */
            int k = size - 1;
            while (k > 0 && token_at(t, i + k - 1) == token_at(t, end - size + k))
                k--;
            if (!k)
                out[n_out++] = token_at(t, i + size - 1);
        }
    if (t->n < o->min_new_tokens)
        for (int i = 0; i < o->n_eos; i++)
            if (o->eos_ids[i] < n_vocab)
                out[n_out++] = o->eos_ids[i];
    return n_out;
}
