/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rollback.h: `quota-lvm rollback`: give a volume the content of a snapshot.
 */
#ifndef QLVM_ROLLBACK_H
#define QLVM_ROLLBACK_H

#include <gio/gio.h>
#include <stdbool.h>

/*
 * rollback_apply: under the group's lock.  The snapshot is used up: LVM merges
 * it into its origin.
 */
bool rollback_apply(const char *group, const char *tenant,
                    const char *snapshot, GError **error);

#endif
