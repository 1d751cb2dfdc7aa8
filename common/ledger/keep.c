/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keep.c: the client of quota-ledgerd.
 *
 * A ledger lives as long as some process has it open, and its name leads to the
 * process that keeps it.  That is quota-ledgerd, so that quota-lvmd, libvirtd and
 * guests can come and go.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "keep.h"
#include "path.h"

/* ---- quota-ledgerd ------------------------------------------------------- */

int quota_keep_address(const char *dir, struct sockaddr_un *address)
{
    int n;

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    n = snprintf(address->sun_path, sizeof(address->sun_path),
                 "%s/" QUOTA_KEEP_SOCKET, dir);
    return (size_t)n >= sizeof(address->sun_path) ? -ENAMETOOLONG : 0;
}

static int connect_keeper(void)
{
    bool is_own;
    const struct timeval most = { .tv_sec = QUOTA_KEEP_SECONDS };
    struct sockaddr_un address;
    int fd, ret = quota_keep_address(quota_ledger_dir(&is_own), &address);

    if (ret < 0) {
        return ret;
    }
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) < 0) {
        ret = -errno;
    } else if (connect(fd, (struct sockaddr *)&address,
                       sizeof(address)) < 0) {
        ret = -ENOTCONN;
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

/* Send a request, with @fd unless that is negative, and wait for the answer. */
static int ask(int socket_fd, const struct quota_keep_request *request, int fd)
{
    struct iovec part = {
        .iov_base = (void *)request,
        .iov_len = sizeof(*request),
    };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    int32_t answer;

    if (fd >= 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) != sizeof(*request) ||
        recv(socket_fd, &answer, sizeof(answer), 0) != sizeof(answer)) {
        return -ENOTCONN;
    }
    return answer;
}

static int ask_keeper(enum quota_keep_verb verb, const char *group,
                      const char *tenant, int fd)
{
    struct quota_keep_request request = { .verb = verb };
    int ret = -ENOTCONN;

    snprintf(request.group, sizeof(request.group), "%s", group);
    snprintf(request.tenant, sizeof(request.tenant), "%s", tenant);
    /* Twice: it may have been restarted just then. */
    for (int tries = 0; tries < 2 && ret == -ENOTCONN; tries++) {
        int socket_fd = connect_keeper();

        if (socket_fd < 0) {
            return socket_fd;
        }
        ret = ask(socket_fd, &request, fd);
        close(socket_fd);
    }
    return ret;
}

/* ---- without quota-ledgerd, this process keeps them ----------------------- */

struct kept {
    struct kept *next;
    int fd;
    char name[];                /* dir/group/tenant */
};

static struct kept *kept;
static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct kept **find_kept(const char *name)
{
    struct kept **at = &kept;

    while (*at && strcmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static int keep_own(const char *name, const char *group, const char *tenant,
                    int fd)
{
    struct kept **at, *k;
    int ret;

    pthread_mutex_lock(&kept_mutex);
    at = find_kept(name);
    k = *at;
    if (!k) {
        k = calloc(1, sizeof(*k) + strlen(name) + 1);
        if (k) {
            strcpy(k->name, name);
            k->fd = -1;
            *at = k;
        }
    }
    ret = k ? 0 : -ENOMEM;
    if (ret == 0 && k->fd < 0) {
        k->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        ret = k->fd < 0 ? -errno : 0;
    } else if (ret == 0 && dup3(fd, k->fd, O_CLOEXEC) < 0) {
        ret = -errno;
    }
    if (ret == 0) {
        ret = quota_ledger_name(group, tenant, k->fd);
    }
    pthread_mutex_unlock(&kept_mutex);
    return ret;
}

static void drop_own(const char *name)
{
    struct kept **at, *k;

    pthread_mutex_lock(&kept_mutex);
    at = find_kept(name);
    k = *at;
    if (k) {
        *at = k->next;
        close(k->fd);
        free(k);
    }
    pthread_mutex_unlock(&kept_mutex);
}

/* ---- either -------------------------------------------------------------- */

int quota_keep(const char *path, const char *group, const char *tenant, int fd)
{
    int ret = ask_keeper(QUOTA_KEEP_TAKE, group, tenant, fd);
    bool is_own;

    (void)quota_ledger_dir(&is_own);
    return ret == -ENOTCONN && is_own ? keep_own(path, group, tenant, fd) : ret;
}

int quota_keep_wait(void)
{
    return ask_keeper(QUOTA_KEEP_HELLO, "", "", -1);
}

void quota_keep_drop(const char *path, const char *group, const char *tenant)
{
    if (ask_keeper(QUOTA_KEEP_DROP, group, tenant, -1) == -ENOTCONN) {
        drop_own(path);
    }
}
