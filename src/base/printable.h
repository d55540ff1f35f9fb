/* SPDX-License-Identifier: Apache-2.0 */
/* Text from files and from other machines on its way to a terminal. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

/* Makes s safe to show, in place: control characters (C0 but tab and line feed, DEL, C1), the signs that turn the
 * direction of writing, and bytes that are no UTF-8 become "?". */
void printable(char *s);
/* The same for a copy, cut to size; returns out. */
const char *printable_copy(char *out, size_t size, const char *s);

#endif
