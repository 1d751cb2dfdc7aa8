/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_delete.c: the end of a volume
 *
 * LVM would remove whatever depends on an LV along with it, be it another
 * tenant's.  So the whole group is looked at first: a volume that others need
 * stays, and its own snapshots go with it only on request.
 */

#include <config.h>

#include <fcntl.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virfile.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_delete");


static bool
virStorageBackendQuotaLVMIsOwn(virStorageBackendQuotaLVMTenant *tenant,
                               const virStorageBackendQuotaLVMLV *lv)
{
    g_autofree char *tag = g_strdup_printf("%s%s", QUOTA_TAG_TENANT, tenant->name);

    return virStorageBackendQuotaLVMHasTag(lv, tag);
}


/* Whether @lv would be lost with its origin.  Thin volumes of one pool share
 * chunks, but none of them needs another. */
static bool
virStorageBackendQuotaLVMDependsOn(const virStorageBackendQuotaLVMLV *lv,
                                   const virStorageBackendQuotaLVMLV *origin)
{
    return STREQ_NULLABLE(lv->origin, origin->name) &&
        !(virStorageBackendQuotaLVMIsThin(lv) &&
          STREQ_NULLABLE(lv->pool, origin->pool));
}


static bool
virStorageBackendQuotaLVMIsSnapshotOf(virStorageBackendQuotaLVMTenant *tenant,
                                      const virStorageBackendQuotaLVMLV *lv,
                                      const virStorageBackendQuotaLVMLV *origin)
{
    if (STRNEQ_NULLABLE(lv->origin, origin->name) ||
        !virStorageBackendQuotaLVMIsOwn(tenant, lv) ||
        virStorageBackendQuotaLVMHasTag(lv, QUOTA_TAG_CLONE))
        return false;

    /* A clone of a base image is no snapshot of it */
    return virStorageBackendQuotaLVMIsThickSnapshot(lv) ||
        !virStorageBackendQuotaLVMDependsOn(lv, origin);
}


/* Adds @lv to what @cmd removes, after its snapshots if these are to go too */
static int
virStorageBackendQuotaLVMAddRemoval(virStorageBackendQuotaLVMTenant *tenant,
                                    virStorageBackendQuotaLVMReport *whole,
                                    virStorageBackendQuotaLVMLV *lv,
                                    bool withSnapshots,
                                    virCommand *cmd)
{
    size_t i;

    if (virStorageBackendQuotaLVMIsInUse(tenant->group, lv->name)) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume '%1$s' of tenant '%2$s' is in use: stop what has /dev/%3$s/%4$s open first"),
                       lv->volume ? lv->volume : lv->name, tenant->name,
                       tenant->group, lv->name);
        return -1;
    }

    for (i = 0; i < whole->nlvs; i++) {
        virStorageBackendQuotaLVMLV *other = &whole->lvs[i];
        bool isSnapshot = virStorageBackendQuotaLVMIsSnapshotOf(tenant, other, lv);

        if (isSnapshot && withSnapshots) {
            if (virStorageBackendQuotaLVMAddRemoval(tenant, whole, other, true,
                                                    cmd) < 0)
                return -1;
        } else if (virStorageBackendQuotaLVMDependsOn(other, lv)) {
            if (isSnapshot) {
                virReportError(VIR_ERR_OPERATION_INVALID,
                               _("volume '%1$s' of tenant '%2$s' has the thick snapshot '%3$s', which would be lost: delete that first, or both with --delete-snapshots"),
                               lv->volume ? lv->volume : lv->name,
                               tenant->name,
                               other->volume ? other->volume : other->name);
            } else {
                virReportError(VIR_ERR_OPERATION_INVALID,
                               _("volume '%1$s' of tenant '%2$s' is the base image of '%3$s', which would be lost: delete that first"),
                               lv->volume ? lv->volume : lv->name,
                               tenant->name, other->name);
            }
            return -1;
        }
    }

    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, lv->name);
    return 0;
}


static int
virStorageBackendQuotaLVMPlanRemoval(virStorageBackendQuotaLVMTenant *tenant,
                                     virStorageBackendQuotaLVMLV *lv,
                                     unsigned int flags,
                                     virCommand *cmd)
{
    g_auto(virStorageBackendQuotaLVMReport) whole = { 0 };

    if (virStorageBackendQuotaLVMReadWholeGroup(tenant->group, tenant->name,
                                                &whole) < 0)
        return -1;

    return virStorageBackendQuotaLVMAddRemoval(tenant, &whole, lv,
                                               flags & VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS,
                                               cmd);
}


