/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_report.c: what LVM says of a tenant
 *
 * One lvs, selected by the tenant's tag, so that the LVs of others are never
 * even read.  No LV is opened, and none that vanished is missed.  What is
 * charged is for quota_state_charge() to decide.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virjson.h"
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


static int
virStorageBackendQuotaLVMParseLV(virJSONValue *row,
                                 const char *tenant,
                                 virStorageBackendQuotaLVMLV *lv)
{
    g_autofree char *attr = NULL;

    if (virStorageBackendQuotaLVMGetString(row, "lv_name", &lv->name) < 0 ||
        virStorageBackendQuotaLVMGetString(row, "lv_uuid", &lv->uuid) < 0 ||
        virStorageBackendQuotaLVMGetString(row, "segtype", &lv->segtype) < 0 ||
        virStorageBackendQuotaLVMGetString(row, "lv_tags", &lv->tags) < 0 ||
        virStorageBackendQuotaLVMGetString(row, "lv_attr", &attr) < 0 ||
        virStorageBackendQuotaLVMGetNumber(row, "lv_size", &lv->size) < 0 ||
        virStorageBackendQuotaLVMGetNumber(row, "chunk_size", &lv->chunkSize) < 0 ||
        virStorageBackendQuotaLVMGetNumber(row, "lv_metadata_size", &lv->metadataSize) < 0)
        return -1;

    lv->volume = quota_name_parse_lv(tenant, lv->name);

    /* lvs(8), "lv_attr": the fifth is the state, the sixth whether it is open */
    if (strlen(attr) >= 6) {
        lv->active = attr[4] == 'a';
        lv->open = attr[5] == 'o';
    }

    return 0;
}


static void
virStorageBackendQuotaLVMChargeLV(virStorageBackendQuotaLVMReport *report,
                                  virStorageBackendQuotaLVMLV *lv)
{
    struct quota_lv quotalv = {
        .name = lv->name,
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = lv->size,
        .chunk_bytes = lv->chunkSize,
    };

    if (quota_state_charge(&report->state, &quotalv) < 0) {
        VIR_WARN("a limit among the tags '%s' of LV '%s' cannot be read",
                 lv->tags, lv->name);
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
 * virStorageBackendQuotaLVMParseReport:
 * @json: what lvs printed
 * @tenant: whose LVs it was asked for
 * @report: filled in; to be cleared by the caller even after an error
 *
 * Parses the output of
 *
 *   # lvs --reportformat json --units b --nosuffix
 *         --select 'lv_tags={"quota-lvm:tenant=acme"}' --options ... vg0
 *   { "report": [ { "lv": [
 *     {"vg_extent_size":"4194304", "vg_free":"8573157376",
 *      "lv_name":"acme._thin", "lv_uuid":"m0Lr4e-…", "lv_size":"1073741824",
 *      "lv_attr":"twi-aotz--", "lv_metadata_size":"12582912",
 *      "lv_tags":"quota-lvm:limit=10737418240,quota-lvm:tenant=acme",
 *      "segtype":"thin-pool", "chunk_size":"65536"},
 *     {"vg_extent_size":"4194304", "vg_free":"8573157376",
 *      "lv_name":"acme.root", "lv_uuid":"4Tq2Vd-…", "lv_size":"2147483648",
 *      "lv_attr":"Vwi-a-tz--", "lv_metadata_size":"",
 *      "lv_tags":"quota-lvm:tenant=acme",
 *      "segtype":"thin", "chunk_size":"0"}
 *   ] } ] }
 *
 * An LV that was extended has a row for each of its segments.
 */
int
virStorageBackendQuotaLVMParseReport(const char *json,
                                     const char *tenant,
                                     virStorageBackendQuotaLVMReport *report)
{
    g_autoptr(virJSONValue) root = virJSONValueFromString(json);
    virJSONValue *rows;
    size_t i;

    if (!(rows = virStorageBackendQuotaLVMReportRows(root, "lv")))
        return -1;

    report->lvs = g_new0(virStorageBackendQuotaLVMLV, virJSONValueArraySize(rows));

    for (i = 0; i < virJSONValueArraySize(rows); i++) {
        virJSONValue *row = virJSONValueArrayGet(rows, i);
        virStorageBackendQuotaLVMLV *lv = &report->lvs[report->nlvs++];

        if (virStorageBackendQuotaLVMGetNumber(row, "vg_extent_size",
                                               &report->group.extentSize) < 0 ||
            virStorageBackendQuotaLVMGetNumber(row, "vg_free",
                                               &report->group.freeSize) < 0 ||
            virStorageBackendQuotaLVMParseLV(row, tenant, lv) < 0)
            return -1;

        report->group.exists = true;

        /* lvs keeps the segments of an LV together */
        if (report->nlvs > 1 && STREQ(lv[-1].uuid, lv->uuid)) {
            virStorageBackendQuotaLVMClearLV(lv);
            report->nlvs--;
            continue;
        }

        virStorageBackendQuotaLVMChargeLV(report, lv);
    }

    report->state.group_free_bytes = report->group.freeSize;
    virStorageBackendQuotaLVMFindThinPool(report);
    return 0;
}


/**
 * virStorageBackendQuotaLVMReadReport:
 * @group: volume group
 * @tenant: tenant
 * @report: filled in; to be cleared by the caller even after an error
 *
 * Asks LVM for all that it knows of a tenant.  @report->group.exists stays
 * false if the group has nothing of the tenant: what is free in the group is
 * not known then.
 */
int
virStorageBackendQuotaLVMReadReport(const char *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report)
{
    g_autoptr(virCommand) cmd = NULL;
    g_autofree char *output = NULL;

    cmd = virStorageBackendQuotaLVMReportCommand(LVS,
                                                 "vg_extent_size,vg_free,"
                                                 "lv_name,lv_uuid,lv_size,lv_attr,"
                                                 "lv_metadata_size,lv_tags,"
                                                 "segtype,chunk_size");
    virCommandAddArg(cmd, "--select");
    virCommandAddArgFormat(cmd, "lv_tags={\"%s%s\"}", QUOTA_TAG_TENANT, tenant);
    virCommandAddArg(cmd, group);

    if (virStorageBackendQuotaLVMRunReport(cmd, group, &output) < 0)
        return -1;

    return virStorageBackendQuotaLVMParseReport(output, tenant, report);
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


