/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm.c: storage backend for tenants of a volume group
 *
 * A pool of type quota-lvm is one tenant's part of a volume group: its LVs are
 * named <tenant>.<volume> and tagged with the tenant, and nothing but these is
 * ever shown, activated, deactivated or removed.  The limits are tags of the
 * tenant's thin pool; the pool's definition writes them when it changes.
 */

#include <config.h>

#include "storage_backend_quota_lvm.h"
#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm");


/* What pool-define left beside the active definition, until the pool stops:
 * its limits are to change live.  NULL if there is nothing new, or if it is
 * about something else than this tenant. */
static virStoragePoolDef *
virStorageBackendQuotaLVMGetNewDef(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    virStoragePoolDef *newDef = virStoragePoolObjGetNewDef(pool);

    /* A pool that is being created for now may have an older definition for
     * later; that must not undo what it was created with. */
    if (!newDef || virStoragePoolObjIsStarting(pool))
        return NULL;

    if (newDef->type != def->type ||
        STRNEQ(newDef->source.name, def->source.name) ||
        STRNEQ(newDef->source.tenant, def->source.tenant))
        return NULL;

    return newDef;
}


static int
virStorageBackendQuotaLVMCheckPool(virStoragePoolObj *pool,
                                   bool *isActive)
{
    /* The state file tells; that LVM agrees is for the refresh to see, which
     * comes next. */
    *isActive = virStoragePoolObjIsActive(pool);
    return 0;
}


/* Activates or deactivates LVs of the tenant, all in one command.  Returns
 * false, without an error, if LVM did not do all of it: @why has LVM's words. */
static bool
virStorageBackendQuotaLVMSetActive(virStorageBackendQuotaLVMTenant *tenant,
                                   bool on,
                                   char **why)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCHANGE);
    virStorageBackendQuotaLVMLV *thinPool = tenant->report.thinPool;
    bool thinInUse = false;
    size_t nlvs = 0;
    int status = 0;
    size_t i;

    /* Without --yes, LVM asks whether a thick snapshot's origin may change along
     * with it. */
    virCommandAddArgList(cmd, "--yes", "--activate", on ? "y" : "n", NULL);

    for (i = 0; i < tenant->report.nlvs; i++) {
        virStorageBackendQuotaLVMLV *lv = &tenant->report.lvs[i];
        bool inUse;

        if (lv == thinPool ||
            virStorageBackendQuotaLVMIsActive(tenant->group, lv->name, &inUse) == on)
            continue;

        if (!on && inUse) {
            VIR_WARN("LV %s/%s is in use and stays active",
                     tenant->group, lv->name);
            if (STREQ(lv->segtype, "thin"))
                thinInUse = true;
            continue;
        }

        virCommandAddArgFormat(cmd, "%s/%s", tenant->group, lv->name);
        nlvs++;
    }

    /* Last: deactivating it is refused while a volume in it is active */
    if (thinPool && !thinInUse &&
        virStorageBackendQuotaLVMIsActive(tenant->group, thinPool->name, NULL) != on) {
        virCommandAddArgFormat(cmd, "%s/%s", tenant->group, thinPool->name);
        nlvs++;
    }

    if (nlvs == 0)
        return true;

    virCommandSetErrorBuffer(cmd, why);
    if (virStorageBackendQuotaLVMTenantRun(tenant, cmd, &status) < 0) {
        g_free(*why);
        *why = g_strdup(virGetLastErrorMessage());
        virResetLastError();
        return false;
    }

    if (status != 0) {
        VIR_WARN("cannot %s all LVs of tenant '%s' in volume group '%s': %s",
                 on ? "activate" : "deactivate",
                 tenant->name, tenant->group, *why);
        return false;
    }

    return true;
}


static int
virStorageBackendQuotaLVMStartPool(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    virStorageBackendQuotaLVMLV *thinPool;
    g_autofree char *why = NULL;
    g_autofree char *ignored = NULL;
    unsigned long long used;

    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)) ||
        virStorageBackendQuotaLVMTenantRead(tenant) < 0 ||
        virStorageBackendQuotaLVMTenantRequirePool(tenant, def) < 0 ||
        virStorageBackendQuotaLVMTenantDefine(tenant, def, def) < 0)
        return -1;

    thinPool = tenant->report.thinPool;

    /* One volume that cannot be activated does not keep a tenant's others
     * from running, but without the thin pool nothing can be accounted. */
    if (!virStorageBackendQuotaLVMSetActive(tenant, true, &why) &&
        virStorageBackendQuotaLVMGetPoolUsed(tenant->group, thinPool->name,
                                             thinPool->chunkSize, &used, NULL) < 0) {
        /* Another host has the pool, and would miss what was activated here */
        if (tenant->report.isShared)
            virStorageBackendQuotaLVMSetActive(tenant, false, &ignored);
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("cannot activate thin pool '%1$s' of volume group '%2$s': %3$s"),
                       thinPool->name, tenant->group, why);
        return -1;
    }

    /* The ledger is the refresh's, which comes next */
    return 0;
}


