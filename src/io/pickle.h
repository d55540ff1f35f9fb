/* SPDX-License-Identifier: Apache-2.0 */
/* A pickled state dict (protocols 2 to 5): what of it are tensors, and where each lies in which storage. Nothing is
 * imported and nothing is run: of Python's machine this one has what torch.save writes of dictionaries of tensors;
 * every other opcode, class or function is refused by its name and place. No recursion; memory is bounded by the
 * pickle's own length and by the number of objects (2^22). */
#ifndef IO_PICKLE_H
#define IO_PICKLE_H

#include "io/tensor_info.h"

#include <stddef.h>

struct pickle_storage {
    const char *key; /* names its bytes beside the pickle */
    uint64_t n_byte;
};
struct pickle_tensor {
    struct tensor_info info; /* complete */
    const struct pickle_storage *storage;
    uint64_t offset;                 /* in elements, of the first one in its storage */
    uint64_t stride[TENSOR_MAX_DIM]; /* in elements */
};

struct pickle;
/* name: for messages. */
int pickle_parse(struct pickle **out, const void *bytes, size_t size, const char *name, struct error *err);
void pickle_free(struct pickle *p); /* NULL is fine */
size_t pickle_n_tensor(const struct pickle *p);
const struct pickle_tensor *pickle_tensor(const struct pickle *p, size_t i); /* sorted by name, no name twice */

#endif
