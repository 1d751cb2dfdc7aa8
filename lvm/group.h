/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group.h: what LVM says of a volume group: its LVs, and the tenants that these
 * belong to.  Pure functions on its metadata.
 */
#ifndef QLVM_GROUP_H
#define QLVM_GROUP_H

#include <glib.h>
#include <quota-ledger.h>
#include <quota-metadata.h>

/* LvmLv: an LV; a name that it has not is "". */
typedef struct {
    struct quota_lv lv;         /* its strings are the following */
    char *name;
    char *segtype;
    char *tags;
    char *uuid;
    char *dm_uuid;              /* of the device on top of it */
    char *pool;                 /* of a thin volume */
    char *origin;               /* of a snapshot or clone */
    uint64_t transaction;       /* of a thin pool */
    bool is_hidden;             /* a part of another LV, such as a raid's leg */
    char *tenant;               /* whom the tags name; NULL: nobody */
    bool is_of_two;             /* the tags name another tenant besides */
} LvmLv;

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

typedef struct {
    char *name;
    char **tags;
    uint64_t extent_bytes;
    struct quota_group promised;    /* with all tenants added */
    uint64_t missing_devices;
    bool is_shared;             /* with other hosts, by lvmlockd */
    GPtrArray *lvs;             /* LvmLv, hidden ones too, by name */
    GPtrArray *tenants;         /* LvmTenant, by name */
} LvmGroup;

LvmGroup *lvm_group_new(const struct quota_metadata_group *metadata);
void lvm_group_free(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_free)

/* lvm_group_find_lv: by name; NULL: there is none. */
const LvmLv *lvm_group_find_lv(const LvmGroup *group, const char *name);

/* lvm_group_find_tenant: NULL: the group has none of this name. */
LvmTenant *lvm_group_find_tenant(const LvmGroup *group, const char *tenant);

#endif
