/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keep.h: have ledgers kept open by a process that outlives us.
 */
#ifndef QUOTA_LEDGER_KEEP_H
#define QUOTA_LEDGER_KEEP_H

#pragma GCC visibility push(hidden)

/*
 * quota_keep: have quota-ledgerd keep the ledger that @fd is open on, and give it
 * its name, @path.  Where none listens in a directory of this process's own, this process
 * keeps it.  The caller holds the group's lock.  Errors: -ENOTCONN: quota-ledgerd
 * cannot be reached; and quota-ledgerd's own.
 */
int quota_keep(const char *path, const char *group, const char *tenant,
               int fd);

/* quota_keep_wait: until quota-ledgerd has named all that it keeps, which it does
 * before it answers. */
int quota_keep_wait(void);

/* quota_keep_drop: tell quota-ledgerd that the name is gone. */
void quota_keep_drop(const char *path, const char *group, const char *tenant);

#pragma GCC visibility pop

#endif
