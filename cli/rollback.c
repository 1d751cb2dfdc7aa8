/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rollback.c: give a volume back the content that a snapshot of it has kept.
 *
 * libvirt has no verb for it.  Both must be in use by nobody: then there is no
 * writer either, whose paid chunks would have to be voided, and LVM does not put
 * the merge off until the volume is activated the next time.
 */
#include "device.h"
#include "lvm.h"
#include "rollback.h"

/* What libvirt's backend puts on a copy that is no snapshot. */
#define TAG_CLONE QUOTA_TAG_PREFIX "clone"

/* How long udev may look at a device whenever somebody who could write has
 * closed it. */
#define BUSY_TRIES 5
#define BUSY_WAIT_US (300 * 1000)

static bool
rollback_has_tag(const LvmLv *lv, const char *tag)
{
    g_auto(GStrv) tags = g_strsplit(lv->tags, ",", -1);

    return g_strv_contains((const char *const *)tags, tag);
}

static bool
rollback_is_open(const LvmLv *lv)
{
    struct device device;

    return device_read(lv->dm_uuid, &device) == 0 && device.is_open;
}

/* rollback_find: the snapshot's LV, and its origin's. */
static bool
rollback_find(const LvmGroup *group, const char *tenant, const char *volume,
              const LvmLv **snapshot, const LvmLv **origin, GError **error)
{
    char name[QUOTA_LV_MAX_BYTES + 1];

    *snapshot = quota_name_format_lv(tenant, volume, name) == 0
        ? lvm_group_find_lv(group, name) : NULL;
    if (!*snapshot || g_strcmp0((*snapshot)->tenant, tenant) != 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "tenant %s has no volume '%s'", tenant, volume);
        return false;
    }
    *origin = lvm_group_find_lv(group, (*snapshot)->origin);
    if (!*origin || g_strcmp0((*origin)->tenant, tenant) != 0 ||
        rollback_has_tag(*snapshot, TAG_CLONE) ||
        !g_str_equal((*snapshot)->pool, (*origin)->pool)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "volume '%s' of tenant %s is no snapshot of another volume "
                    "of the tenant: nothing to roll back", volume, tenant);
        return false;
    }
    return true;
}

static bool
rollback_check_unused(const LvmLv *snapshot, const LvmLv *origin,
                      GError **error)
{
    const LvmLv *open = NULL;

    for (unsigned tries = 0; tries <= BUSY_TRIES; tries++) {
        if (tries)
            g_usleep(BUSY_WAIT_US);
        open = rollback_is_open(origin) ? origin
            : rollback_is_open(snapshot) ? snapshot : NULL;
        if (!open)
            return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                "%s is in use: stop the guest, or whatever has it open, first",
                open->name);
    return false;
}

static bool
rollback_merge(int lock_fd, const LvmGroup *group, const LvmLv *snapshot,
               GError **error)
{
    g_autofree char *lv = g_strdup_printf("%s/%s", group->name, snapshot->name);
    /* What a thick snapshot has kept is copied back; the volume can be used
     * meanwhile, and nobody waits for the lock. */
    const char *argv[] = {
        "lvconvert", LVM_NO_MONITORING, "--quiet", "--yes", "--merge", lv,
        *snapshot->pool ? NULL : "--background", NULL,
    };

    return lvm_change(argv, lock_fd, error);
}

bool
rollback_apply(const char *group, const char *tenant, const char *volume,
               GError **error)
{
    int lock_fd;
    g_autoptr(LvmGroup) all = lvm_group_lock(group, &lock_fd, error);
    const LvmLv *snapshot, *origin;
    bool ok;

    if (!all)
        return false;
    ok = rollback_find(all, tenant, volume, &snapshot, &origin, error) &&
        rollback_check_unused(snapshot, origin, error) &&
        rollback_merge(lock_fd, all, snapshot, error);
    quota_group_unlock(lock_fd);
    return ok;
}
