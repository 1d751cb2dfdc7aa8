/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path.c: the names of ledgers and of their groups' directories.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path.h"

static const char *ledger_dir = QUOTA_LEDGER_DIR;
static bool is_own_dir;         /* a test's */

void quota_ledger_set_dir(const char *dir)
{
    ledger_dir = dir ? dir : QUOTA_LEDGER_DIR;
    is_own_dir = dir != NULL;
}

const char *quota_ledger_dir(bool *is_own)
{
    *is_own = is_own_dir;
    return ledger_dir;
}

int quota_group_dir(const char *group, char *path, size_t size)
{
    int n;

    if (quota_name_check_group(group, NULL) < 0) {
        return -EINVAL;
    }
    n = snprintf(path, size, "%s/%s", ledger_dir, group);
    return (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int quota_ledger_path(const char *group, const char *tenant,
                      char *path, size_t size)
{
    size_t len;
    int ret, n;

    if (quota_name_check_tenant(tenant, NULL) < 0) {
        return -EINVAL;
    }
    ret = quota_group_dir(group, path, size);
    if (ret < 0) {
        return ret;
    }
    len = strlen(path);
    n = snprintf(path + len, size - len, "/%s", tenant);
    return (size_t)n >= size - len ? -ENAMETOOLONG : 0;
}

int quota_make_dir(void)
{
    return mkdir(ledger_dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int quota_make_group_dir(const char *group)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret = quota_group_dir(group, path, sizeof(path));

    if (ret == 0) {
        ret = quota_make_dir();
    }
    if (ret < 0) {
        return ret;
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int quota_group_lock_path(const char *group, char path[QUOTA_LEDGER_PATH_BYTES])
{
    int n;

    if (quota_name_check_group(group, NULL) < 0) {
        return -EINVAL;
    }
    n = snprintf(path, QUOTA_LEDGER_PATH_BYTES, "%s/.%s.lock", ledger_dir, group);
    return n >= QUOTA_LEDGER_PATH_BYTES ? -ENAMETOOLONG : 0;
}

int quota_ledger_name(const char *group, const char *tenant, int fd)
{
    char path[QUOTA_LEDGER_PATH_BYTES], temporary[QUOTA_LEDGER_PATH_BYTES + 16];
    char target[64];
    int ret = quota_ledger_path(group, tenant, path, sizeof(path));

    if (ret == 0) {
        ret = quota_make_group_dir(group);
    }
    if (ret < 0) {
        return ret;
    }
    /* A tenant's name never begins with a dot. */
    snprintf(temporary, sizeof(temporary), "%.*s/.%s.new",
             (int)(strrchr(path, '/') - path), path, tenant);
    snprintf(target, sizeof(target), "/proc/%d/fd/%d", (int)getpid(), fd);
    unlink(temporary);
    if (symlink(target, temporary) < 0) {
        return -errno;
    }
    if (rename(temporary, path) < 0) {
        ret = -errno;
        unlink(temporary);
    }
    return ret;
}

int quota_file_reopen(int fd, int flags)
{
    char path[32];
    int ret;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ret = open(path, flags | O_CLOEXEC);
    return ret < 0 ? -errno : ret;
}
