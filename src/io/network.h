/* SPDX-License-Identifier: Apache-2.0 */
/* Network file systems: several machines may write there, and a lock may be known to one of them alone. */
#ifndef IO_NETWORK_H
#define IO_NETWORK_H

#include <stddef.h>

/* Name of the network file system with this magic number of statfs, or NULL. */
const char *network_name(long magic);
/* Whether `path`, which is there, lies on one; its name, which of FUSE's is the program's (sshfs). */
int network_under(const char *path, char *name, size_t size);
/* A warning where it does, of one process one. */
void network_tell(const char *path);

#endif
