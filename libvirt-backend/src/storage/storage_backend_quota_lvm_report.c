/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_report.c: what LVM says of a tenant
 *
 * Only LVs with the tenant's tag are taken from what is known of the group, so
 * that those of others are never even looked at.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_report");


static void
virStorageBackendQuotaLVMClearLV(virStorageBackendQuotaLVMLV *lv)
{
    g_free(lv->name);
    g_free(lv->uuid);
    g_free(lv->segtype);
    g_free(lv->tags);
    g_free(lv->origin);
    g_free(lv->pool);
    memset(lv, 0, sizeof(*lv));
}


void
virStorageBackendQuotaLVMClearReport(virStorageBackendQuotaLVMReport *report)
{
    size_t i;

    for (i = 0; i < report->nlvs; i++)
        virStorageBackendQuotaLVMClearLV(&report->lvs[i]);
    g_clear_pointer(&report->volumes, g_hash_table_unref);
    g_free(report->lvs);
    g_free(report->definition);
    memset(report, 0, sizeof(*report));
}


static bool
virStorageBackendQuotaLVMHasTagIn(const char *tags,
                                  const char *tag)
{
    size_t len = strlen(tag);

    for (; *tags; tags += strcspn(tags, ","), tags += *tags == ',') {
        if (STREQLEN(tags, tag, len) && (tags[len] == ',' || tags[len] == '\0'))
            return true;
    }

    return false;
}


static void
virStorageBackendQuotaLVMCopyLV(virStorageBackendQuotaLVMLV *lv,
                                const struct quota_metadata_lv *from,
                                const char *tenant)
{
    lv->name = g_strdup(from->name);
    lv->volume = quota_name_parse_lv(tenant, lv->name);
    lv->uuid = g_strdup(from->uuid);
    lv->segtype = g_strdup(from->segtype);
    lv->tags = g_strdup(from->tags);
    lv->origin = g_strdup(from->origin ? from->origin : from->external_origin);
    lv->pool = g_strdup(from->thin_pool);
    lv->readOnly = !from->is_writable;
    lv->size = from->size_bytes;
    lv->physicalSize = from->physical_bytes;
    lv->originSize = from->origin_bytes;
    lv->dataStripes = from->data_stripes;
    lv->dataCopies = from->data_copies;
    lv->chunkSize = from->chunk_bytes;
    lv->metadataSize = from->metadata_bytes;
}


/* What the group holds, and the other tenants hold and were promised of it: what
 * is free may be kept for them. */
static void
virStorageBackendQuotaLVMFillOthers(const virStorageBackendQuotaLVMGroup *group,
                                    const char *tenant,
                                    struct quota_group *others)
{
    g_auto(GStrv) tags = g_strsplit(group->now->tags, ",", 0);
    GHashTableIter iter;
    void *name;
    void *value;
    size_t i;

    others->size_bytes = group->now->size_bytes;
    others->free_bytes = group->now->free_bytes;
    for (i = 0; tags[i]; i++) {
        uint64_t percent;

        if (quota_tag_parse_overcommit(tags[i], &percent) == 0)
            others->overcommit_percent = percent;
    }

    g_hash_table_iter_init(&iter, group->tenants);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        virStorageBackendQuotaLVMGroupTenant *other = value;

        if (STRNEQ(name, tenant))
            quota_group_add(others, &other->state);
    }
}


static void
virStorageBackendQuotaLVMFindThinPool(virStorageBackendQuotaLVMReport *report)
{
    g_auto(GStrv) tags = NULL;
    size_t i;

    for (i = 0; i < report->nlvs; i++) {
        virStorageBackendQuotaLVMLV *lv = &report->lvs[i];

        if (STREQ(lv->segtype, "thin-pool") &&
            STREQ_NULLABLE(lv->volume, QUOTA_THIN_POOL_VOLUME))
            report->thinPool = lv;
    }

    if (!report->thinPool)
        return;

    tags = g_strsplit(report->thinPool->tags, ",", 0);
    for (i = 0; tags[i]; i++) {
        const char *digest = STRSKIP(tags[i], QUOTA_TAG_DEFINITION);

        if (digest && !report->definition)
            report->definition = g_strdup(digest);
    }
}


