/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DIST_DIST_COPIES_H
#define DIST_DIST_COPIES_H

/* The variable of the environment by which mpirun or srun says that it started several processes; NULL: none does.
 * Where MPI knows of one they are copies, each of which would do the whole work. */
const char *dist_copies(void);

#endif
