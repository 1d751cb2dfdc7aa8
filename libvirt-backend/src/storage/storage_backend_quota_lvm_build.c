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

#include <inttypes.h>
#include <sys/stat.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_build");

/* Every LV takes about 1 KB of the text that LVM keeps in the metadata area,
 * in which the old and the new text must fit both.  16 MiB hold 8,000 LVs, and
 * more text than 8 MiB LVM would not read without tuning (io_memory_size in
 * lvmlocal.conf(5)). */
#define METADATA_AREA_SIZE "16m"

/* What a chunk costs in the thin pool's metadata; thin_metadata_size(8) */
#define THIN_METADATA_PER_CHUNK 64ULL
#define THIN_METADATA_MIN (4ULL << 20)
/* The kernel takes no more than 15.8 GiB */
#define THIN_METADATA_MAX (15ULL << 30)
#define THIN_CHUNK_MIN (64ULL << 10)


static bool
virStorageBackendQuotaLVMIsSameDevice(const char *a,
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


/* Empties a device of file systems, partition tables and volume groups without
 * volumes, for VIR_STORAGE_POOL_BUILD_OVERWRITE. */
static int
virStorageBackendQuotaLVMClearDevice(virStorageBackendQuotaLVMTenant *tenant,
                                     const char *path,
                                     const virStorageBackendQuotaLVMDevice *pv)
{
    g_autoptr(virCommand) wipefs = NULL;

    if (pv && pv->group) {
        g_autoptr(virCommand) vgremove = NULL;

        if (pv->nlvs > 0 || pv->npvs > 1) {
            virReportError(VIR_ERR_OPERATION_INVALID,
                           _("device '%1$s' is in use by volume group '%2$s' (%3$llu volumes, %4$llu devices), which is not overwritten even on request: remove that group with vgremove first"),
                           path, pv->group, pv->nlvs, pv->npvs);
            return -1;
        }

        vgremove = virStorageBackendQuotaLVMCommand(VGREMOVE);
        virCommandAddArg(vgremove, pv->group);
        if (virStorageBackendQuotaLVMTenantRun(tenant, vgremove, NULL) < 0)
            return -1;
    }

    /* Fails if the device is in use, e.g. mounted */
    wipefs = virCommandNewArgList("wipefs", "--all", "--quiet", path, NULL);
    return virCommandRun(wipefs, NULL);
}


/* Makes sure that @path may become a part of the tenant's group.  Sets @needed
 * to false if it is one already. */
static int
virStorageBackendQuotaLVMPrepareDevice(virStorageBackendQuotaLVMTenant *tenant,
                                       const char *path,
                                       const virStorageBackendQuotaLVMDevice *pv,
                                       bool overwrite,
                                       bool *needed)
{
    *needed = !(pv && STREQ_NULLABLE(pv->group, tenant->group));
    if (!*needed)
        return 0;

    if (overwrite)
        return virStorageBackendQuotaLVMClearDevice(tenant, path, pv);

    if (pv && pv->group) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("device '%1$s' belongs to volume group '%2$s', not to '%3$s': name another device, or free it with vgreduce or vgremove"),
                       path, pv->group, tenant->group);
        return -1;
    }

    /* A physical volume of no group holds nothing */
    if (pv)
        return 0;

    /* The blkid FS and Part probing code doesn't know "lvm2", but it does
     * know "LVM2_member". */
    if (!virStorageBackendDeviceIsEmpty(path, "LVM2_member", true))
        return -1;

    return 0;
}


