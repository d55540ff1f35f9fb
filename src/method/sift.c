/* SPDX-License-Identifier: Apache-2.0 */
/* The sift. What makes it fast is a question's rare words: two questions of m and n words with F1 > t share at least
 * `need` words, so one of the m - need + 1 rarest words of the new one stands in the old one too; only questions in
 * those words' lists are looked at. A candidate with the right length is then decided by the bit-parallel LCS. No
 * verdict differs from comparing with all. */
#include "method/sift.h"

#include "base/hash.h"
#include "base/mem.h"
#include "measure/rouge.h"
#include "method/fields.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} reasons[] = {
    {"kept", "kept"},
    {"error", "could not be generated"},
    {"question_empty", "question is empty"},
    {"question_unparsed", "question does not parse"},
    {"question_unended", "question did not end by itself"},
    {"question_short", "question is too short"},
    {"question_long", "question is too long"},
    {"question_repetitive", "question repeats itself"},
    {"question_noisy", "question is not one, but talk about it"},
    {"question_repeat", "question repeats a kept one"},
    {"test_overlap", "question is near a test question"},
    {"answer_empty", "answer is empty"},
    {"answer_unparsed", "answer does not parse"},
    {"answer_unended", "answer did not end by itself"},
    {"answer_short", "answer is too short"},
    {"answer_long", "answer is too long"},
    {"answer_repetitive", "answer repeats itself"},
    {"answer_noisy", "answer is not one, but talk about it"},
    {"answer_copied", "answer is copied from a context"},
    {"answer_repeat", "answer repeats another of its question"},
    {"score_low", "answer's score is too low"},
    {"score_beaten", "another answer of its question has a better score"},
    {"struck", "struck by a person"},
    {"enough", "not needed: enough were kept"},
};
_Static_assert(sizeof reasons / sizeof *reasons == SIFT_REASON_COUNT, "a name for every reason");

const char *sift_reason_name(enum sift_reason r)
{
    return reasons[r].name;
}

const char *sift_reason_text(enum sift_reason r)
{
    return reasons[r].text;
}

int sift_reason_find(const char *name)
{
    for (int i = 0; i < SIFT_REASON_COUNT; i++)
        if (!strcmp(reasons[i].name, name))
            return i;
    return -1;
}

static const struct field rows[] = {
    {FIELD("sift-threshold", FIELD_DOUBLE, struct sift_options, threshold), .argument = "F", .high = 1,
     .initial = "0.7", .bits = FIELD_BITS,
     .help = "reject a question whose ROUGE-L F1 with a seed or a kept one is above this"},
    {FIELD("sift-copy", FIELD_DOUBLE, struct sift_options, copy), .argument = "F", .high = 1, .initial = "0.95",
     .bits = FIELD_BITS, .help = "reject an answer whose ROUGE-L F1 with a context's answer is above this"},
    {FIELD("sift-repetition", FIELD_DOUBLE, struct sift_options, repetition), .argument = "P", .high = 1,
     .initial = "0.3", .bits = FIELD_BITS,
     .help = "reject a text when a greater share of its 4-grams of words occurred before in it"},
    {FIELD("sift-need-end", FIELD_FLAG, struct sift_options, need_end), .initial = "true", .bits = FIELD_BITS,
     .help = "reject a text that was cut at the token limit"},
    {FIELD("sift-noise", FIELD_FLAG, struct sift_options, noise), .initial = "false", .bits = FIELD_BITS,
     .help = "reject a text with what models say about a task instead of doing it, or with marks of prompts"},
    {FIELD("sift-length-deviations", FIELD_DOUBLE, struct sift_options, deviations), .argument = "D", .high = 1e6,
     .initial = "0", .bits = FIELD_BITS,
     .help = "reject a text whose words are more than D standard deviations from the seeds' mean [0: none]"},
    {FIELD("question-min-words", FIELD_INT, struct sift_options, question_min_words), .argument = "N", .high = 1e6,
     .initial = "3", .bits = FIELD_BITS, .help = "reject shorter questions"},
    {FIELD("question-max-words", FIELD_INT, struct sift_options, question_max_words), .argument = "N", .high = 1e6,
     .initial = "150", .bits = FIELD_BITS, .help = "reject longer questions"},
    {FIELD("answer-min-words", FIELD_INT, struct sift_options, answer_min_words), .argument = "N", .high = 1e6,
     .initial = "1", .bits = FIELD_BITS, .help = "reject shorter answers"},
    {FIELD("answer-max-words", FIELD_INT, struct sift_options, answer_max_words), .argument = "N", .high = 1e6,
     .initial = "400", .bits = FIELD_BITS, .help = "reject longer answers"},
};
const struct field_table sift_fields = {rows, sizeof rows / sizeof *rows};

