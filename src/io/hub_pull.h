/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads a model into the Hugging Face cache so that hub_resolve, and huggingface_hub, find it there. The revision
 * is known by name (refs/) only when all of it is there; what an interrupted pull has is kept, and the next one goes on
 * from it. */
#ifndef IO_HUB_PULL_H
#define IO_HUB_PULL_H

#include "io/http_text.h"

#include <stdint.h>

struct hub_pull_options {
    const char *name;           /* "org/name" or "org/name@revision" */
    const char *const *include; /* patterns (hub_list_choose) */
    int n_include;
    const struct http_clock *clock; /* NULL: the machine's */
};
struct hub_pulled {
    char *path; /* the snapshot's directory; mem_free it */
    char commit[41];
    int n_file;
    uint64_t bytes, fetched; /* of all files; of what came over the network */
};
/* With HF_HUB_OFFLINE no socket is opened: 0 when the revision is in the cache, else ERROR_UNAVAILABLE. */
int hub_pull(struct hub_pulled *out, const struct hub_pull_options *o, struct error *err);

#endif
