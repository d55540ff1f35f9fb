/* SPDX-License-Identifier: Apache-2.0 */
/* Token strings by id and ids by string. Ids may have holes. The strings belong to whoever adds them. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#define VOCAB_MAX_ID (1 << 22) /* ids are below this: several times the largest published vocabulary */

enum vocab_flags {
    VOCAB_ADDED = 1,
    VOCAB_SPECIAL = 2,
    VOCAB_OUTSIDE = 4, /* an added token that the model's own vocabulary does not have: the model never yields it */
    VOCAB_RENAMED = 8, /* an added token that decodes to another text (struct added_token) */
    VOCAB_USER = 16,   /* a piece of the user's of a sentencepiece model, which finds it itself */
};
struct vocab_entry {
    const char *text; /* NUL-terminated; NULL: a hole */
    uint32_t n;
    uint8_t flags;
};
struct vocab {
    struct vocab_entry *entry; /* [size] */
    int32_t size, cap;
    uint32_t *slot; /* id + 1, open addressing */
    size_t n_slot, n_used;
};

/* 0; -1 out of memory; -2 the id is taken; -3 the text is taken. id in 0..VOCAB_MAX_ID-1. */
int vocab_add(struct vocab *v, const char *text, size_t n, int32_t id);
int32_t vocab_find(const struct vocab *v, const char *text, size_t n);       /* -1: none */
int32_t vocab_find_model(const struct vocab *v, const char *text, size_t n); /* the same without VOCAB_OUTSIDE */
const struct vocab_entry *vocab_at(const struct vocab *v, int32_t id);       /* NULL: none */
void vocab_deinit(struct vocab *v);

#endif
