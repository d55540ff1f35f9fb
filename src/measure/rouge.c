/* SPDX-License-Identifier: Apache-2.0 */
/* ROUGE over word numbers. N-gram overlap sorts both sides; ROUGE-L counts bits; only ROUGE-Lsum needs a table, because
 * which words its union holds depends on the way back through it. */
#include "measure/rouge.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct rouge_vocab {
    char *bytes;
    size_t n_byte, cap_byte; /* words, one after another */
    struct entry {
        size_t at;
        int n;
        uint64_t hash;
    } * entries;
    int32_t n, cap;
    int32_t *table;
    uint32_t size; /* open addressing, 1 + number; a power of two */
    int unicode;
};

int rouge_vocab_new(struct rouge_vocab **out, struct error *err)
{
    struct rouge_vocab *v = mem_calloc(1, sizeof *v);
    if (v) {
        v->size = 1024;
        v->table = mem_calloc(v->size, sizeof *v->table);
    }
    if (!v || !v->table) {
        rouge_vocab_free(v);
        return error_set_nomem(err, 4096, "vocabulary");
    }
    *out = v;
    return 0;
}

int rouge_vocab_new_unicode(struct rouge_vocab **out, struct error *err)
{
    int rc = rouge_vocab_new(out, err);
    if (!rc)
        (*out)->unicode = 1;
    return rc;
}

void rouge_vocab_free(struct rouge_vocab *v)
{
    if (!v)
        return;
    mem_free(v->bytes);
    mem_free(v->entries);
    mem_free(v->table);
    mem_free(v);
}

int32_t rouge_vocab_size(const struct rouge_vocab *v)
{
    return v->n;
}

static int grow(struct rouge_vocab *v, size_t n_word)
{
    if (v->n_byte + n_word > v->cap_byte) {
        size_t cap = (v->n_byte + n_word) * 2 + 256;
        char *bytes = mem_resize(v->bytes, cap);
        if (!bytes)
            return -1;
        v->bytes = bytes;
        v->cap_byte = cap;
    }
    if (v->n == v->cap) {
        int32_t cap = v->cap * 2 + 64;
        struct entry *entries = mem_resize(v->entries, (size_t)cap * sizeof *entries);
        if (!entries)
            return -1;
        v->entries = entries;
        v->cap = cap;
    }
    if ((uint32_t)v->n * 2 >= v->size) {
        uint32_t size = v->size * 2;
        int32_t *table = mem_calloc(size, sizeof *table);
        if (!table)
            return -1;
        for (int32_t i = 0; i < v->n; i++) {
            uint32_t at = (uint32_t)v->entries[i].hash & (size - 1);
            while (table[at])
                at = (at + 1) & (size - 1);
            table[at] = i + 1;
        }
        mem_free(v->table);
        v->table = table;
        v->size = size;
    }
    return 0;
}

int32_t rouge_vocab_number(struct rouge_vocab *v, const void *word, int n)
{
    uint64_t hash = hash64(word, (size_t)n);
    uint32_t at = (uint32_t)hash & (v->size - 1);
    for (; v->table[at]; at = (at + 1) & (v->size - 1)) {
        const struct entry *e = &v->entries[v->table[at] - 1];
        if (e->hash == hash && e->n == n && !memcmp(v->bytes + e->at, word, (size_t)n))
            return v->table[at] - 1;
    }
    if (grow(v, (size_t)n))
        return -1;
    for (at = (uint32_t)hash & (v->size - 1); v->table[at]; at = (at + 1) & (v->size - 1)) {
    }
    memcpy(v->bytes + v->n_byte, word, (size_t)n);
    v->entries[v->n] = (struct entry){v->n_byte, n, hash};
    v->n_byte += (size_t)n;
    v->table[at] = ++v->n;
    return v->n - 1;
}

/* The next character as rouge's lower case sees it: a letter or digit, '\n', or ' ' for any separator. *separates: a
 * separator follows it. */
static char lower(const char *s, size_t n, size_t *used, int *separates)
{
    unsigned char c = (unsigned char)s[0];
    *used = 1;
    *separates = 0;
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return (char)c;
    if (c >= 'A' && c <= 'Z')
        return (char)(c + 32);
    if (n >= 3 && !memcmp(s, "\xe2\x84\xaa", 3)) {
        *used = 3;
        return 'k';
    }
    if (n >= 2 && !memcmp(s, "\xc4\xb0", 2)) {
        *used = 2;
        *separates = 1;
        return 'i';
    }
    return c == '\n' ? '\n' : ' ';
}

static int is_letter(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= '0' && cp <= '9');
    return utf8_is_word(cp) && !utf8_is_punctuation(cp) && cp != 0x200c && cp != 0x200d;
}

