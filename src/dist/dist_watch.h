/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks are watched over TCP beside MPI, whose calls wait for ever for one that is gone. A process beside rank 0, the
 * guard, has a connection to a thread of each rank, which a long computation does not hold. The kernel closes the
 * connection of a process that has died; of one that was stopped, or of a machine that is cut off, nothing is heard any
 * more. The guard then says so in one line and all ranks end, whether or not what started them ends them too. It is a
 * process of its own because mpirun, at the death of a rank, kills the others before they can speak. */
#ifndef DIST_DIST_WATCH_H
#define DIST_DIST_WATCH_H

#include "dist/dist_door.h"

enum { WATCH_HOST = 64 };

struct watch_team {
    int rank, size;
    const char (*hosts)[WATCH_HOST]; /* [size] */
};

/* Before MPI begins and threads are made. speak tells a line; the guard calls it too. */
int watch_prepare(void (*speak)(const char *line), struct error *err);
/* From begins = 1 to 0 ranks meet for the first time; where that takes longer than a silence may, all end. */
void watch_start(int begins);
/* Rank 0: the guard begins; others' is sent away. */
int watch_open(const struct watch_team *team, struct door *door, struct error *err);
/* Every rank: comes in. ERROR_UNAVAILABLE: it cannot, and is not watched. */
int watch_join(const struct watch_team *team, const struct door *door, struct error *err);
/* A line before this process ends with `code`: the guard tells the first for all ranks, and all end. Returns where
 * there is no guard. */
void watch_last_word(const char *line, int code);
/* A moment in which a rank that is lost is found, and all end; returns when none is. */
void watch_hold(void);
/* 0: in peace; else others end with this code. */
void watch_close(int code);

#endif
