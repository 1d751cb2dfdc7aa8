/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adopt.c: existing LVs into a tenant and out of it, under the group's lock.
 *
 * LVM renames and tags in two transactions.  The tag comes first when adopting
 * and goes last when releasing, so an LV in between is charged, if not shown:
 * never an under-count.  Both run in one child that has the lock and outlives
 * us; after a power cut in between, the same command completes the change.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "adopt.h"
#include "device.h"
#include "lvm.h"
#include "survey.h"

static bool G_GNUC_PRINTF(2, 3)
adopt_refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(G_IO_ERROR,
                                                G_IO_ERROR_INVALID_ARGUMENT,
                                                format, args));
    va_end(args);
    return false;
}

/* adopt_publish: what LVM says now, or will say: to the ledger, if there is
 * one. */
static void
adopt_publish(const LvmTenant *lvm, uint64_t more_thick_bytes)
{
    struct quota_state state = lvm->state;
    struct quota_ledger *ledger = NULL;
    char path[PATH_MAX];

    state.thick_bytes += more_thick_bytes;
    if (quota_ledger_path(lvm->group, lvm->tenant, path, sizeof(path)) < 0 ||
        quota_ledger_open(path, true, &ledger) < 0)
        return;                 /* quota-lvmd makes it from LVM */
    quota_state_publish(ledger, &state);
    quota_doorbell_ring(ledger);
    quota_ledger_close(ledger);
}

static bool
adopt_check_unused(const LvmLv *lv, GError **error)
{
    struct device device;

    if (device_read(lv->dm_uuid, &device) == 0 && device.is_open)
        return adopt_refuse(error, "LV %s is in use, and its device gets "
                            "another name: stop what has it open first",
                            lv->name);
    return true;
}

/* adopt_check_kind: an LV of this kind can be a volume of the tenant. */
static bool
adopt_check_kind(const LvmGroup *group, const LvmLv *lv, const LvmTenant *lvm,
                 GError **error)
{
    g_autofree char *pool = g_strconcat(lvm->tenant,
                                        "." QUOTA_THIN_POOL_VOLUME, NULL);

    if (lv->is_hidden)
        return adopt_refuse(error, "LV %s is a part of another LV", lv->name);
    if (lv->tenant && !g_str_equal(lv->tenant, lvm->tenant))
        return adopt_refuse(error, "LV %s is tenant %s's: release it from "
                            "there first", lv->name, lv->tenant);
    if (g_str_has_suffix(lv->segtype, "-pool"))
        return adopt_refuse(error, "LV %s is a pool (%s): a tenant has its own "
                            "thin pool; copy its volumes into that", lv->name,
                            lv->segtype);
    if (*lv->pool && !g_str_equal(lv->pool, pool)) {
        const LvmLv *in = lvm_group_find_lv(group, lv->pool);

        return adopt_refuse(error, "LV %s is thin, in the pool %s%s%s, and no "
                            "thin volume can move to another pool: make a "
                            "volume with virsh vol-create-as and copy its data",
                            lv->name, lv->pool,
                            in && in->tenant ? " of tenant " : "",
                            in && in->tenant ? in->tenant : "");
    }
    return true;
}

/* adopt_check_here: no other host decides by the same limit meanwhile. */
static bool
adopt_check_here(const LvmGroup *group, const LvmTenant *lvm, GError **error)
{
    if (survey_is_elsewhere(group, lvm))
        return adopt_refuse(error, "group %s is shared, and tenant %s's thin "
                            "pool is not active on this host: adopt where it "
                            "is, or start its storage pool here first",
                            group->name, lvm->tenant);
    return true;
}

/* adopt_check_limits: the LV's extents are there already, so the group's free
 * ones do not matter. */
static bool
adopt_check_limits(const LvmLv *lv, const LvmTenant *lvm, uint64_t bytes,
                   GError **error)
{
    const struct quota_state *state = &lvm->state;
    uint64_t held = state->thick_bytes + state->grant_bytes;
    uint64_t limit = state->limits.limit_bytes;
    char asked[QUOTA_SIZE_MAX_BYTES], room[QUOTA_SIZE_MAX_BYTES];

    if (state->limits.max_volumes &&
        state->volumes >= state->limits.max_volumes)
        return adopt_refuse(error, "tenant %s is limited to %" G_GUINT64_FORMAT
                            " volumes and has %" G_GUINT64_FORMAT ": delete "
                            "one, or raise that with quota-lvm set "
                            "--max-volumes", lvm->tenant,
                            state->limits.max_volumes, state->volumes);
    if (held > limit || bytes > limit - held)
        return adopt_refuse(error, "LV %s takes %s, and tenant %s's limit has "
                            "%s left beside its thick volumes and the grant of "
                            "its thin pool: raise the limit with quota-lvm set "
                            "--limit", lv->name,
                            quota_size_format(bytes, asked), lvm->tenant,
                            quota_size_format(limit > held ? limit - held : 0,
                                              room));
    return true;
}

