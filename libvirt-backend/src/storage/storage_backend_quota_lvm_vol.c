/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_vol.c: volumes of a tenant
 *
 * A volume is an LV <tenant>.<volume> that carries the tenant's tag from the
 * command that makes it.  Thick volumes are charged before LVM is asked for
 * the space and are never larger than what was charged; thin volumes may
 * promise more than the limit, as only written chunks count.  An LV is found
 * by its UUID among the tenant's, so a name can never reach another's.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_vol");


/* A clone inside the pool is a volume in its own right: what it shares with its
 * origin is nobody's concern. */
void
virStorageBackendQuotaLVMVolUpdateBacking(virStoragePoolDef *def,
                                          virStorageVolDef *vol,
                                          virStorageBackendQuotaLVMLV *lv)
{
    g_clear_pointer(&vol->target.backingStore, virObjectUnref);

    if (!lv->origin || virStorageBackendQuotaLVMHasTag(lv, QUOTA_TAG_CLONE))
        return;

    vol->target.backingStore = virStorageSourceNew();
    vol->target.backingStore->type = VIR_STORAGE_TYPE_BLOCK;
    vol->target.backingStore->format = VIR_STORAGE_FILE_RAW;
    vol->target.backingStore->path = g_strdup_printf("%s/%s", def->target.path,
                                                     lv->origin);
}


void
virStorageBackendQuotaLVMVolUpdate(virStoragePoolDef *def,
                                   virStorageVolDef *vol,
                                   virStorageBackendQuotaLVMLV *lv)
{
    vol->type = VIR_STORAGE_VOL_BLOCK;
    vol->target.type = VIR_STORAGE_TYPE_BLOCK;
    vol->target.format = VIR_STORAGE_FILE_RAW;

    g_free(vol->key);
    vol->key = g_strdup(lv->uuid);

    g_free(vol->target.path);
    vol->target.path = g_strdup_printf("%s/%s", def->target.path, lv->name);

    virStorageBackendQuotaLVMVolUpdateBacking(def, vol, lv);

    vol->target.capacity = lv->size;
    /* raid's legs and metadata too */
    vol->target.allocation = MAX(lv->size, lv->physicalSize);
    vol->target.sparse = virStorageBackendQuotaLVMIsThin(lv);
    if (vol->target.sparse) {
        vol->target.allocation =
            virStorageBackendQuotaLVMGetThinMapped(def->source.name, lv->name);
    } else if (virStorageBackendQuotaLVMIsThickSnapshot(lv)) {
        vol->target.capacity = lv->originSize;
    }

    virStorageBackendQuotaLVMLuksUpdate(vol, lv);
}


/**
 * virStorageBackendQuotaLVMVolNew:
 * @def: pool definition
 * @lv: an LV of the pool's tenant that is named as a volume
 */
virStorageVolDef *
virStorageBackendQuotaLVMVolNew(virStoragePoolDef *def,
                                virStorageBackendQuotaLVMLV *lv)
{
    virStorageVolDef *vol = g_new0(virStorageVolDef, 1);

    vol->name = g_strdup(lv->volume);
    virStorageBackendQuotaLVMVolUpdate(def, vol, lv);

    return vol;
}


/* The LV behind a volume.  Looked up by UUID: somebody may have removed the LV
 * and made another of the same name meanwhile. */
virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindLV(virStorageBackendQuotaLVMTenant *tenant,
                                virStorageVolDef *vol)
{
    virStorageBackendQuotaLVMLV *lv;

    lv = virStorageBackendQuotaLVMFindVolume(&tenant->report, vol->name);
    if (lv && STREQ(lv->uuid, vol->key))
        return lv;

    return NULL;
}


/* Locks the tenant and reads it, for a change of a volume */
virStorageBackendQuotaLVMTenant *
virStorageBackendQuotaLVMVolBegin(virStoragePoolDef *def)
{
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;

    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)) ||
        virStorageBackendQuotaLVMTenantRead(tenant) < 0 ||
        virStorageBackendQuotaLVMTenantRequirePool(tenant, def) < 0)
        return NULL;

    return g_steal_pointer(&tenant);
}


