/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read.h: read volume groups.
 *
 * A group is read from its devices, and only when it has changed; LVM is asked
 * which devices it has, once.  For any thread.
 */
#ifndef LVM_READ_H
#define LVM_READ_H

#include "group.h"
#include "refusal.h"

#pragma GCC visibility push(hidden)

/* LvmDevice: a physical volume. */
typedef struct {
    char *path;                 /* "[unknown]": it is missing */
    char *group;                /* "": in none */
    uint64_t lvs, pvs;          /* of the whole group */
} LvmDevice;

/* lvm_devices_read: all physical volumes that LVM knows.  NULL with @why. */
GPtrArray *lvm_devices_read(LvmRefusal *why);

/*
 * lvm_group_read: a view of the group as it is now; the same one as long as
 * nothing changes.  A decision needs the group's lock: hold.h.
 */
LvmGroup *lvm_group_read(const char *group, LvmRefusal *why);

/* lvm_groups_read: @group, or (NULL) every group of the host that can be read, by
 * name: the host is warned of the others. */
GPtrArray *lvm_groups_read(const char *group, LvmRefusal *why);

/* lvm_tenants_read: the tenants of @group (NULL: of every group), by group and
 * name.  The result keeps no view: see LvmTenant. */
GPtrArray *lvm_tenants_read(const char *group, LvmRefusal *why);

#pragma GCC visibility pop

#endif
