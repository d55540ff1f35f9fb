/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a zip archive whose entries are stored, as torch.save writes it: every entry is a range of the
 * archive's own bytes. Compressed or encrypted entries, archives in several parts, and entries that overlap, that are
 * there twice or that leave the file are refused by name. Sizes are the central directory's (zip64 too); the CRC is not
 * looked at, as torch does not. */
#ifndef IO_ZIP_H
#define IO_ZIP_H

#include "base/arena.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct zip_entry {
    const char *name;
    uint64_t offset, size; /* of its data */
};
struct zip {
    struct arena arena;
    struct zip_entry *entries; /* sorted by name */
    size_t n_entry;
    const char *first; /* name of the entry that is first in the central directory */
};

/* Whether it begins as such an archive does. */
int zip_is_one(const void *bytes, size_t size);
/* name: for messages. zip_close in any case. */
int zip_open(struct zip *z, const void *bytes, size_t size, const char *name, struct error *err);
void zip_close(struct zip *z);
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* or NULL */

#endif
