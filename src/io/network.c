/* SPDX-License-Identifier: Apache-2.0 */
#include "io/network.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum { FUSE = 0x65735546 }; /* linux/magic.h */

const char *network_name(long magic)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } table[] = {
        /* linux/magic.h and the file systems' own headers */
        {0x6969, "NFS"},       {0x517b, "SMB"},      {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
        {0x5346414f, "AFS"},   {0x73757245, "Coda"}, {0x564c, "NCP"},        {0x0bd00bd0, "Lustre"},
        {0x47504653, "GPFS"},  {0x00c36400, "Ceph"}, {0x19830326, "BeeGFS"}, {0x20030528, "OrangeFS"},
        {0xaad7aaea, "PanFS"}, {0x01021997, "9p"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].magic == ((unsigned long)magic & 0xffffffff))
            return table[i].name;
    return NULL;
}

/* The program behind a FUSE file system, as proc(5) has it in mountinfo: "36 35 0:31 / /mnt rw - fuse.sshfs ..."; a
 * disk's is fuseblk. */
static int fuse_program(const char *path, char *name, size_t size)
{
    struct stat s;
    char line[4096], device[32], *type;
    FILE *f = stat(path, &s) ? NULL : fopen("/proc/self/mountinfo", "re");
    int found = 0;
    snprintf(device, sizeof device, " %u:%u ", major(s.st_dev), minor(s.st_dev));
    while (f && !found && fgets(line, sizeof line, f))
        if (strstr(line, device) && (type = strstr(line, " - fuse."))) {
            snprintf(name, size, "%.*s", (int)strcspn(type + 8, " \n"), type + 8);
            found = 1;
        }
    if (f)
        fclose(f);
    return found;
}

int network_under(const char *path, char *name, size_t size)
{
    struct statfs s;
    if (statfs(path, &s))
        return 0;
    if ((unsigned long)s.f_type == FUSE)
        return fuse_program(path, name, size);
    const char *known = network_name((long)s.f_type);
    if (known)
        snprintf(name, size, "%s", known);
    return known != NULL;
}

void network_tell(const char *path)
{
    static int told;
    char name[64];
    if (!told && network_under(path, name, sizeof name)) {
        told = 1;
        log_line(LOG_WARNING,
                 "%s: is on a network file system (%s): see to it that no other machine writes there, which is known "
                 "here only where its locks work",
                 path, name);
    }
}
