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

#include "command.h"
#include "device.h"
#include "read.h"
#include "storage_backend_quota_lvm.h"
#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "thin-status.h"
#include "virerror.h"
#include "virlog.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm");


/* What pool-define left beside the active definition, until the pool stops:
 * its limits are to change live.  NULL if there is nothing new, or if it is
 * about something else than this tenant. */
static virStoragePoolDef *
virQuotaPoolGetNewDef(virStoragePoolObj *pool)
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
virQuotaPoolCheck(virStoragePoolObj *pool,
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
virQuotaPoolSetActive(virQuotaTenant *tenant,
                      bool on,
                      bool checked,
                      LvmRefusal *why)
{
    const LvmTenant *own = virQuotaTenantGet(tenant);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(LvmPlan) plan = NULL;
    g_autofree char *words = NULL;
    bool thinInUse = false;
    size_t i;

    for (i = 0; own && i < own->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(own->lvs, i);
        bool inUse;

        if (lv == own->thin_pool ||
            device_is_active(tenant->group, lv->name, &inUse) == on)
            continue;

        if (!on && inUse) {
            VIR_WARN("LV %s/%s is in use and stays active",
                     tenant->group, lv->name);
            if (lvm_lv_is_thin(lv))
                thinInUse = true;
            continue;
        }

        g_ptr_array_add(names, lv->name);
    }

    /* Last: deactivating it is refused while a volume in it is active */
    if (own && own->thin_pool && !thinInUse &&
        device_is_active(tenant->group, own->thin_pool->name, NULL) != on)
        g_ptr_array_add(names, own->thin_pool->name);

    if (names->len == 0)
        return true;

    g_ptr_array_add(names, NULL);
    plan = lvm_plan_activate(virQuotaTenantView(tenant), tenant->name, on, checked,
                             (const char *const *) names->pdata);
    if (lvm_hold_run(tenant->hold, plan, why))
        return true;

    words = lvm_refusal_format(why);
    VIR_WARN("cannot %s all LVs of tenant '%s' in volume group '%s': %s",
             on ? "activate" : "deactivate", tenant->name, tenant->group, words);
    return false;
}


/* Metadata of this size is checked apart.  What is smaller LVM checks about as
 * fast as it runs two commands. */
#define CHECK_APART_BYTES (16ULL << 20)


/* Activates or deactivates the metadata of the tenant's thin pool, alone.
 * Returns false, without an error, if there is nothing to be done. */
static bool
virQuotaPoolSetMetadataActive(virStoragePoolDef *def,
                              const char *name,
                              bool on)
{
    g_autofree char *metadata = g_strconcat(name, LVM_METADATA_SUFFIX, NULL);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    const LvmTenant *own;

    if (device_is_active(def->source.name, name, NULL) ||
        device_is_active(def->source.name, metadata, NULL) == on)
        return false;

    if (!(tenant = virQuotaTenantBegin(def, "pool-start"))) {
        virResetLastError();
        return false;
    }

    own = virQuotaTenantGet(tenant);
    if (!own || !own->thin_pool ||
        (on && own->thin_pool->metadata_bytes < CHECK_APART_BYTES))
        return false;

    plan = lvm_plan_activate_metadata(virQuotaTenantView(tenant), tenant->name, on);
    return lvm_hold_run(tenant->hold, plan, &why);
}


/* LVM checks a thin pool while it has the group locked, and other tenants do not
 * grow for as long as that takes.  Checks it before, with nothing locked.  *@good is
 * whether it is all right: if not, LVM has to find that, and say it. */
static int
virQuotaPoolThinCheck(virStoragePoolObj *pool,
                      const char *name,
                      bool *good)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(virQuotaSlow) slow = NULL;
    virErrorPtr busy;

    *good = false;

    /* left by a check that was killed: the pool cannot be activated beside it */
    virQuotaPoolSetMetadataActive(def, name, false);

    if (!virQuotaPoolSetMetadataActive(def, name, true))
        return 0;

    if (virQuotaSlowBegin(def, &slow) < 0) {
        virErrorPreserveLast(&busy);
        virQuotaPoolSetMetadataActive(def, name, false);
        virErrorRestore(&busy);
        return -1;
    }

    virQuotaPoolLend(pool, NULL);
    *good = lvm_thin_check(def->source.name, name);
    virQuotaPoolTakeBack(pool, NULL);

    virQuotaPoolSetMetadataActive(def, name, false);
    return 0;
}


