/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_group.c: what LVM knows of a volume group
 *
 * One reading of a group is shared by all pools of it, and kept until the group
 * changes: the headers on its devices tell that, without a command of LVM.  LVM
 * is asked only which devices a group has, and asked again when they turn out
 * to be others.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virhash.h"
#include "virlog.h"
#include "virstring.h"
#include "virthread.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_group");

/* By name.  Who has the group's lock may use its entry, this lock is for the
 * table alone. */
static virMutex virStorageBackendQuotaLVMGroupsLock = VIR_MUTEX_INITIALIZER;
static GHashTable *virStorageBackendQuotaLVMGroups;


static void
virStorageBackendQuotaLVMGroupSet(const char *group,
                                  struct quota_metadata *metadata)
{
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMGroupsLock);

    if (!virStorageBackendQuotaLVMGroups) {
        virStorageBackendQuotaLVMGroups =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                  (GDestroyNotify) quota_metadata_free);
    }

    if (metadata)
        g_hash_table_replace(virStorageBackendQuotaLVMGroups, g_strdup(group), metadata);
    else
        g_hash_table_remove(virStorageBackendQuotaLVMGroups, group);
}


static struct quota_metadata *
virStorageBackendQuotaLVMGroupGet(const char *group)
{
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMGroupsLock);

    if (!virStorageBackendQuotaLVMGroups)
        return NULL;

    return g_hash_table_lookup(virStorageBackendQuotaLVMGroups, group);
}


/* Asks LVM for the group's devices, and gets ready to read them. */
static struct quota_metadata *
virStorageBackendQuotaLVMGroupFind(const char *group)
{
    virStorageBackendQuotaLVMDevice *devices = NULL;
    size_t ndevices = 0;
    g_autofree const char **paths = NULL;
    struct quota_metadata *metadata = NULL;
    bool known = false;
    size_t npaths = 0;
    size_t i;

    if (virStorageBackendQuotaLVMReadDevices(&devices, &ndevices) < 0)
        goto cleanup;

    paths = g_new0(const char *, ndevices + 1);
    for (i = 0; i < ndevices; i++) {
        if (STRNEQ_NULLABLE(devices[i].group, group))
            continue;

        known = true;
        /* LVM writes [unknown] for a device that is missing */
        if (*devices[i].path == '/')
            paths[npaths++] = devices[i].path;
    }

    if (npaths > 0) {
        if (!(metadata = quota_metadata_new(group, paths, npaths)))
            virReportSystemError(ENOMEM, "%s", _("cannot read LVM's metadata"));
        virStorageBackendQuotaLVMGroupSet(group, metadata);
    } else if (known) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("all devices of volume group '%1$s' are missing: see what pvs says"),
                       group);
    } else {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' does not exist: make it with vgcreate, or name its devices in <source> and run pool-build"),
                       group);
    }

 cleanup:
    virStorageBackendQuotaLVMFreeDevices(devices, ndevices);
    return metadata;
}


/**
 * virStorageBackendQuotaLVMGroupRead:
 * @group: volume group, whose lock the caller holds
 *
 * Returns what LVM's metadata says now, which stays as it is until the next
 * call for the same group; NULL with an error if there is no such group, or if
 * none of its devices can be read.
 */
const struct quota_metadata_group *
virStorageBackendQuotaLVMGroupRead(const char *group)
{
    struct quota_metadata *metadata = virStorageBackendQuotaLVMGroupGet(group);
    const struct quota_metadata_group *now;
    bool found = false;
    int rc = -ENOENT;

    if (metadata)
        rc = quota_metadata_refresh(metadata);

    /* New, gone, renamed; or it has got a device, whose own header nobody
     * would look at: a device that is not there, but not marked as missing
     * either, costs a command each time the group changes. */
    if (rc < 0 || (rc > 0 && quota_metadata_group(metadata)->unread > 0)) {
        virStorageBackendQuotaLVMGroupSet(group, NULL);
        if (!(metadata = virStorageBackendQuotaLVMGroupFind(group)))
            return NULL;

        found = true;
        rc = quota_metadata_refresh(metadata);
    }

    if (rc < 0) {
        virReportSystemError(-rc,
                             _("cannot read LVM's metadata of volume group '%1$s' from its devices: see what vgck says"),
                             group);
        virStorageBackendQuotaLVMGroupSet(group, NULL);
        return NULL;
    }

    now = quota_metadata_group(metadata);

    if (found && (now->missing > 0 || now->unread > 0)) {
        VIR_WARN("volume group '%s' lacks %u of its devices", group,
                 now->missing + now->unread);
    }

    if (now->is_exported) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume group '%1$s' is exported: run vgimport first"),
                       group);
        return NULL;
    }

    return now;
}
