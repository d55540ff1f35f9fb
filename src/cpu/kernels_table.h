/* SPDX-License-Identifier: Apache-2.0 */
/* Included by kernels.c for each instruction set, which defines ISA: its table. */
#define X(type, name, parameters) type KERNEL(name) parameters;
KERNELS(X)
#undef X
#define X(type, name, parameters) .name = KERNEL(name),
const struct kernels KERNELS_OF(ISA) = {KERNELS(X)};
#undef X
#undef ISA
