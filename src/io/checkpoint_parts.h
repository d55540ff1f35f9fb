/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways of opening a checkpoint fill in; seen by io/checkpoint*.c only. */
#ifndef IO_CHECKPOINT_PARTS_H
#define IO_CHECKPOINT_PARTS_H

#include "base/arena.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/gguf_arch.h"
#include "io/weights.h"

/* What an adapter adds to a matrix: scale B A; with DoRA each row of the sum is then brought to a length of its own. */
struct checkpoint_delta {
    int64_t rank;
    double scale;
    const float *a, *b;     /* [rank, n_col], [n_row, rank], in the arena */
    const float *magnitude; /* [n_row], or NULL */
};
struct checkpoint_tensor {
    struct tensor_info info; /* first: tensor_info pointers handed out are these */
    const unsigned char *data;
    int64_t heads;           /* > 0: rows lie in another order within or between so many heads (gguf_hf_row) */
    enum gguf_change change; /* which one */
    int plus_one;            /* the file holds 1 + w */
    int turned;              /* the file holds the transposed matrix */
    int file;                /* index into files */
    const struct checkpoint_delta *delta; /* or NULL */
};
struct checkpoint_file {
    char *path;        /* in the arena */
    const char *label; /* its name in the directory, for the hash of shards */
    struct file_map map;
    struct weights parsed; /* of neither form for GGUF */
};
struct checkpoint_side_file {
    const char *name, *path;
};
struct checkpoint {
    struct arena arena; /* strings, files, tensors */
    char *path;
    json_t *config, *generation;
    struct gguf *gguf;
    struct checkpoint_file *files;
    int n_file;
    struct checkpoint_tensor *tensors; /* sorted by name */
    size_t n_tensor;
    struct checkpoint_side_file *side_files;
    int n_side_file;
    int tied, adapted;
    const char *adapter; /* its directory, in the arena; NULL: none */
    int text_part;       /* of a model of several kinds of input */
};

int checkpoint_is_adapter(const char *path, int *yes, struct error *err); /* a directory with an adapter and no model */
/* Not an adapter. */
int checkpoint_open_base(struct checkpoint **out, const char *path, struct error *err);
int checkpoint_open_directory(struct checkpoint *ck, struct error *err);
int checkpoint_open_gguf(struct checkpoint *ck, struct error *err);
/* A model of images and text becomes its text part: configuration, names, tensors. */
int checkpoint_take_text(struct checkpoint *ck, struct error *err);
void checkpoint_sort(struct checkpoint *ck); /* the tensors, by name */
/* Rows of delta added to dst [n_row, n_col]. */
void checkpoint_add_delta(const struct checkpoint_tensor *c, int64_t first_row, int64_t n_row, float *dst);

#endif