static int
virStorageBackendQuotaLVMBuildGroup(virStorageBackendQuotaLVMTenant *tenant,
                                    virStoragePoolDef *def,
                                    bool overwrite)
{
    const char *group = tenant->group;
    virStorageBackendQuotaLVMDevice *pvs = NULL;
    size_t npvs = 0;
    g_autoptr(virCommand) cmd = NULL;
    bool exists = false;
    size_t nadded = 0;
    size_t i;
    size_t j;
    int ret = -1;

    if (virStorageBackendQuotaLVMReadDevices(&pvs, &npvs) < 0)
        goto cleanup;

    for (i = 0; i < npvs; i++) {
        if (STREQ_NULLABLE(pvs[i].group, group))
            exists = true;
    }

    if (!exists && def->source.ndevice == 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' does not exist and pool '%2$s' names no device to make it on: add <device path='...'/> to <source>, or make the group with vgcreate"),
                       group, def->name);
        goto cleanup;
    }

    cmd = virStorageBackendQuotaLVMCommand(exists ? "vgextend" : VGCREATE);
    virCommandAddArgList(cmd, "--yes", "--metadatasize", METADATA_AREA_SIZE,
                         group, NULL);

    for (i = 0; i < def->source.ndevice; i++) {
        const char *path = def->source.devices[i].path;
        const virStorageBackendQuotaLVMDevice *pv = NULL;
        bool needed;

        for (j = 0; j < npvs; j++) {
            if (virStorageBackendQuotaLVMIsSameDevice(path, pvs[j].path))
                pv = &pvs[j];
        }

        if (virStorageBackendQuotaLVMPrepareDevice(tenant, path, pv, overwrite,
                                                   &needed) < 0)
            goto cleanup;

        if (needed) {
            virCommandAddArg(cmd, path);
            nadded++;
        }
    }

    /* vgcreate and vgextend make devices into physical volumes by themselves */
    if (nadded > 0 &&
        virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL) < 0)
        goto cleanup;

    ret = 0;

 cleanup:
    virStorageBackendQuotaLVMFreeDevices(pvs, npvs);
    return ret;
}


/**
 * virStorageBackendQuotaLVMGetMetadataSize:
 * @limit: limit of a tenant in bytes
 * @chunk: bytes of a chunk of its thin pool
 *
 * Returns the bytes of metadata that a thin pool needs to reach its limit.
 */
unsigned long long
virStorageBackendQuotaLVMGetMetadataSize(unsigned long long limit,
                                         unsigned long long chunk)
{
    unsigned long long size = limit / chunk * THIN_METADATA_PER_CHUNK;

    return MIN(MAX(size, THIN_METADATA_MIN), THIN_METADATA_MAX);
}


/* Sizes of a new thin pool, all in bytes */
typedef struct _virStorageBackendQuotaLVMThinSizes virStorageBackendQuotaLVMThinSizes;
struct _virStorageBackendQuotaLVMThinSizes {
    unsigned long long data;
    unsigned long long chunk;
    unsigned long long metadata;
};


/* The first grant is one step.  Metadata is sized for the whole limit at once,
 * as it cannot shrink and a pool that runs out of it is read-only; chunks are
 * as small as that allows, since a chunk is the smallest thing charged. */
static int
virStorageBackendQuotaLVMGetThinSizes(const struct quota_limits *limits,
                                      unsigned long long extent,
                                      virStorageBackendQuotaLVMThinSizes *sizes)
{
    unsigned long long step = limits->step_bytes ? limits->step_bytes
                                                 : QUOTA_STEP_DEFAULT_BYTES;
    unsigned long long most = limits->limit_bytes / extent * extent;

    if (most == 0) {
        char limit[QUOTA_SIZE_MAX_BYTES];
        char size[QUOTA_SIZE_MAX_BYTES];

        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("quota limit 'limit' of %1$s is less than an extent of the volume group, %2$s: raise it"),
                       quota_size_format(limits->limit_bytes, limit),
                       quota_size_format(extent, size));
        return -1;
    }

    sizes->data = MIN(VIR_DIV_UP(step, extent) * extent, most);

    sizes->chunk = THIN_CHUNK_MIN;
    while (limits->limit_bytes / sizes->chunk > THIN_METADATA_MAX / THIN_METADATA_PER_CHUNK)
        sizes->chunk *= 2;

    sizes->metadata = virStorageBackendQuotaLVMGetMetadataSize(limits->limit_bytes,
                                                               sizes->chunk);
    sizes->metadata = VIR_ROUND_UP(sizes->metadata, extent);
    return 0;
}


static void
virStorageBackendQuotaLVMAddLimitTags(virCommand *cmd,
                                      const struct quota_limits *limits)
{
    size_t i;

    for (i = 0; i < quota_limit_fields_count; i++) {
        char tag[QUOTA_TAG_MAX_BYTES];

        if (quota_tag_format_limit(limits, &quota_limit_fields[i], tag) == 0)
            virCommandAddArgList(cmd, "--addtag", tag, NULL);
    }

    virCommandAddArg(cmd, "--addtag");
    virCommandAddArgFormat(cmd, "%s%016" PRIx64, QUOTA_TAG_DEFINITION,
                           quota_limits_digest(limits));
}


