/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path.h: the names of ledgers and of their groups' directories.
 */
#ifndef QUOTA_LEDGER_PATH_H
#define QUOTA_LEDGER_PATH_H

#include "quota-keep.h"

#pragma GCC visibility push(hidden)

/* quota_ledger_dir: where ledgers are named; *is_own: for this process alone. */
const char *quota_ledger_dir(bool *is_own);

/* quota_group_dir: the directory of a group's ledgers.  -EINVAL, -ENAMETOOLONG. */
int quota_group_dir(const char *group, char *path, size_t size);

/* quota_make_dir, quota_make_group_dir: make that of all groups, or of one, too,
 * where it is missing. */
int quota_make_dir(void);
int quota_make_group_dir(const char *group);

/* quota_group_lock_path: the file of a group's lock.  -EINVAL, -ENAMETOOLONG. */
int quota_group_lock_path(const char *group, char path[QUOTA_LEDGER_PATH_BYTES]);

#pragma GCC visibility pop

#endif
