/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers below the normal ones as zeros, going in and coming out, in what a thread computes between flush_begin and
 * flush_end: what vdpbf16ps does, where multiply-adds stand for it. The compiler does not know; call what computes by
 * address, so that it moves nothing out. */
#ifndef CPU_FLUSH_H
#define CPU_FLUSH_H

#if defined(__x86_64__)
#include <xmmintrin.h>

static inline unsigned flush_begin(int flush) /* flush 0: nothing changes */
{
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };
    unsigned before = _mm_getcsr();
    if (flush)
        _mm_setcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    return before;
}
static inline void flush_end(int flush, unsigned before)
{
    if (flush)
        _mm_setcsr(before);
}
#else
static inline unsigned flush_begin(int flush)
{
    (void)flush;
    return 0;
}
static inline void flush_end(int flush, unsigned before)
{
    (void)flush;
    (void)before;
}
#endif

#endif
