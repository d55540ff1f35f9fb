/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/overlap.h"

#include "base/hash.h"
#include "base/mem.h"
#include "measure/grams.h"

#include <string.h>

/* The first text of a that holds one of b's n-grams. */
static int first_with(const struct rouge_text *a, const struct grams *grams, const struct rouge_text *b, int n)
{
    const struct gram *g = grams->items;
    int first = -1;
    for (int k = 0; k + n <= b->n; k++) {
        uint64_t hash = hash64(b->words + k, (size_t)n * sizeof(int32_t));
        size_t low = 0, high = grams->n;
        while (low < high) {
            size_t middle = (low + high) / 2;
            *(g[middle].hash < hash ? &low : &high) = g[middle].hash < hash ? middle + 1 : middle;
        }
        for (; low < grams->n && g[low].hash == hash && (first < 0 || g[low].text < first); low++)
            if (!memcmp(a[g[low].text].words + g[low].at, b->words + k, (size_t)n * sizeof(int32_t)))
                first = g[low].text;
    }
    return first;
}

static int find_grams(const struct grams_texts *a, const struct grams_texts *b, int n, struct overlap_hit *hits,
                      struct error *err)
{
    struct grams g;
    int rc = grams_of(&g, a, n, err);
    for (int i = 0; !rc && i < b->n; i++)
        *(n == 8 ? &hits[i].gram8 : &hits[i].gram13) = first_with(a->items, &g, &b->items[i], n);
    mem_free(g.items);
    return rc;
}

static int find_nearest(const struct grams_texts *a, const struct grams_texts *b, int32_t n_vocab,
                        struct overlap_hit *hits, struct error *err)
{
    struct lcs_pattern p = LCS_PATTERN_INIT;
    int rc = 0;
    for (int i = 0; i < b->n && !rc; i++) {
        const struct rouge_text *y = &b->items[i];
        hits[i].nearest = -1;
        hits[i].rouge_l = -1;
        rc = lcs_pattern_set(&p, y->words, y->n, n_vocab, err);
        for (int k = 0; k < a->n && !rc; k++) {
            const struct rouge_text *x = &a->items[k];
            int least = x->n < y->n ? x->n : y->n;
            if (rouge_score_of(least, x->n, y->n).f <= hits[i].rouge_l) /* cannot be nearer */
                continue;
            double f = rouge_score_of(lcs_length(&p, x->words, x->n), x->n, y->n).f;
            if (f > hits[i].rouge_l) {
                hits[i].rouge_l = f;
                hits[i].nearest = k;
            }
        }
        if (hits[i].nearest < 0)
            hits[i].rouge_l = 0;
    }
    lcs_pattern_deinit(&p);
    return rc;
}

static int read_texts(struct rouge_vocab *v, const struct overlap_text *from, int n, struct rouge_text *questions,
                      struct rouge_text *texts, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        rc = rouge_text_init(&questions[i], v, from[i].question, strlen(from[i].question), err);
        rc = rc ? rc : rouge_text_init(&texts[i], v, from[i].text, strlen(from[i].text), err);
    }
    return rc;
}

int overlap_find(const struct overlap_text *a, int na, const struct overlap_text *b, int nb, struct overlap_hit *hits,
                 struct error *err)
{
    struct rouge_vocab *v = NULL;
    size_t n = (size_t)na + (size_t)nb + 1;
    struct rouge_text *questions = mem_calloc(n, sizeof *questions), *texts = mem_calloc(n, sizeof *texts);
    int rc = questions && texts ? rouge_vocab_new_unicode(&v, err) : error_set_nomem(err, n * sizeof *texts, "texts");
    rc = rc ? rc : read_texts(v, a, na, questions, texts, err);
    rc = rc ? rc : read_texts(v, b, nb, questions + na, texts + na, err);
    const struct grams_texts in = {texts, na}, of = {texts + na, nb}, asked = {questions, na},
                             asks = {questions + na, nb};
    rc = rc ? rc : find_grams(&in, &of, 8, hits, err);
    rc = rc ? rc : find_grams(&in, &of, 13, hits, err);
    rc = rc ? rc : find_nearest(&asked, &asks, rouge_vocab_size(v), hits, err);
    for (size_t i = 0; questions && texts && i < n - 1; i++) {
        rouge_text_deinit(&questions[i]);
        rouge_text_deinit(&texts[i]);
    }
    mem_free(questions);
    mem_free(texts);
    rouge_vocab_free(v);
    return rc;
}
