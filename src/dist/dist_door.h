/* SPDX-License-Identifier: Apache-2.0 */
/* Where rank 0 listens, and how others come in. Each side proves by a key of random bytes, of which MPI tells all ranks
 * and nobody else, that it belongs to the job. */
#ifndef DIST_DIST_DOOR_H
#define DIST_DIST_DOOR_H

#include "base/error.h"

#include <stdint.h>

enum { DOOR_ADDRESSES = 16, DOOR_KEY = 16 };

/* As it is sent to all. */
struct door {
    unsigned char knock[DOOR_KEY], answer[DOOR_KEY];
    uint16_t port; /* 0: there is none */
    int n_address;
    struct door_address {
        int is_v6;
        unsigned char bytes[16];
    } addresses[DOOR_ADDRESSES]; /* this machine's own come last */
};

/* What who comes in sends first; the answer follows. */
struct door_greeting {
    unsigned char knock[DOOR_KEY];
    int32_t rank;
};

/* The descriptor that listens. */
int door_open(struct door *d, int *listener, struct error *err);
/* A connection to rank 0 that is greeted, without waits from here on; -1: none of the addresses answers. */
int door_enter(const struct door *d, int rank);

#endif
