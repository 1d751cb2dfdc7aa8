/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c: locks on single bytes of a ledger's file, far behind its end.
 *
 * They are open-file-description locks (fcntl(2), F_OFD_SETLK): the kernel
 * drops them with the last copy of the descriptor, however its holders end.
 * Shared memory holds no lock, which would outlive its holder.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "lock.h"

/* Between two tries to get the attach lock. */
#define ATTACH_PAUSE_NS 1000000

int quota_ledger_lock(const struct quota_ledger *ledger, int64_t byte,
                      int command, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };

    if (ledger->fd < 0) {
        return type;
    }
    if (fcntl(ledger->fd, command, &lock) < 0) {
        return -errno;
    }
    return lock.l_type;
}

int quota_attach_lock(struct quota_ledger *ledger, uint64_t most_ns)
{
    const struct timespec pause = { .tv_nsec = ATTACH_PAUSE_NS };
    uint64_t until_ns = quota_clock_ns() + most_ns;
    int ret;

    pthread_mutex_lock(&ledger->attach_mutex);
    /* By the clock: a try takes the longer, the more locks others have. */
    while (true) {
        ret = quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK,
                                F_WRLCK);
        if (ret != -EAGAIN && ret != -EACCES) {
            break;
        }
        ret = -EBUSY;
        if (quota_clock_ns() >= until_ns) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (ret < 0) {
        pthread_mutex_unlock(&ledger->attach_mutex);
        return ret;
    }
    return 0;
}

void quota_attach_unlock(struct quota_ledger *ledger)
{
    quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK, F_UNLCK);
    pthread_mutex_unlock(&ledger->attach_mutex);
}
