/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks tell each other: a word, then what belongs to it in the order in which it was put. All run the same build
 * (crew_start), so a struct without pointers travels as it lies in memory. */
#ifndef CREW_WIRE_H
#define CREW_WIRE_H

#include "base/buf.h"

#include <stdint.h>

enum crew_word {
    WORD_NONE,
    /* rank 0 to the others */
    WORD_OPEN,     /* a model; answered by READY */
    WORD_DROP,     /* it is not needed any more */
    WORD_GENERATE, /* a session begins: REQUESTS, each of them answered in RESULTS, until CLOSE, answered by CLOSED */
    WORD_REQUESTS,
    WORD_TEXTS, /* texts to read (reading.h): PORTIONs, each answered by VALUES, until CLOSE, answered by CLOSED */
    WORD_PORTION,
    WORD_CLOSE,
    WORD_TRAIN, /* everybody enters the trainer */
    WORD_END,
    /* the others to rank 0 */
    WORD_READY,
    WORD_RESULTS,
    WORD_VALUES,
    WORD_CLOSED,
    WORD_FAILED, /* in the place of READY or CLOSED */
    WORD_SIGNAL  /* at any time */
};

void wire_begin(struct buf *b, enum crew_word word);
void wire_put(struct buf *b, const void *data, size_t n);
void wire_put_int(struct buf *b, int64_t x);
void wire_put_text(struct buf *b, const char *text); /* or NULL */

/* A message while it is read. Past its end everything is 0, and `broken` says so. */
struct wire {
    const char *at;
    size_t left;
    int broken;
};
enum crew_word wire_read(struct wire *w, const struct buf *message);
void wire_get(struct wire *w, void *out, size_t n);
int64_t wire_get_int(struct wire *w);
const char *wire_get_text(struct wire *w); /* in the message, or NULL */
/* n elements in memory of their own (mem_free), also when n is 0; NULL: out of memory, or the message ends before. */
void *wire_get_array(struct wire *w, int64_t n, size_t size);

#endif
