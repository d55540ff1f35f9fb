/* SPDX-License-Identifier: Apache-2.0 */
/* The mpirun that started this job. It waits for daemons of its own on other machines, over connections that may stay
 * open for a quarter of an hour when a cable is cut; so whoever has ended all ranks ends it too, where it is here. */
#ifndef DIST_DIST_LAUNCHER_H
#define DIST_DIST_LAUNCHER_H

/* Of the calling process, a rank: remembers the launcher that started it, if that is its parent, or the parent of the
 * proxy that is. Others are nobody's to end: a shell between them may have more to do, srun and daemons other jobs. */
void launcher_remember(void);
/* Closes all files, waits for the launcher to end by itself, and kills it when it does not, what it started first. */
void launcher_end(void);

#endif
