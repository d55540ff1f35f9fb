/* SPDX-License-Identifier: Apache-2.0 */
/* Three patterns cut the words of most published byte-level tokenizers. Their alternatives never need more than one
 * step back, so they are written out here: the first alternative that matches wins, as in the pattern. Classes of
 * characters are Oniguruma's own. */
#include "text/regex.h"

#include "base/utf8.h"

#include <oniguruma.h>
#include <string.h>
#include <strings.h>

/* GPT-2's pattern (openai/gpt-2, encoder.py). */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* That of Llama 3's tokenizer.json, and Qwen2's, where every digit stands alone. */
#define MODERN(digits)                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

enum character { LETTER, NUMBER, SPACE, OTHER, END };

static unsigned letter, number; /* Oniguruma's numbers of these two properties */

void regex_known_prepare(void)
{
    OnigEncodingType *utf8 = ONIG_ENCODING_UTF8;
    OnigUChar l[] = "L", n[] = "N";
    letter = (unsigned)utf8->property_name_to_ctype(utf8, l, l + 1);
    number = (unsigned)utf8->property_name_to_ctype(utf8, n, n + 1);
}

static enum character ascii_class(unsigned char c)
{
    if ((c | 32u) - 'a' < 26u)
        return LETTER;
    if (c - (unsigned)'0' < 10u)
        return NUMBER;
    return c == ' ' || c - 9u < 5u ? SPACE : OTHER;
}

/* \p{L}, \p{N}, \s or none of them; *k is the character's length. */
static enum character class_at(const char *text, size_t n, size_t at, size_t *k)
{
    OnigEncodingType *utf8 = ONIG_ENCODING_UTF8;
    uint32_t cp;
    *k = at < n;
    if (!*k)
        return END;
    if ((unsigned char)text[at] < 0x80)
        return ascii_class((unsigned char)text[at]);
    *k = utf8_decode(text + at, n - at, &cp);
    if (!*k)
        return END;
    if (utf8->is_code_ctype(cp, letter))
        return LETTER;
    if (utf8->is_code_ctype(cp, number))
        return NUMBER;
    if (utf8->is_code_ctype(cp, ONIGENC_CTYPE_SPACE))
        return SPACE;
    const char *newer = utf8_new_category(cp);
    if (!newer)
        return OTHER;
    if (*newer == 'L')
        return LETTER;
    return *newer == 'N' ? NUMBER : OTHER;
}

/* The end of the run of one class that begins at `at`, of at most `most` characters. */
static size_t run_end(const char *text, size_t n, size_t at, enum character wanted, size_t most)
{
    size_t k;
    while (most-- && class_at(text, n, at, &k) == wanted)
        at += k;
    return at;
}

static int is_newline(char c)
{
    return c == '\r' || c == '\n';
}

/* \s+(?!\S)|\s+ : white space up to its last character, which goes to the next word, when something follows. */
static size_t spaces_end(const char *text, size_t n, size_t at, size_t end)
{
    size_t last = end - utf8_prev(text, end);
    return end < n && last > at ? last : end;
}

/* The length of a contraction that begins at text[0], an apostrophe; 0: none. */
static size_t contraction(const char *text, size_t n, int fold)
{
    static const char *const ends[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (fold && n > 2 && !memcmp(text + 1, "\xc5\xbf", 2))
        return 3; /* the long s folds to s */
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i]);
        if (n > k && !(fold ? strncasecmp(text + 1, ends[i], k) : strncmp(text + 1, ends[i], k)))
            return k + 1;
    }
    return 0;
}

static size_t gpt2(const char *text, size_t n, size_t at)
{
    size_t k, from = at + (text[at] == ' ');
    size_t short_word = text[at] == '\'' ? contraction(text + at, n - at, 0) : 0;
    if (short_word)
        return at + short_word;
    enum character c = class_at(text, n, from, &k);
    if (c == LETTER || c == NUMBER || c == OTHER)
        return run_end(text, n, from, c, SIZE_MAX);
    return spaces_end(text, n, at, run_end(text, n, at, SPACE, SIZE_MAX));
}

/* \s*[\r\n]+ : white space up to its last line end; otherwise as above. */
static size_t lines_or_spaces(const char *text, size_t n, size_t at)
{
    size_t end = run_end(text, n, at, SPACE, SIZE_MAX);
    for (size_t i = end; i-- > at;)
        if (is_newline(text[i]))
            return i + 1;
    return spaces_end(text, n, at, end);
}

static size_t modern_end(const char *text, size_t n, size_t at, size_t digits)
{
    size_t k, next, short_word = text[at] == '\'' ? contraction(text + at, n - at, 1) : 0;
    if (short_word)
        return at + short_word;
    enum character c = class_at(text, n, at, &k);
    if (c == LETTER)
        return run_end(text, n, at, LETTER, SIZE_MAX);
    if (c == NUMBER)
        return run_end(text, n, at, NUMBER, digits);
    enum character after = class_at(text, n, at + k, &next);
    if (after == LETTER && !is_newline(text[at]))
        return run_end(text, n, at + k, LETTER, SIZE_MAX);
    if (c == SPACE && (text[at] != ' ' || after != OTHER))
        return lines_or_spaces(text, n, at);
    size_t end = run_end(text, n, c == SPACE ? at + k : at, OTHER, SIZE_MAX);
    while (end < n && is_newline(text[end]))
        end++;
    return end;
}

static size_t llama3(const char *text, size_t n, size_t at)
{
    return modern_end(text, n, at, 3);
}

static size_t qwen2(const char *text, size_t n, size_t at)
{
    return modern_end(text, n, at, 1);
}

regex_known regex_known_find(const char *pattern, size_t n)
{
    static const struct {
        const char *pattern;
        regex_known match;
    } known[] = {{GPT2, gpt2}, {MODERN("\\p{N}{1,3}"), llama3}, {MODERN("\\p{N}"), qwen2}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n == strlen(known[i].pattern) && !memcmp(pattern, known[i].pattern, n))
            return known[i].match;
    return NULL;
}