/* Brings ledger and pool to what LVM says after the change */
int
virStorageBackendQuotaLVMVolEnd(virStorageBackendQuotaLVMTenant *tenant,
                                virStoragePoolDef *def)
{
    if (virStorageBackendQuotaLVMTenantRead(tenant) < 0 ||
        virStorageBackendQuotaLVMTenantRequirePool(tenant, def) < 0)
        return -1;

    return virStorageBackendQuotaLVMTenantPublish(tenant, def);
}


/**
 * virStorageBackendQuotaLVMRoundUp:
 * @tenant: tenant, read
 * @vol: who asks
 * @capacity: what the volume is to hold
 * @layout: of a thick volume, NULL: of a thin one
 * @bytes: what it will hold: LVM rounds up to whole extents, on each leg
 * @physical: what a thick volume takes; what is charged must be just that
 */
int
virStorageBackendQuotaLVMRoundUp(virStorageBackendQuotaLVMTenant *tenant,
                                 virStorageVolDef *vol,
                                 unsigned long long capacity,
                                 const virStorageBackendQuotaLVMLayout *layout,
                                 unsigned long long *bytes,
                                 unsigned long long *physical)
{
    static const virStorageBackendQuotaLVMLayout linear;

    if (virStorageBackendQuotaLVMLayoutGetSizes(layout ? layout : &linear,
                                                tenant->report.extentSize,
                                                capacity, bytes, physical) < 0) {
        virReportError(VIR_ERR_OVERFLOW,
                       _("capacity of %1$llu bytes of volume '%2$s' is too large"),
                       capacity, vol->name);
        return -1;
    }

    return 0;
}


int
virStorageBackendQuotaLVMRemoveLV(virStorageBackendQuotaLVMTenant *tenant,
                                  const char *name)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVREMOVE);

    virCommandAddArg(cmd, "--force");
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, name);

    if (virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL) < 0)
        return -1;

    virStorageBackendQuotaLVMZeroForget(tenant->group, name);
    return 0;
}


/* Called for every look at a volume: asks device-mapper alone.  The storage
 * driver also calls it for the volume of another pool that one of this pool is
 * copied from. */
int
virStorageBackendQuotaLVMRefreshVol(virStoragePoolObj *pool,
                                    virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autofree char *path = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];

    if (!vol->target.sparse) {
        ignore_value(virStorageBackendQuotaLVMGetProgress(vol->target.path,
                                                          &vol->target.allocation));
        return 0;
    }

    if (quota_name_format_lv(def->source.tenant, vol->name, name) < 0)
        return 0;

    path = g_strdup_printf("%s/%s", def->target.path, name);
    if (STREQ_NULLABLE(vol->target.path, path)) {
        vol->target.allocation =
            virStorageBackendQuotaLVMGetThinMapped(def->source.name, name);
    }

    return 0;
}


static int
virStorageBackendQuotaLVMResizeLV(virStorageBackendQuotaLVMTenant *tenant,
                                  virStorageBackendQuotaLVMLV *lv,
                                  unsigned long long bytes)
{
    bool shrink = bytes < lv->size;
    g_autoptr(virCommand) cmd = NULL;

    cmd = virStorageBackendQuotaLVMCommand(shrink ? "lvreduce" : "lvextend");
    if (shrink)
        virCommandAddArg(cmd, "--force");
    virCommandAddArg(cmd, "--size");
    virCommandAddArgFormat(cmd, "%llub", bytes);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, lv->name);

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


/**
 * virStorageBackendQuotaLVMResizeVol:
 * @pool: pool object
 * @vol: volume
 * @capacity: new size, not a difference
 * @flags: VIR_STORAGE_VOL_RESIZE_*
 *
 * Unlike other backends this one sets the new sizes of volume and pool itself.
 */
