/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_source_quota.h: what a disk source remembers of the quota it is
 * under.
 *
 * Filled in where a <disk type='volume'> is translated into its path, because
 * that is the last place that sees the pool; the hypervisor driver owns the
 * node name and persists the whole in the status XML.
 */

#pragma once

#include "configmake.h"
#include "internal.h"
#include "virenum.h"

/* NOTES_DIR/GROUP/TENANT.VOLUME is there while the volume, or what it grew by,
 * holds what was on its extents before: the storage backend makes these notes,
 * and nobody starts a guest on such a volume */
#define VIR_STORAGE_SOURCE_QUOTA_NOTES_DIR LOCALSTATEDIR "/lib/libvirt/quota-lvm"

typedef struct _virStorageSourceQuota virStorageSourceQuota;
struct _virStorageSourceQuota {
    char *group; /* volume group */
    char *tenant;
    char *volume; /* as the pool calls it */

    /* Whether a write may allocate, which is so for thin volumes alone.
     * Unknown until the host side of the disk was prepared. */
    virTristateBool allocation;

    char *nodename; /* node name of the filter, while the VM is running */
};

virStorageSourceQuota *
virStorageSourceQuotaNew(const char *group,
                         const char *tenant,
                         const char *volume)
    ATTRIBUTE_NONNULL(1) ATTRIBUTE_NONNULL(2) ATTRIBUTE_NONNULL(3);

virStorageSourceQuota *
virStorageSourceQuotaCopy(const virStorageSourceQuota *src);

void
virStorageSourceQuotaFree(virStorageSourceQuota *quota);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageSourceQuota, virStorageSourceQuotaFree);
