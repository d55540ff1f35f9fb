/* SPDX-License-Identifier: Apache-2.0 */
/* The energy that the machine's processors and memory take, by the counters that Linux has of them (RAPL): those of
 * every process together. They turn over after some minutes of full load; a thread of ours looks often enough.
 *
 *     struct energy *e = energy_open(NULL);
 *     double before = energy_joules(e);
 *     ...
 *     if (!isnan(energy_joules(e)))   // else energy_why(e)
 *     energy_close(e); */
#ifndef BASE_ENERGY_H
#define BASE_ENERGY_H

struct energy;
/* root: a directory as /sys/class/powercap, which NULL is: intel-rapl:N for each processor, intel-rapl:N:M for parts of
 * it, with name, energy_uj and max_energy_range_uj. Memory that is not in a processor's own counter is added. NULL: out
 * of memory, which the others take too. */
struct energy *energy_open(const char *root);
void energy_close(struct energy *e);
/* Taken since open; NAN when it is not known, and from then on. From any thread. */
double energy_joules(struct energy *e);
/* Why it is not known, in one line; NULL: it is. */
const char *energy_why(struct energy *e);

#endif
