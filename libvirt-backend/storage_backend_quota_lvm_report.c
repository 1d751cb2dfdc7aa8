/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_report.c: what LVM says of a tenant
 *
 * Only LVs with the tenant's tag are taken from what is known of the group, so
 * that those of others are never even looked at.  What is charged is for
 * quota_state_charge() to decide.
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


static int
virStorageBackendQuotaLVMChargeLV(struct quota_state *state,
                                  const struct quota_metadata_lv *lv)
{
    struct quota_lv quotalv = {
        .name = lv->name,
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = lv->size_bytes,
        .physical_bytes = lv->physical_bytes,
        .chunk_bytes = lv->chunk_bytes,
    };

    return quota_state_charge(state, &quotalv);
}


/* The tenant whom the tags of an LV name, NULL: none */
static char *
virStorageBackendQuotaLVMGetTenant(const struct quota_metadata_lv *lv)
{
    g_auto(GStrv) tags = g_strsplit(lv->tags, ",", 0);
    size_t i;

    for (i = 0; tags[i]; i++) {
        const char *tenant = quota_tag_parse_tenant(tags[i]);

        if (tenant)
            return g_strdup(tenant);
    }

    return NULL;
}


/* What the group holds, and the other tenants hold and were promised of it: what
 * is free may be kept for them. */
static void
virStorageBackendQuotaLVMFillOthers(const struct quota_metadata_group *group,
                                    const char *tenant,
                                    struct quota_group *others)
{
    g_autoptr(GHashTable) states = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                         g_free, g_free);
    g_auto(GStrv) tags = g_strsplit(group->tags, ",", 0);
    GHashTableIter iter;
    void *value;
    size_t i;

    for (i = 0; i < group->nlvs; i++) {
        g_autofree char *other = NULL;
        struct quota_state *state;

        if (!group->lvs[i].is_visible ||
            !(other = virStorageBackendQuotaLVMGetTenant(&group->lvs[i])) ||
            STREQ(other, tenant))
            continue;

        if (!(state = g_hash_table_lookup(states, other))) {
            state = g_new0(struct quota_state, 1);
            g_hash_table_insert(states, g_steal_pointer(&other), state);
        }
        ignore_value(virStorageBackendQuotaLVMChargeLV(state, &group->lvs[i]));
    }

    others->size_bytes = group->size_bytes;
    others->free_bytes = group->free_bytes;
    for (i = 0; tags[i]; i++) {
        uint64_t percent;

        if (quota_tag_parse_overcommit(tags[i], &percent) == 0)
            others->overcommit_percent = percent;
    }

    g_hash_table_iter_init(&iter, states);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        quota_group_add(others, value);
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


/* Takes the LVs with @tag, or all if it is NULL.  Parts of an LV may have its
 * tags, but are charged with it. */
static void
virStorageBackendQuotaLVMCopyLVs(const struct quota_metadata_group *group,
                                 const char *tenant,
                                 const char *tag,
                                 virStorageBackendQuotaLVMReport *report)
{
    size_t nlvs = 0;
    size_t i;

    report->lvs = g_new0(virStorageBackendQuotaLVMLV, group->nlvs + 1);
    for (i = 0; i < group->nlvs; i++) {
        const struct quota_metadata_lv *lv = &group->lvs[i];

        if (lv->is_visible &&
            (!tag || virStorageBackendQuotaLVMHasTagIn(lv->tags, tag)))
            virStorageBackendQuotaLVMCopyLV(&report->lvs[nlvs++], lv, tenant);
    }

    report->nlvs = nlvs;
    report->extentSize = group->extent_bytes;
}


/**
 * virStorageBackendQuotaLVMFillReport:
 * @group: what LVM knows of the group
 * @tenant: whose LVs are looked for
 * @report: empty, is filled in; to be cleared by the caller
 */
void
virStorageBackendQuotaLVMFillReport(const struct quota_metadata_group *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report)
{
    g_autofree char *tag = g_strdup_printf("%s%s", QUOTA_TAG_TENANT, tenant);
    size_t i;

    virStorageBackendQuotaLVMCopyLVs(group, tenant, tag, report);
    for (i = 0; i < group->nlvs; i++) {
        const struct quota_metadata_lv *lv = &group->lvs[i];

        if (lv->is_visible &&
            virStorageBackendQuotaLVMHasTagIn(lv->tags, tag) &&
            virStorageBackendQuotaLVMChargeLV(&report->state, lv) < 0) {
            VIR_WARN("a limit among the tags '%s' of LV '%s' cannot be read",
                     lv->tags, lv->name);
        }
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
    const struct quota_metadata_group *metadata;

    if (!(metadata = virStorageBackendQuotaLVMGroupRead(group)))
        return -1;

    virStorageBackendQuotaLVMFillReport(metadata, tenant, report);
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
    const struct quota_metadata_group *metadata;

    if (!(metadata = virStorageBackendQuotaLVMGroupRead(group)))
        return -1;

    virStorageBackendQuotaLVMCopyLVs(metadata, tenant, NULL, report);
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
    size_t i;

    for (i = 0; i < report->nlvs; i++) {
        if (STREQ_NULLABLE(report->lvs[i].volume, volume))
            return &report->lvs[i];
    }

    return NULL;
}
