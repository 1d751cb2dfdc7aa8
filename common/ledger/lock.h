/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h: locks on bytes of a ledger's file.
 */
#ifndef QUOTA_LEDGER_LOCK_H
#define QUOTA_LEDGER_LOCK_H

#include "ledger.h"

#pragma GCC visibility push(hidden)

/* quota_ledger_lock: the lock on one byte of the file, for F_OFD_SETLK and
 * F_OFD_GETLK.  Returns the type of the lock found, or a negative errno. */
int quota_ledger_lock(const struct quota_ledger *ledger, int64_t byte,
                      int command, short type);
/* Attaching takes microseconds; a process that holds the lock for longer than
 * @most_ns was stopped, or is up to something: -EBUSY.  With the group's lock held,
 * nobody may be kept for long. */
#define QUOTA_ATTACH_NS 200000000
#define QUOTA_ATTACH_LOCKED_NS 10000000
int quota_attach_lock(struct quota_ledger *ledger, uint64_t most_ns);
void quota_attach_unlock(struct quota_ledger *ledger);

#pragma GCC visibility pop

#endif
