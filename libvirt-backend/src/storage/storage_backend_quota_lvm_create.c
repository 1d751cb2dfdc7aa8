/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_create.c: new volumes of a tenant
 *
 * What a volume takes is charged before LVM is asked for it, and whatever goes
 * wrong after that leaves neither an LV nor a charge behind.
 */

#include <config.h>

#include <unistd.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "viralloc.h"
#include "virerror.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


/* @layout: NULL for a thin volume */
static int
virStorageBackendQuotaLVMCreateLV(virStorageBackendQuotaLVMTenant *tenant,
                                  const char *name,
                                  unsigned long long bytes,
                                  const virStorageBackendQuotaLVMLayout *layout)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCREATE);

    virCommandAddArgList(cmd, "--yes", "--name", name, "--addtag", NULL);
    virCommandAddArgFormat(cmd, "%s%s", QUOTA_TAG_TENANT, tenant->name);

    if (!layout) {
        virCommandAddArgList(cmd, "--type", "thin", "--virtualsize", NULL);
        virCommandAddArgFormat(cmd, "%llub", bytes);
        virCommandAddArg(cmd, "--thinpool");
        virCommandAddArgFormat(cmd, "%s/%s", tenant->group,
                               tenant->report.thinPool->name);
    } else {
        /* What a former owner of the extents left must not be mistaken for
         * the new volume's own file system; the rest of it is zeroed later. */
        virStorageBackendQuotaLVMLayoutAddArgs(layout, cmd);
        virCommandAddArgList(cmd,
                             "--wipesignatures", "y",
                             "--zero", "y",
                             "--size", NULL);
        virCommandAddArgFormat(cmd, "%llub", bytes);
        virCommandAddArg(cmd, tenant->group);
    }

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


int
virStorageBackendQuotaLVMCheckNewVol(virStoragePoolDef *def,
                                     virStorageVolDef *vol)
{
    const char *why = NULL;

    if (quota_name_check_volume(def->source.tenant, vol->name, &why) < 0) {
        virReportError(VIR_ERR_INVALID_ARG,
                       _("volume name '%1$s' %2$s"), vol->name, why);
        return -1;
    }

    /* The storage driver's own check, for backends without buildVol; a snapshot
     * has its origin's */
    if (vol->target.capacity == 0 && !virStorageSourceHasBacking(&vol->target)) {
        virReportError(VIR_ERR_NO_SUPPORT, "%s",
                       _("volume capacity required for this storage pool"));
        return -1;
    }

    return virStorageBackendQuotaLVMLuksCheck(vol);
}


/* Permissions are only touched on request: opening the device, as a check of
 * them would need, is left to who uses it. */
static int
virStorageBackendQuotaLVMSetPerms(virStorageVolDef *vol)
{
    virStoragePerms *perms = vol->target.perms;
    const char *path = vol->target.path;

    if (!perms)
        return 0;

    if ((perms->uid != (uid_t) -1 || perms->gid != (gid_t) -1) &&
        chown(path, perms->uid, perms->gid) < 0) {
        virReportSystemError(errno, _("cannot set file owner '%1$s'"), path);
        return -1;
    }

    if (perms->mode != (mode_t) -1 && chmod(path, perms->mode) < 0) {
        virReportSystemError(errno, _("cannot set file mode '%1$s'"), path);
        return -1;
    }

    return 0;
}


/**
 * virStorageBackendQuotaLVMCreateUndo:
 * @tenant: tenant, locked, which had no such volume before
 * @def: pool definition
 * @vol: new volume
 *
 * After an error, which is kept: removes the LV, if there is one, and what was
 * charged for it.  A command of LVM that failed may have made it all the same.
 */
void
virStorageBackendQuotaLVMCreateUndo(virStorageBackendQuotaLVMTenant *tenant,
                                    virStoragePoolDef *def,
                                    virStorageVolDef *vol)
{
    virStorageBackendQuotaLVMLV *lv;
    virErrorPtr err;

    virErrorPreserveLast(&err);

    if (virStorageBackendQuotaLVMTenantRead(tenant) == 0) {
        if ((lv = virStorageBackendQuotaLVMFindVolume(&tenant->report, vol->name)))
            ignore_value(virStorageBackendQuotaLVMRemoveLV(tenant, lv->name));
        else
            virStorageBackendQuotaLVMZeroEnd(def, vol);
    }

    ignore_value(virStorageBackendQuotaLVMVolEnd(tenant, def));
    virErrorRestore(&err);
}


/* The same while neither pool nor tenant is locked: what takes long has failed */
static void
virStorageBackendQuotaLVMCreateAbandon(virStoragePoolObj *pool,
                                       virStorageVolDef *vol)
{
    VIR_LOCK_GUARD lock = virObjectLockGuard(pool);
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    virErrorPtr err;

    virErrorPreserveLast(&err);
    if ((tenant = virStorageBackendQuotaLVMVolBegin(def)))
        virStorageBackendQuotaLVMCreateUndo(tenant, def, vol);
    virErrorRestore(&err);
}


/**
 * virStorageBackendQuotaLVMCreateEnd:
 * @tenant: tenant, locked
 * @def: pool definition
 * @vol: new volume, brought to what LVM says of it; removed again on error
 */
