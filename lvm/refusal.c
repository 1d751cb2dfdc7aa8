/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refusal.c: why something cannot be done.
 */
#include <errno.h>
#include <quota-ledger.h>
#include <quota-limits.h>

#include "refusal.h"

void
lvm_refusal_clear(LvmRefusal *refusal)
{
    g_free(refusal->group);
    g_free(refusal->tenant);
    g_free(refusal->name);
    g_free(refusal->other);
    g_free(refusal->text);
    *refusal = (LvmRefusal) { 0 };
}

bool
lvm_refuse(LvmRefusal *why, LvmWhy reason, const char *group,
           const char *tenant, const char *name, const char *other)
{
    lvm_refusal_clear(why);
    why->why = reason;
    why->group = g_strdup(group);
    why->tenant = g_strdup(tenant);
    why->name = g_strdup(name);
    why->other = g_strdup(other);
    return false;
}

void *
lvm_refusal_about(LvmRefusal *why, const char *name)
{
    if (!why->name)
        why->name = g_strdup(name);
    return NULL;
}

static const char *const lvm_whys[] = {
    [LVM_WHY_NONE] = "none",
    [LVM_WHY_LOCK] = "lock",
    [LVM_WHY_NO_GROUP] = "no-group",
    [LVM_WHY_DEVICES_MISSING] = "devices-missing",
    [LVM_WHY_METADATA] = "metadata",
    [LVM_WHY_EXPORTED] = "exported",
    [LVM_WHY_COMMAND] = "command",
    [LVM_WHY_SLOW] = "slow",
    [LVM_WHY_UNEXPECTED] = "unexpected",
    [LVM_WHY_LEDGER] = "ledger",
    [LVM_WHY_EPOCH] = "epoch",
    [LVM_WHY_NO_TENANT] = "no-tenant",
    [LVM_WHY_NO_THIN_POOL] = "no-thin-pool",
    [LVM_WHY_HAS_THIN_POOL] = "has-thin-pool",
    [LVM_WHY_HAS_VOLUMES] = "has-volumes",
    [LVM_WHY_NO_LIMIT] = "no-limit",
    [LVM_WHY_BAD_LIMITS] = "bad-limits",
    [LVM_WHY_BAD_TAG] = "bad-tag",
    [LVM_WHY_SMALL_LIMIT] = "small-limit",
    [LVM_WHY_TENANT_LIMIT] = "tenant-limit",
    [LVM_WHY_GROUP_FULL] = "group-full",
    [LVM_WHY_GROUP_KEPT] = "group-kept",
    [LVM_WHY_GUARANTEE] = "guarantee",
    [LVM_WHY_OVERCOMMIT] = "overcommit",
    [LVM_WHY_MAX_VOLUMES] = "max-volumes",
    [LVM_WHY_ELSEWHERE] = "elsewhere",
    [LVM_WHY_BAD_NAME] = "bad-name",
    [LVM_WHY_NAME_OF_TENANT] = "name-of-tenant",
    [LVM_WHY_EXISTS] = "exists",
    [LVM_WHY_TAKEN] = "taken",
    [LVM_WHY_NO_LV] = "no-lv",
    [LVM_WHY_NO_VOLUME] = "no-volume",
    [LVM_WHY_TOO_LARGE] = "too-large",
    [LVM_WHY_NOT_SMALLER] = "not-smaller",
    [LVM_WHY_ORIGIN_LARGER] = "origin-larger",
    [LVM_WHY_ORIGIN_FIXED] = "origin-fixed",
    [LVM_WHY_NO_COW_SPACE] = "no-cow-space",
    [LVM_WHY_IN_USE] = "in-use",
    [LVM_WHY_BASE_IN_USE] = "base-in-use",
    [LVM_WHY_BASE_WRITABLE] = "base-writable",
    [LVM_WHY_HAS_SNAPSHOT] = "has-snapshot",
    [LVM_WHY_SIZE_KEPT] = "size-kept",
    [LVM_WHY_SIZE_OF_ORIGIN] = "size-of-origin",
    [LVM_WHY_IS_SNAPSHOT] = "is-snapshot",
    [LVM_WHY_IS_BASE] = "is-base",
    [LVM_WHY_NOT_SNAPSHOT] = "not-snapshot",
    [LVM_WHY_IS_PART] = "is-part",
    [LVM_WHY_IS_UNKNOWN] = "is-unknown",
    [LVM_WHY_IS_POOL] = "is-pool",
    [LVM_WHY_IS_THIN] = "is-thin",
    [LVM_WHY_OTHER_POOL] = "other-pool",
    [LVM_WHY_OF_TENANT] = "of-tenant",
};
G_STATIC_ASSERT(G_N_ELEMENTS(lvm_whys) == LVM_WHY_LAST);

