/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm.h: what LVM knows of tenants, and the few changes that the tools make.
 *
 * A group is read from its devices, and only when it has changed; LVM is asked
 * which devices it has, once.  The caller owns what it gets.  LVM's own words
 * reach the GError.  For any thread.
 */
#ifndef QLVM_LVM_H
#define QLVM_LVM_H

#include <gio/gio.h>

#include "group.h"

/*
 * lvm_groups_read: @group, or (NULL) every group of the host that can be read, by
 * name: the log has the others.  lvm_group_read: the one.  Decisions need the
 * group's lock.
 */
GPtrArray *lvm_groups_read(const char *group, GError **error);
LvmGroup *lvm_group_read(const char *group, GError **error);

/*
 * lvm_group_lock: take the group's lock and read it.  @lock_fd is then for
 * quota_group_unlock; NULL: the lock is not held.
 */
LvmGroup *lvm_group_lock(const char *group, int *lock_fd, GError **error);

/*
 * lvm_tenants_read: the tenants of @group (NULL: of every group), or only
 * @tenant (NULL: all), by group and name.
 */
GPtrArray *lvm_tenants_read(const char *group, const char *tenant,
                            GError **error);

/* lvm_tenant_read: one tenant; NULL without an error when LVM has none. */
LvmTenant *lvm_tenant_read(const char *group, const char *tenant,
                           GError **error);

/* Options of a command of LVM that would have dmeventd monitor a thin pool, and so
 * grow it by its own rule as well. */
#define LVM_NO_MONITORING "--config", "activation { monitoring=0 }"

/* lvm_change: run a command of LVM; it keeps the group's lock if we are killed. */
bool lvm_change(const char *const *argv, int lock_fd, GError **error);

/* lvm_thin_pool_extend: lvextend the tenant's thin pool by @extents. */
bool lvm_thin_pool_extend(int lock_fd, const char *group, const char *tenant,
                          uint64_t extents, GError **error);

/* lvm_thin_pool_retag: take away and add tags in one transaction. */
bool lvm_thin_pool_retag(int lock_fd, const char *group, const char *tenant,
                         const char *const *remove, const char *const *add,
                         GError **error);

/* lvm_group_retag: as above, of the group; @remove and @add are strings. */
bool lvm_group_retag(int lock_fd, const char *group, GPtrArray *remove,
                     GPtrArray *add, GError **error);

/*
 * lvm_volume_change: rename LV @from of @group to @to (NULL: keep the name) and
 * give it the tag @add, before that, or take @remove away, after it (NULL: none).
 * Both are done even if the caller is killed meanwhile.
 */
bool lvm_volume_change(int lock_fd, const char *group, const char *from,
                       const char *to, const char *add, const char *remove,
                       GError **error);

/* lvm_error_is_short: the command failed because the group has not the free
 * extents that it needed. */
bool lvm_error_is_short(const GError *error);

/* lvm_error_is_busy: another host has LVM's lock of the group, or lvmlockd is
 * still starting. */
bool lvm_error_is_busy(const GError *error);

#endif