/**
 * virStorageBackendQuotaLVMFillReport:
 * @group: what LVM knows of the group
 * @tenant: whose LVs are looked for
 * @report: empty, is filled in; to be cleared by the caller
 */
void
virStorageBackendQuotaLVMFillReport(const virStorageBackendQuotaLVMGroup *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report)
{
    virStorageBackendQuotaLVMGroupTenant *own = g_hash_table_lookup(group->tenants,
                                                                    tenant);
    size_t i;

    report->extentSize = group->now->extent_bytes;
    report->isShared = group->now->is_shared;
    report->volumes = g_hash_table_new(g_str_hash, g_str_equal);

    if (own) {
        report->state = own->state;
        report->nlvs = own->lvs->len;
        report->lvs = g_new0(virStorageBackendQuotaLVMLV, report->nlvs);
    }

    for (i = 0; i < report->nlvs; i++) {
        virStorageBackendQuotaLVMLV *lv = &report->lvs[i];

        virStorageBackendQuotaLVMCopyLV(lv, g_ptr_array_index(own->lvs, i), tenant);
        if (lv->volume)
            g_hash_table_insert(report->volumes, (char *) lv->volume, lv);
    }

    virStorageBackendQuotaLVMFillOthers(group, tenant, &report->others);
    report->state.group_free_bytes = quota_group_free(&report->others);
    virStorageBackendQuotaLVMFindThinPool(report);
}


/**
 * virStorageBackendQuotaLVMReadReport:
 * @group: volume group, whose lock the caller holds
 * @tenant: tenant
 * @report: empty, is filled in; to be cleared by the caller even after an error
 */
int
virStorageBackendQuotaLVMReadReport(const char *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report)
{
    const virStorageBackendQuotaLVMGroup *now;

    if (!(now = virStorageBackendQuotaLVMGroupRead(group)))
        return -1;

    virStorageBackendQuotaLVMFillReport(now, tenant, report);
    return 0;
}


/**
 * virStorageBackendQuotaLVMReadWholeGroup:
 * @group: volume group, whose lock the caller holds
 * @tenant: whose volumes get their names
 * @report: empty, is filled in; to be cleared by the caller even after an error
 *
 * All LVs of all tenants and of nobody, for what reaches beyond a tenant: base
 * images, and who depends on them.  Nothing is charged.
 */
int
virStorageBackendQuotaLVMReadWholeGroup(const char *group,
                                        const char *tenant,
                                        virStorageBackendQuotaLVMReport *report)
{
    const virStorageBackendQuotaLVMGroup *now;
    size_t i;

    if (!(now = virStorageBackendQuotaLVMGroupRead(group)))
        return -1;

    report->extentSize = now->now->extent_bytes;
    report->lvs = g_new0(virStorageBackendQuotaLVMLV, now->now->nlvs);
    for (i = 0; i < now->now->nlvs; i++) {
        const struct quota_metadata_lv *lv = &now->now->lvs[i];

        if (lv->is_visible)
            virStorageBackendQuotaLVMCopyLV(&report->lvs[report->nlvs++], lv, tenant);
    }
    return 0;
}


virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindName(virStorageBackendQuotaLVMReport *report,
                                  const char *name)
{
    size_t i;

    for (i = 0; i < report->nlvs; i++) {
        if (STREQ(report->lvs[i].name, name))
            return &report->lvs[i];
    }

    return NULL;
}


bool
virStorageBackendQuotaLVMHasTag(const virStorageBackendQuotaLVMLV *lv,
                                const char *tag)
{
    return virStorageBackendQuotaLVMHasTagIn(lv->tags, tag);
}


virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindVolume(virStorageBackendQuotaLVMReport *report,
                                    const char *volume)
{
    return report->volumes ? g_hash_table_lookup(report->volumes, volume) : NULL;
}
