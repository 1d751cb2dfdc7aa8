/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group-lock.c: the lock of a group's quotas, and what its holder says of itself.
 *
 * Its file is beside the directories of ledgers, not in one of them: whoever removes
 * a group's directory by hand would split the lock in two.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "path.h"

/* Between two tries of a lock with a deadline. */
#define GROUP_LOCK_PAUSE_NS 500000

static int group_lock_open(const char *group)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int fd, ret = quota_group_lock_path(group, path);

    if (ret == 0) {
        ret = quota_make_dir();
    }
    if (ret < 0) {
        return ret;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* The turnstile: a lock of the same file description, which flock(2) does not see. */
static int turnstile(int fd, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_len = 1,
    };

    return fcntl(fd, F_OFD_SETLK, &lock);
}

/*
 * Whoever waits stands in the turnstile, or waits for that.  Otherwise a process that
 * takes the lock again as soon as it has released it would keep out all that look only
 * now and then: a tenant can have libvirtd do so.
 */
static int group_lock_try(int fd, bool *is_next)
{
    if (!*is_next && turnstile(fd, F_WRLCK) < 0) {
        return -errno;
    }
    *is_next = true;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return -errno;
    }
    turnstile(fd, F_UNLCK);
    return 0;
}

int quota_group_lock(const char *group, unsigned seconds)
{
    const struct timespec pause = { .tv_nsec = GROUP_LOCK_PAUSE_NS };
    uint64_t end_ns = quota_clock_ns() + seconds * UINT64_C(1000000000);
    int fd = group_lock_open(group);
    bool is_next = false;
    int ret;

    if (fd < 0) {
        return fd;
    }
    while ((ret = group_lock_try(fd, &is_next)) == -EAGAIN) {
        if (quota_clock_ns() >= end_ns) {
            ret = -ETIMEDOUT;
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

void quota_group_lock_note(int lock_fd, pid_t pid, const char *verb)
{
    char text[QUOTA_VERB_MAX_BYTES + 64];
    int length = snprintf(text, sizeof(text), "%d %.*s %" PRIu64 "\n", (int)pid,
                          QUOTA_VERB_MAX_BYTES, verb,
                          quota_clock_ns() / 1000000000);

    /* For people only: a full /run must not keep anybody from the lock. */
    if (pwrite(lock_fd, text, length, 0) == length) {
        (void)!ftruncate(lock_fd, length);
    }
}

int quota_group_lock_holder(const char *group, struct quota_lock_holder *holder)
{
    char path[QUOTA_LEDGER_PATH_BYTES], text[QUOTA_VERB_MAX_BYTES + 64] = "";
    uint64_t now = quota_clock_ns() / 1000000000, since;
    int fd, pid, ret = quota_group_lock_path(group, path);

    if (ret < 0) {
        return ret;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ret = read(fd, text, sizeof(text) - 1) < 0 ? -errno : 0;
    close(fd);
    if (ret == 0 && sscanf(text, "%d %31[a-z-] %" SCNu64, &pid, holder->verb,
                           &since) != 3) {
        ret = -ENODATA;
    }
    if (ret == 0) {
        holder->pid = pid;
        holder->seconds = now > since ? now - since : 0;
    }
    return ret;
}

void quota_group_unlock(int lock_fd)
{
    close(lock_fd);
}