static int
virStorageBackendQuotaLVMRefreshPool(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    virStoragePoolDef *newDef = virStorageBackendQuotaLVMGetNewDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    size_t i;

    /* The active definition was applied when the pool started.  What it was
     * loaded with from the state file is an old copy of the tags. */
    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)) ||
        virStorageBackendQuotaLVMTenantRead(tenant) < 0 ||
        virStorageBackendQuotaLVMZeroSettle(tenant) < 0 ||
        virStorageBackendQuotaLVMTenantRequirePool(tenant, def) < 0 ||
        virStorageBackendQuotaLVMTenantDefine(tenant, def, newDef) < 0 ||
        virStorageBackendQuotaLVMTenantPublish(tenant, def) < 0)
        return -1;

    if (newDef)
        virStorageBackendQuotaLVMCopyLayout(def, newDef);

    virStoragePoolObjClearVols(pool);

    for (i = 0; i < tenant->report.nlvs; i++) {
        virStorageBackendQuotaLVMLV *lv = &tenant->report.lvs[i];
        g_autoptr(virStorageVolDef) vol = NULL;

        /* Tagged by hand but not named as a volume: charged, not shown */
        if (lv == tenant->report.thinPool || !lv->volume)
            continue;

        vol = virStorageBackendQuotaLVMVolNew(def, lv);
        if (virStoragePoolObjAddVol(pool, vol) < 0)
            return -1;
        vol = NULL;
    }

    return 0;
}


/* Stops what can be stopped: LVs that guests or others have open stay, and so
 * does the ledger that such writers account in. */
static int
virStorageBackendQuotaLVMStopPool(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    g_autofree char *why = NULL;

    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)))
        return -1;

    /* A group that went away has nothing left to deactivate */
    if (virStorageBackendQuotaLVMTenantRead(tenant) < 0) {
        VIR_WARN("stopping pool '%s' without its volume group: %s",
                 def->name, virGetLastErrorMessage());
        virResetLastError();
        return 0;
    }

    virStorageBackendQuotaLVMSetActive(tenant, false, &why);
    return 0;
}


/* Removes the tenant from its group.  Volumes are never removed along with
 * it, and the group stays: other tenants may live there. */
static int
virStorageBackendQuotaLVMDeletePool(virStoragePoolObj *pool,
                                    unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    virStorageBackendQuotaLVMReport *report;
    int rc;

    virCheckFlags(0, -1);

    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)) ||
        virStorageBackendQuotaLVMTenantRead(tenant) < 0)
        return -1;

    report = &tenant->report;

    if (report->nlvs > (report->thinPool ? 1 : 0)) {
        const char *volume = report->lvs[0].name;

        if (&report->lvs[0] == report->thinPool)
            volume = report->lvs[1].name;

        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("tenant '%1$s' still has %2$zu volumes in volume group '%3$s', among them '%4$s': delete them with vol-delete first"),
                       tenant->name, report->nlvs - (report->thinPool ? 1 : 0),
                       tenant->group, volume);
        return -1;
    }

    if (report->thinPool) {
        g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVREMOVE);

        virCommandAddArg(cmd, "--force");
        virCommandAddArgFormat(cmd, "%s/%s", tenant->group, report->thinPool->name);
        if (virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL) < 0)
            return -1;
    }

    rc = quota_ledger_unlink(tenant->group, tenant->name);
    if (rc < 0 && rc != -ENOENT) {
        virReportSystemError(-rc,
                             _("cannot remove the ledger of tenant '%1$s' of volume group '%2$s'"),
                             tenant->name, tenant->group);
        return -1;
    }

    return 0;
}


virStorageBackend virStorageBackendQuotaLVM = {
    .type = VIR_STORAGE_POOL_QUOTA_LVM,

    .findPoolSources = virStorageBackendQuotaLVMFindPoolSources,
    .checkPool = virStorageBackendQuotaLVMCheckPool,
    .startPool = virStorageBackendQuotaLVMStartPool,
    .buildPool = virStorageBackendQuotaLVMBuildPool,
    .refreshPool = virStorageBackendQuotaLVMRefreshPool,
    .refreshKeepsPool = true,
    .refreshPoolSizes = virStorageBackendQuotaLVMRefreshPoolSizes,
    .stopPool = virStorageBackendQuotaLVMStopPool,
    .deletePool = virStorageBackendQuotaLVMDeletePool,
    .buildVol = virStorageBackendQuotaLVMBuildVol,
    .buildVolFrom = virStorageBackendQuotaLVMBuildVolFrom,
    .createVol = virStorageBackendQuotaLVMCreateVol,
    .createVolFrom = virStorageBackendQuotaLVMCreateVolFrom,
    .refreshVol = virStorageBackendQuotaLVMRefreshVol,
    .deleteVol = virStorageBackendQuotaLVMDeleteVol,
    .resizeVol = virStorageBackendQuotaLVMResizeVol,
    .uploadVol = virStorageBackendQuotaLVMUploadVol,
    .downloadVol = virStorageBackendVolDownloadLocal,
    .wipeVol = virStorageBackendQuotaLVMWipeVol,
};


int
virStorageBackendQuotaLVMRegister(void)
{
    if (virStorageBackendRegister(&virStorageBackendQuotaLVM) < 0)
        return -1;

    return virStorageBackendNamespaceInit(VIR_STORAGE_POOL_QUOTA_LVM,
                                          &virStoragePoolQuotaLVMXMLNamespace);
}