void sift_options_default(struct sift_options *o)
{
    *o = (struct sift_options){0};
    fields_default(&sift_fields, FIELD_PLAIN, o);
}

int sift_options_check(const struct sift_options *o, struct error *err)
{
    int rc = fields_check(&sift_fields, o, err);
    if (!rc && (o->question_max_words < o->question_min_words || o->answer_max_words < o->answer_min_words))
        rc = error_set(err, ERROR_USAGE, "sift: least words must not be above the most words");
    return rc;
}

struct kept {
    size_t at;
    int n, name;
    uint64_t hash;
};
struct posting {
    int *at;
    int n, cap;
};

struct sift {
    struct sift_options options;
    struct rouge_vocab *vocab;
    int32_t *words;
    size_t n_word, cap_word; /* of all kept questions, one after another */
    struct kept *kept;
    int n, cap;
    struct posting *postings;
    int32_t n_posting; /* by word: the kept questions with it, once each */
    int *stamp;
    int stamp_now; /* by kept question: seen for this candidate */
    int *candidates;
    struct lcs_pattern pattern;
};

int sift_new(struct sift **out, const struct sift_options *options, struct error *err)
{
    struct sift *s = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set_nomem(err, sizeof *s, "sift");
    s->options = *options;
    int rc = rouge_vocab_new_unicode(&s->vocab, err);
    if (rc) {
        mem_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sift_free(struct sift *s)
{
    if (!s)
        return;
    rouge_vocab_free(s->vocab);
    for (int32_t i = 0; i < s->n_posting; i++)
        mem_free(s->postings[i].at);
    mem_free(s->postings);
    mem_free(s->words);
    mem_free(s->kept);
    mem_free(s->stamp);
    mem_free(s->candidates);
    lcs_pattern_deinit(&s->pattern);
    mem_free(s);
}

static int grow_kept(struct sift *s, int n_word)
{
    if (s->n == s->cap) {
        int cap = s->cap * 2 + 64;
        struct kept *kept = mem_resize(s->kept, (size_t)cap * sizeof *kept);
        if (kept)
            s->kept = kept;
        int *stamp = mem_resize(s->stamp, (size_t)cap * sizeof *stamp);
        if (stamp)
            s->stamp = stamp;
        int *candidates = mem_resize(s->candidates, (size_t)cap * sizeof *candidates);
        if (candidates)
            s->candidates = candidates;
        if (!kept || !stamp || !candidates)
            return -1;
        memset(stamp + s->cap, 0, (size_t)(cap - s->cap) * sizeof *stamp);
        s->cap = cap;
    }
    if (s->n_word + (size_t)n_word > s->cap_word) {
        size_t cap = (s->n_word + (size_t)n_word) * 2 + 256;
        int32_t *words = mem_resize(s->words, cap * sizeof *words);
        if (!words)
            return -1;
        s->words = words;
        s->cap_word = cap;
    }
    if (rouge_vocab_size(s->vocab) > s->n_posting) {
        int32_t n = rouge_vocab_size(s->vocab) * 2;
        struct posting *p = mem_resize(s->postings, (size_t)n * sizeof *p);
        if (!p)
            return -1;
        memset(p + s->n_posting, 0, (size_t)(n - s->n_posting) * sizeof *p);
        s->postings = p;
        s->n_posting = n;
    }
    return 0;
}

static int post(struct posting *p, int question)
{
    if (p->n && p->at[p->n - 1] == question)
        return 0;
    if (p->n == p->cap) {
        int cap = p->cap * 2 + 4, *at = mem_resize(p->at, (size_t)cap * sizeof *at);
        if (!at)
            return -1;
        p->at = at;
        p->cap = cap;
    }
    p->at[p->n++] = question;
    return 0;
}

int sift_add(struct sift *s, const char *question, int name, struct error *err)
{
    struct rouge_text t;
    int rc = rouge_text_init(&t, s->vocab, question, strlen(question), err);
    if (rc)
        return rc;
    if (grow_kept(s, t.n))
        rc = error_set_nomem(err, (size_t)t.n * sizeof *t.words, "kept questions");
    for (int i = 0; i < t.n && !rc; i++)
        if (post(&s->postings[t.words[i]], s->n))
            rc = error_set_nomem(err, sizeof(int), "word lists");
    if (!rc) {
        if (t.n)
            memcpy(s->words + s->n_word, t.words, (size_t)t.n * sizeof *t.words);
        s->kept[s->n++] = (struct kept){s->n_word, t.n, name, hash64(question, strlen(question))};
        s->n_word += (size_t)t.n;
    }
    rouge_text_deinit(&t);
    return rc;
}

/* The least LCS that makes F1 of m and n words greater than the threshold (m + 1 or more: none does). */
static int least_lcs(double threshold, int m, int n)
{
    int l = (int)(threshold * (m + n) / 2);
    while (l > 0 && rouge_score_of(l - 1, m, n).f > threshold)
        l--;
    while (l <= m && !(rouge_score_of(l, m, n).f > threshold))
        l++;
    return l;
}

static int compare_rarity(const void *a, const void *b, void *user)
{
    const struct sift *s = user;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int nx = x < s->n_posting ? s->postings[x].n : 0, ny = y < s->n_posting ? s->postings[y].n : 0;
    return nx != ny ? nx - ny : (x > y) - (x < y);
}

/* The kept questions that a rare enough word of the candidate points to; returns how many. */
static int gather_candidates(struct sift *s, const struct rouge_text *t, int32_t *rare)
{
    int m = t->n, least = m + 1, found = 0;
    for (int n = 1; n <= 2 * m / (s->options.threshold > 0.01 ? s->options.threshold : 0.01) + 1; n++) {
        int l = least_lcs(s->options.threshold, m, n);
        least = l <= n && l < least ? l : least;
    }
    memcpy(rare, t->words, (size_t)m * sizeof *rare);
    qsort_r(rare, (size_t)m, sizeof *rare, compare_rarity, s);
    s->stamp_now++;
    for (int i = 0; i < m - least + 1; i++) {
        const struct posting *p = rare[i] < s->n_posting ? &s->postings[rare[i]] : NULL;
        if (!p || (i && rare[i] == rare[i - 1]))
            continue;
        for (int k = 0; k < p->n; k++)
            if (s->stamp[p->at[k]] != s->stamp_now) {
                s->stamp[p->at[k]] = s->stamp_now;
                s->candidates[found++] = p->at[k];
            }
    }
    return found;
}

static int repeat_of(struct sift *s, const struct rouge_text *t, int32_t *rare, struct sift_match *match,
                     struct error *err)
{
    int first = -1, rc = lcs_pattern_set(&s->pattern, t->words, t->n, rouge_vocab_size(s->vocab), err);
    if (rc)
        return rc;
    int found = gather_candidates(s, t, rare), wanted_n = -1, wanted = 0;
    for (int i = 0; i < found; i++) {
        const struct kept *k = &s->kept[s->candidates[i]];
        if (first >= 0 && s->candidates[i] > first)
            continue;
        if (k->n != wanted_n) {
            wanted_n = k->n;
            wanted = least_lcs(s->options.threshold, t->n, k->n);
        }
        if (wanted > t->n || wanted > k->n)
            continue;
        int l = lcs_length(&s->pattern, s->words + k->at, k->n);
        if (l >= wanted) {
            first = s->candidates[i];
            *match = (struct sift_match){k->name, rouge_score_of(l, k->n, t->n).f};
        }
    }
    return 0;
}

int sift_repeat(struct sift *s, const char *question, struct sift_match *match, struct error *err)
{
    struct rouge_text t;
    *match = (struct sift_match){-1, 0};
    int rc = rouge_text_init(&t, s->vocab, question, strlen(question), err);
    if (rc)
        return rc;
    int32_t *rare = mem_alloc(((size_t)t.n + 1) * sizeof *rare);
    uint64_t hash = hash64(question, strlen(question));
    if (!rare)
        rc = error_set_nomem(err, (size_t)t.n * sizeof *rare, "words");
    else if (t.n)
        rc = repeat_of(s, &t, rare, match, err);
    else /* no letter or digit: only the same text is a repeat */
        for (int i = 0; i < s->n && match->name < 0; i++)
            if (!s->kept[i].n && s->kept[i].hash == hash)
                *match = (struct sift_match){s->kept[i].name, 1};
    mem_free(rare);
    rouge_text_deinit(&t);
    return rc;
}

int sift_nearest(struct sift *s, const char *question, struct sift_match *match, struct error *err)
{
    struct rouge_text t;
    *match = (struct sift_match){-1, -1};
    int rc = rouge_text_init(&t, s->vocab, question, strlen(question), err);
    if (rc)
        return rc;
    rc = lcs_pattern_set(&s->pattern, t.words, t.n, rouge_vocab_size(s->vocab), err);
    uint64_t hash = hash64(question, strlen(question));
    for (int i = 0; i < s->n && !rc; i++) {
        const struct kept *k = &s->kept[i];
        int least = t.n < k->n ? t.n : k->n;
        int same = !t.n && !k->n && k->hash == hash; /* without a word: as sift_repeat has it */
        if (!same && rouge_score_of(least, k->n, t.n).f <= match->f1)
            continue;
        double f = same ? 1 : rouge_score_of(lcs_length(&s->pattern, s->words + k->at, k->n), k->n, t.n).f;
        if (f > match->f1)
            *match = (struct sift_match){k->name, f};
    }
    match->f1 = match->f1 < 0 ? 0 : match->f1;
    rouge_text_deinit(&t);
    return rc;
}

int sift_count_words(const char *s)
{
    int n = 0, in_word = 0;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ') {
            in_word = 0;
        } else if (c >= 0xe3 && c <= 0xe9) { /* U+3000 to U+9FFF */
            n++;
            in_word = 0;
        } else if ((c & 0xc0) != 0x80 && !in_word) {
            n++;
            in_word = 1;
        }
    }
    return n;
}

