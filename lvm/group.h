/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group.h: a view of a volume group: its LVs, the tenants they belong to, and
 * what each tenant is charged and was promised.
 *
 * A view is made once from LVM's metadata and never changes, so several threads
 * may share it.  A decision that must hold until LVM is changed needs a view that
 * was read under the group's lock (hold.h).
 */
#ifndef LVM_GROUP_H
#define LVM_GROUP_H

#include <glib.h>
#include <quota-charge.h>
#include <quota-metadata.h>

#pragma GCC visibility push(hidden)

/* Tags of single LVs, beside those of the tenant and its limits. */

/* Set by the operator: tenants of the group may make clones of this LV. */
#define LVM_TAG_BASE QUOTA_TAG_PREFIX "base"
/* A thin volume that was made as a copy of its origin, not as a snapshot. */
#define LVM_TAG_CLONE QUOTA_TAG_PREFIX "clone"

/* To a multiple of @unit, of unsigned numbers; the caller sees to it that it fits. */
#define LVM_DIVIDE_UP(a, unit) ((a) / (unit) + ((a) % (unit) != 0))
#define LVM_ROUND_UP(a, unit) (LVM_DIVIDE_UP(a, unit) * (unit))

/* LvmLv: an LV; a name that does not apply is "". */
typedef struct {
    struct quota_lv lv;         /* its strings are the following */
    char *name;
    char *uuid;                 /* with dashes, as lvs(8) prints it */
    char *segtype;
    char *tags;                 /* "a,b" */
    char *dm_uuid;              /* of the device on top of it */
    char *pool;                 /* of a thin volume */
    char *origin;               /* of a snapshot or clone */
    char *unknown;              /* the word of its metadata that is unknown: the
                                   LV is charged the whole group */
    uint64_t origin_bytes;      /* of a thick snapshot: its own size */
    uint64_t metadata_bytes;    /* of a thin pool */
    uint64_t transaction;       /* of a thin pool */
    unsigned data_stripes;      /* side by side, without parity; 1: linear */
    unsigned data_copies;       /* of each stripe; 1: no mirror */
    bool is_hidden;             /* part of another LV, such as a leg of a raid */
    bool is_read_only;
    char *tenant;               /* the owner by its tags; NULL: no tenant's */
    const char *volume;         /* its name in the tenant's pool, in @name; NULL:
                                   not named as a volume of the owner */
    bool is_of_two;             /* the tags name another tenant besides */
    bool is_of_invalid;         /* the tags name an invalid tenant */
} LvmLv;

/* LvmTenant: a tenant of a volume group, as its LVs and their tags say. */
typedef struct {
    char *group;
    char *tenant;
    struct quota_state state;
    uint64_t extent_bytes;
    char *thin_dm_uuid;         /* of the thin pool's device; NULL: no pool */
    char **thin_tags;           /* tags of the thin pool; NULL: no pool */
    char *definition;           /* digest of the libvirt definition that was
                                   applied last; NULL: none was */
    bool has_bad_tag;           /* the tag of a limit cannot be read */
    const LvmLv *thin_pool;     /* valid while the view is; NULL: no pool */
    GPtrArray *lvs;             /* const LvmLv, visible ones, thin pool included,
                                   by name; valid while the view is */
} LvmTenant;

LvmTenant *lvm_tenant_ref(LvmTenant *tenant);
void lvm_tenant_unref(LvmTenant *tenant);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmTenant, lvm_tenant_unref)

typedef struct {
    char *name;
    char **tags;
    uint64_t extent_bytes;
    struct quota_group promised;    /* with all tenants added */
    uint64_t missing_devices;
    bool is_exported;
    bool is_shared;             /* with other hosts, by lvmlockd */
    GPtrArray *lvs;             /* LvmLv, hidden ones too, by name */
    GPtrArray *tenants;         /* LvmTenant, by name */
    GHashTable *lv_by_name;
    GHashTable *tenant_by_name;
} LvmGroup;

/* lvm_group_new: a view of @metadata, whose strings are copied. */
LvmGroup *lvm_group_new(const struct quota_metadata_group *metadata);
LvmGroup *lvm_group_ref(LvmGroup *group);
void lvm_group_unref(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_unref)

/* lvm_group_find_lv: by name; NULL: the group has none of this name. */
const LvmLv *lvm_group_find_lv(const LvmGroup *group, const char *name);

/* lvm_group_find_tenant: NULL: the group has none of this name. */
LvmTenant *lvm_group_find_tenant(const LvmGroup *group, const char *tenant);

/* lvm_group_others: the group as @tenant sees it: what the others hold and were
 * promised.  The tenant need not exist. */
struct quota_group lvm_group_others(const LvmGroup *group, const char *tenant);

/* lvm_tenant_find_volume: by the name in the tenant's pool; NULL: none, or the
 * tenant is NULL. */
const LvmLv *lvm_tenant_find_volume(const LvmGroup *group, const char *tenant,
                                    const char *volume);

/* lvm_available_bytes: what a tenant can still get for thin volumes, of which it uses
 * @thin_bytes: what its grant has left and the group can add to it, as far as the
 * limit allows.  Never more than it would be given. */
uint64_t lvm_available_bytes(const struct quota_state *state, uint64_t thin_bytes);

bool lvm_lv_has_tag(const LvmLv *lv, const char *tag);
bool lvm_lv_is_thin(const LvmLv *lv);
bool lvm_lv_is_pool(const LvmLv *lv);       /* of any kind */

/* lvm_lv_is_thick_snapshot: copies of what changed are kept outside any pool. */
bool lvm_lv_is_thick_snapshot(const LvmLv *lv);

/* lvm_lv_taken_bytes: what a thick LV takes of its group. */
uint64_t lvm_lv_taken_bytes(const LvmLv *lv);

/* lvm_group_find_thick_snapshot: one of @origin; NULL: it has none. */
const LvmLv *lvm_group_find_thick_snapshot(const LvmGroup *group,
                                           const LvmLv *origin);

#pragma GCC visibility pop

#endif