int rouge_overlooks(const char *text)
{
    size_t n = strlen(text), k;
    uint32_t cp;
    for (size_t i = 0; i < n; i += k ? k : 1)
        if ((k = utf8_decode(text + i, n - i, &cp)) > 1 && is_letter(cp) && cp != 0x212a)
            return 1;
    return 0;
}

static int is_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0x80)
            return 0;
    return 1;
}

/* Where the word at s ends; *n_skip: bytes of what is no word before it. */
static size_t word_end(const char *s, size_t n, size_t *n_skip)
{
    size_t i = 0, k = 0;
    uint32_t cp;
    while (i < n && s[i] != '\n' && (k = utf8_decode(s + i, n - i, &cp)) && !is_letter(cp))
        i += k;
    *n_skip = i;
    if (i == n || s[i] == '\n')
        return i;
    int alone = utf8_is_unspaced(cp);
    for (i += k; i < n && (k = utf8_decode(s + i, n - i, &cp)); i += k)
        if (!(alone ? utf8_is_mark(cp) : is_letter(cp) && !utf8_is_unspaced(cp)))
            break;
    return i;
}

static int unicode_words(struct rouge_text *t, struct rouge_vocab *v, const char *text, size_t n, struct error *err)
{
    struct buf folded = BUF_INIT;
    int rc = utf8_fold(&folded, text, n) ? error_set_nomem(err, n, "words") : 0;
    size_t bytes = (folded.len + 2) * sizeof *t->words, lines = 1, from = 0;
    for (size_t i = 0; i < folded.len; i++)
        lines += folded.data[i] == '\n';
    *t = (struct rouge_text){.words = mem_alloc(bytes), .ends = mem_alloc(lines * sizeof *t->ends)};
    if (!rc && (!t->words || !t->ends))
        rc = error_set_nomem(err, bytes, "words");
    for (size_t i = 0; !rc && i < folded.len;) {
        size_t skip, end = i + word_end(folded.data + i, folded.len - i, &skip);
        if (end > i + skip &&
            (t->words[t->n++] = rouge_vocab_number(v, folded.data + i + skip, (int)(end - i - skip))) < 0)
            rc = error_set_nomem(err, 0, "vocabulary");
        i = end;
        if (i == folded.len || folded.data[i] == '\n') {
            if (i > from)
                t->ends[t->n_sentence++] = t->n;
            from = ++i;
        }
    }
    buf_free(&folded);
    if (rc)
        rouge_text_deinit(t);
    return rc;
}

int rouge_text_init(struct rouge_text *t, struct rouge_vocab *v, const char *text, size_t n, struct error *err)
{
    if (v->unicode && !is_ascii(text, n))
        return unicode_words(t, v, text, n, err);
    size_t bytes = (n / 2 + 2) * sizeof *t->words, lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    *t = (struct rouge_text){.words = mem_alloc(bytes), .ends = mem_alloc(lines * sizeof *t->ends)};
    char *word = mem_alloc(n + 1);
    int length = 0, in_line = 0, rc = 0;
    if (!t->words || !t->ends || !word)
        rc = error_set_nomem(err, bytes, "words");
    for (size_t i = 0, used = 1; !rc && i <= n; i += used) {
        int separates = 1;
        char c = i < n ? lower(text + i, n - i, &used, &separates) : '\n';
        in_line += i < n && c != '\n';
        if (c != ' ' && c != '\n')
            word[length++] = c;
        else
            separates = 1;
        if (separates && length) {
            if ((t->words[t->n++] = rouge_vocab_number(v, word, length)) < 0)
                rc = error_set_nomem(err, 0, "vocabulary");
            length = 0;
        }
        if (c == '\n') {
            if (in_line)
                t->ends[t->n_sentence++] = t->n;
            in_line = 0;
        }
    }
    mem_free(word);
    if (rc)
        rouge_text_deinit(t);
    return rc;
}

void rouge_text_deinit(struct rouge_text *t)
{
    mem_free(t->words);
    mem_free(t->ends);
    *t = (struct rouge_text){0};
}

struct rouge_score rouge_score_of(long shared, long n_reference, long n_prediction)
{
    struct rouge_score s = {0, 0, 0};
    if (n_reference < 1 || n_prediction < 1)
        return s;
    s.precision = (double)shared / (double)n_prediction;
    s.recall = (double)shared / (double)n_reference;
    if (s.precision + s.recall > 0)
        s.f = 2 * s.precision * s.recall / (s.precision + s.recall);
    return s;
}

