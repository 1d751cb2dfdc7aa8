/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_group.c: what LVM knows of a volume group
 *
 * One reading of a group is shared by all pools of it, and kept until the group
 * changes: the headers on its devices tell that, without a command of LVM.  LVM
 * is asked only which devices a group has, and asked again when they turn out
 * to be others.  What was read is sorted by tenants once, so that the pools of
 * a large group do not each go through all of it.
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
virStorageBackendQuotaLVMGroupTenantFree(virStorageBackendQuotaLVMGroupTenant *tenant)
{
    g_ptr_array_unref(tenant->lvs);
    g_free(tenant);
}


static void
virStorageBackendQuotaLVMGroupFree(virStorageBackendQuotaLVMGroup *group)
{
    g_clear_pointer(&group->tenants, g_hash_table_unref);
    quota_metadata_free(group->metadata);
    g_free(group);
}


/* Takes over @metadata; NULL: forgets the group */
static virStorageBackendQuotaLVMGroup *
virStorageBackendQuotaLVMGroupSet(const char *name,
                                  struct quota_metadata *metadata)
{
    virStorageBackendQuotaLVMGroup *group = NULL;
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMGroupsLock);

    if (!virStorageBackendQuotaLVMGroups) {
        virStorageBackendQuotaLVMGroups =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                  (GDestroyNotify) virStorageBackendQuotaLVMGroupFree);
    }

    if (metadata) {
        group = g_new0(virStorageBackendQuotaLVMGroup, 1);
        group->metadata = metadata;
        g_hash_table_replace(virStorageBackendQuotaLVMGroups, g_strdup(name), group);
    } else {
        g_hash_table_remove(virStorageBackendQuotaLVMGroups, name);
    }

    return group;
}


static virStorageBackendQuotaLVMGroup *
virStorageBackendQuotaLVMGroupGet(const char *name)
{
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMGroupsLock);

    if (!virStorageBackendQuotaLVMGroups)
        return NULL;

    return g_hash_table_lookup(virStorageBackendQuotaLVMGroups, name);
}


static void
virStorageBackendQuotaLVMGroupCharge(GHashTable *tenants,
                                     const char *name,
                                     const struct quota_metadata_lv *lv)
{
    virStorageBackendQuotaLVMGroupTenant *tenant = g_hash_table_lookup(tenants, name);
    struct quota_lv quotalv = {
        .name = lv->name,
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = lv->size_bytes,
        .physical_bytes = lv->physical_bytes,
        .chunk_bytes = lv->chunk_bytes,
    };

    if (!tenant) {
        tenant = g_new0(virStorageBackendQuotaLVMGroupTenant, 1);
        tenant->lvs = g_ptr_array_new();
        g_hash_table_insert(tenants, g_strdup(name), tenant);
    }

    g_ptr_array_add(tenant->lvs, (void *) lv);
    if (quota_state_charge(&tenant->state, &quotalv) < 0) {
        VIR_WARN("a limit among the tags '%s' of LV '%s' cannot be read",
                 lv->tags, lv->name);
    }
}


/**
 * virStorageBackendQuotaLVMGroupSort:
 * @group: what LVM knows of a group; must outlive the result
 *
 * Returns its tenants, with their LVs.  Parts of an LV may have its tags, but
 * are charged with it.
 */
GHashTable *
virStorageBackendQuotaLVMGroupSort(const struct quota_metadata_group *group)
{
    GHashTable *tenants;
    size_t i;
    size_t j;

    tenants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                    (GDestroyNotify) virStorageBackendQuotaLVMGroupTenantFree);

    for (i = 0; i < group->nlvs; i++) {
        const struct quota_metadata_lv *lv = &group->lvs[i];
        g_auto(GStrv) tags = NULL;

        if (!lv->is_visible || !*lv->tags)
            continue;

        tags = g_strsplit(lv->tags, ",", 0);
        for (j = 0; tags[j]; j++) {
            const char *name = quota_tag_parse_tenant(tags[j]);

            if (name)
                virStorageBackendQuotaLVMGroupCharge(tenants, name, lv);
        }
    }

    return tenants;
}


/* Asks LVM for the group's devices, and gets ready to read them. */
static virStorageBackendQuotaLVMGroup *
virStorageBackendQuotaLVMGroupFind(const char *group)
{
    virStorageBackendQuotaLVMDevice *devices = NULL;
    size_t ndevices = 0;
    g_autofree const char **paths = NULL;
    struct quota_metadata *metadata;
    virStorageBackendQuotaLVMGroup *ret = NULL;
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
        else
            ret = virStorageBackendQuotaLVMGroupSet(group, metadata);
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
    return ret;
}


/**
 * virStorageBackendQuotaLVMGroupRead:
 * @name: volume group, whose lock the caller holds
 *
 * Returns what LVM's metadata says now, which stays as it is until the next
 * call for the same group; NULL with an error if there is no such group, or if
 * none of its devices can be read.
 */
const virStorageBackendQuotaLVMGroup *
virStorageBackendQuotaLVMGroupRead(const char *name)
{
    virStorageBackendQuotaLVMGroup *group = virStorageBackendQuotaLVMGroupGet(name);
    bool found = false;
    int rc = -ENOENT;

    if (group)
        rc = quota_metadata_refresh(group->metadata);

    /* New, gone, renamed; or it has got a device, whose own header nobody
     * would look at: a device that is not there, but not marked as missing
     * either, costs a command each time the group changes. */
    if (rc < 0 || (rc > 0 && quota_metadata_group(group->metadata)->unread > 0)) {
        virStorageBackendQuotaLVMGroupSet(name, NULL);
        if (!(group = virStorageBackendQuotaLVMGroupFind(name)))
            return NULL;

        found = true;
        rc = quota_metadata_refresh(group->metadata);
    }

    if (rc < 0) {
        virReportSystemError(-rc,
                             _("cannot read LVM's metadata of volume group '%1$s' from its devices: see what vgck says"),
                             name);
        virStorageBackendQuotaLVMGroupSet(name, NULL);
        return NULL;
    }

    if (rc > 0) {
        group->now = quota_metadata_group(group->metadata);
        g_clear_pointer(&group->tenants, g_hash_table_unref);
        group->tenants = virStorageBackendQuotaLVMGroupSort(group->now);
    }

    if (found && (group->now->missing > 0 || group->now->unread > 0)) {
        VIR_WARN("volume group '%s' lacks %u of its devices", name,
                 group->now->missing + group->now->unread);
    }

    if (group->now->is_exported) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume group '%1$s' is exported: run vgimport first"),
                       name);
        return NULL;
    }

    return group;
}