static int
virQuotaPoolStart(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_auto(LvmRefusal) why = { 0 };
    g_auto(LvmRefusal) ignored = { 0 };
    char name[QUOTA_LV_MAX_BYTES + 1];
    struct thin_status status = { 0 };
    bool checked;
    bool done;

    if (quota_name_format_lv(def->source.tenant, QUOTA_THIN_POOL_VOLUME, name) < 0)
        return -1;

    if (virQuotaPoolThinCheck(pool, name, &checked) < 0)
        return -1;

    if (!(tenant = virQuotaTenantBegin(def, "pool-start")) ||
        virQuotaTenantDefine(tenant, def) < 0)
        return -1;

    /* One volume that cannot be activated does not keep a tenant's others
     * from running, but without the thin pool nothing can be accounted. */
    done = virQuotaPoolSetActive(tenant, true, checked, &why);

    /* A mark that only LVM's own check takes away */
    if (checked && thin_status_read_lv(tenant->group, name, &status) == 0 &&
        status.needs_check) {
        lvm_refusal_clear(&why);
        done = virQuotaPoolSetActive(tenant, false, true, &why) &&
               virQuotaPoolSetActive(tenant, true, false, &why);
    }

    if (!done && thin_status_read_lv(tenant->group, name, &status) < 0) {
        g_autofree char *words = lvm_refusal_format(&why);

        /* Another host has the pool, and would miss what was activated here */
        if (virQuotaTenantView(tenant)->is_shared && why.why != LVM_WHY_SLOW)
            virQuotaPoolSetActive(tenant, false, true, &ignored);
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("cannot activate thin pool '%1$s' of volume group '%2$s': %3$s"),
                       name, tenant->group, words);
        return -1;
    }

    /* The ledger is the refresh's, which comes next */
    return 0;
}


static int
virQuotaPoolRefresh(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    virStoragePoolDef *newDef = virQuotaPoolGetNewDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    const LvmTenant *own;
    size_t i;

    /* The active definition was applied when the pool started.  What it was
     * loaded with from the state file is an old copy of the tags. */
    if (!(tenant = virQuotaTenantBegin(def, "pool-refresh")) ||
        virQuotaZeroSettle(tenant) < 0 ||
        virQuotaTenantRequirePool(tenant) < 0 ||
        virQuotaTenantDefine(tenant, newDef) < 0 ||
        virQuotaTenantPublish(tenant) < 0)
        return -1;

    if (newDef)
        virQuotaPoolDefCopyLayout(def, newDef);

    virStoragePoolObjClearVols(pool);

    own = virQuotaTenantGet(tenant);
    for (i = 0; i < own->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(own->lvs, i);
        g_autoptr(virStorageVolDef) vol = NULL;

        /* Tagged by hand but not named as a volume: charged, not shown */
        if (lv == own->thin_pool || !lv->volume)
            continue;

        vol = virQuotaVolNew(def, lv);
        if (virStoragePoolObjAddVol(pool, vol) < 0)
            return -1;
        vol = NULL;
    }

    return 0;
}


/* Stops what can be stopped: LVs that guests or others have open stay, and so
 * does the ledger that such writers account in. */
static int
virQuotaPoolStop(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_auto(LvmRefusal) why = { 0 };

    if (!(tenant = virQuotaTenantLock(def, "pool-destroy")))
        return -1;

    /* A group that went away has nothing left to deactivate */
    if (virQuotaTenantRead(tenant) < 0) {
        VIR_WARN("stopping pool '%s' without its volume group: %s",
                 def->name, virGetLastErrorMessage());
        virResetLastError();
        return 0;
    }

    virQuotaPoolSetActive(tenant, false, true, &why);
    return 0;
}