static bool
adopt_locked(int lock_fd, const LvmGroup *group, const char *name,
             const char *tenant, const char *volume, GError **error)
{
    const LvmLv *lv = lvm_group_find_lv(group, name);
    const LvmTenant *lvm = lvm_group_find_tenant(group, tenant);
    g_autofree char *tag = g_strconcat(QUOTA_TAG_TENANT, tenant, NULL);
    char to[QUOTA_LV_MAX_BYTES + 1];
    const char *why = NULL;
    bool is_new, is_renamed;
    uint64_t bytes;

    if (!lv)
        return adopt_refuse(error, "there is no LV %s in group %s", name,
                            group->name);
    if (!lvm || !lvm->thin_tags)
        return adopt_refuse(error, "there is no tenant %s in group %s: build "
                            "its storage pool with virsh pool-build first",
                            tenant, group->name);
    if (!adopt_check_kind(group, lv, lvm, error) ||
        !adopt_check_here(group, lvm, error))
        return false;

    if (!volume)
        volume = quota_name_parse_lv(tenant, name);
    if (!volume)
        volume = name;
    if (quota_name_check_volume(tenant, volume, &why) < 0)
        return adopt_refuse(error, "'%s' is no name of a volume: it %s; give "
                            "another: quota-lvm adopt %s/%s %s VOLUME", volume,
                            why, group->name, name, tenant);
    (void)quota_name_format_lv(tenant, volume, to);
    is_renamed = !g_str_equal(name, to);
    is_new = !lv->tenant;
    if (!is_new && !is_renamed)
        return adopt_refuse(error, "LV %s is tenant %s's already", name,
                            tenant);
    if (is_renamed && lvm_group_find_lv(group, to))
        return adopt_refuse(error, "tenant %s has a volume %s already: give "
                            "another name: quota-lvm adopt %s/%s %s VOLUME",
                            tenant, volume, group->name, name, tenant);

    bytes = g_str_equal(lv->segtype, "thin") || !is_new
        ? 0 : MAX(lv->lv.size_bytes, lv->lv.physical_bytes);
    if ((is_new && !adopt_check_limits(lv, lvm, bytes, error)) ||
        (is_renamed && !adopt_check_unused(lv, error)))
        return false;

    adopt_publish(lvm, bytes);
    return lvm_volume_change(lock_fd, group->name, name, is_renamed ? to : NULL,
                             is_new ? tag : NULL, NULL, error);
}

static bool
adopt_release_locked(int lock_fd, const LvmGroup *group, const char *tenant,
                     const char *volume, const char *name, GError **error)
{
    g_autofree char *tag = g_strconcat(QUOTA_TAG_TENANT, tenant, NULL);
    char from[QUOTA_LV_MAX_BYTES + 1];
    const char *to = name ? name : volume;
    const LvmLv *lv, *taken;

    if (quota_name_format_lv(tenant, volume, from) < 0)
        return adopt_refuse(error, "'%s' is no name of a volume", volume);
    lv = lvm_group_find_lv(group, from);
    taken = lvm_group_find_lv(group, to);
    /* a release that a power cut stopped after the first of its two steps */
    if (!lv && taken && g_strcmp0(taken->tenant, tenant) == 0)
        return lvm_volume_change(lock_fd, group->name, to, NULL, NULL, tag,
                                 error);
    if (!lv || g_strcmp0(lv->tenant, tenant) != 0)
        return adopt_refuse(error, "tenant %s has no volume %s in group %s",
                            tenant, volume, group->name);
    if (g_str_has_suffix(lv->segtype, "-pool"))
        return adopt_refuse(error, "%s is tenant %s's thin pool: see virsh "
                            "pool-delete", lv->name, tenant);
    if (g_str_equal(lv->segtype, "thin"))
        return adopt_refuse(error, "volume %s is thin, in tenant %s's pool, "
                            "which it would go on to fill: make an LV of its "
                            "size and copy its data", volume, tenant);
    if (taken)
        return adopt_refuse(error, "there is an LV %s in group %s already: "
                            "give another name: quota-lvm release %s/%s %s "
                            "NAME", to, group->name, group->name, tenant,
                            volume);
    for (guint i = 0; i < group->tenants->len; i++) {
        const LvmTenant *other = g_ptr_array_index(group->tenants, i);

        if (quota_name_parse_lv(other->tenant, to))
            return adopt_refuse(error, "'%s' would name it as a volume of "
                                "tenant %s: give another name", to,
                                other->tenant);
    }
    if (quota_name_check_volume("", to, NULL) < 0)
        return adopt_refuse(error, "'%s' is no name that LVM takes", to);
    return adopt_check_unused(lv, error) &&
        lvm_volume_change(lock_fd, group->name, from, to, NULL, tag, error);
}

/* adopt_unlock: what LVM says now, to the tenant's ledger as well. */
static void
adopt_unlock(int lock_fd, const char *group, const char *tenant)
{
    g_autoptr(LvmTenant) lvm = lvm_tenant_read(group, tenant, NULL);

    if (lvm)
        adopt_publish(lvm, 0);
    quota_group_unlock(lock_fd);
}

bool
adopt_apply(const char *group, const char *lv, const char *tenant,
            const char *volume, GError **error)
{
    int lock_fd;
    g_autoptr(LvmGroup) all = lvm_group_lock(group, &lock_fd, error);
    bool ok;

    if (!all)
        return false;
    ok = adopt_locked(lock_fd, all, lv, tenant, volume, error);
    adopt_unlock(lock_fd, group, tenant);
    return ok;
}

bool
adopt_release(const char *group, const char *tenant, const char *volume,
              const char *name, GError **error)
{
    int lock_fd;
    g_autoptr(LvmGroup) all = lvm_group_lock(group, &lock_fd, error);
    bool ok;

    if (!all)
        return false;
    ok = adopt_release_locked(lock_fd, all, tenant, volume, name, error);
    adopt_unlock(lock_fd, group, tenant);
    return ok;
}
