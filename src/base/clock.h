/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

double clock_now(void);      /* monotonic seconds */
double clock_wall(void);     /* seconds since 1970; SOURCE_DATE_EPOCH when it is set */
double clock_cpu(void);      /* seconds of processor time of this process, its threads together */
size_t clock_rss_peak(void); /* peak resident bytes of this process */

#endif
