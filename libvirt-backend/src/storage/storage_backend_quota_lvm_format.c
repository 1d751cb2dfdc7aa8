/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_format.c: encrypting new volumes
 *
 * By libvirt's own steps with qemu-img, which knows no ledger: what it may write
 * is reserved first.  The tag that tells of it comes last.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "virerror.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


/**
 * virQuotaFormatTag:
 * @pool: pool object, not locked
 * @vol: shallow copy of a new volume that has its header
 * @payload: where the payload begins, sectors; 0: the header is to tell
 *
 * Tags the LV, and brings the volume itself to what the tag says: its strings
 * are no longer those of @vol.
 */
int
virQuotaFormatTag(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  int payload)
{
    VIR_LOCK_GUARD lock = virObjectLockGuard(pool);
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *tag = NULL;
    const LvmLv *lv;
    virStorageVolDef *shown;

    if (payload == 0 &&
        virQuotaLuksReadPayload(vol->target.path, &payload) < 0)
        return -1;

    if (!(tenant = virQuotaTenantBegin(def, "encrypt")))
        return -1;

    if (!(lv = virQuotaVolFindLV(tenant, vol))) {
        virReportError(VIR_ERR_NO_STORAGE_VOL,
                       _("volume '%1$s' vanished while it was encrypted"),
                       vol->name);
        return -1;
    }

    tag = virQuotaLuksFormatTag(vol, payload);
    plan = lvm_plan_volume_tag(virQuotaTenantView(tenant), tenant->name, lv, tag);
    if (virQuotaTenantRun(tenant, plan, &why) < 0)
        return -1;

    if ((lv = virQuotaVolFindLV(tenant, vol)) &&
        (shown = virStorageVolDefFindByName(pool, vol->name)))
        virQuotaVolUpdate(def, shown, lv);
    return 0;
}


/**
 * virQuotaFormatQemuImg:
 * @pool: pool object
 * @vol: new volume
 * @inputvol: what it is to hold; NULL: nothing but a header
 *
 * By libvirt's own steps with qemu-img, for which the size of a volume is what
 * a guest sees.
 */
int
virQuotaFormatQemuImg(virStoragePoolObj *pool,
                      virStorageVolDef *vol,
                      virStorageVolDef *inputvol)
{
    unsigned long long header = virQuotaLuksGetNewHeader(vol);
    int ret;

    vol->target.capacity -= header;
    ret = virStorageBackendCreateVolUsingQemuImg(pool, vol, inputvol, 0);
    vol->target.capacity += header;

    return ret;
}


/**
 * virQuotaFormatVol:
 * @pool: pool object, not locked: making a key takes seconds
 * @vol: shallow copy of a new volume that is to be encrypted
 */
int
virQuotaFormatVol(virStoragePoolObj *pool,
                  virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaWriter) writer = NULL;

    if (!(writer = virQuotaWriterNew(def, vol)) ||
        virQuotaWriterReserve(writer, virQuotaLuksGetNewHeader(vol)) < 0 ||
        virQuotaFormatQemuImg(pool, vol, NULL) < 0)
        return -1;

    return virQuotaFormatTag(pool, vol, 0);
}
