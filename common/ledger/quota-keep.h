/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-keep.h: what quota-ledgerd, which keeps ledgers, and its clients agree on.
 *
 * The socket is QUOTA_KEEP_SOCKET in the directory of the ledgers, of type
 * SOCK_SEQPACKET.  A client connects, sends one struct quota_keep_request, gets one
 * int32_t back (0 or a negative errno), and closes.
 */
#ifndef QUOTA_KEEP_H
#define QUOTA_KEEP_H

#include <sys/un.h>

#include "quota-ledger.h"

#pragma GCC visibility push(hidden)

#define QUOTA_KEEP_SOCKET ".ledgerd"
/* How long each side waits for the other. */
#define QUOTA_KEEP_SECONDS 10

enum quota_keep_verb {
    QUOTA_KEEP_HELLO,           /* all that is kept has its name: answer */
    QUOTA_KEEP_TAKE,            /* keep, and name, the descriptor that is passed */
    QUOTA_KEEP_DROP,            /* the ledger lost its name */
};

struct quota_keep_request {
    uint32_t verb;
    char group[QUOTA_GROUP_MAX_BYTES + 1];
    char tenant[QUOTA_TENANT_MAX_BYTES + 1];
};

/* quota_keep_address: of the socket in @dir.  -ENAMETOOLONG. */
int quota_keep_address(const char *dir, struct sockaddr_un *address);

/*
 * quota_ledger_name: let the ledger's path lead to this process's descriptor @fd,
 * which stays open as long as the name is to be of use.  Replaces the name of an
 * older ledger at once.
 */
int quota_ledger_name(const char *group, const char *tenant, int fd);

/*
 * quota_file_reopen: a descriptor of the file that @fd is open on, with a file
 * description, and so locks, of its own.  @flags as open(2); it is closed on exec.
 */
int quota_file_reopen(int fd, int flags);

#pragma GCC visibility pop

#endif
