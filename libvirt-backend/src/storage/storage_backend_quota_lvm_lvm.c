/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_lvm.c: asking LVM, and understanding its answers
 *
 * Every question is one LVM command that answers in JSON; what it says when it
 * fails becomes one error.  Here are also the questions that are not about a
 * tenant: which groups, devices and tenants there are.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virjson.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_lvm");


/**
 * virStorageBackendQuotaLVMCommand:
 * @program: an LVM command
 *
 * All LVM commands of the backend begin here, and those that change a group run
 * in virStorageBackendQuotaLVMTenantRun.  With monitoring on, dmeventd would
 * extend thin pools by its own rule: only a tenant's limit may do that.  Thin
 * pools are to fail writes when they are full, not to queue them without end;
 * lvcreate 2.03.31 refuses --errorwhenfull beside --type thin-pool, but takes
 * the default from here.
 */
virCommand *
virStorageBackendQuotaLVMCommand(const char *program)
{
    virCommand *cmd = virCommandNew(program);

    virCommandAddEnvPassCommon(cmd);
    virCommandAddArgList(cmd,
                         "--config",
                         "activation { monitoring=0 error_when_full=1 }",
                         NULL);

    return cmd;
}


static virCommand *
virStorageBackendQuotaLVMReportCommand(const char *program,
                                       const char *fields)
{
    virCommand *cmd = virStorageBackendQuotaLVMCommand(program);

    virCommandAddArgList(cmd,
                         "--reportformat", "json",
                         "--units", "b",
                         "--nosuffix",
                         "--options", fields,
                         NULL);
    return cmd;
}


/* What went wrong with a report.  LVM puts its messages into the report itself:
 *
 *   { "report": [ ... ], "log": [
 *     {"log_type":"error", "log_message":"Volume group \"vg0\" not found", ...},
 *     {"log_type":"status", "log_message":"failure", ...}
 *   ] }
 *
 * or, before it knows that there is to be a report, to standard error. */
static char *
virStorageBackendQuotaLVMGetErrors(const char *output,
                                   const char *errors)
{
    g_autoptr(virJSONValue) json = NULL;
    g_auto(virBuffer) buf = VIR_BUFFER_INITIALIZER;
    virJSONValue *log = NULL;
    size_t i;

    if (!*output || !(json = virJSONValueFromString(output)) ||
        !(log = virJSONValueObjectGetArray(json, "log"))) {
        virResetLastError();
        return g_strstrip(g_strdup(errors));
    }

    for (i = 0; i < virJSONValueArraySize(log); i++) {
        virJSONValue *row = virJSONValueArrayGet(log, i);
        const char *message = virJSONValueObjectGetString(row, "log_message");

        if (message &&
            STREQ_NULLABLE(virJSONValueObjectGetString(row, "log_type"), "error"))
            virBufferAsprintf(&buf, "%s; ", message);
    }

    virBufferTrim(&buf, "; ");
    if (virBufferUse(&buf) == 0)
        return g_strstrip(g_strdup(errors));

    return virBufferContentAndReset(&buf);
}


static int
virStorageBackendQuotaLVMRunReport(virCommand *cmd,
                                   char **output)
{
    g_autofree char *stderrbuf = NULL;
    g_autofree char *errors = NULL;
    int status = 0;

    virCommandSetOutputBuffer(cmd, output);
    virCommandSetErrorBuffer(cmd, &stderrbuf);

    if (virCommandRun(cmd, &status) < 0)
        return -1;

    if (status == 0)
        return 0;

    errors = virStorageBackendQuotaLVMGetErrors(*output, stderrbuf);
    virReportError(VIR_ERR_OPERATION_FAILED,
                   _("cannot read what LVM knows: %1$s"), errors);
    return -1;
}


/* The rows of a report are in { "report": [ { "lv": [ {...}, ... ] } ] } */
static virJSONValue *
virStorageBackendQuotaLVMReportRows(virJSONValue *json,
                                    const char *kind)
{
    virJSONValue *reports = NULL;
    virJSONValue *rows = NULL;

    if (json &&
        (reports = virJSONValueObjectGetArray(json, "report")) &&
        virJSONValueArraySize(reports) > 0)
        rows = virJSONValueObjectGetArray(virJSONValueArrayGet(reports, 0), kind);

    if (!rows) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("LVM's report has no list of '%1$s'"), kind);
    }

    return rows;
}


/* LVM writes all values as strings; an empty one stands for "not applicable" */
static int
virStorageBackendQuotaLVMGetNumber(virJSONValue *row,
                                   const char *field,
                                   unsigned long long *value)
{
    const char *text = virJSONValueObjectGetString(row, field);

    *value = 0;

    if (text && !*text)
        return 0;

    if (!text || virStrToLong_ullp(text, NULL, 10, value) < 0) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("LVM's report has no number in '%1$s' but '%2$s'"),
                       field, NULLSTR(text));
        return -1;
    }

    return 0;
}


static int
virStorageBackendQuotaLVMGetString(virJSONValue *row,
                                   const char *field,
                                   char **value)
{
    const char *text = virJSONValueObjectGetString(row, field);

    if (!text) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("LVM's report has no '%1$s'"), field);
        return -1;
    }

    *value = g_strdup(text);
    return 0;
}


/**
 * virStorageBackendQuotaLVMReadDevices:
 * @devices: all physical volumes of the host
 * @ndevices: their number
 */
