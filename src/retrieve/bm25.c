/* SPDX-License-Identifier: Apache-2.0 */
/* BM25 (Robertson and Zaragoza 2009, with Lucene's idf that is never negative). A word is its 64-bit hash; all (word,
 * text) pairs lie in one sorted array, where a word's texts are a run. */
#include "retrieve/parts.h"

#include "base/hash.h"
#include "base/maths.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct post {
    uint64_t word;
    int text, count;
};
struct bm25 {
    struct post *posts;
    size_t n_post, cap;
    int *lengths, n;
    double mean;
};

void bm25_free(struct bm25 *b)
{
    if (!b)
        return;
    mem_free(b->posts);
    mem_free(b->lengths);
    mem_free(b);
}

static int add(struct bm25 *b, const char *word, size_t n, int text)
{
    if (b->n_post == b->cap) {
        size_t cap = b->cap * 2 + 64;
        struct post *posts = mem_resize(b->posts, cap * sizeof *posts);
        if (!posts)
            return -1;
        b->posts = posts;
        b->cap = cap;
    }
    b->posts[b->n_post++] = (struct post){hash64(word, n), text, 1};
    return 0;
}

static int is_word(utf8proc_int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) ||
           (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_NO);
}

/* Adds the words of a text; returns how many, -1 when out of memory. Bytes that are not UTF-8 separate. */
static int add_words(struct bm25 *b, const char *s, int text)
{
    size_t n = strlen(s), length = 0;
    int words = 0, rc = 0;
    char *word = mem_alloc(n * 2 + 8);
    if (!word)
        return -1;
    for (size_t i = 0; i <= n && !rc;) {
        utf8proc_int32_t c = -1;
        utf8proc_ssize_t used =
            i < n ? utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &c) : 1;
        int alone = c >= 0x2e80 && c <= 0x9fff; /* scripts without spaces: every character is a word */
        if ((used < 1 || c < 0 || !is_word(c) || alone) && length) {
            rc = add(b, word, length, text);
            words++;
            length = 0;
        }
        if (used > 0 && c >= 0 && is_word(c))
            length += (size_t)utf8proc_encode_char(utf8proc_tolower(c), (utf8proc_uint8_t *)word + length);
        i += used > 0 ? (size_t)used : 1;
    }
    mem_free(word);
    return rc ? -1 : words;
}

static int compare_posts(const void *a, const void *b)
{
    const struct post *x = a, *y = b;
    if (x->word != y->word)
        return x->word < y->word ? -1 : 1;
    return x->text - y->text;
}

/* Sorted, equal pairs counted together. */
static void gather_words(struct bm25 *b)
{
    size_t n = 0;
    if (b->n_post)
        qsort(b->posts, b->n_post, sizeof *b->posts, compare_posts);
    for (size_t i = 0; i < b->n_post; i++) {
        if (n && !compare_posts(&b->posts[n - 1], &b->posts[i]))
            b->posts[n - 1].count++;
        else
            b->posts[n++] = b->posts[i];
    }
    b->n_post = n;
}

int retriever_new_bm25(struct retriever **out, const char *const *texts, int n, struct error *err)
{
    struct retriever *r = mem_calloc(1, sizeof *r);
    struct bm25 *b = mem_calloc(1, sizeof *b);
    int failed = !r || !b || !(b->lengths = mem_calloc((size_t)n + 1, sizeof *b->lengths));
    double sum = 0;
    for (int i = 0; i < n && !failed; i++) {
        failed = (b->lengths[i] = add_words(b, texts[i], i)) < 0;
        sum += b->lengths[i];
    }
    if (failed) {
        bm25_free(b);
        mem_free(r);
        return error_set_nomem(err, (size_t)n * sizeof(struct post), "BM25's index");
    }
    gather_words(b);
    b->n = n;
    b->mean = n && sum > 0 ? sum / n : 1;
    *r = (struct retriever){.n = n, .bm25 = b};
    *out = r;
    return 0;
}

/* First post at or after the word. */
static size_t find(const struct bm25 *b, uint64_t word)
{
    size_t low = 0, high = b->n_post;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->posts[middle].word < word)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int bm25_score(const struct bm25 *b, const char *text, double *scores, struct error *err)
{
    struct bm25 query = {0};
    if (add_words(&query, text, 0) < 0) {
        mem_free(query.posts);
        return error_set_nomem(err, strlen(text), "query");
    }
    gather_words(&query);
    for (size_t q = 0; q < query.n_post; q++) {
        size_t first = find(b, query.posts[q].word), end = first;
        while (end < b->n_post && b->posts[end].word == query.posts[q].word)
            end++;
        double df = (double)(end - first), idf = maths_log(1 + (b->n - df + 0.5) / (df + 0.5));
        for (size_t i = first; i < end; i++) {
            double tf = b->posts[i].count, length = b->lengths[b->posts[i].text] / b->mean;
            scores[b->posts[i].text] += query.posts[q].count * idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length));
        }
    }
    mem_free(query.posts);
    return 0;
}