/* Removes the tenant from its group.  Volumes are never removed along with
 * it, and the group stays: other tenants may live there. */
static int
virQuotaPoolDelete(virStoragePoolObj *pool,
                   unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    int rc;

    virCheckFlags(0, -1);

    if (!(tenant = virQuotaTenantLock(def, "pool-delete")) ||
        virQuotaTenantRead(tenant) < 0)
        return -1;

    plan = lvm_plan_pool_remove(virQuotaTenantView(tenant), tenant->name, &why);
    if (virQuotaTenantRun(tenant, plan, &why) < 0)
        return -1;

    rc = quota_ledger_unlink(tenant->group, tenant->name);
    if (rc < 0 && rc != -ENOENT) {
        virReportSystemError(-rc,
                             _("cannot remove the ledger of tenant '%1$s' of volume group '%2$s'"),
                             tenant->name, tenant->group);
        return -1;
    }

    return 0;
}


/* Every tenant that some volume group of this host has a thin pool for */
static char *
virQuotaPoolFindSources(const char *srcSpec G_GNUC_UNUSED,
                        unsigned int flags)
{
    virStoragePoolSourceList sources = { .type = VIR_STORAGE_POOL_QUOTA_LVM };
    g_autoptr(GPtrArray) tenants = NULL;
    g_auto(LvmRefusal) why = { 0 };
    char *ret = NULL;
    size_t i;

    virCheckFlags(0, NULL);

    if (!(tenants = lvm_tenants_read(NULL, &why))) {
        virQuotaReportRefusal(NULL, &why);
        return NULL;
    }

    for (i = 0; i < tenants->len; i++) {
        const LvmTenant *tenant = g_ptr_array_index(tenants, i);
        virStoragePoolSource *source;

        if (!tenant->thin_dm_uuid)
            continue;

        if (!(source = virStoragePoolSourceListNewSource(&sources)))
            goto cleanup;

        source->name = g_strdup(tenant->group);
        source->tenant = g_strdup(tenant->tenant);
    }

    ret = virStoragePoolSourceListFormat(&sources);

 cleanup:
    for (i = 0; i < sources.nsources; i++)
        virStoragePoolSourceClear(&sources.sources[i]);
    g_free(sources.sources);
    return ret;
}


virStorageBackend virStorageBackendQuotaLVM = {
    .type = VIR_STORAGE_POOL_QUOTA_LVM,

    .findPoolSources = virQuotaPoolFindSources,
    .checkPool = virQuotaPoolCheck,
    .startPool = virQuotaPoolStart,
    .buildPool = virQuotaPoolBuild,
    .refreshPool = virQuotaPoolRefresh,
    .refreshKeepsPool = true,
    .refreshPoolSizes = virQuotaPoolRefreshSizes,
    .stopPool = virQuotaPoolStop,
    .deletePool = virQuotaPoolDelete,
    .buildVol = virQuotaVolBuild,
    .buildVolFrom = virQuotaVolBuildFrom,
    .createVol = virQuotaVolCreate,
    .createVolFrom = virQuotaVolCreateFrom,
    .refreshVol = virQuotaVolRefresh,
    .deleteVol = virQuotaVolDelete,
    .resizeVol = virQuotaVolResize,
    .uploadVol = virQuotaVolUpload,
    .downloadVol = virQuotaVolDownload,
    .wipeVol = virQuotaVolWipe,
};


int
virStorageBackendQuotaLVMRegister(void)
{
    virQuotaHostInit();

    if (virStorageBackendRegister(&virStorageBackendQuotaLVM) < 0)
        return -1;

    return virStorageBackendNamespaceInit(VIR_STORAGE_POOL_QUOTA_LVM,
                                          &virQuotaPoolXMLNamespace);
}
