/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: a write to a file takes a hundredth of a second more, so that a run that writes what it has can be
 * caught in it. */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

ssize_t write(int fd, const void *data, size_t n)
{
    struct stat st;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode))
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    return syscall(SYS_write, fd, data, n);
}
