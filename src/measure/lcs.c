/* SPDX-License-Identifier: Apache-2.0 */
/* Length of the longest common subsequence, 64 cells of the table's row at a time (Hyyrö 2004: V' = (V + (V & M)) | (V
 * & ~M); zero bits of V count the LCS). The row's carry runs through the words of a long pattern. */
#include "measure/rouge.h"

#include "base/mem.h"

#include <string.h>

void lcs_pattern_deinit(struct lcs_pattern *p)
{
    mem_free(p->slot);
    mem_free(p->masks);
    mem_free(p->state);
    mem_free(p->words);
    *p = (struct lcs_pattern)LCS_PATTERN_INIT;
}

static int reserve(struct lcs_pattern *p, int n, int32_t vocab_size)
{
    int n_mask = (n + 63) / 64;
    size_t cells;
    if (vocab_size > p->n_slot) {
        int32_t size = vocab_size + vocab_size / 2 + 64;
        int32_t *slot = mem_resize(p->slot, (size_t)size * sizeof *slot);
        if (!slot)
            return -1;
        memset(slot + p->n_slot, 0, (size_t)(size - p->n_slot) * sizeof *slot);
        p->slot = slot;
        p->n_slot = size;
    }
    if (size_mul((size_t)n + 1, (size_t)n_mask + 1, &cells) || cells > INT32_MAX)
        return -1;
    if ((int)cells > p->cap_mask) {
        uint64_t *masks = mem_alloc(cells * sizeof *masks), *state = mem_alloc(((size_t)n_mask + 1) * sizeof *state);
        int32_t *words = mem_alloc(((size_t)n + 1) * sizeof *words);
        if (!masks || !state || !words) {
            mem_free(masks);
            mem_free(state);
            mem_free(words);
            return -1;
        }
        mem_free(p->masks);
        mem_free(p->state);
        mem_free(p->words);
        p->masks = masks;
        p->state = state;
        p->words = words;
        p->cap_mask = (int)cells;
    }
    return 0;
}

int lcs_pattern_set(struct lcs_pattern *p, const int32_t *words, int n, int32_t vocab_size, struct error *err)
{
    for (int i = 0; i < p->n; i++)
        p->slot[p->words[i]] = 0;
    p->n = 0;
    if (reserve(p, n, vocab_size))
        return error_set_nomem(err, (size_t)n * ((size_t)n / 64 + 1) * 8, "LCS masks");
    int rows = 0, n_mask = (n + 63) / 64;
    for (int i = 0; i < n; i++) {
        int32_t *slot = &p->slot[words[i]];
        if (!*slot) {
            memset(p->masks + (size_t)rows * (size_t)n_mask, 0, (size_t)n_mask * sizeof *p->masks);
            *slot = ++rows;
        }
        p->masks[(size_t)(*slot - 1) * (size_t)n_mask + (size_t)(i / 64)] |= (uint64_t)1 << (i % 64);
        p->words[i] = words[i];
    }
    p->n = n;
    p->n_mask = n_mask;
    return 0;
}

static int length_short(const struct lcs_pattern *p, const int32_t *words, int n)
{
    uint64_t v = ~(uint64_t)0;
    for (int i = 0; i < n; i++) {
        int32_t row = words[i] < p->n_slot ? p->slot[words[i]] : 0;
        if (row) {
            uint64_t m = p->masks[row - 1];
            v = (v + (v & m)) | (v & ~m);
        }
    }
    return __builtin_popcountll(~v);
}

int lcs_length(struct lcs_pattern *p, const int32_t *words, int n)
{
    if (!p->n)
        return 0;
    if (p->n_mask == 1)
        return length_short(p, words, n);
    int length = 0;
    memset(p->state, 0xff, (size_t)p->n_mask * sizeof *p->state);
    for (int i = 0; i < n; i++) {
        int32_t row = words[i] < p->n_slot ? p->slot[words[i]] : 0;
        uint64_t carry = 0;
        for (int k = 0; row && k < p->n_mask; k++) {
            uint64_t m = p->masks[(size_t)(row - 1) * (size_t)p->n_mask + (size_t)k], v = p->state[k], u = v & m;
            unsigned __int128 sum = (unsigned __int128)v + u + carry;
            carry = (uint64_t)(sum >> 64);
            p->state[k] = (uint64_t)sum | (v & ~m);
        }
    }
    for (int k = 0; k < p->n_mask; k++)
        length += __builtin_popcountll(~p->state[k]);
    return length;
}
