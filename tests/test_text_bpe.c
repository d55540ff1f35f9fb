/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that need no reference: the heap against merging by hand, nothing lost on the way there and back, and the
 * places where regular expression dialects differ. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/bpe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

static uint32_t below(uint64_t *at, uint32_t n)
{
    struct rng_stream s = {20260101, 7, 0};
    return rng_below(&s, (*at)++, n);
}

/* One pass a merge: find the least rank, left-most, and join. */
static size_t merge_by_hand(const struct bpe *b, int32_t *ids, size_t n)
{
    for (;;) {
        const struct bpe_merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const struct bpe_merge *m = bpe_find(b, ids[i], ids[i + 1]);
            if (m && (!best || m->rank < best->rank)) {
                best = m;
                at = i;
            }
        }
        if (!best)
            return n;
        ids[at] = best->id;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

/* A vocabulary of random pieces over "abc" with random ranks, of which many are equal when ties is set. */
static void random_bpe(struct vocab *v, struct bpe *b, char (*text)[16], uint64_t *seed, int ties)
{
    int32_t n = 0;
    *v = (struct vocab){0};
    *b = (struct bpe){.vocab = v, .unk = -1, .prefix = "", .suffix = ""};
    for (; n < 3; n++) {
        text[n][0] = (char)('a' + n);
        text[n][1] = 0;
        assert_int_equal(vocab_add(v, text[n], 1, n), 0);
    }
    for (int tries = 0; tries < 60; tries++) {
        int32_t left = (int32_t)below(seed, (uint32_t)n), right = (int32_t)below(seed, (uint32_t)n);
        uint32_t rank = ties ? below(seed, 6) : (uint32_t)tries;
        char joined[32];
        snprintf(joined, sizeof joined, "%s%s", text[left], text[right]);
        if (strlen(joined) > 12)
            continue;
        int32_t id = vocab_find(v, joined, strlen(joined));
        if (id < 0) {
            strcpy(text[n], joined);
            assert_int_equal(vocab_add(v, text[n], strlen(joined), n), 0);
            id = n++;
        }
        assert_int_equal(bpe_add_merge(b, left, right, rank, id), 0);
    }
}

static void heap_merges_as_by_hand(void **state)
{
    (void)state;
    static char text[64][16];
    struct bpe_scratch scratch = {0};
    struct tokens got = TOKENS_INIT;
    uint64_t seed = 0;
    for (int round = 0; round < (reduced() ? 40 : 400); round++) {
        struct vocab v;
        struct bpe b;
        random_bpe(&v, &b, text, &seed, round & 1);
        for (int k = 0; k < 20; k++) {
            char word[200];
            int32_t ids[200];
            size_t n = below(&seed, sizeof word);
            for (size_t i = 0; i < n; i++) {
                ids[i] = (int32_t)below(&seed, k & 1 ? 3 : 2);
                word[i] = (char)('a' + ids[i]);
            }
            size_t want = merge_by_hand(&b, ids, n);
            got.n = 0;
            assert_int_equal(bpe_encode(&b, &scratch, word, n, &got), 0);
            assert_int_equal(got.n, want);
            if (want)
                assert_memory_equal(got.ids, ids, want * sizeof *ids);
        }
        bpe_deinit(&b);
        vocab_deinit(&v);
    }
    bpe_scratch_deinit(&scratch);
    tokens_free(&got);
}

static struct tokenizer *open_golden(const char *name)
{
    struct tokenizer *tok;
    struct error err = {0};
    char path[128];
    snprintf(path, sizeof path, "tests/golden/tokenizer_%s.json", name);
    if (tokenizer_open(&tok, path, &err))
        fail_msg("%s", err.message);
    return tok;
}

static size_t random_text(char *text, size_t most, uint64_t *seed)
{
    static const uint32_t limit[] = {0x80, 0x250, 0x3000, 0xd800, 0x110000};
    size_t n = 0, chars = below(seed, 40);
    while (chars-- > 0 && n + 4 < most) {
        uint32_t cp = below(seed, limit[below(seed, 5)]);
        if (cp < 0xd800 || cp > 0xdfff)
            n += utf8_encode(cp, text + n);
    }
    return n;
}

static void byte_level_gives_every_text_back(void **state)
{
    (void)state;
    struct tokenizer *tok = open_golden("bytelevel");
    struct tokens ids = TOKENS_INIT;
    struct buf back = BUF_INIT;
    uint64_t seed = 1 << 20;
    char text[256];
    assert_true(tokenizer_info(tok)->is_byte_level);
    for (int round = 0; round < (reduced() ? 200 : 4000); round++) {
        size_t n = random_text(text, sizeof text, &seed);
        ids.n = 0;
        buf_reset(&back);
        assert_int_equal(tokenizer_encode(tok, text, n, round & TOKENIZER_PARSE_SPECIAL, &ids, NULL), 0);
        assert_int_equal(tokenizer_decode(tok, ids.ids, ids.n, 0, &back, NULL), 0);
        assert_int_equal(back.len, n);
        if (n)
            assert_memory_equal(back.data, text, n);
    }
    buf_free(&back);
    tokens_free(&ids);
    tokenizer_close(tok);
}

/* Any ids at all decode to valid UTF-8, streamed or not, and a copy of a stream goes on like the original. */
static void any_ids_decode_to_utf8(void **state)
{
    (void)state;
    static const char *const names[] = {"bytelevel", "spm", "wordpiece"};
    uint64_t seed = 2 << 20;
    for (int k = 0; k < 3; k++) {
        struct tokenizer *tok = open_golden(names[k]);
        struct tokenizer_stream *s, *fork;
        struct buf all = BUF_INIT, parts = BUF_INIT, other = BUF_INIT;
        assert_int_equal(tokenizer_stream_new(&s, tok, 0, NULL), 0);
        assert_int_equal(tokenizer_stream_new(&fork, tok, 0, NULL), 0);
        for (int round = 0; round < (reduced() ? 50 : 1000); round++) {
            int32_t ids[24];
            size_t n = below(&seed, 24), cut = n ? below(&seed, (uint32_t)n) : 0;
            for (size_t i = 0; i < n; i++)
                ids[i] = (int32_t)below(&seed, (uint32_t)tokenizer_size(tok) + 3) - 1; /* some are no token */
            buf_reset(&all);
            buf_reset(&parts);
            assert_int_equal(tokenizer_decode(tok, ids, n, 0, &all, NULL), 0);
            tokenizer_stream_reset(s);
            for (size_t i = 0; i < n; i++) {
                if (i == cut) {
                    assert_int_equal(tokenizer_stream_copy(fork, s), 0);
                    buf_reset(&other);
                    buf_append(&other, parts.data, parts.len);
                }
                tokenizer_stream_push(s, ids[i], &parts);
                if (i >= cut)
                    tokenizer_stream_push(fork, ids[i], &other);
            }
            tokenizer_stream_finish(s, &parts);
            assert_int_equal(utf8_valid(all.data, all.len), all.len);
            assert_int_equal(parts.len, all.len);
            if (all.len)
                assert_memory_equal(parts.data, all.data, all.len);
            if (n) {
                tokenizer_stream_finish(fork, &other);
                assert_int_equal(other.len, all.len);
                if (all.len)
                    assert_memory_equal(other.data, all.data, all.len);
            }
        }
        tokenizer_stream_free(s);
        tokenizer_stream_free(fork);
        buf_free(&all);
        buf_free(&parts);
        buf_free(&other);
        tokenizer_close(tok);
    }
}

static void streaming_allocates_nothing_once_warm(void **state)
{
    (void)state;
    static const char *const names[] = {"bytelevel", "spm", "wordpiece"};
    for (int k = 0; k < 3; k++) {
        struct tokenizer *tok = open_golden(names[k]);
        struct tokenizer_stream *s;
        struct buf out = BUF_INIT;
        assert_int_equal(tokenizer_stream_new(&s, tok, 0, NULL), 0);
        for (int pass = 0; pass < 2; pass++) {
            buf_reset(&out);
            tokenizer_stream_reset(s);
            mem_guard_enter();
            for (int32_t id = 0; id < tokenizer_size(tok); id++) {
                tokenizer_stream_push(s, id, &out);
                tokenizer_stream_peek(s, &out);
            }
            tokenizer_stream_finish(s, &out);
            long n = mem_guard_leave();
            if (pass)
                assert_int_equal(n, 0);
        }
        tokenizer_stream_free(s);
        buf_free(&out);
        tokenizer_close(tok);
    }
}

/* 400 kB without a space is one word where there is no pre-tokenizer; quadratic merging would not end today. */
static void a_long_word_ends(void **state)
{
    (void)state;
    struct tokenizer *tok = open_golden("spm");
    struct tokens ids = TOKENS_INIT;
    size_t n = 400000;
    char *text = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = "theotherhello"[i % 13];
    assert_int_equal(tokenizer_encode(tok, text, n, 0, &ids, NULL), 0);
    assert_true(ids.n > 1000 && ids.n < n);
    tokens_free(&ids);
    mem_free(text);
    tokenizer_close(tok);
}

struct job {
    const struct tokenizer *tok;
    int failed;
};

static void *encode_much(void *arg)
{
    struct job *job = arg;
    struct tokens first = TOKENS_INIT, again = TOKENS_INIT;
    for (int i = 0; i < 200; i++) {
        again.n = 0;
        job->failed |= tokenizer_encode(job->tok, "it's the quick brown fox, 12345 times\n\n over", 43, 3,
                                        i ? &again : &first, NULL);
        job->failed |= i && (again.n != first.n || memcmp(again.ids, first.ids, first.n * sizeof *first.ids));
    }
    tokens_free(&first);
    tokens_free(&again);
    return NULL;
}

static void threads_share_one_tokenizer(void **state)
{
    (void)state;
    struct tokenizer *tok = open_golden("bytelevel");
    pthread_t thread[4];
    struct job job[4];
    for (int i = 0; i < 4; i++) {
        job[i] = (struct job){tok, 0};
        assert_int_equal(pthread_create(thread + i, NULL, encode_much, job + i), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(job[i].failed, 0);
    }
    tokenizer_close(tok);
}

static void ill_formed_bytes_become_one_mark_a_part(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"a\xffz", "a\xef\xbf\xbdz"},
        {"\xe2\x82", "\xef\xbf\xbd"}, /* a cut character: one */
        {"\xe2\x82z", "\xef\xbf\xbdz"},
        {"\xf0\x9f\x99\xf0\x9f\x99\x82", "\xef\xbf\xbd\xf0\x9f\x99\x82"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate: three */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong: two */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = BUF_INIT;
        utf8_lossy(&b, cases[i].bytes, strlen(cases[i].bytes), 0);
        assert_string_equal(b.data, cases[i].text);
        buf_free(&b);
    }
    struct buf b = BUF_INIT;
    assert_int_equal(utf8_lossy(&b, "a\xe2\x82", 3, 1), 1);
    assert_string_equal(b.data, "a");
    buf_free(&b);
    assert_int_equal(utf8_count("a\xe2\x82\xac", 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_merges_as_by_hand),
        cmocka_unit_test(byte_level_gives_every_text_back),
        cmocka_unit_test(any_ids_decode_to_utf8),
        cmocka_unit_test(streaming_allocates_nothing_once_warm),
        cmocka_unit_test(a_long_word_ends),
        cmocka_unit_test(threads_share_one_tokenizer),
        cmocka_unit_test(ill_formed_bytes_become_one_mark_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