static int
virStorageBackendQuotaLVMBuildThinPool(virStorageBackendQuotaLVMTenant *tenant,
                                       virStoragePoolDef *def)
{
    const struct quota_limits *limits = virStorageBackendQuotaLVMGetLimits(def);
    struct quota_group *others = &tenant->report.others;
    virStorageBackendQuotaLVMThinSizes sizes;
    g_autoptr(virCommand) cmd = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];
    char needed[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];

    if (!limits || limits->limit_bytes == 0) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("volume group '%1$s' knows no limit of tenant '%2$s': add <quota:limits><quota:limit unit='GiB'>...</quota:limit></quota:limits> to pool '%3$s'"),
                       tenant->group, tenant->name, def->name);
        return -1;
    }

    if (virStorageBackendQuotaLVMGetThinSizes(limits, tenant->report.extentSize, &sizes) < 0)
        return -1;

    if (virStorageBackendQuotaLVMTenantCheckPromises(tenant, limits) < 0)
        return -1;

    /* LVM keeps a spare as large as the largest metadata of the group */
    if (sizes.data + 2 * sizes.metadata > quota_group_free(others)) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' is full: it has %2$s free and not guaranteed to others, the thin pool of tenant '%3$s' begins with %4$s: extend the group with vgextend"),
                       tenant->group,
                       quota_size_format(quota_group_free(others), room),
                       tenant->name,
                       quota_size_format(sizes.data + 2 * sizes.metadata, needed));
        return -1;
    }

    if (quota_name_format_lv(tenant->name, QUOTA_THIN_POOL_VOLUME, name) < 0)
        return -1;

    cmd = virStorageBackendQuotaLVMCommand(LVCREATE);
    virCommandAddArgList(cmd,
                         "--type", "thin-pool",
                         "--name", name,
                         "--zero", "y",
                         "--discards", "passdown",
                         "--size", NULL);
    virCommandAddArgFormat(cmd, "%llub", sizes.data);
    virCommandAddArg(cmd, "--chunksize");
    virCommandAddArgFormat(cmd, "%llub", sizes.chunk);
    virCommandAddArg(cmd, "--poolmetadatasize");
    virCommandAddArgFormat(cmd, "%llub", sizes.metadata);
    virCommandAddArg(cmd, "--addtag");
    virCommandAddArgFormat(cmd, "%s%s", QUOTA_TAG_TENANT, tenant->name);
    virStorageBackendQuotaLVMAddLimitTags(cmd, limits);
    virCommandAddArgList(cmd, "--yes", tenant->group, NULL);

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


/**
 * virStorageBackendQuotaLVMBuildPool:
 * @pool: pool object
 * @flags: VIR_STORAGE_POOL_BUILD_*
 *
 * Builds what is missing.  A tenant that has its thin pool keeps it and all
 * volumes, even with VIR_STORAGE_POOL_BUILD_OVERWRITE, which is about source
 * devices alone; VIR_STORAGE_POOL_BUILD_NO_OVERWRITE makes that an error.
 */
int
virStorageBackendQuotaLVMBuildPool(virStoragePoolObj *pool,
                                   unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;

    virCheckFlags(VIR_STORAGE_POOL_BUILD_OVERWRITE |
                  VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, -1);

    VIR_EXCLUSIVE_FLAGS_RET(VIR_STORAGE_POOL_BUILD_OVERWRITE,
                            VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, -1);

    if (!(tenant = virStorageBackendQuotaLVMTenantLock(def)) ||
        virStorageBackendQuotaLVMBuildGroup(tenant, def,
                                            flags & VIR_STORAGE_POOL_BUILD_OVERWRITE) < 0 ||
        virStorageBackendQuotaLVMTenantRead(tenant) < 0)
        return -1;

    if (tenant->report.thinPool) {
        if (flags & VIR_STORAGE_POOL_BUILD_NO_OVERWRITE) {
            virReportError(VIR_ERR_OPERATION_INVALID,
                           _("volume group '%1$s' has a thin pool of tenant '%2$s' already"),
                           tenant->group, tenant->name);
            return -1;
        }
    } else {
        if (virStorageBackendQuotaLVMBuildThinPool(tenant, def) < 0 ||
            virStorageBackendQuotaLVMTenantRead(tenant) < 0)
            return -1;
    }

    if (virStorageBackendQuotaLVMTenantRequirePool(tenant, def) < 0 ||
        virStorageBackendQuotaLVMTenantDefine(tenant, def, def) < 0)
        return -1;

    return virStorageBackendQuotaLVMTenantPublish(tenant, def);
}
