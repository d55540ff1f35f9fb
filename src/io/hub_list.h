/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub answers when it is asked what a model's repository holds (GET
 * /api/models/ORG/NAME/revision/REV?blobs=true), and which of it isara wants. */
#ifndef IO_HUB_LIST_H
#define IO_HUB_LIST_H

#include "base/arena.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct hub_file {
    const char *path;   /* below the snapshot: no "..", nothing absolute, no control characters */
    int64_t size;       /* -1: not said */
    const char *sha256; /* of a file in LFS, 64 digits, or NULL */
    const char *sha1;   /* git's of any other, 40 digits, or NULL */
    int wanted;
};
struct hub_list {
    struct arena arena;
    char commit[41];
    struct hub_file *files;
    size_t n;
};
/* Any bytes; where: for messages. hub_list_free in any case. */
int hub_list_parse(struct hub_list *l, const char *json, size_t n, const char *where, struct error *err);
void hub_list_free(struct hub_list *l);
/* Marks what is wanted. With patterns ('*' goes over "/", as in huggingface_hub): what one of them matches. Without:
 * what stands in no folder but isara's own two, of model weights one form only (safetensors, else pytorch_model.bin)
 * and none of other programs; of a repository of GGUF files alone, nothing, and an error that lists them. Nothing
 * wanted is an error. */
int hub_list_choose(struct hub_list *l, const char *const *patterns, int n_pattern, const char *where,
                    struct error *err);
/* Whether a path may be made below a folder. */
int hub_path_is_safe(const char *path);

#endif
