/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders turn a list of tokens into a list of strings, one after the other, and the last list is joined. Here each is
 * a stage that takes one token at a time and passes on what can no longer change. Behind a Fuse (or ByteLevel, which
 * fuses too) there is only one long token, which comes in chunks: Strip can work on those, every other stage waits for
 * the end. */
#include "text/decode.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/sentencepiece.h"

#include <string.h>

static void emit(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out);

int decode_state_init(struct decode_state *state, const struct decoder *decoder, size_t n, struct error *err)
{
    *state = (struct decode_state){.decoder = decoder, .n = n};
    state->stage = mem_calloc(n + 1, sizeof *state->stage);
    state->match = regex_match_new();
    if (state->stage && state->match)
        return 0;
    decode_state_deinit(state);
    return error_set_nomem(err, (n + 1) * sizeof *state->stage, "the decoder");
}

void decode_state_deinit(struct decode_state *state)
{
    for (size_t i = 0; state->stage && i < state->n; i++) {
        buf_free(&state->stage[i].hold);
        buf_free(&state->stage[i].work);
    }
    mem_free(state->stage);
    regex_match_free(state->match);
    *state = (struct decode_state){0};
}

void decode_state_reset(struct decode_state *state)
{
    for (size_t i = 0; i < state->n; i++) {
        struct decode_stage *g = state->stage + i;
        buf_reset(&g->hold);
        g->count = g->held = 0;
    }
}

int decode_state_copy(struct decode_state *to, const struct decode_state *from)
{
    int failed = 0;
    for (size_t i = 0; i < from->n; i++) {
        const struct decode_stage *a = from->stage + i;
        struct decode_stage *b = to->stage + i;
        buf_reset(&b->hold);
        buf_append(&b->hold, a->hold.data, a->hold.len);
        b->count = a->count;
        b->held = a->held;
        failed |= b->hold.failed | a->hold.failed;
    }
    return failed ? -1 : 0;
}

/* Does stage i get one token in chunks? */
static int chunked(const struct decode_state *state, size_t i)
{
    while (i-- > 0)
        if (state->decoder[i].kind == DECODE_FUSE || state->decoder[i].kind == DECODE_BYTE_LEVEL)
            return 1;
    return 0;
}

/* A stage that could not say that memory ran out says it through what it passes on. */
static void pass_on(struct decode_state *state, size_t i, const struct buf *b, struct buf *out)
{
    if (b->failed)
        out->failed = 1;
    else
        emit(state, i + 1, b->data ? b->data : "", b->len, out);
}

