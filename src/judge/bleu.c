/* SPDX-License-Identifier: Apache-2.0 */
/* BLEU. The tokeniser is three left-to-right substitutions, each a pass over the line's characters in which a match consumes what it matched;
 * tokens and n-grams become numbers by sorting. */
#include "judge/bleu.h"

#include "base/maths.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Unicode general category: letter of the major class. */
static int is(int32_t c, char major)
{
    return utf8proc_category_string(c)[0] == major;
}

/* Python's str.isspace() */
static int is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

struct line { int32_t *c; size_t n; }; /* room for three passes: each character may become three */

static void push(struct line *l, int32_t a, int32_t b, int32_t c)
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
            push(out, c, ' ', next);
            out->c[out->n++] = ' ';
            i++;
        } else if (pass == 1 && next >= 0 && is(c, 'P') && !is(next, 'N')) {
            push(out, ' ', c, ' ');
            out->c[out->n++] = next;
            i++;
        } else if (pass == 2 && is(c, 'S')) {
            push(out, ' ', c, ' ');
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
        *out = *spare, *spare = swap;
    }
    return 0;
}

struct token { const int32_t *c; int n, side; };

static int compare_tokens(const void *a, const void *b)
{
    const struct token *x = *(struct token *const *)a, *y = *(struct token *const *)b;
    int least = x->n < y->n ? x->n : y->n, order = memcmp(x->c, y->c, (size_t)least * sizeof *x->c);
    return order ? order : x->n - y->n;
}

static int split(const struct line *l, struct token *tokens, int n, int side)
{
    for (size_t i = 0; i < l->n;) {
        size_t end = i;
        while (end < l->n && !is_space(l->c[end]))
            end++;
        if (end > i)
            tokens[n++] = (struct token){l->c + i, (int)(end - i), side};
        i = end + 1;
    }
    return n;
}

/* Replaces the tokens' sides by numbers: equal tokens, equal numbers. */
static int to_numbers(struct token *tokens, int n, int *numbers)
{
    struct token **order = mem_alloc(((size_t)n + 1) * sizeof *order);
    int number = 0;
    if (!order)
        return -1;
    for (int i = 0; i < n; i++)
        order[i] = &tokens[i];
    qsort(order, (size_t)n, sizeof *order, compare_tokens);
    for (int i = 0; i < n; i++) {
        number += i && compare_tokens(&order[i - 1], &order[i]);
        numbers[order[i] - tokens] = number;
    }
    mem_free(order);
    return 0;
}

struct gram { const int *words; int n; };

static int compare_grams(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    for (int i = 0; i < x->n; i++)
        if (x->words[i] != y->words[i])
            return x->words[i] < y->words[i] ? -1 : 1;
    return 0;
}

static long clipped(const int *a, int na, const int *b, int nb, int n, struct gram *work)
{
    int ga = na - n + 1 > 0 ? na - n + 1 : 0, gb = nb - n + 1 > 0 ? nb - n + 1 : 0;
    long shared = 0;
    for (int i = 0; i < ga; i++)
        work[i] = (struct gram){a + i, n};
    for (int i = 0; i < gb; i++)
        work[ga + i] = (struct gram){b + i, n};
    qsort(work, (size_t)ga, sizeof *work, compare_grams);
    qsort(work + ga, (size_t)gb, sizeof *work, compare_grams);
    for (int i = 0, j = 0; i < ga && j < gb;) {
        int order = compare_grams(&work[i], &work[ga + j]);
        shared += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return shared;
}

static void score_numbers(const int *ref, int n_ref, const int *sys, int n_sys, struct gram *work, struct bleu_score *out)
{
    double logs = 0, smooth = 1;
    long total_shared = 0;
    *out = (struct bleu_score){.sys_len = n_sys, .ref_len = n_ref};
    out->brevity = n_sys >= n_ref ? 1 : n_sys > 0 ? maths_exp(1 - (double)n_ref / n_sys) : 0;
    for (int n = 1; n <= 4; n++) {
        long total = n_sys - n + 1 > 0 ? n_sys - n + 1 : 0;
        if (total == 0)
            break;
        long shared = clipped(ref, n_ref, sys, n_sys, n, work);
        total_shared += shared;
        smooth *= shared ? 1 : 2;
        out->precisions[n - 1] = shared ? 100.0 * (double)shared / (double)total : 100.0 / (smooth * (double)total);
    }
    if (!total_shared) {
        memset(out->precisions, 0, sizeof out->precisions);
        return;
    }
    for (int n = 0; n < 4; n++)
        logs += out->precisions[n] > 0 ? maths_log(out->precisions[n]) : -9999999999.0;
    out->score = logs < -1e9 ? 0 : out->brevity * maths_exp(logs / 4);
}

int bleu_sentence(const char *reference, const char *prediction, struct bleu_score *out, struct error *err)
{
    struct line lines[4] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct token *tokens = NULL;
    struct gram *work = NULL;
    int *numbers = NULL, rc = tokenize(reference, &lines[0], &lines[1], err);
    if (!rc)
        rc = tokenize(prediction, &lines[2], &lines[3], err);
    if (!rc) {
        size_t most = lines[0].n + lines[2].n + 2;
        tokens = mem_alloc(most * sizeof *tokens), numbers = mem_alloc(most * sizeof *numbers), work = mem_alloc(most * sizeof *work);
        int n_ref = 0, n = 0;
        if (tokens && numbers && work)
            n_ref = split(&lines[0], tokens, 0, 0), n = split(&lines[2], tokens, n_ref, 1);
        if (!tokens || !numbers || !work || to_numbers(tokens, n, numbers))
            rc = error_set_nomem(err, most * sizeof *tokens, "tokens");
        else
            score_numbers(numbers, n_ref, numbers + n_ref, n - n_ref, work, out);
    }
    for (int i = 0; i < 4; i++)
        mem_free(lines[i].c);
    mem_free(tokens), mem_free(numbers), mem_free(work);
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
        wait = 0, first = 0;
        buf_append(out, bytes, (size_t)utf8proc_encode_char(line.c[i], bytes));
    }
    mem_free(line.c);
    mem_free(spare.c);
    return rc ? rc : out->failed ? error_set_nomem(err, out->len, "tokens") : 0;
}