int
virStorageBackendQuotaLVMResizeVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol,
                                   unsigned long long capacity,
                                   unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    virStorageBackendQuotaLVMLV *lv;
    virStorageBackendQuotaLVMLV *snapshot;
    virStorageBackendQuotaLVMLayout layout;
    unsigned long long bytes;
    unsigned long long now;
    unsigned long long physical;
    unsigned long long header;
    unsigned long long was;
    virErrorPtr err = NULL;
    int ret = 0;
    int rc;

    virCheckFlags(VIR_STORAGE_VOL_RESIZE_ALLOCATE |
                  VIR_STORAGE_VOL_RESIZE_SHRINK, -1);

    if (!(tenant = virStorageBackendQuotaLVMVolBegin(def)))
        return -1;

    if (!(lv = virStorageBackendQuotaLVMFindLV(tenant, vol))) {
        virReportError(VIR_ERR_NO_STORAGE_VOL,
                       _("the LV of volume '%1$s' is gone: run pool-refresh for pool '%2$s'"),
                       vol->name, def->name);
        return -1;
    }

    if ((snapshot = virStorageBackendQuotaLVMFindThickSnapshot(tenant, lv))) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' has a thick snapshot, '%2$s', and LVM does not resize it meanwhile: delete the snapshot first"),
                       vol->name, snapshot->name);
        return -1;
    }

    was = lv->size;
    header = virStorageBackendQuotaLVMLuksGetHeader(lv);
    if (capacity > LLONG_MAX) {
        virReportError(VIR_ERR_OVERFLOW,
                       _("capacity of %1$llu bytes of volume '%2$s' is too large"),
                       capacity, vol->name);
        return -1;
    }

    virStorageBackendQuotaLVMLayoutOfLV(lv, &layout);
    if (virStorageBackendQuotaLVMRoundUp(tenant, vol, lv->size, &layout,
                                         &bytes, &now) < 0 ||
        virStorageBackendQuotaLVMRoundUp(tenant, vol, capacity + header, &layout,
                                         &bytes, &physical) < 0)
        return -1;

    if (bytes == 0 || (bytes < lv->size && !(flags & VIR_STORAGE_VOL_RESIZE_SHRINK))) {
        virReportError(VIR_ERR_INVALID_ARG,
                       _("cannot make volume '%1$s' of %2$llu bytes smaller, %3$llu bytes: that needs the shrink flag, and more than nothing to be left"),
                       vol->name, lv->size, bytes);
        return -1;
    }

    if (virStorageBackendQuotaLVMIsThickSnapshot(lv)) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' is a thick snapshot: its capacity is that of '%2$s'"),
                       vol->name, lv->origin);
        return -1;
    }

    if (virStorageBackendQuotaLVMIsThin(lv)) {
        if (flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE) {
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("volume '%1$s' is thin and takes space as it is written: resize it without allocating"),
                           vol->name);
            return -1;
        }
    } else if (bytes > lv->size) {
        if (virStorageBackendQuotaLVMTenantCharge(tenant, vol->name,
                                                  physical - now) < 0)
            return -1;
        if ((ret = virStorageBackendQuotaLVMZeroBegin(tenant, lv->name, lv->uuid,
                                                      was)) < 0)
            virErrorPreserveLast(&err);
    }

    if (ret == 0 && bytes != was &&
        (ret = virStorageBackendQuotaLVMResizeLV(tenant, lv, bytes)) < 0)
        virErrorPreserveLast(&err);

    /* Whatever the command has said, what LVM says now counts */
    if (virStorageBackendQuotaLVMVolEnd(tenant, def) < 0)
        ret = -1;
    else if ((lv = virStorageBackendQuotaLVMFindLV(tenant, vol)))
        virStorageBackendQuotaLVMVolUpdate(def, vol, lv);

    /* Guests see the new size after this call.  Zeroing takes its time, and
     * others get at the pool meanwhile, as they do while a volume is wiped. */
    g_clear_pointer(&tenant, virStorageBackendQuotaLVMTenantFree);
    virStoragePoolObjIncrAsyncjobs(pool);
    vol->building = true;
    virObjectUnlock(pool);

    rc = virStorageBackendQuotaLVMZeroVol(def, vol, 0);

    virObjectLock(pool);
    vol->building = false;
    virStoragePoolObjDecrAsyncjobs(pool);

    if (rc < 0)
        ret = -1;
    else
        virStorageBackendQuotaLVMZeroEnd(def, vol);

    virErrorRestore(&err);
    return ret;
}