int
virStorageBackendQuotaLVMReadDevices(virStorageBackendQuotaLVMDevice **devices,
                                     size_t *ndevices)
{
    /*
     * # pvs --reportformat json --options pv_name,vg_name,lv_count,pv_count
     * { "report": [ { "pv": [
     *   {"pv_name":"/dev/vdb", "vg_name":"vg0", "lv_count":"3", "pv_count":"1"},
     *   {"pv_name":"/dev/vdc", "vg_name":"", "lv_count":"0", "pv_count":"0"}
     * ] } ] }
     */
    g_autoptr(virCommand) cmd = NULL;
    g_autoptr(virJSONValue) json = NULL;
    g_autofree char *output = NULL;
    virJSONValue *rows;
    size_t i;

    *devices = NULL;
    *ndevices = 0;

    cmd = virStorageBackendQuotaLVMReportCommand(PVS, "pv_name,vg_name,lv_count,pv_count");

    if (virStorageBackendQuotaLVMRunReport(cmd, &output) < 0 ||
        !(json = virJSONValueFromString(output)) ||
        !(rows = virStorageBackendQuotaLVMReportRows(json, "pv")))
        return -1;

    *devices = g_new0(virStorageBackendQuotaLVMDevice, virJSONValueArraySize(rows));

    for (i = 0; i < virJSONValueArraySize(rows); i++) {
        virJSONValue *row = virJSONValueArrayGet(rows, i);
        virStorageBackendQuotaLVMDevice *dev = &(*devices)[(*ndevices)++];

        if (virStorageBackendQuotaLVMGetString(row, "pv_name", &dev->path) < 0 ||
            virStorageBackendQuotaLVMGetString(row, "vg_name", &dev->group) < 0 ||
            virStorageBackendQuotaLVMGetNumber(row, "lv_count", &dev->nlvs) < 0 ||
            virStorageBackendQuotaLVMGetNumber(row, "pv_count", &dev->npvs) < 0)
            return -1;

        if (!*dev->group)
            g_clear_pointer(&dev->group, g_free);
    }

    return 0;
}


void
virStorageBackendQuotaLVMFreeDevices(virStorageBackendQuotaLVMDevice *devices,
                                     size_t ndevices)
{
    size_t i;

    for (i = 0; i < ndevices; i++) {
        g_free(devices[i].path);
        g_free(devices[i].group);
    }
    g_free(devices);
}


/* Every tenant that some volume group of this host has a thin pool for */
char *
virStorageBackendQuotaLVMFindPoolSources(const char *srcSpec G_GNUC_UNUSED,
                                         unsigned int flags)
{
    /*
     * # lvs --reportformat json --options vg_name,lv_name,lv_tags --select ...
     * { "report": [ { "lv": [
     *   {"vg_name":"vg0", "lv_name":"acme._thin",
     *    "lv_tags":"quota-lvm:limit=10737418240,quota-lvm:tenant=acme"},
     *   {"vg_name":"vg0", "lv_name":"other._thin", "lv_tags":""}
     * ] } ] }
     */
    virStoragePoolSourceList sources = { .type = VIR_STORAGE_POOL_QUOTA_LVM };
    g_autoptr(virCommand) cmd = NULL;
    g_autoptr(virJSONValue) json = NULL;
    g_autofree char *output = NULL;
    virJSONValue *rows;
    char *ret = NULL;
    size_t i;

    virCheckFlags(0, NULL);

    cmd = virStorageBackendQuotaLVMReportCommand(LVS, "vg_name,lv_name,lv_tags");
    virCommandAddArgList(cmd, "--select",
                         "segtype=thin-pool && lv_name=~\"\\." QUOTA_THIN_POOL_VOLUME "$\"",
                         NULL);

    if (virStorageBackendQuotaLVMRunReport(cmd, &output) < 0 ||
        !(json = virJSONValueFromString(output)) ||
        !(rows = virStorageBackendQuotaLVMReportRows(json, "lv")))
        return NULL;

    for (i = 0; i < virJSONValueArraySize(rows); i++) {
        virJSONValue *row = virJSONValueArrayGet(rows, i);
        g_autofree char *group = NULL;
        g_autofree char *tenant = NULL;
        g_autofree char *tags = NULL;
        g_autofree char *tag = NULL;
        g_auto(GStrv) list = NULL;
        virStoragePoolSource *source;

        if (virStorageBackendQuotaLVMGetString(row, "vg_name", &group) < 0 ||
            virStorageBackendQuotaLVMGetString(row, "lv_name", &tenant) < 0 ||
            virStorageBackendQuotaLVMGetString(row, "lv_tags", &tags) < 0)
            goto cleanup;

        if (!virStringStripSuffix(tenant, "." QUOTA_THIN_POOL_VOLUME))
            continue;

        tag = g_strdup_printf("%s%s", QUOTA_TAG_TENANT, tenant);
        list = g_strsplit(tags, ",", 0);
        if (!g_strv_contains((const char **) list, tag))
            continue;

        if (!(source = virStoragePoolSourceListNewSource(&sources)))
            goto cleanup;

        source->name = g_steal_pointer(&group);
        source->tenant = g_steal_pointer(&tenant);
    }

    ret = virStoragePoolSourceListFormat(&sources);

 cleanup:
    for (i = 0; i < sources.nsources; i++)
        virStoragePoolSourceClear(&sources.sources[i]);
    g_free(sources.sources);
    return ret;
}
