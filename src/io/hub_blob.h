/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a hub into the cache, in huggingface_hub's layout: its bytes as blobs/ETAG (blobs/ETAG.incomplete until
 * they are all there and their size and hash are right), a link to them as snapshots/COMMIT/PATH. What is incomplete is
 * gone on from, by this program or the next run of it; .locks/ keeps two programs from fetching the same file,
 * huggingface_hub among them. */
#ifndef IO_HUB_BLOB_H
#define IO_HUB_BLOB_H

#include "base/log.h"
#include "io/hub_client.h"
#include "io/hub_list.h"

struct hub_place {
    const char *locks;    /* CACHE/.locks/models--ORG--NAME */
    const char *folder;   /* CACHE/models--ORG--NAME */
    const char *snapshot; /* CACHE/models--ORG--NAME/snapshots/COMMIT */
};
struct hub_progress {
    uint64_t total, before; /* bytes of all files, and of those that are done */
    double started;
    int shown; /* 0: nobody wants to see it */
    const char *file;
};
/* Bytes of it that are in the cache already; *whole: all of them. */
uint64_t hub_blob_have(const struct hub_place *place, const struct hub_file *file, int *whole);
/* *fetched: bytes that came. */
int hub_blob_get(struct hub_client *c, const struct hub_place *place, const struct hub_file *file,
                 struct hub_progress *progress, uint64_t *fetched, struct error *err);

#endif