/* Zeroing takes its time, so it is done while the group is not locked, after a
 * look at whether the volume may be deleted at all.  The chunks of a thin
 * volume are zeroed before anybody else gets to read them in any case. */
static int
virStorageBackendQuotaLVMZeroFirst(virStoragePoolDef *def,
                                   virStorageVolDef *vol,
                                   unsigned int flags)
{
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    g_autoptr(virCommand) plan = virCommandNew("lvremove");
    virStorageBackendQuotaLVMLV *lv;

    if (!(tenant = virStorageBackendQuotaLVMVolBegin(def)))
        return -1;

    if (!(lv = virStorageBackendQuotaLVMFindLV(tenant, vol)) ||
        virStorageBackendQuotaLVMIsThin(lv))
        return 0;

    if (virStorageBackendQuotaLVMIsThickSnapshot(lv) ||
        virStorageBackendQuotaLVMFindThickSnapshot(tenant, lv)) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' is, or has, a thick snapshot, whose store would be filled with zeroes: delete the snapshot without zeroing, then the volume with it"),
                       vol->name);
        return -1;
    }

    if (virStorageBackendQuotaLVMPlanRemoval(tenant, lv, flags, plan) < 0)
        return -1;

    g_clear_pointer(&tenant, virStorageBackendQuotaLVMTenantFree);

    return virStorageBackendQuotaLVMZeroDevice(vol->target.path, 0, O_EXCL);
}


struct virStorageBackendQuotaLVMGoneData {
    virStorageBackendQuotaLVMTenant *tenant;
    virStoragePoolDef *def;
    virStorageVolDef *vol;
};

/* Tells volumes that have no LV any more; all others forget an origin that is
 * gone. */
static bool
virStorageBackendQuotaLVMIsGone(virStorageVolDef *vol,
                                const void *opaque)
{
    const struct virStorageBackendQuotaLVMGoneData *data = opaque;
    virStorageBackendQuotaLVMLV *lv;

    if (vol == data->vol || vol->building)
        return false;

    if (!(lv = virStorageBackendQuotaLVMFindLV(data->tenant, vol)))
        return true;

    virStorageBackendQuotaLVMVolUpdateBacking(data->def, vol, lv);
    return false;
}


/* The storage driver removes @vol from the pool and knows of nothing else */
static void
virStorageBackendQuotaLVMForgetVols(virStoragePoolObj *pool,
                                    virStorageBackendQuotaLVMTenant *tenant,
                                    virStorageVolDef *vol)
{
    struct virStorageBackendQuotaLVMGoneData data = {
        tenant, virStoragePoolObjGetDef(pool), vol
    };
    virStorageVolDef *gone;

    while ((gone = virStoragePoolObjSearchVolume(pool, virStorageBackendQuotaLVMIsGone,
                                                 &data)))
        virStoragePoolObjRemoveVol(pool, gone);
}


/**
 * virStorageBackendQuotaLVMDeleteVol:
 * @pool: pool object
 * @vol: volume
 * @flags: VIR_STORAGE_VOL_DELETE_*
 */
int
virStorageBackendQuotaLVMDeleteVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol,
                                   unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVREMOVE);
    virStorageBackendQuotaLVMLV *lv;
    virErrorPtr err = NULL;
    int ret = 0;

    virCheckFlags(VIR_STORAGE_VOL_DELETE_ZEROED |
                  VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS, -1);

    if (flags & VIR_STORAGE_VOL_DELETE_ZEROED &&
        virStorageBackendQuotaLVMZeroFirst(def, vol, flags) < 0)
        return -1;

    if (!(tenant = virStorageBackendQuotaLVMVolBegin(def)))
        return -1;

    if ((lv = virStorageBackendQuotaLVMFindLV(tenant, vol))) {
        virCommandAddArg(cmd, "--force");
        if (virStorageBackendQuotaLVMPlanRemoval(tenant, lv, flags, cmd) < 0)
            return -1;
        if ((ret = virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL)) < 0)
            virErrorPreserveLast(&err);
        else
            virStorageBackendQuotaLVMZeroEnd(def, vol);
    } else {
        VIR_WARN("LV of volume '%s' of pool '%s' is gone already",
                 vol->name, def->name);
    }

    /* Whatever the command has said, what LVM says now counts; of what went
     * along with @vol the caller does not know */
    if (virStorageBackendQuotaLVMVolEnd(tenant, def) < 0)
        ret = -1;
    else
        virStorageBackendQuotaLVMForgetVols(pool, tenant, vol);

    virErrorRestore(&err);
    return ret;
}
