/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of what a device may do wrong. */
#ifndef REMOTE_REMOTE_H
#define REMOTE_REMOTE_H

struct device;
/* d: of DEVICE_REMOTE. Its n-th wait from now (0: the next), and every later one, fails without running what was
 * enqueued; n < 0: never. */
void remote_fail_wait(struct device *d, long n);
/* Whether that wait is still to come. */
int remote_fail_pending(const struct device *d);
/* Waits of its queue so far. */
long remote_waits(const struct device *d);

#endif
