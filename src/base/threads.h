/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool of threads for splitting one operator's outputs. The caller is worker 0. Which worker takes which piece
 * varies; so pieces must own their outputs, and every result is then the same for any number of threads. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include "base/error.h"

struct pool;
/* n_thread >= 1 (the caller counts as one). */
int pool_new(struct pool **out, int n_thread, struct error *err);
void pool_free(struct pool *p);
int pool_size(const struct pool *p);
/* Calls fn(context, piece, worker) for every piece in 0..n-1, worker in 0..pool_size-1, and returns when all are done.
 * Allocates nothing. Not reentrant: one run at a time. */
void pool_run(struct pool *p, int n, void (*fn)(void *context, int piece, int worker), void *context);
/* Of a run of n pieces: the end of the stretch in which `piece` lies and which one thread goes through in order, unless
 * others help it. */
int pool_stretch_end(const struct pool *p, int n, int piece);
int threads_available(void); /* processors this process may use, at least 1 */
/* How many a device has of its own accord: those, or fewer where processes share them. */
int threads_own(void);
void threads_own_at_most(int n);

#endif
