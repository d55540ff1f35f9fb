/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways of opening a checkpoint fill in; seen by io/checkpoint*.c only. */
#ifndef IO_CHECKPOINT_INTERNAL_H
#define IO_CHECKPOINT_INTERNAL_H

#include "base/arena.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/safetensors.h"

struct checkpoint_tensor {
    struct tensor_info info; /* first: tensor_info pointers handed out are these */
    const unsigned char *data;
    int64_t heads; /* > 0: rows are interleaved within each of so many heads (gguf_hf_row) */
    int file;      /* index into files */
};
struct checkpoint_file {
    char *path;        /* in the arena */
    const char *label; /* its name in the directory, for the hash of shards */
    struct file_map map;
    struct safetensors *parsed; /* NULL for GGUF */
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
    int tied;
};

int checkpoint_open_directory(struct checkpoint *ck, struct error *err);
int checkpoint_open_gguf(struct checkpoint *ck, struct error *err);

#endif