int
virStorageBackendQuotaLVMCreateEnd(virStorageBackendQuotaLVMTenant *tenant,
                                   virStoragePoolDef *def,
                                   virStorageVolDef *vol)
{
    virStorageBackendQuotaLVMLV *lv;

    if (virStorageBackendQuotaLVMVolEnd(tenant, def) < 0)
        goto error;

    if (!(lv = virStorageBackendQuotaLVMFindVolume(&tenant->report, vol->name))) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("cannot find newly created volume '%1$s'"), vol->name);
        goto error;
    }

    virStorageBackendQuotaLVMVolUpdate(def, vol, lv);

    if (virStorageBackendQuotaLVMZeroMade(tenant, lv) < 0 ||
        virStorageBackendQuotaLVMSetPerms(vol) < 0)
        goto error;

    return 0;

 error:
    virStorageBackendQuotaLVMCreateUndo(tenant, def, vol);
    return -1;
}


static int
virStorageBackendQuotaLVMCreateFromBacking(virStorageBackendQuotaLVMTenant *tenant,
                                           virStoragePoolDef *def,
                                           virStorageVolDef *vol,
                                           const char *name)
{
    g_auto(virStorageBackendQuotaLVMReport) whole = { 0 };
    virStorageBackendQuotaLVMLV *origin;

    if (virStorageBackendQuotaLVMFindOrigin(tenant, def, vol,
                                            vol->target.backingStore->path,
                                            &origin, &whole) < 0)
        return -1;

    return virStorageBackendQuotaLVMCreateSnapshot(tenant, vol, origin, name,
                                                   false);
}


static int
virStorageBackendQuotaLVMCreateEmpty(virStorageBackendQuotaLVMTenant *tenant,
                                     virStoragePoolDef *def,
                                     virStorageVolDef *vol,
                                     const char *name)
{
    bool thin = vol->target.allocation < vol->target.capacity;
    unsigned long long header = virStorageBackendQuotaLVMLuksGetNewHeader(vol);
    const virStorageBackendQuotaLVMLayout *layout = NULL;
    unsigned long long bytes;
    unsigned long long physical;

    if (!thin)
        layout = virStorageBackendQuotaLVMGetLayout(def);

    if (virStorageBackendQuotaLVMRoundUp(tenant, vol, vol->target.capacity + header,
                                         layout, &bytes, &physical) < 0)
        return -1;

    if (!thin &&
        (virStorageBackendQuotaLVMTenantCharge(tenant, vol->name, physical) < 0 ||
         virStorageBackendQuotaLVMZeroBegin(tenant, name, NULL, 0) < 0))
        return -1;

    return virStorageBackendQuotaLVMCreateLV(tenant, name, bytes, layout);
}


/**
 * virStorageBackendQuotaLVMCreateVol:
 * @pool: pool object
 * @vol: volume; one with a backing store is a snapshot of that; any other is
 *       thin if it asks for less allocation than capacity
 */
int
virStorageBackendQuotaLVMCreateVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];
    int rc;

    if (virStorageBackendQuotaLVMCheckNewVol(def, vol) < 0 ||
        quota_name_format_lv(def->source.tenant, vol->name, name) < 0)
        return -1;

    if (!(tenant = virStorageBackendQuotaLVMVolBegin(def)) ||
        virStorageBackendQuotaLVMTenantCheckNew(tenant, vol->name) < 0)
        return -1;

    /* Of one of this name that is gone */
    virStorageBackendQuotaLVMZeroForget(tenant->group, name);

    if (vol->target.encryption && virStorageSourceHasBacking(&vol->target)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("volume '%1$s' is encrypted as its backing store is: leave out <encryption>"),
                       vol->name);
        return -1;
    }

    if (virStorageSourceHasBacking(&vol->target))
        rc = virStorageBackendQuotaLVMCreateFromBacking(tenant, def, vol, name);
    else
        rc = virStorageBackendQuotaLVMCreateEmpty(tenant, def, vol, name);

    if (rc < 0) {
        virStorageBackendQuotaLVMCreateUndo(tenant, def, vol);
        return -1;
    }

    return virStorageBackendQuotaLVMCreateEnd(tenant, def, vol);
}


/**
 * virStorageBackendQuotaLVMBuildVol:
 * @pool: pool object, not locked: this takes its time
 * @vol: shallow copy of a volume that was just made without content
 * @flags: of no use to block volumes
 */
int
virStorageBackendQuotaLVMBuildVol(virStoragePoolObj *pool,
                                  virStorageVolDef *vol,
                                  unsigned int flags G_GNUC_UNUSED)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);

    /* A snapshot has its origin's header */
    if (virStorageBackendQuotaLVMZeroVol(def, vol, 0) < 0 ||
        (vol->target.encryption && !virStorageSourceHasBacking(&vol->target) &&
         virStorageBackendQuotaLVMLuksFormat(pool, vol) < 0)) {
        virStorageBackendQuotaLVMCreateAbandon(pool, vol);
        return -1;
    }

    virStorageBackendQuotaLVMZeroEnd(def, vol);
    return 0;
}
