/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance.c: a lock that the kernel drops with its holder, however that one
 * ends.  A file with a process id would outlive it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance.h"
#include "quota-ledger.h"

#define INSTANCE_PATH QUOTA_LEDGER_DIR "/.quota-lvmd"

static const struct flock instance_lock = {
    .l_type = F_WRLCK,
    .l_whence = SEEK_SET,
};

int
instance_claim(void)
{
    struct flock lock = instance_lock;
    int fd;

    if (mkdir(QUOTA_LEDGER_DIR, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = open(INSTANCE_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        int ret = errno == EAGAIN || errno == EACCES ? -EALREADY : -errno;

        close(fd);
        return ret;
    }
    return 0;                   /* fd stays open */
}

bool
instance_is_running(void)
{
    struct flock lock = instance_lock;
    int fd = open(INSTANCE_PATH, O_RDWR | O_CLOEXEC);
    bool runs;

    if (fd < 0)
        return false;
    /* looks, but does not take: a daemon that starts now is not disturbed */
    runs = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return runs;
}
