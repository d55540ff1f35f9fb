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
struct decode_run {
    const struct decoder *decoder;
    size_t n;
    struct decode_stage *stage; /* [n] */
    struct regex_match *match;
};

int decode_run_init(struct decode_run *run, const struct decoder *decoder, size_t n, struct error *err);
void decode_run_deinit(struct decode_run *run);
void decode_run_reset(struct decode_run *run);
int decode_run_copy(struct decode_run *to, const struct decode_run *from); /* same decoders; 0 or -1 (memory) */
void decode_run_token(struct decode_run *run, const char *token, size_t n, struct buf *out);
void decode_run_finish(struct decode_run *run, struct buf *out);

#endif
