/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT, SIGTERM and SIGUSR1 (which mpirun and Slurm pass on to a job that is to save and end): the first asks long
 * work to stop at the next safe point (exit code 75); a second SIGINT or SIGTERM ends the process at once with 128 +
 * signal. A signal that is ignored at the start stays ignored. Only src/cli installs the handlers; the library asks
 * interrupt_requested(). */
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include "base/error.h"

void interrupt_install(void);
int interrupt_requested(void);             /* the signal, or 0 */
void interrupt_request(int signal_number); /* tests and the handler */
void interrupt_clear(void);
void interrupt_be_patient(void); /* from here on a second SIGINT ends nothing: somebody talks to us */
/* ERROR_INTERRUPTED with "interrupted by SIGINT" when requested, else 0. */
int interrupt_check(struct error *err);

#endif
