/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_build.c: from bare devices to a tenant's thin pool
 *
 * Makes the volume group where it is missing, then the tenant's thin pool with
 * its limits as tags, all in a state that a second run completes.  Data of
 * others is never overwritten: a device with a file system or a partition
 * table only on request, one of a group that has volumes not at all.
 */

#include <config.h>

#include <sys/stat.h>

#include "read.h"
#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "vircommand.h"
#include "virerror.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


static bool
virQuotaDeviceIsSame(const char *a,
                     const char *b)
{
    struct stat sba;
    struct stat sbb;

    if (STREQ(a, b))
        return true;

    return stat(a, &sba) == 0 && stat(b, &sbb) == 0 &&
        S_ISBLK(sba.st_mode) && S_ISBLK(sbb.st_mode) &&
        sba.st_rdev == sbb.st_rdev;
}


/* The physical volume on @path, NULL if LVM knows of none there */
static const LvmDevice *
virQuotaDeviceFind(GPtrArray *devices,
                   const char *path)
{
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const LvmDevice *device = g_ptr_array_index(devices, i);

        if (virQuotaDeviceIsSame(path, device->path))
            return device;
    }

    return NULL;
}


/* Empties a device of file systems, partition tables and volume groups without
 * volumes, for VIR_STORAGE_POOL_BUILD_OVERWRITE. */
static int
virQuotaDeviceClear(virQuotaTenant *tenant,
                    const char *path,
                    const LvmDevice *device)
{
    g_autoptr(virCommand) wipefs = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    if (device && *device->group) {
        if (device->lvs > 0 || device->pvs > 1) {
            virReportError(VIR_ERR_OPERATION_INVALID,
                           _("device '%1$s' is in use by volume group '%2$s' (%3$llu volumes, %4$llu devices), which is not overwritten even on request: remove that group with vgremove first"),
                           path, device->group,
                           (unsigned long long) device->lvs,
                           (unsigned long long) device->pvs);
            return -1;
        }

        plan = lvm_plan_group_clear(device->group);
        if (virQuotaTenantRun(tenant, plan, &why) < 0)
            return -1;
    }

    /* Fails if the device is in use, e.g. mounted */
    wipefs = virCommandNewArgList("wipefs", "--all", "--quiet", path, NULL);
    return virCommandRun(wipefs, NULL);
}


/* Makes sure that @path, which is not part of the tenant's group, may become one */
static int
virQuotaDevicePrepare(virQuotaTenant *tenant,
                      const char *path,
                      const LvmDevice *device,
                      bool overwrite)
{
    if (overwrite)
        return virQuotaDeviceClear(tenant, path, device);

    if (device && *device->group) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("device '%1$s' belongs to volume group '%2$s', not to '%3$s': name another device, or free it with vgreduce or vgremove"),
                       path, device->group, tenant->group);
        return -1;
    }

    /* A physical volume of no group holds nothing; else: the blkid FS and Part
     * probing code doesn't know "lvm2", but it does know "LVM2_member". */
    if (!device && !virStorageBackendDeviceIsEmpty(path, "LVM2_member", true))
        return -1;

    return 0;
}


static int
virQuotaGroupBuild(virQuotaTenant *tenant,
                   bool overwrite)
{
    virStoragePoolDef *def = tenant->def;
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(GPtrArray) added = g_ptr_array_new();
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    bool exists = false;
    size_t i;

    if (!(devices = lvm_devices_read(&why))) {
        virQuotaReportRefusal(tenant->def, &why);
        return -1;
    }

    for (i = 0; i < devices->len; i++) {
        const LvmDevice *device = g_ptr_array_index(devices, i);

        if (STREQ(device->group, tenant->group))
            exists = true;
    }

    if (!exists && def->source.ndevice == 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' does not exist and pool '%2$s' names no device to make it on: add <device path='...'/> to <source>, or make the group with vgcreate"),
                       tenant->group, def->name);
        return -1;
    }

    for (i = 0; i < def->source.ndevice; i++) {
        const char *path = def->source.devices[i].path;
        const LvmDevice *device = virQuotaDeviceFind(devices, path);

        if (device && STREQ(device->group, tenant->group))
            continue;

        if (virQuotaDevicePrepare(tenant, path, device, overwrite) < 0)
            return -1;

        g_ptr_array_add(added, (void *) path);
    }

    if (added->len == 0)
        return 0;

    g_ptr_array_add(added, NULL);
    plan = lvm_plan_group(NULL, tenant->group, exists,
                          (const char *const *) added->pdata);
    return virQuotaTenantRun(tenant, plan, &why);
}


static int
virQuotaThinPoolBuild(virQuotaTenant *tenant)
{
    static const struct quota_limits none;
    const struct quota_limits *limits = virQuotaPoolDefGetLimits(tenant->def);
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    plan = lvm_plan_pool_build(virQuotaTenantView(tenant), tenant->name,
                               limits ? limits : &none, &why);
    return virQuotaTenantRun(tenant, plan, &why);
}


/**
 * virQuotaPoolBuild:
 * @pool: pool object
 * @flags: VIR_STORAGE_POOL_BUILD_*
 *
 * Builds what is missing.  A tenant that has its thin pool keeps it and all
 * volumes, even with VIR_STORAGE_POOL_BUILD_OVERWRITE, which is about source
 * devices alone; VIR_STORAGE_POOL_BUILD_NO_OVERWRITE makes that an error.
 */
int
virQuotaPoolBuild(virStoragePoolObj *pool,
                  unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    const LvmTenant *own;

    virCheckFlags(VIR_STORAGE_POOL_BUILD_OVERWRITE |
                  VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, -1);

    VIR_EXCLUSIVE_FLAGS_RET(VIR_STORAGE_POOL_BUILD_OVERWRITE,
                            VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, -1);

    if (!(tenant = virQuotaTenantLock(def, "pool-build")) ||
        virQuotaGroupBuild(tenant, flags & VIR_STORAGE_POOL_BUILD_OVERWRITE) < 0 ||
        virQuotaTenantRead(tenant) < 0)
        return -1;

    own = virQuotaTenantGet(tenant);

    if ((!own || !own->thin_pool || flags & VIR_STORAGE_POOL_BUILD_NO_OVERWRITE) &&
        virQuotaThinPoolBuild(tenant) < 0)
        return -1;

    if (virQuotaTenantDefine(tenant, def) < 0)
        return -1;

    return virQuotaTenantPublish(tenant);
}
