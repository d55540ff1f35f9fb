/* SPDX-License-Identifier: Apache-2.0 */
/* BLEU. The tokeniser is three left-to-right substitutions, each a pass over the line's characters in which a match
 * consumes what it matched; tokens become numbers, n-grams of up to four of them one sortable key. */
#include "measure/bleu.h"

#include "base/maths.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Unicode general category: letter of the major class. */
static int is(int32_t c, char major)
{
    static const char ascii[] = "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCZPPPSPPPPPPSPPPPNNNNNNNNNNPPSSSPPLLLLLLLLLLLLLLLLLLLLL"
                                "LLLLLPPPSPSLLLLLLLLLLLLLLLLLLLLLLLLLLPSPSC";
    return (c < 128 ? ascii[c] : utf8proc_category_string(c)[0]) == major;
}

/* Python's str.isspace() */
static int is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* room for three passes: each character may become three */
struct line {
    int32_t *c;
    size_t n;
};

static void push_gram(struct line *l, int32_t a, int32_t b, int32_t c)
{
    l->c[l->n++] = a;
    l->c[l->n++] = b;
    l->c[l->n++] = c;
}

static void substitute(const struct line *in, struct line *out, int pass)
{
    out->n = 0;
    for (size_t i = 0; i < in->n; i++) {
        int32_t c = in->c[i], next = i + 1 < in->n ? in->c[i + 1] : -1;
        if (pass == 0 && next >= 0 && !is(c, 'N') && is(next, 'P')) {
            push_gram(out, c, ' ', next);
            out->c[out->n++] = ' ';
            i++;
        } else if (pass == 1 && next >= 0 && is(c, 'P') && !is(next, 'N')) {
            push_gram(out, ' ', c, ' ');
            out->c[out->n++] = next;
            i++;
        } else if (pass == 2 && is(c, 'S')) {
            push_gram(out, ' ', c, ' ');
        } else {
            out->c[out->n++] = c;
        }
    }
}

static int tokenize(const char *text, struct line *out, struct line *spare, struct error *err)
{
    size_t n = strlen(text), cap;
    if (size_mul(n + 1, 12 * sizeof(int32_t), &cap))
        return error_set(err, ERROR_DATA, "BLEU: a text of %zu bytes is too long", n);
    *out = (struct line){mem_alloc(cap), 0};
    *spare = (struct line){mem_alloc(cap), 0};
    if (!out->c || !spare->c)
        return error_set_nomem(err, cap, "characters");
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &c);
        if (used < 1)
            return error_set(err, ERROR_DATA, "BLEU: byte %zu of a text is not UTF-8", i);
        out->c[out->n++] = c;
        i += (size_t)used;
    }
    while (out->n && is_space(out->c[out->n - 1]))
        out->n--;
    for (int pass = 0; pass < 3; pass++) {
        substitute(out, spare, pass);
        struct line swap = *out;
        *out = *spare;
        *spare = swap;
    }
    return 0;
}

static int compare_grams(const void *a, const void *b)
{
    const struct bleu_gram *x = a, *y = b;
    return x->high != y->high ? (x->high > y->high) - (x->high < y->high) : (x->low > y->low) - (x->low < y->low);
}

static void sort(struct bleu_gram *g, int n)
{
    if (n > 64) {
        qsort(g, (size_t)n, sizeof *g, compare_grams);
        return;
    }
    for (int i = 1; i < n; i++) {
        struct bleu_gram x = g[i];
        int k = i;
        for (; k > 0 && compare_grams(&g[k - 1], &x) > 0; k--)
            g[k] = g[k - 1];
        g[k] = x;
    }
}

/* Token numbers of the line, into numbers (room for one a character); how many, or -1 when out of memory. */
static int number_tokens(const struct line *l, struct rouge_vocab *v, int32_t *numbers)
{
    int n = 0;
    for (size_t i = 0; i < l->n;) {
        size_t end = i;
        while (end < l->n && !is_space(l->c[end]))
            end++;
        if (end > i && (numbers[n++] = rouge_vocab_number(v, l->c + i, (int)((end - i) * sizeof *l->c))) < 0)
            return -1;
        i = end + 1;
    }
    return n;
}

