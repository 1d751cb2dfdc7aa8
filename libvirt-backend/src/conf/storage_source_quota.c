/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_source_quota.c: what a disk source remembers of the quota it is
 * under.
 *
 * Plain memory management of virStorageSourceQuota, which belongs to its
 * virStorageSource and is copied and freed with it.
 */

#include <config.h>

#include "storage_source_quota.h"


/**
 * virStorageSourceQuotaNew:
 * @group: volume group
 * @tenant: tenant of @group who owns the volume
 * @volume: name of the volume in the tenant's pool
 *
 * Returns a new structure holding copies of the names.
 */
virStorageSourceQuota *
virStorageSourceQuotaNew(const char *group,
                         const char *tenant,
                         const char *volume)
{
    virStorageSourceQuota *quota = g_new0(virStorageSourceQuota, 1);

    quota->group = g_strdup(group);
    quota->tenant = g_strdup(tenant);
    quota->volume = g_strdup(volume);

    return quota;
}


/**
 * virStorageSourceQuotaCopy:
 * @src: structure to copy, may be NULL
 *
 * Returns a deep copy of @src.
 */
virStorageSourceQuota *
virStorageSourceQuotaCopy(const virStorageSourceQuota *src)
{
    virStorageSourceQuota *quota;

    if (!src)
        return NULL;

    quota = virStorageSourceQuotaNew(src->group, src->tenant, src->volume);
    quota->allocation = src->allocation;
    quota->nodename = g_strdup(src->nodename);

    return quota;
}


void
virStorageSourceQuotaFree(virStorageSourceQuota *quota)
{
    if (!quota)
        return;

    g_free(quota->group);
    g_free(quota->tenant);
    g_free(quota->volume);
    g_free(quota->nodename);
    g_free(quota);
}
