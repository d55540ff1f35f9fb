/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/outside_method.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k[2] = {key[0], key[1]};
    memcpy(out, counter, 4 * sizeof *out);
    for (int round = 0; round < 10; round++) {
        uint64_t first = UINT64_C(0xD2511F53) * out[0];
        uint64_t second = UINT64_C(0xCD9E8D57) * out[2];
        uint32_t next[4] = {(uint32_t)(second >> 32) ^ out[1] ^ k[0], (uint32_t)second,
                            (uint32_t)(first >> 32) ^ out[3] ^ k[1], (uint32_t)first};
        memcpy(out, next, sizeof next);
        k[0] += UINT32_C(0x9E3779B9);
        k[1] += UINT32_C(0xBB67AE85);
    }
}

/* Number i of the stream, below n. */
static int below(uint64_t seed, uint64_t a, uint64_t b, uint64_t i, int n)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t name[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
    uint32_t folded[4], out[4];
    philox(key, name, folded);
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), folded[2], folded[3]};
    philox(folded, counter, out);
    return (int)((uint64_t)out[0] * (uint64_t)n >> 32);
}

static int holds(const int *list, int n, int x)
{
    for (int i = 0; i < n; i++)
        if (list[i] == x)
            return 1;
    return 0;
}

int outside_draw(uint64_t seed, uint64_t a, uint64_t b, int n, int k, int *out)
{
    k = k < n ? k : n;
    for (int i = 0; i < k; i++) {
        int top = n - k + i;
        int pick = below(seed, a, b, (uint64_t)i, top + 1);
        out[i] = holds(out, i, pick) ? top : pick;
    }
    for (int i = k; i > 1; i--) {
        int j = below(seed, a, b, (uint64_t)(k + i), i);
        int was = out[i - 1];
        out[i - 1] = out[j];
        out[j] = was;
    }
    return k;
}

enum { MOST_WORDS = 256 };
struct words {
    char text[2048];
    const char *at[MOST_WORDS];
    int n;
};

static void split(struct words *w, const char *text)
{
    char *to = w->text;
    w->n = 0;
    for (const char *s = text; *s && w->n < MOST_WORDS && to < w->text + sizeof w->text - 2; s++) {
        if (!isalnum((unsigned char)*s))
            continue;
        if (s == text || !isalnum((unsigned char)s[-1]))
            w->at[w->n++] = to;
        *to++ = (char)tolower((unsigned char)*s);
        if (!isalnum((unsigned char)s[1]))
            *to++ = 0;
    }
    *to = 0;
}

static int count(const struct words *w, const char *word)
{
    int n = 0;
    for (int i = 0; i < w->n; i++)
        n += !strcmp(w->at[i], word);
    return n;
}

void outside_bm25(const char *const *pool, int n, const char *query, double *scores)
{
    struct words *texts = calloc((size_t)n + 1, sizeof *texts), *asked = &texts[n];
    double mean = 0;
    split(asked, query);
    for (int i = 0; i < n; i++) {
        split(&texts[i], pool[i]);
        mean += (double)texts[i].n / n;
        scores[i] = 0;
    }
    for (int q = 0; q < asked->n; q++) {
        int df = 0;
        for (int i = 0; i < n; i++)
            df += count(&texts[i], asked->at[q]) > 0;
        double idf = log(1 + (n - df + 0.5) / (df + 0.5));
        for (int i = 0; i < n; i++) {
            double tf = count(&texts[i], asked->at[q]);
            scores[i] += idf * tf * 2.2 / (tf + 1.2 * (1 - 0.75 + 0.75 * texts[i].n / mean));
        }
    }
    free(texts);
}

int outside_nearest(const double *scores, int n, int k, int *out)
{
    int found = 0;
    for (; found < k && found < n; found++) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (!holds(out, found, i) && (best < 0 || scores[i] > scores[best] + 1e-9))
                best = i;
        out[found] = best;
    }
    return found;
}

double outside_rouge_l(const char *a, const char *b)
{
    static int table[MOST_WORDS + 1][MOST_WORDS + 1];
    static struct words x, y;
    split(&x, a);
    split(&y, b);
    for (int i = 1; i <= x.n; i++)
        for (int j = 1; j <= y.n; j++) {
            int longer = table[i - 1][j] > table[i][j - 1] ? table[i - 1][j] : table[i][j - 1];
            table[i][j] = strcmp(x.at[i - 1], y.at[j - 1]) ? longer : table[i - 1][j - 1] + 1;
        }
    int common = x.n && y.n ? table[x.n][y.n] : 0;
    if (!common)
        return !x.n && !y.n && !strcmp(a, b);
    double precision = (double)common / y.n;
    double recall = (double)common / x.n;
    return 2 * precision * recall / (precision + recall);
}

double outside_wilcoxon(const double *d, int n)
{
    double rank[20], plus = 0, all = n * (n + 1) / 2.0;
    long hits = 0;
    for (int i = 0; i < n; i++) {
        rank[i] = 1;
        for (int j = 0; j < n; j++)
            rank[i] += fabs(d[j]) < fabs(d[i]);
        plus += d[i] > 0 ? rank[i] : 0;
    }
    double least = plus < all - plus ? plus : all - plus;
    for (long signs = 0; signs < 1L << n; signs++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += signs >> i & 1 ? rank[i] : 0;
        hits += sum <= least;
    }
    double p = 2.0 * (double)hits / (double)(1L << n);
    return p > 1 ? 1 : p;
}

double outside_mcnemar(int b, int c)
{
    int n = b + c;
    int least = b < c ? b : c;
    double term = pow(0.5, n);
    double p = 0;
    for (int i = 0; i <= least; i++) {
        p += 2 * term;
        term = term * (n - i) / (i + 1);
    }
    return p > 1 ? 1 : p;
}

void outside_holm(const double *p, int n, double *out)
{
    for (int i = 0; i < n; i++) { /* the greatest of (n - rank) p over all that are not larger */
        out[i] = 0;
        for (int j = 0; j < n; j++) {
            int rank = 0;
            for (int k = 0; k < n; k++)
                rank += p[k] < p[j] || (p[k] == p[j] && k < j);
            int counts = p[j] < p[i] || (p[j] == p[i] && j <= i);
            if (counts && (n - rank) * p[j] > out[i])
                out[i] = (n - rank) * p[j];
        }
        out[i] = out[i] > 1 ? 1 : out[i];
    }
}