int bleu_text_init(struct bleu_text *t, struct rouge_vocab *v, const char *text, struct error *err)
{
    struct line line = {NULL, 0}, spare = {NULL, 0};
    *t = (struct bleu_text){0};
    int rc = tokenize(text, &line, &spare, err);
    if (!rc && (t->n = number_tokens(&line, v, spare.c)) < 0)
        rc = error_set_nomem(err, line.n, "tokens");
    if (!rc && !(t->grams[0] = mem_alloc(((size_t)t->n + 1) * 4 * sizeof *t->grams[0])))
        rc = error_set_nomem(err, (size_t)t->n * 4 * sizeof *t->grams[0], "n-grams");
    const int32_t *w = spare.c;
    for (int k = 0; k < 4 && !rc; k++) {
        struct bleu_gram *g = t->grams[k] = t->grams[0] + (size_t)k * ((size_t)t->n + 1);
        for (int i = 0; i + k < t->n; i++) {
            uint64_t words[4] = {0};
            for (int j = 0; j <= k; j++)
                words[j] = (uint32_t)w[i + j];
            g[i] = (struct bleu_gram){words[0] << 32 | words[1], words[2] << 32 | words[3]};
        }
        sort(g, t->n - k);
    }
    mem_free(line.c);
    mem_free(spare.c);
    if (rc)
        bleu_text_deinit(t);
    return rc;
}

void bleu_text_deinit(struct bleu_text *t)
{
    mem_free(t->grams[0]);
    *t = (struct bleu_text){0};
}

static long clipped(const struct bleu_gram *a, int na, const struct bleu_gram *b, int nb)
{
    long shared = 0;
    for (int i = 0, j = 0; i < na && j < nb;) {
        int order = compare_grams(&a[i], &b[j]);
        shared += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return shared;
}

void bleu_compare(const struct bleu_text *reference, const struct bleu_text *prediction, struct bleu_score *out)
{
    double logs = 0, smooth = 1;
    long total_shared = 0;
    int n_ref = reference->n, n_sys = prediction->n;
    *out = (struct bleu_score){.sys_len = n_sys, .ref_len = n_ref};
    if (n_sys >= n_ref)
        out->brevity = 1;
    else if (n_sys > 0)
        out->brevity = maths_exp(1 - (double)n_ref / n_sys);
    for (int k = 0; k < 4 && n_sys > k; k++) {
        long total = n_sys - k, shared = clipped(reference->grams[k], n_ref - k, prediction->grams[k], n_sys - k);
        total_shared += shared;
        smooth *= shared ? 1 : 2;
        out->precisions[k] = shared ? 100.0 * (double)shared / (double)total : 100.0 / (smooth * (double)total);
    }
    if (!total_shared) {
        memset(out->precisions, 0, sizeof out->precisions);
        return;
    }
    for (int k = 0; k < 4; k++)
        logs += out->precisions[k] > 0 ? maths_log(out->precisions[k]) : -9999999999.0;
    out->score = logs < -1e9 ? 0 : out->brevity * maths_exp(logs / 4);
}

int bleu_sentence(const char *reference, const char *prediction, struct bleu_score *out, struct error *err)
{
    struct rouge_vocab *v = NULL;
    struct bleu_text a = {0}, b = {0};
    int rc = rouge_vocab_new(&v, err);
    rc = rc ? rc : bleu_text_init(&a, v, reference, err);
    rc = rc ? rc : bleu_text_init(&b, v, prediction, err);
    if (!rc)
        bleu_compare(&a, &b, out);
    bleu_text_deinit(&a);
    bleu_text_deinit(&b);
    rouge_vocab_free(v);
    return rc;
}

int bleu_tokenize(const char *text, struct buf *out, struct error *err)
{
    struct line line = {NULL, 0}, spare = {NULL, 0};
    int rc = tokenize(text, &line, &spare, err), first = 1;
    for (size_t i = 0, wait = 0; !rc && i < line.n; i++) {
        utf8proc_uint8_t bytes[4];
        if (is_space(line.c[i])) {
            wait = 1;
            continue;
        }
        if (wait && !first)
            buf_putc(out, ' ');
        wait = 0;
        first = 0;
        buf_append(out, bytes, (size_t)utf8proc_encode_char(line.c[i], bytes));
    }
    mem_free(line.c);
    mem_free(spare.c);
    return !rc && out->failed ? error_set_nomem(err, out->len, "tokens") : rc;
}