const char *
lvm_why_name(LvmWhy why)
{
    return (unsigned)why < LVM_WHY_LAST ? lvm_whys[why] : "?";
}

/* lvm_refusal_metadata: each failure to read metadata with its own way out. */
static char *
lvm_refusal_metadata(const LvmRefusal *refusal)
{
    const char *way = refusal->error == -EBADMSG
        ? "it is not consistent: see what vgck says"
        : refusal->error == -EAGAIN ? "it keeps changing: try again"
        : refusal->error == -ENOENT ? "no device has any: see what pvs says"
        : g_strerror(-refusal->error);

    return g_strdup_printf("cannot read LVM's metadata of volume group %s from "
                           "its devices: %s", refusal->group, way);
}

char *
lvm_refusal_format(const LvmRefusal *refusal)
{
    const char *group = refusal->group, *name = refusal->name;

    switch (refusal->why) {
    case LVM_WHY_LOCK:
        if (refusal->text && *refusal->text)
            return g_strdup_printf("volume group %s has been locked for %" G_GUINT64_FORMAT
                                   " seconds by %s: check what that is waiting "
                                   "for", group, refusal->asked, refusal->text);
        return g_strdup_printf("cannot lock volume group %s: %s", group,
                               g_strerror(-refusal->error));
    case LVM_WHY_NO_GROUP:
        return g_strdup_printf("Volume group \"%s\" not found", group);
    case LVM_WHY_DEVICES_MISSING:
        return g_strdup_printf("all devices of volume group \"%s\" are missing: "
                               "see what pvs says", group);
    case LVM_WHY_METADATA:
        return lvm_refusal_metadata(refusal);
    case LVM_WHY_EXPORTED:
        return g_strdup_printf("volume group %s is exported: run vgimport first",
                               group);
    case LVM_WHY_COMMAND:
        return g_strdup_printf("%s failed: %s", name, refusal->text);
    case LVM_WHY_SLOW:
        return g_strdup_printf("%s has not finished after %" G_GUINT64_FORMAT
                               " seconds: is a disk or a lock of LVM stuck?",
                               name, refusal->asked);
    case LVM_WHY_UNEXPECTED:
        return g_strdup_printf("LVM's commands succeeded, but LV %s/%s is not as "
                               "asked for: see lvs -a %s", group, name, group);
    case LVM_WHY_BAD_TAG:
        return g_strdup_printf("a limit among the tags of tenant %s's thin pool in "
                               "volume group %s cannot be read: set that limit "
                               "again, see quota-lvm check", refusal->tenant,
                               group);
    case LVM_WHY_LEDGER:
        if (refusal->error == -ENOTCONN)
            return g_strdup_printf("the ledger of tenant %s in volume group %s %s: "
                                   "start quota-ledgerd.socket", refusal->tenant,
                                   group, quota_ledger_strerror(refusal->error));
        return g_strdup_printf("the ledger of tenant %s in volume group %s cannot "
                               "be used: %s", refusal->tenant, group,
                               g_strerror(-refusal->error));
    default:
        return g_strdup_printf("%s: volume group %s, tenant %s, %s",
                               lvm_why_name(refusal->why), group,
                               refusal->tenant ? refusal->tenant : "-",
                               name ? name : "-");
    }
}
