/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_delete.c: the end of a volume
 *
 * A volume that others need stays, and its own snapshots go with it only on
 * request.
 */

#include <config.h>

#include <fcntl.h>

#include "device.h"
#include "storage_backend_quota_lvm_internal.h"
#include "virerror.h"
#include "virlog.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_delete");


/* Zeroing takes its time, so it is done while neither the group nor the pool is
 * locked, after a look at whether the volume may be deleted at all.  The chunks of a thin
 * volume are zeroed before anybody else gets to read them in any case. */
static int
virQuotaVolZeroFirst(virStoragePoolObj *pool,
                     virStorageVolDef *vol,
                     bool withSnapshots,
                     LvmRefusal *why)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_autofree char *name = NULL;
    const LvmLv *lv;
    int rc;

    if (!(tenant = virQuotaTenantBegin(def, "vol-delete")))
        return -1;

    if (!(lv = virQuotaVolFindLV(tenant, vol)) || lvm_lv_is_thin(lv))
        return 0;

    if (lvm_lv_is_thick_snapshot(lv) ||
        lvm_group_find_thick_snapshot(virQuotaTenantView(tenant), lv)) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' is, or has, a thick snapshot, whose store would be filled with zeroes: delete the snapshot without zeroing, then the volume with it"),
                       vol->name);
        return -1;
    }

    if (!(plan = lvm_plan_volume_remove(virQuotaTenantView(tenant), tenant->name,
                                        lv, withSnapshots, why)) ||
        !lvm_hold_check(tenant->hold, plan, why)) {
        virQuotaReportRefusal(def, why);
        return -1;
    }

    g_clear_pointer(&tenant, virQuotaTenantFree);

    vol->building = true;
    virQuotaPoolLend(pool, NULL);
    rc = virQuotaZeroDevice(vol->target.path, 0, O_EXCL);

    if (rc == 0) {
        /* udev looks at what was written */
        name = g_path_get_basename(vol->target.path);
        (void) device_wait_unused(def->source.name, name);
    }

    virQuotaPoolTakeBack(pool, NULL);
    vol->building = false;
    return rc;
}


struct virQuotaVolGoneData {
    virQuotaTenant *tenant;
    virStorageVolDef *vol;
};

/* Tells volumes that have no LV any more; all others forget an origin that is
 * gone. */
static bool
virQuotaVolIsGone(virStorageVolDef *vol,
                  const void *opaque)
{
    const struct virQuotaVolGoneData *data = opaque;
    const LvmLv *lv;

    if (vol == data->vol || vol->building || vol->in_use)
        return false;

    if (!(lv = virQuotaVolFindLV(data->tenant, vol)))
        return true;

    virQuotaVolUpdateBacking(data->tenant->def, vol, lv);
    return false;
}


/* The storage driver removes @vol from the pool and knows of nothing else that
 * went with it */
static void
virQuotaVolForgetGone(virStoragePoolObj *pool,
                      virQuotaTenant *tenant,
                      virStorageVolDef *vol)
{
    struct virQuotaVolGoneData data = { tenant, vol };
    virStorageVolDef *gone;

    while ((gone = virStoragePoolObjSearchVolume(pool, virQuotaVolIsGone, &data)))
        virStoragePoolObjRemoveVol(pool, gone);
}


static int
virQuotaVolDeleteOnce(virStoragePoolObj *pool,
                      virStorageVolDef *vol,
                      unsigned int *flags,
                      LvmRefusal *why)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    bool withSnapshots = *flags & VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS;
    g_auto(virQuotaSlow) slow = NULL;
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    const LvmLv *lv;
    int ret = 0;

    if (*flags & VIR_STORAGE_VOL_DELETE_ZEROED) {
        if (virQuotaSlowBegin(def, &slow) < 0 ||
            virQuotaVolZeroFirst(pool, vol, withSnapshots, why) < 0)
            return -1;
        *flags &= ~VIR_STORAGE_VOL_DELETE_ZEROED;
    }

    if (!(tenant = virQuotaTenantBegin(def, "vol-delete")))
        return -1;

    if ((lv = virQuotaVolFindLV(tenant, vol))) {
        plan = lvm_plan_volume_remove(virQuotaTenantView(tenant), tenant->name, lv,
                                      withSnapshots, why);
        if ((ret = virQuotaTenantRun(tenant, plan, why)) == 0)
            virQuotaZeroEnd(def, vol);
    } else {
        VIR_WARN("LV of volume '%s' of pool '%s' is gone already",
                 vol->name, def->name);
        ret = virQuotaTenantPublish(tenant);
    }

    virQuotaVolForgetGone(pool, tenant, vol);
    return ret;
}


/**
 * virQuotaVolDelete:
 * @pool: pool object
 * @vol: volume
 * @flags: VIR_STORAGE_VOL_DELETE_*
 */
int
virQuotaVolDelete(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  unsigned int flags)
{
    g_auto(LvmRefusal) why = { 0 };
    virErrorPtr undone;
    int ret;

    virCheckFlags(VIR_STORAGE_VOL_DELETE_ZEROED |
                  VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS, -1);

    /* Of what the storage driver undoes: a refusal that was waited for forgets it */
    virErrorPreserveLast(&undone);

    ret = virQuotaVolDeleteOnce(pool, vol, &flags, &why);
    if (ret < 0 && virQuotaPoolWait(pool, vol, &why))
        ret = virQuotaVolDeleteOnce(pool, vol, &flags, &why);

    if (undone && undone->code != VIR_ERR_OK)
        virErrorRestore(&undone);
    else
        virFreeError(undone);
    return ret;
}
