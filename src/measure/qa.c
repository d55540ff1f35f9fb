/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/qa.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int is_article(const char *word, size_t n)
{
    return (n == 1 && word[0] == 'a') || (n == 2 && !memcmp(word, "an", 2)) || (n == 3 && !memcmp(word, "the", 3));
}

/* Appends the normalised text. ASCII letters and punctuation only, as in the original; the rest is kept. */
static void qa_normalize(const char *text, struct buf *out)
{
    struct buf plain = BUF_INIT; /* lower case, without punctuation */
    for (const char *s = text; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c >= 128 || !ispunct(c))
            buf_putc(&plain, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
    int first = 1;
    for (const char *s = plain.data ? plain.data : ""; *s;) {
        size_t n = 0;
        while ((unsigned char)s[n] > ' ')
            n++;
        if (n && !is_article(s, n)) {
            if (!first)
                buf_putc(out, ' ');
            buf_append(out, s, n);
            first = 0;
        }
        s += n ? n : 1;
    }
    out->failed |= plain.failed;
    buf_free(&plain);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted words of a normalised text, which is cut apart. */
static char **words_of(struct buf *b, int *n)
{
    char **words = mem_alloc((b->len / 2 + 2) * sizeof *words);
    *n = 0;
    for (char *s = b->data ? b->data : NULL; words && s && *s;) {
        words[(*n)++] = s;
        s = strchr(s, ' ');
        if (s)
            *s++ = 0;
    }
    if (words)
        qsort(words, (size_t)*n, sizeof *words, compare_words);
    return words;
}

int qa_score(const char *answer, const char *reference, struct qa_score *out, struct error *err)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    qa_normalize(answer, &a);
    qa_normalize(reference, &b);
    out->exact = !strcmp(a.data ? a.data : "", b.data ? b.data : "");
    int na = 0, nb = 0, shared = 0;
    char **wa = words_of(&a, &na), **wb = words_of(&b, &nb);
    int rc = wa && wb && !a.failed && !b.failed ? 0 : error_set_nomem(err, a.len + b.len, "words");
    for (int i = 0, j = 0; !rc && i < na && j < nb;) {
        int order = strcmp(wa[i], wb[j]);
        shared += !order;
        i += order <= 0;
        j += order >= 0;
    }
    out->f1 = shared ? 2.0 * shared / (na + nb) : 0;
    if (!na || !nb)
        out->f1 = na == nb;
    mem_free(wa);
    mem_free(wb);
    buf_free(&a);
    buf_free(&b);
    return rc;
}