static void replace(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    const struct decoder *d = state->decoder + i;
    struct buf *work = &state->stage[i].work;
    struct regex_scan scan = {.re = d->pattern, .match = state->match, .text = s, .n = n};
    size_t from = 0, start, end;
    int found;
    buf_reset(work);
    while ((found = regex_next(&scan, &start, &end, NULL)) > 0) {
        buf_append(work, s + from, start - from);
        buf_append(work, d->text, d->n_text);
        from = end;
    }
    if (found < 0)
        work->failed = 1;
    buf_append(work, s + from, n - from);
    pass_on(state, i, work, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static void flush_bytes(struct decode_state *state, size_t i, struct buf *out)
{
    struct buf *hold = &state->stage[i].hold;
    if (utf8_valid(hold->data, hold->len) == hold->len) {
        if (hold->len)
            pass_on(state, i, hold, out);
    } else {
        for (size_t k = 0; k < hold->len; k++)
            emit(state, i + 1, "\xef\xbf\xbd", 3, out);
    }
    if (hold->failed)
        out->failed = 1;
    buf_reset(hold);
}

static void byte_fallback(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    if (n == 6 && !memcmp(s, "<0x", 3) && s[5] == '>' && hex_digit(s[3]) >= 0 && hex_digit(s[4]) >= 0) {
        buf_putc(&state->stage[i].hold, (char)(hex_digit(s[3]) * 16 + hex_digit(s[4])));
        return;
    }
    flush_bytes(state, i, out);
    emit(state, i + 1, s, n, out);
}

static void byte_level(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    struct buf *hold = &state->stage[i].hold, *work = &state->stage[i].work;
    size_t mark = hold->len, k;
    uint32_t cp;
    int byte = 0;
    for (size_t at = 0; at < n && byte >= 0; at += k) {
        k = utf8_decode(s + at, n - at, &cp);
        byte = k ? byte_level_byte(cp) : -1;
        if (byte >= 0)
            buf_putc(hold, (char)byte);
    }
    if (byte < 0 && !hold->failed) { /* not spelled in the alphabet: as it stands */
        hold->len = mark;
        buf_append(hold, s, n);
    }
    buf_reset(work);
    size_t done = utf8_lossy(work, hold->data, hold->len, 1);
    if (hold->failed) {
        out->failed = 1;
        return;
    }
    if (done)
        memmove(hold->data, hold->data + done, hold->len - done);
    hold->len -= done;
    pass_on(state, i, work, out);
}

static size_t count_leading(const struct decoder *d, const char *s, size_t n, long most)
{
    size_t at = 0;
    while (most-- > 0 && n - at >= d->n_text && !memcmp(s + at, d->text, d->n_text))
        at += d->n_text;
    return at;
}

static size_t count_trailing(const struct decoder *d, const char *s, size_t n, long most)
{
    size_t at = n;
    while (most-- > 0 && at >= d->n_text && !memcmp(s + at - d->n_text, d->text, d->n_text))
        at -= d->n_text;
    return n - at;
}

static void strip(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    const struct decoder *d = state->decoder + i;
    size_t cut = count_leading(d, s, n, d->start);
    emit(state, i + 1, s + cut, n - cut - count_trailing(d, s + cut, n - cut, d->stop), out);
}

/* The same on chunks: count is how many characters were stripped, or start once another character was seen. */
static void strip_chunk(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    const struct decoder *d = state->decoder + i;
    struct decode_stage *g = state->stage + i;
    if (g->count < d->start && n) {
        size_t cut = count_leading(d, s, n, d->start - g->count);
        g->count = cut < n ? d->start : g->count + (long)(cut / d->n_text);
        s += cut;
        n -= cut;
    }
    if (!d->stop) {
        emit(state, i + 1, s, n, out);
        return;
    }
    buf_append(&g->hold, s, n);
    size_t keep = count_trailing(d, g->hold.data, g->hold.len, d->stop);
    buf_reset(&g->work);
    buf_append(&g->work, g->hold.data, g->hold.len - keep);
    if (g->hold.failed)
        out->failed = 1;
    else if (g->hold.len > keep)
        memmove(g->hold.data, g->hold.data + g->hold.len - keep, keep);
    g->hold.len = keep;
    pass_on(state, i, &g->work, out);
}

static void metaspace(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    const struct decoder *d = state->decoder + i;
    struct decode_stage *g = state->stage + i;
    int first = !g->count++;
    buf_reset(&g->work);
    for (size_t at = 0; at < n;) {
        if (n - at >= d->n_text && !memcmp(s + at, d->text, d->n_text)) {
            if (!(first && d->flag))
                buf_putc(&g->work, ' ');
            at += d->n_text;
        } else {
            buf_putc(&g->work, s[at++]);
        }
    }
    pass_on(state, i, &g->work, out);
}

/* to is never longer than from. */
static void substitute(struct buf *b, const char *from, const char *to)
{
    size_t k = strlen(from), put = 0;
    for (size_t at = 0; at < b->len;) {
        if (b->len - at >= k && !memcmp(b->data + at, from, k)) {
            memcpy(b->data + put, to, strlen(to));
            put += strlen(to);
            at += k;
        } else {
            b->data[put++] = b->data[at++];
        }
    }
    b->len = put;
}

static void wordpiece(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    /* In this order, as the tokenizers library has them. */
    static const char *const cleanup[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                             {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                             {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    const struct decoder *d = state->decoder + i;
    struct decode_stage *g = state->stage + i;
    buf_reset(&g->work);
    if (g->count++) {
        if (n >= d->n_text && !memcmp(s, d->text, d->n_text)) {
            s += d->n_text;
            n -= d->n_text;
        } else {
            buf_putc(&g->work, ' ');
        }
    }
    buf_append(&g->work, s, n);
    for (size_t k = 0; d->flag && k < sizeof cleanup / sizeof *cleanup && !g->work.failed; k++)
        substitute(&g->work, cleanup[k][0], cleanup[k][1]);
    pass_on(state, i, &g->work, out);
}

/* The suffix becomes a space, and nothing in the last token, so each waits for the next. */
static void flush_bpe(struct decode_state *state, size_t i, const char *space, struct buf *out)
{
    const struct decoder *d = state->decoder + i;
    struct decode_stage *g = state->stage + i;
    if (!g->held)
        return;
    buf_reset(&g->work);
    for (size_t at = 0; at < g->hold.len;) {
        if (d->n_text && g->hold.len - at >= d->n_text && !memcmp(g->hold.data + at, d->text, d->n_text)) {
            buf_puts(&g->work, space);
            at += d->n_text;
        } else {
            buf_putc(&g->work, g->hold.data[at++]);
        }
    }
    if (g->hold.failed)
        out->failed = 1;
    g->held = 0;
    buf_reset(&g->hold);
    pass_on(state, i, &g->work, out);
}

/* sentencepiece's own decoder: bytes character by character, and of marks at the text's begin the first goes, or all
 * where it removes extra white space. count: bit 0: text has come; bit 1: the mark has gone. */
static void put_sentencepiece(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    struct decode_stage *g = state->stage + i;
    if (n)
        g->count |= 1;
    emit(state, i + 1, s, n, out);
}

static void flush_characters(struct decode_state *state, size_t i, struct buf *out)
{
    struct buf *hold = &state->stage[i].hold;
    uint32_t cp;
    for (size_t at = 0, k; at < hold->len; at += k) {
        k = utf8_decode(hold->data + at, hold->len - at, &cp);
        if (k)
            put_sentencepiece(state, i, hold->data + at, k, out);
        else
            put_sentencepiece(state, i, "\xef\xbf\xbd", 3, out);
        k = k ? k : 1;
    }
    if (hold->failed)
        out->failed = 1;
    buf_reset(hold);
}

static void sentencepiece(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    static const char mark[] = "\xe2\x96\x81";
    const struct sentencepiece *m = state->decoder[i].model;
    struct decode_stage *g = state->stage + i;
    int type = sentencepiece_type(m, s, n);
    if (type == PIECE_BYTE) {
        buf_putc(&g->hold, (char)(hex_digit(s[3]) * 16 + hex_digit(s[4])));
        return;
    }
    flush_characters(state, i, out);
    if (type == PIECE_UNKNOWN) {
        put_sentencepiece(state, i, m->surface, strlen(m->surface), out);
        return;
    }
    if (type && type != PIECE_CONTROL && !g->count && (m->dummy_prefix || m->remove_extra) && n >= 3 &&
        !memcmp(s, mark, 3)) {
        s += 3;
        n -= 3;
        if (!m->remove_extra)
            g->count |= 2;
    }
    buf_reset(&g->work);
    for (size_t at = 0; at < n;) {
        int is_mark = type && type != PIECE_CONTROL && n - at >= 3 && !memcmp(s + at, mark, 3);
        buf_putc(&g->work, is_mark ? ' ' : s[at]);
        at += is_mark ? 3 : 1;
    }
    if (g->work.failed)
        out->failed = 1;
    else
        put_sentencepiece(state, i, g->work.data ? g->work.data : "", g->work.len, out);
}

static void decode_whole(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    struct decode_stage *g = state->stage + i;
    switch (state->decoder[i].kind) {
    case DECODE_REPLACE: replace(state, i, s, n, out); break;
    case DECODE_BYTE_FALLBACK: byte_fallback(state, i, s, n, out); break;
    case DECODE_FUSE: emit(state, i + 1, s, n, out); break;
    case DECODE_STRIP: strip(state, i, s, n, out); break;
    case DECODE_METASPACE: metaspace(state, i, s, n, out); break;
    case DECODE_WORDPIECE: wordpiece(state, i, s, n, out); break;
    case DECODE_BYTE_LEVEL: byte_level(state, i, s, n, out); break;
    case DECODE_BPE:
        flush_bpe(state, i, " ", out);
        buf_append(&g->hold, s, n);
        g->held = 1;
        break;
    case DECODE_SENTENCEPIECE: sentencepiece(state, i, s, n, out); break;
    case DECODE_SPACED:
        if (g->count++)
            emit(state, i + 1, " ", 1, out);
        emit(state, i + 1, s, n, out);
        break;
    }
}

static void emit(struct decode_state *state, size_t i, const char *s, size_t n, struct buf *out)
{
    if (i == state->n)
        buf_append(out, s, n);
    else if (!chunked(state, i))
        decode_whole(state, i, s, n, out);
    else if (state->decoder[i].kind == DECODE_FUSE)
        emit(state, i + 1, s, n, out);
    else if (state->decoder[i].kind == DECODE_STRIP)
        strip_chunk(state, i, s, n, out);
    else
        buf_append(&state->stage[i].hold, s, n);
}

void decode_state_token(struct decode_state *state, const char *token, size_t n, struct buf *out)
{
    emit(state, 0, token, n, out);
}

/* What stage i still holds, now that no more comes. */
static void finish_stage(struct decode_state *state, size_t i, struct buf *out)
{
    struct decode_stage *g = state->stage + i;
    enum decoder_kind kind = state->decoder[i].kind;
    if (chunked(state, i) && kind != DECODE_FUSE && kind != DECODE_STRIP) {
        struct buf all = g->hold;
        g->hold = (struct buf)BUF_INIT;
        if (all.failed)
            out->failed = 1;
        else
            decode_whole(state, i, all.data ? all.data : "", all.len, out);
        buf_free(&all);
    }
    if (kind == DECODE_BYTE_FALLBACK) {
        flush_bytes(state, i, out);
    } else if (kind == DECODE_SENTENCEPIECE) {
        flush_characters(state, i, out);
    } else if (kind == DECODE_BPE) {
        flush_bpe(state, i, "", out);
    } else if (kind == DECODE_BYTE_LEVEL) {
        buf_reset(&g->work);
        utf8_lossy(&g->work, g->hold.data, g->hold.len, 0);
        buf_reset(&g->hold);
        pass_on(state, i, &g->work, out);
    }
}

void decode_state_finish(struct decode_state *state, struct buf *out)
{
    for (size_t i = 0; i < state->n; i++)
        finish_stage(state, i, out);
}
