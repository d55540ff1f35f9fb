/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/stream.h"

#include "base/mem.h"
#include "generate/stop.h"

#include <string.h>

struct text_lane {
    struct tokenizer_stream *decoder;
    struct buf text;
    size_t told;
};
struct text_stream {
    const struct generate_options *options;
    size_t hold; /* bytes that might begin a stop string */
    int n_lane;
    struct text_lane lanes[];
};

int text_stream_new(struct text_stream **out, const struct tokenizer *t, const struct generate_options *o,
                    struct error *err)
{
    int n = o->num_return_sequences, code = 0;
    size_t bytes = sizeof(struct text_stream) + (size_t)n * sizeof(struct text_lane);
    struct text_stream *s = *out = mem_calloc(1, bytes);
    if (!s)
        return error_set_nomem(err, bytes, "the text of a request");
    s->options = o;
    s->n_lane = n;
    for (int i = 0; i < o->n_stop; i++) {
        size_t len = strlen(o->stop[i]);
        s->hold = len > s->hold ? len : s->hold;
    }
    for (int i = 0; i < n && !code; i++)
        code = tokenizer_stream_new(&s->lanes[i].decoder, t, 1, err);
    if (code) {
        text_stream_free(s);
        *out = NULL;
    }
    return code;
}

void text_stream_free(struct text_stream *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_lane; i++) {
        if (s->lanes[i].decoder)
            tokenizer_stream_free(s->lanes[i].decoder);
        buf_free(&s->lanes[i].text);
    }
    mem_free(s);
}

/* How far the text may be told: not into a character. */
static size_t whole_characters(const struct text_lane *l, size_t hold)
{
    size_t end = l->text.len > hold ? l->text.len - hold : 0;
    while (end > l->told && end < l->text.len && ((unsigned char)l->text.data[end] & 0xC0) == 0x80)
        end--;
    return end > l->told ? end : l->told;
}

int text_stream_push(struct text_stream *s, const struct generate_token *t, struct text_piece *piece, struct error *err)
{
    struct text_lane *l = &s->lanes[t->sequence];
    size_t end =
        whole_characters(l, s->hold); /* with stop strings: what stood before this token, which may complete one */
    if (!stop_is_eos(s->options, t->id))
        tokenizer_stream_push(l->decoder, t->id, &l->text);
    if (l->text.failed)
        return error_set_nomem(err, l->text.len, "the text of a request");
    if (!s->hold)
        end = l->text.len;
    *piece = (struct text_piece){l->text.data ? l->text.data + l->told : "", end - l->told};
    l->told = end;
    return 0;
}

struct text_piece text_stream_rest(const struct text_stream *s, int sequence, const struct generate_sequence *result)
{
    size_t n = result->text ? strlen(result->text) : 0, told = s->lanes[sequence].told;
    return (struct text_piece){n > told ? result->text + told : "", n > told ? n - told : 0};
}
