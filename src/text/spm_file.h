/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.model: sentencepiece's ModelProto, a protobuf. The fields and their numbers are those of
 * sentencepiece_model.proto. */
#ifndef TEXT_SPM_FILE_H
#define TEXT_SPM_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* sentencepiece's types of pieces */
enum piece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6
};
struct spm_piece {
    const char *text; /* NUL-terminated, valid UTF-8 */
    double score;
    int type;
};
struct spm_file {
    struct spm_piece *piece;
    size_t n, cap;
    int64_t model_type; /* 1: unigram, 2: BPE */
    int64_t unk, bos, eos, pad;
    int byte_fallback, dummy_prefix, remove_extra, escape, suffix;
    char *charsmap; /* NULL: the text stays as it is */
    size_t n_charsmap;
    char *surface; /* what an unknown piece decodes to; NULL: sentencepiece's usual mark */
};
/* Reads bytes[0..n), named path in messages. What gives other ids than it does here is refused by its name. */
int spm_file_read(struct spm_file *out, const void *bytes, size_t n, const char *path, struct error *err);
void spm_file_deinit(struct spm_file *s);

#endif
