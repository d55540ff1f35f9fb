/* SPDX-License-Identifier: Apache-2.0 */
/* KERNEL(name): what a kernel is called in the instruction set ISA. */
#ifndef CPU_KERNELS_NAMES_H
#define CPU_KERNELS_NAMES_H

#define KERNEL_PASTED(name, isa) name##_kernel_##isa
#define KERNEL_OF(name, isa) KERNEL_PASTED(name, isa)
#define KERNEL(name) KERNEL_OF(name, ISA)

#define KERNELS_PASTED(isa) kernels_##isa
#define KERNELS_OF(isa) KERNELS_PASTED(isa)

#endif
