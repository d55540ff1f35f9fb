/* SPDX-License-Identifier: Apache-2.0 */
/* Which rank gets which request, and when. Longest first; prompts that begin alike go to one rank, whose cache then has
 * them; a part is held back until ranks have finished something, so that the end is balanced although nobody knows how
 * long a text will become. Nothing of this changes a bit of any result. */
#ifndef CREW_DEAL_H
#define CREW_DEAL_H

#include "generate/generate.h"

struct deal_packet {
    int first, n, taken; /* of deal.order */
    int run;             /* packets of one run begin alike */
    long longest;        /* work of its longest request */
};
struct deal_hand { /* what a rank has: dealt and not finished */
    int packet;    /* that it takes from; -1: none yet */
    int n;
    long lanes, work;
    long rows; /* of all that it has finished */
};
/* Of `requests`, those with can[i] (NULL: all of n). */
struct deal_load {
    const struct generate_request *requests;
    const char *can;
    int n;
};
struct deal_ranks {
    int n, lanes_most; /* sequences that one of them has at a time */
    int page;          /* prompts begin alike when they share so many tokens */
};
struct deal {
    const struct generate_request *requests;
    struct deal_ranks ranks;
    int *order, n; /* the requests, those that begin alike beside each other */
    struct deal_packet *packets;
    int n_packet, first_packet; /* those before are dealt */
    int *owner;                 /* of a run: who had a packet of it last; -1: nobody */
    struct deal_hand *hands;
    long left, done, rows; /* work that is not finished, that is, and the rows that came of it */
    int n_done;
};
int deal_init(struct deal *d, const struct deal_load *load, const struct deal_ranks *ranks, struct error *err);
void deal_free(struct deal *d);
/* A request for the rank, or -1: it has enough for now, or all are dealt. */
int deal_next(struct deal *d, int rank);
/* rows: that it took (generate_result). */
void deal_done(struct deal *d, int rank, int request, long rows);
/* Of the rows that all ranks could have computed until the one with most was done, the share that they did not. */
double deal_lost(const long *rows, int n_rank);

#endif