static int compare_grams(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* n-grams of up to two words as one number each, sorted. */
static uint64_t *grams(const struct rouge_text *t, int n, int *count)
{
    *count = t->n - n + 1 > 0 ? t->n - n + 1 : 0;
    uint64_t *g = mem_alloc(((size_t)*count + 1) * sizeof *g);
    for (int i = 0; g && i < *count; i++)
        g[i] = n == 1 ? (uint64_t)t->words[i] : (uint64_t)t->words[i] << 32 | (uint32_t)t->words[i + 1];
    if (g && *count < 64)
        for (int i = 1; i < *count; i++) { /* few: by insertion */
            uint64_t x = g[i];
            int k = i;
            for (; k > 0 && g[k - 1] > x; k--)
                g[k] = g[k - 1];
            g[k] = x;
        }
    else if (g)
        qsort(g, (size_t)*count, sizeof *g, compare_grams);
    return g;
}

int rouge_n(const struct rouge_text *reference, const struct rouge_text *prediction, int n, struct rouge_score *out,
            struct error *err)
{
    int na, nb, shared = 0;
    if (n < 1 || n > 2)
        return error_set(err, ERROR_INTERNAL, "ROUGE-%d: only 1 and 2 are there", n);
    uint64_t *a = grams(reference, n, &na), *b = grams(prediction, n, &nb);
    if (a && b)
        for (int i = 0, j = 0; i < na && j < nb;) {
            if (a[i] == b[j]) {
                shared++;
                i++;
                j++;
            } else
                *(a[i] < b[j] ? &i : &j) += 1;
        }
    *out = rouge_score_of(shared, na, nb);
    int rc = a && b ? 0 : error_set_nomem(err, (size_t)reference->n * 8, "n-grams");
    mem_free(a);
    mem_free(b);
    return rc;
}

int rouge_l(const struct rouge_text *reference, const struct rouge_text *prediction, struct rouge_score *out,
            struct error *err)
{
    struct lcs_pattern p = LCS_PATTERN_INIT;
    int32_t top = 0;
    for (int i = 0; i < reference->n; i++)
        top = reference->words[i] >= top ? reference->words[i] + 1 : top;
    int rc = lcs_pattern_set(&p, reference->words, reference->n, top, err);
    if (!rc)
        *out = rouge_score_of(lcs_length(&p, prediction->words, prediction->n), reference->n, prediction->n);
    lcs_pattern_deinit(&p);
    return rc;
}

/* Marks in `hit` the words of the reference sentence a that the LCS with b takes, going back as rouge_score does.
 * table: (na+1)*(nb+1). */
static void mark_lcs(const int32_t *a, int na, const int32_t *b, int nb, int *table, char *hit)
{
    int w = nb + 1;
    memset(table, 0, (size_t)w * sizeof *table);
    for (int i = 1; i <= na; i++) {
        table[i * w] = 0;
        for (int j = 1; j <= nb; j++) {
            int up = table[(i - 1) * w + j], left = table[i * w + j - 1];
            table[i * w + j] = up > left ? up : left;
            if (a[i - 1] == b[j - 1])
                table[i * w + j] = table[(i - 1) * w + j - 1] + 1;
        }
    }
    for (int i = na, j = nb; i > 0 && j > 0;) {
        if (a[i - 1] == b[j - 1]) {
            hit[i - 1] = 1;
            i--;
            j--;
        } else if (table[i * w + j - 1] > table[(i - 1) * w + j])
            j--;
        else
            i--;
    }
}

static int count_word(const struct rouge_text *t, int32_t word)
{
    int n = 0;
    for (int i = 0; i < t->n; i++)
        n += t->words[i] == word;
    return n;
}

int rouge_lsum(const struct rouge_text *reference, const struct rouge_text *prediction, struct rouge_score *out,
               struct error *err)
{
    *out = (struct rouge_score){0, 0, 0};
    if (!reference->n || !prediction->n)
        return 0;
    size_t cells;
    if (size_mul((size_t)reference->n + 1, (size_t)prediction->n + 1, &cells) || cells > INT32_MAX)
        return error_set(err, ERROR_DATA, "ROUGE-Lsum of %d and %d words is too large; wanted at most 2^31 pairs",
                         reference->n, prediction->n);
    int *table = mem_alloc(cells * sizeof *table), hits = 0;
    char *hit = mem_calloc((size_t)reference->n, 1);
    if (!table || !hit) {
        mem_free(table);
        mem_free(hit);
        return error_set_nomem(err, cells * sizeof *table, "LCS table");
    }
    for (int r = 0, a = 0; r < reference->n_sentence; a = reference->ends[r++])
        for (int c = 0, b = 0; c < prediction->n_sentence; b = prediction->ends[c++])
            mark_lcs(reference->words + a, reference->ends[r] - a, prediction->words + b, prediction->ends[c] - b,
                     table, hit + a);
    for (int i = 0; i < reference->n; i++) { /* a word counts as often as both texts have it */
        int before = 0;
        for (int j = 0; j < i; j++)
            before += hit[j] && reference->words[j] == reference->words[i];
        hits += hit[i] && before < count_word(prediction, reference->words[i]);
    }
    *out = rouge_score_of(hits, reference->n, prediction->n);
    mem_free(table);
    mem_free(hit);
    return 0;
}