/* Share of word 4-grams that occurred before in the text; words by their hash, so white space and case do not
 * matter. */
static double repetition(const char *s)
{
    enum { MOST = 4096, GRAM = 4 };
    uint64_t words[MOST];
    char lower[64];
    int n = 0, again = 0;
    while (*s && n < MOST) {
        int length = 0;
        while (*s && (unsigned char)*s <= ' ')
            s++;
        for (; *s && (unsigned char)*s > ' '; s++)
            if (length < (int)sizeof lower)
                lower[length++] = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
        if (length)
            words[n++] = hash64(lower, (size_t)length);
    }
    int grams = n - GRAM + 1;
    for (int i = 1; i < grams; i++)
        for (int j = 0; j < i; j++)
            if (!memcmp(words + i, words + j, GRAM * sizeof *words)) {
                again++;
                break;
            }
    return grams > 0 ? (double)again / grams : 0;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What a model says about a task instead of doing it, and marks of prompts; docs/METHOD.md lists them. */
static int is_noise(const char *text)
{
    static const char *const marks[] = {"as an ai",
                                        "language model",
                                        "as requested",
                                        "example input",
                                        "example output",
                                        "instruction:",
                                        "input:",
                                        "output:",
                                        "[input]",
                                        "[output]",
                                        "###",
                                        "<|",
                                        "```",
                                        "http://",
                                        "https://"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        for (const char *at = text; (at = strcasestr(at, marks[i])); at++)
            if (!is_letter(at[strlen(marks[i])]) || !is_letter(marks[i][strlen(marks[i]) - 1]))
                return 1;
    return 0;
}

static int blank(const char *s)
{
    while (*s && (unsigned char)*s <= ' ')
        s++;
    return !*s;
}

static enum sift_reason one_text(const struct sift *s, const struct sift_text *t, int least, int most,
                                 enum sift_reason first)
{
    enum { EMPTY, UNPARSED, UNENDED, SHORT, LONG, REPETITIVE, NOISY };
    int fault = -1, words = t->text ? sift_count_words(t->text) : 0;
    if (!t->text || blank(t->text))
        fault = EMPTY;
    else if (!t->parsed)
        fault = UNPARSED;
    else if (s->options.need_end && !t->ended)
        fault = UNENDED;
    else if (words < least)
        fault = SHORT;
    else if (words > most)
        fault = LONG;
    else if (repetition(t->text) > s->options.repetition)
        fault = REPETITIVE;
    else if (s->options.noise && is_noise(t->text))
        fault = NOISY;
    return fault < 0 ? SIFT_KEPT : (enum sift_reason)((int)first + fault);
}

enum sift_reason sift_question(const struct sift *s, const struct sift_text *q)
{
    return one_text(s, q, s->options.question_min_words, s->options.question_max_words, SIFT_QUESTION_EMPTY);
}

enum sift_reason sift_answer(const struct sift *s, const struct sift_text *a)
{
    return one_text(s, a, s->options.answer_min_words, s->options.answer_max_words, SIFT_ANSWER_EMPTY);
}

int sift_copied(const struct sift *s, const char *answer, const char *const *contexts, int n, struct sift_match *match,
                struct error *err)
{
    struct rouge_text a, c;
    *match = (struct sift_match){-1, 0};
    int rc = rouge_text_init(&a, s->vocab, answer, strlen(answer), err);
    if (rc)
        return rc;
    for (int i = 0; i < n && !rc; i++) {
        struct rouge_score f = {0, 0, 0};
        if ((rc = rouge_text_init(&c, s->vocab, contexts[i], strlen(contexts[i]), err)))
            break;
        rc = rouge_l(&c, &a, &f, err);
        if (!a.n && !strcmp(answer, contexts[i]))
            f.f = 1;
        if (!rc && f.f > match->f1)
            *match = (struct sift_match){i, f.f};
        rouge_text_deinit(&c);
    }
    rouge_text_deinit(&a);
    return rc;
}
