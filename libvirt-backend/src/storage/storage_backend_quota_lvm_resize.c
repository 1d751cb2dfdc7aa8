/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_resize.c: other sizes of volumes
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "virerror.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


/* Guests see the new size already. */
static int
virQuotaVolZeroGrown(virStoragePoolObj *pool,
                     virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    int rc;

    vol->building = true;
    virQuotaPoolLend(pool, NULL);
    rc = virQuotaZeroVol(def, vol, 0);
    virQuotaPoolTakeBack(pool, NULL);
    vol->building = false;

    if (rc == 0)
        virQuotaZeroEnd(def, vol);
    return rc;
}


/* Under the group's lock.  Sets @ran once LVM may have added extents. */
static int
virQuotaVolResizeLV(virStoragePoolDef *def,
                    virStorageVolDef *vol,
                    unsigned long long capacity,
                    unsigned int flags,
                    bool *ran)
{
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    const LvmLv *lv;
    unsigned long long was;
    int ret;

    if (!(tenant = virQuotaTenantBegin(def, "vol-resize")))
        return -1;

    if (!(lv = virQuotaVolFindLV(tenant, vol))) {
        virReportError(VIR_ERR_NO_STORAGE_VOL,
                       _("the LV of volume '%1$s' is gone: run pool-refresh for pool '%2$s'"),
                       vol->name, def->name);
        return -1;
    }

    if (lvm_lv_is_thin(lv) && flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' is thin and takes space as it is written: resize it without allocating"),
                       vol->name);
        return -1;
    }

    if (capacity <= LLONG_MAX)
        capacity += virQuotaLuksGetHeader(lv);
    plan = lvm_plan_volume_resize(virQuotaTenantView(tenant), tenant->name, lv,
                                  capacity,
                                  flags & VIR_STORAGE_VOL_RESIZE_SHRINK ?
                                  LVM_RESIZE_SHRINK : 0, &why);

    was = lv->lv.size_bytes;

    /* More extents, which may have been anybody's */
    if (plan && plan->charge_bytes > 0) {
        if (!lvm_hold_check(tenant->hold, plan, &why)) {
            virQuotaReportRefusal(def, &why);
            return -1;
        }
        if (virQuotaZeroBegin(tenant, lv->name, lv->uuid, was) < 0)
            return -1;
    }

    ret = virQuotaTenantRun(tenant, plan, &why);
    *ran = plan && why.why != LVM_WHY_SLOW;

    if ((lv = virQuotaVolFindLV(tenant, vol))) {
        virQuotaVolUpdate(def, vol, lv);
        if (ret < 0 && *ran && lv->lv.size_bytes <= was)
            virQuotaZeroTakeBack(tenant, lv->name, was);
    }
    return ret;
}


/**
 * virQuotaVolResize:
 * @pool: pool object
 * @vol: volume
 * @capacity: new size, not a difference
 * @flags: VIR_STORAGE_VOL_RESIZE_*
 *
 * Unlike other backends this one sets the new sizes of volume and pool itself.
 */
int
virQuotaVolResize(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  unsigned long long capacity,
                  unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(virQuotaSlow) slow = NULL;
    virErrorPtr err;
    bool ran = false;
    int ret;

    virCheckFlags(VIR_STORAGE_VOL_RESIZE_ALLOCATE |
                  VIR_STORAGE_VOL_RESIZE_SHRINK, -1);

    /* what it grows by is zeroed */
    if (!vol->target.sparse && capacity > vol->target.capacity &&
        virQuotaSlowBegin(def, &slow) < 0)
        return -1;

    ret = virQuotaVolResizeLV(def, vol, capacity, flags, &ran);
    if (!ran)
        return ret;

    /* A command that failed may have added extents all the same */
    virErrorPreserveLast(&err);
    if (virQuotaVolZeroGrown(pool, vol) < 0)
        ret = -1;
    virErrorRestore(&err);
    return ret;
}
