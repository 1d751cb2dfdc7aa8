/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm.h: what LVM knows of tenants, and the few changes that the tools make.
 *
 * Nothing is kept between calls: each reading is one `lvs`, selected by tag,
 * and the caller owns what it returns.  LVM's own words reach the GError.
 */
#ifndef QLVM_LVM_H
#define QLVM_LVM_H

#include <gio/gio.h>
#include <quota-ledger.h>

/* LvmTenant: a tenant in a volume group, as its LVs and their tags say. */
typedef struct {
    char *group;
    char *tenant;
    struct quota_state state;
    uint64_t extent_bytes;
    char *thin_dm_uuid;         /* of the thin pool's device; NULL: no pool */
    char **thin_tags;           /* tags of the thin pool; NULL: no pool */
    bool has_bad_tag;           /* a limit's tag cannot be read */
} LvmTenant;

void lvm_tenant_free(LvmTenant *tenant);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmTenant, lvm_tenant_free)

/*
 * lvm_tenants_read: the tenants of @group (NULL: of every group), or only
 * @tenant (NULL: all), sorted by group and name.  An empty array is no error;
 * a group that does not exist is.  Decisions need the group's lock.
 */
GPtrArray *lvm_tenants_read(const char *group, const char *tenant,
                            GError **error);

/* lvm_tenants_parse: the same from the text that `lvs` printed. */
GPtrArray *lvm_tenants_parse(const char *json, GError **error);

/* lvm_tenant_read: one tenant; NULL without an error when LVM has none. */
LvmTenant *lvm_tenant_read(const char *group, const char *tenant,
                           GError **error);

/* lvm_thin_pool_extend: lvextend the tenant's thin pool by @extents. */
bool lvm_thin_pool_extend(int lock_fd, const char *group, const char *tenant,
                          uint64_t extents, GError **error);

/* lvm_thin_pool_retag: take away and add tags in one transaction. */
bool lvm_thin_pool_retag(int lock_fd, const char *group, const char *tenant,
                         const char *const *remove, const char *const *add,
                         GError **error);

/* lvm_error_is_short: the command failed because the group has not the free
 * extents that it needed. */
bool lvm_error_is_short(const GError *error);

#endif
