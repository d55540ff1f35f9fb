/* SPDX-License-Identifier: Apache-2.0 */
/* Distinct-n and self-BLEU. For a clipped count against all other texts only an n-gram's greatest and second greatest
 * count in any one text are needed. */
#include "measure/overlap.h"

#include "base/maths.h"
#include "base/mem.h"
#include "measure/grams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 4 };
struct work {
    struct grams_texts texts;
    long (*shared)[ORDERS];
    double distinct[ORDERS];
};

/* One group of equal n-grams, sorted by text: adds each text's count clipped by the greatest of the others. */
static void add_group(struct work *w, const struct gram *g, size_t n, int order)
{
    long most = 0, second = 0;
    int whose = -1;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && g[j].text == g[i].text; j++) {
        }
        long count = (long)(j - i);
        if (count > most) {
            second = most;
            most = count;
            whose = g[i].text;
        } else if (count > second)
            second = count;
    }
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && g[j].text == g[i].text; j++) {
        }
        long count = (long)(j - i), others = g[i].text == whose ? second : most;
        w->shared[g[i].text][order] += count < others ? count : others;
    }
}

static int count_order(struct work *w, int order, struct error *err)
{
    struct grams g;
    size_t different = 0;
    int rc = grams_of(&g, &w->texts, order + 1, err);
    for (size_t i = 0, j; i < g.n; i = j, different++) {
        for (j = i; j < g.n && g.items[j].hash == g.items[i].hash; j++) {
        }
        add_group(w, g.items + i, j - i, order);
    }
    w->distinct[order] = g.n ? (double)different / (double)g.n : NAN;
    mem_free(g.items);
    return rc;
}

static int compare_int(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The length among the others' (sorted, own included) closest to own; ties to the shorter. */
static int closest(const int *lengths, int n, int own)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        *(lengths[middle] < own ? &low : &high) = lengths[middle] < own ? middle + 1 : middle;
    }
    if (low + 1 < n && lengths[low + 1] == own) /* another of the same length */
        return own;
    int below = low > 0 ? lengths[low - 1] : -1, above = low + 1 < n ? lengths[low + 1] : -1;
    if (below < 0 || above < 0)
        return below < 0 ? above : below;
    return own - below <= above - own ? below : above;
}

static double bleu_of(const struct work *w, int i, int reference)
{
    double sum = 0, smooth = 1;
    int own = w->texts.items[i].n;
    if (own < ORDERS || !w->shared[i][0])
        return 0;
    for (int k = 0; k < ORDERS; k++) {
        double precision = (double)w->shared[i][k] / (own - k);
        if (!w->shared[i][k]) {
            smooth *= 2;
            precision = 1 / (smooth * (own - k));
        }
        sum += maths_log(precision);
    }
    double brevity = own < reference ? maths_exp(1 - (double)reference / own) : 1;
    return 100 * brevity * maths_exp(sum / ORDERS);
}

int diversity_of(const char *const *texts, int n, struct diversity *out, struct error *err)
{
    struct rouge_vocab *v = NULL;
    struct rouge_text *t = mem_calloc((size_t)n + 1, sizeof *t);
    struct work w = {{t, n}, mem_calloc((size_t)n + 1, sizeof *w.shared), {NAN, NAN, NAN, NAN}};
    int *lengths = mem_calloc((size_t)n + 1, sizeof *lengths),
        rc = t && w.shared && lengths ? rouge_vocab_new_unicode(&v, err)
                                      : error_set_nomem(err, (size_t)n * sizeof *t, "texts");
    for (int i = 0; i < n && !rc; i++) {
        rc = rouge_text_init(&t[i], v, texts[i], strlen(texts[i]), err);
        lengths[i] = t[i].n;
    }
    for (int order = 0; order < ORDERS && !rc; order++)
        rc = count_order(&w, order, err);
    *out = (struct diversity){{w.distinct[0], w.distinct[1], w.distinct[2]}, NAN, n};
    if (!rc && n > 1) {
        double sum = 0;
        qsort(lengths, (size_t)n, sizeof *lengths, compare_int);
        for (int i = 0; i < n; i++)
            sum += bleu_of(&w, i, closest(lengths, n, t[i].n));
        out->self_bleu = sum / n;
    }
    for (int i = 0; t && i < n; i++)
        rouge_text_deinit(&t[i]);
    mem_free(t);
    mem_free(w.shared);
    mem_free(lengths);
    rouge_vocab_free(v);
    return rc;
}
