/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that share one command ("ranks"): who they are, and how they exchange bytes. dist_none.c is one
 * process; dist_mpi.c (make MPI=1) is MPI's world, one thread of which calls. Nothing is computed here: sums over ranks
 * are made by who asks, in an order of his own, since MPI's reductions promise no order. */
#ifndef DIST_DIST_H
#define DIST_DIST_H

#include "base/buf.h"
#include "base/error.h"

/* Before dist_start: how it is told, from any thread, that a rank is lost. */
void dist_speak_by(void (*speak)(const char *line));
/* Before anything else. ERROR_CONFIG: this is one of several copies that know nothing of each other, as srun or mpirun
 * start them without the MPI that the program was built with. */
int dist_start(int *argc, char ***argv, struct error *err);
/* Ranks on this rank's machine, itself among them. */
int dist_neighbours(void);
/* Behind everything else. code != 0: what others do is ended too, unless the failure is known to all (dist_agree). */
void dist_end(int code);

/* Of this rank's group, which is all ranks until dist_split. */
int dist_rank(void);
int dist_size(void);
/* From here on groups of `size` ranks (the last may have fewer) are by themselves: everything below is within one. All
 * ranks call it, once; a failure that is not told to all by dist_end_together still ends every group. */
int dist_split(int size, struct error *err);
int dist_group(void); /* this one's number */
int dist_groups(void);
int dist_number(int rank); /* a rank of the group among all ranks */
/* The first ranks of all groups wait for each other. */
int dist_meet(struct error *err);
const char *dist_kind(void); /* "one process", or the library with its version */
/* Whether the last failure was agreed on: each rank has it, and one telling is enough. */
int dist_agreed(void);
const char *dist_host(void); /* that this rank runs on; "": there is but one */
/* Of a failure that is not agreed on, with the exit code that follows: one rank's line is told for all, and all end.
 * Returns where that cannot be done; the caller tells it then. */
void dist_last_word(const char *line, int code);

/* Bytes for a rank, or from it. */
struct dist_piece {
    void *data;
    size_t bytes; /* at most 2^30 */
    int rank;
};
/* Sends and receives all at once and waits for all. Between two ranks pieces arrive in the order in which they are
 * listed; a piece for oneself is copied, and both lists have it at the same place among such pieces. */
int dist_exchange(const struct dist_piece *sends, int n_send, const struct dist_piece *receives, int n_receive,
                  struct error *err);
/* The same while the caller computes: nothing here but the next two is called, and no piece looked at or changed, until
 * dist_finish has returned. */
struct dist_exchange {
    const struct dist_piece *sends, *receives;
    int n_send, n_receive;
};
int dist_begin(const struct dist_exchange *x, struct error *err);
int dist_is_done(void); /* dist_finish will not wait */
int dist_finish(struct error *err);
/* Bytes for other ranks so far, those of a broadcast or gathering counted once for each of them. */
double dist_sent(void);
/* The root's bytes to all. */
int dist_broadcast(void *data, size_t bytes, int root, struct error *err);
/* all [size][bytes] := each rank's mine. */
int dist_gather_all(const void *mine, size_t bytes, void *all, struct error *err);
/* Every rank calls it with how its part went, and returns with the first rank's failure that there is, which names
 * rank and host; 0: all went well. */
int dist_agree(int rc, struct error *err);
/* The failure with which all are going to end was told to all by other means. */
void dist_end_together(void);

/* Messages, beside the exchanges: of any length up to 2^30 bytes, to one rank, who looks for them when it likes. Those
 * between two ranks arrive in the order in which they were posted. The bytes are copied, and nobody is waited for. */
int dist_post(int rank, const void *data, size_t bytes, struct error *err);
/* The next message into b, whose content it replaces; *rank: who sent it, -1: none is there. wait: until one is, or a
 * signal has come. */
int dist_take(struct buf *b, int *rank, int wait, struct error *err);

#endif
