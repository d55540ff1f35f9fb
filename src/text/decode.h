/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a list of decoders over tokens that arrive one by one. */
#ifndef TEXT_DECODE_H
#define TEXT_DECODE_H

#include "text/parts.h"

struct decode_stage {
    struct buf hold; /* bytes that what comes next may change */
    struct buf work;
    long count; /* tokens seen, or characters stripped */
    int held;   /* BPE: hold has a token */
};
struct decode_state {
    const struct decoder *decoder;
    size_t n;
    struct decode_stage *stage; /* [n] */
    struct regex_match *match;
};

int decode_state_init(struct decode_state *state, const struct decoder *decoder, size_t n, struct error *err);
void decode_state_deinit(struct decode_state *state);
void decode_state_reset(struct decode_state *state);
int decode_state_copy(struct decode_state *to, const struct decode_state *from); /* same decoders; 0 or -1 (memory) */
void decode_state_token(struct decode_state *state, const char *token, size_t n, struct buf *out);
void decode_state_finish(struct decode_state *state, struct buf *out);

#endif
