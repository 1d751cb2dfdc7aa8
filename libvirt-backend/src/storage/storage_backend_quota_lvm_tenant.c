/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_tenant.c: a tenant of a volume group, while its
 * group is locked
 *
 * Reading LVM, deciding by a limit, changing LVM and publishing the result in
 * the ledger happen under one hold of the group's lock, which quota-lvmd and
 * the command line tool take as well: no extent is handed out twice.
 */

#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_tenant");


/**
 * virStorageBackendQuotaLVMTenantLock:
 * @def: pool definition; must outlive the tenant
 *
 * Waits for the lock of the pool's volume group.  Nothing is read yet.
 */
virStorageBackendQuotaLVMTenant *
virStorageBackendQuotaLVMTenantLock(virStoragePoolDef *def)
{
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;

    tenant = g_new0(virStorageBackendQuotaLVMTenant, 1);
    tenant->group = def->source.name;
    tenant->name = def->source.tenant;

    if ((tenant->lock = quota_group_lock(tenant->group)) < 0) {
        virReportSystemError(-tenant->lock,
                             _("cannot lock the quotas of volume group '%1$s' in %2$s"),
                             tenant->group, QUOTA_LEDGER_DIR);
        tenant->lock = -1;
        return NULL;
    }

    return g_steal_pointer(&tenant);
}


void
virStorageBackendQuotaLVMTenantFree(virStorageBackendQuotaLVMTenant *tenant)
{
    if (!tenant)
        return;

    virStorageBackendQuotaLVMClearReport(&tenant->report);
    quota_ledger_close(tenant->ledger);
    if (tenant->lock >= 0)
        quota_group_unlock(tenant->lock);
    g_free(tenant);
}


/**
 * virStorageBackendQuotaLVMTenantRun:
 * @tenant: tenant, locked
 * @cmd: an LVM command that changes the group
 * @status: as of virCommandRun
 *
 * The command gets the lock as its standard input.  A lock that flock(2) gave
 * lasts as long as anybody has it open: should libvirtd be killed while the
 * command runs, nobody measures the group before it has ended.  LVM closes
 * every inherited descriptor but the first three.
 */
int
virStorageBackendQuotaLVMTenantRun(virStorageBackendQuotaLVMTenant *tenant,
                                   virCommand *cmd,
                                   int *status)
{
    int lock = fcntl(tenant->lock, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (lock < 0) {
        virReportSystemError(errno,
                             _("cannot pass on the lock of volume group '%1$s'"),
                             tenant->group);
        return -1;
    }

    /* virCommandRun closes it */
    virCommandSetInputFD(cmd, lock);

    return virCommandRun(cmd, status);
}


int
virStorageBackendQuotaLVMTenantRead(virStorageBackendQuotaLVMTenant *tenant)
{
    virStorageBackendQuotaLVMClearReport(&tenant->report);

    return virStorageBackendQuotaLVMReadReport(tenant->group, tenant->name,
                                               &tenant->report);
}


int
virStorageBackendQuotaLVMTenantRequirePool(virStorageBackendQuotaLVMTenant *tenant,
                                           virStoragePoolDef *def)
{
    if (tenant->report.thinPool)
        return 0;

    virReportError(VIR_ERR_OPERATION_FAILED,
                   _("volume group '%1$s' has no thin pool of tenant '%2$s': run pool-build for pool '%3$s' first"),
                   tenant->group, tenant->name, def->name);
    return -1;
}


/* Tags are changed as a set difference: LVM refuses a tag that is taken off
 * and put on in one command. */
static void
virStorageBackendQuotaLVMAddTagChanges(virCommand *cmd,
                                       const struct quota_limits *from,
                                       const struct quota_limits *to)
{
    size_t i;

    for (i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        char tag[QUOTA_TAG_MAX_BYTES];

        if (quota_limit_get(from, field) == quota_limit_get(to, field))
            continue;

        if (quota_tag_format_limit(from, field, tag) == 0)
            virCommandAddArgList(cmd, "--deltag", tag, NULL);
        if (quota_tag_format_limit(to, field, tag) == 0)
            virCommandAddArgList(cmd, "--addtag", tag, NULL);
    }
}


/**
 * virStorageBackendQuotaLVMTenantCheckPromises:
 * @tenant: tenant, read
 * @limits: what it is to have
 *
 * A guarantee is only given when the group can keep it, and limits promise no
 * more together than the group's overcommit allows.
 */
int
virStorageBackendQuotaLVMTenantCheckPromises(virStorageBackendQuotaLVMTenant *tenant,
                                             const struct quota_limits *limits)
{
    const struct quota_group *others = &tenant->report.others;
    char asked[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];
    char size[QUOTA_SIZE_MAX_BYTES];
    uint64_t most;

    switch (quota_group_check(others, &tenant->report.state, limits, &most)) {
    case -ENOSPC:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' cannot keep the guarantee of %2$s for tenant '%3$s': %4$s are free and not kept for others, so it can have up to %5$s: lower another tenant's guarantee, or extend the group with vgextend"),
                       tenant->group,
                       quota_size_format(limits->guarantee_bytes, asked),
                       tenant->name,
                       quota_size_format(quota_group_free(others), room),
                       quota_size_format(most, size));
        return -1;

    case -EDQUOT:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' allows limits of %2$llu%% of its size together: tenant '%3$s' can have a limit of up to %4$s, not %5$s: lower another tenant's limit, or raise the group's overcommit with quota-lvm set --group"),
                       tenant->group,
                       (unsigned long long) others->overcommit_percent,
                       tenant->name,
                       quota_size_format(most, room),
                       quota_size_format(limits->limit_bytes, asked));
        return -1;
    }

    return 0;
}


/* Whether the tenant may have one volume more, of this name */
int
virStorageBackendQuotaLVMTenantCheckNew(virStorageBackendQuotaLVMTenant *tenant,
                                        const char *volume)
{
    const struct quota_state *state = &tenant->report.state;

    if (virStorageBackendQuotaLVMFindVolume(&tenant->report, volume)) {
        virReportError(VIR_ERR_STORAGE_VOL_EXIST,
                       _("tenant '%1$s' has a volume '%2$s' in volume group '%3$s' already: run pool-refresh to see it"),
                       tenant->name, volume, tenant->group);
        return -1;
    }

    if (state->limits.max_volumes == 0 ||
        state->volumes < state->limits.max_volumes)
        return 0;

    virReportError(VIR_ERR_OPERATION_FAILED,
                   _("tenant '%1$s' is limited to %2$llu volumes in volume group '%3$s' and has %4$llu: no volume '%5$s' without deleting one, or raising max_volumes"),
                   tenant->name,
                   (unsigned long long) state->limits.max_volumes,
                   tenant->group,
                   (unsigned long long) state->volumes, volume);
    return -1;
}


/**
 * virStorageBackendQuotaLVMTenantGrowMetadata:
 * @tenant: tenant, read, with a thin pool
 * @shared: bytes that volumes map beside those of others, i.e. of snapshots
 *
 * A higher limit needs more metadata than the thin pool was built with, and so
 * does each volume that shares chunks, since it has a map of its own once it is
 * written to.  Where the group has no room for more, what was asked for is done
 * all the same: the metadata is full later than now in any case, and quota-lvmd
 * warns before.
 */
void
virStorageBackendQuotaLVMTenantGrowMetadata(virStorageBackendQuotaLVMTenant *tenant,
                                            unsigned long long shared)
{
    virStorageBackendQuotaLVMReport *report = &tenant->report;
    virStorageBackendQuotaLVMLV *thinPool = report->thinPool;
    unsigned long long needed;
    g_autoptr(virCommand) cmd = NULL;
    g_autofree char *errors = NULL;
    int status = 0;

    needed = virStorageBackendQuotaLVMGetMetadataSize(report->state.limits.limit_bytes + shared,
                                                      thinPool->chunkSize);
    if (thinPool->metadataSize >= needed)
        return;

    cmd = virStorageBackendQuotaLVMCommand("lvextend");
    virCommandAddArg(cmd, "--poolmetadatasize");
    virCommandAddArgFormat(cmd, "%llub", needed);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, thinPool->name);
    virCommandSetErrorBuffer(cmd, &errors);

    if (virStorageBackendQuotaLVMTenantRun(tenant, cmd, &status) < 0 || status != 0) {
        VIR_WARN("cannot extend the metadata of thin pool %s/%s to %llu bytes: %s",
                 tenant->group, thinPool->name, needed, NULLSTR(errors));
        virResetLastError();
    }
}


/**
 * virStorageBackendQuotaLVMTenantDefine:
 * @tenant: tenant, read, with a thin pool
 * @def: pool definition
 * @newDef: the definition to apply, NULL: none, or @def itself
 *
 * A definition whose digest is not the one that was applied last is new or
 * was changed: its limits become tags, in one LVM transaction.  Otherwise the
 * tags are the truth, whoever wrote them.  A definition without a limit of
 * space keeps the one that is tagged.
 */
int
virStorageBackendQuotaLVMTenantDefine(virStorageBackendQuotaLVMTenant *tenant,
                                      virStoragePoolDef *def,
                                      virStoragePoolDef *newDef)
{
    virStorageBackendQuotaLVMReport *report = &tenant->report;
    const struct quota_limits *defined = NULL;
    struct quota_limits limits = report->state.limits;
    g_autofree char *digest = NULL;
    bool changed = false;

    if (newDef && (defined = virStorageBackendQuotaLVMGetLimits(newDef))) {
        digest = g_strdup_printf("%016" PRIx64, quota_limits_digest(defined));
        changed = STRNEQ_NULLABLE(report->definition, digest);
    }

    if (changed) {
        limits = *defined;
        if (limits.limit_bytes == 0)
            limits.limit_bytes = report->state.limits.limit_bytes;
    }

    if (limits.limit_bytes == 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("tenant '%1$s' has no limit in volume group '%2$s': add <quota:limits><quota:limit unit='GiB'>...</quota:limit></quota:limits> to pool '%3$s'"),
                       tenant->name, tenant->group, def->name);
        return -1;
    }

    if (limits.guarantee_bytes > limits.limit_bytes) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("quota limit 'guarantee' of %1$llu is larger than the limit of tenant '%2$s', %3$llu: lower it"),
                       (unsigned long long) limits.guarantee_bytes, tenant->name,
                       (unsigned long long) limits.limit_bytes);
        return -1;
    }

    if (changed &&
        virStorageBackendQuotaLVMTenantCheckPromises(tenant, &limits) < 0)
        return -1;

    if (changed) {
        g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCHANGE);
        virErrorPtr err;

        virStorageBackendQuotaLVMAddTagChanges(cmd, &report->state.limits, &limits);
        if (report->definition) {
            virCommandAddArg(cmd, "--deltag");
            virCommandAddArgFormat(cmd, "%s%s", QUOTA_TAG_DEFINITION,
                                   report->definition);
        }
        virCommandAddArg(cmd, "--addtag");
        virCommandAddArgFormat(cmd, "%s%s", QUOTA_TAG_DEFINITION, digest);
        virCommandAddArgFormat(cmd, "%s/%s", tenant->group, report->thinPool->name);

        if (virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL) < 0) {
            /* Whatever the command has said, what LVM says now counts */
            virErrorPreserveLast(&err);
            ignore_value(virStorageBackendQuotaLVMVolEnd(tenant, def));
            virErrorRestore(&err);
            return -1;
        }

        VIR_INFO("tenant '%s' of volume group '%s' has a new limit of %llu bytes",
                 tenant->name, tenant->group,
                 (unsigned long long) limits.limit_bytes);

        g_free(report->definition);
        report->definition = g_steal_pointer(&digest);
        report->state.limits = limits;

        virStorageBackendQuotaLVMTenantGrowMetadata(tenant, 0);
    }

    virStorageBackendQuotaLVMSetCurrent(def, &report->state);
    if (newDef)
        virStorageBackendQuotaLVMSetCurrent(newDef, &report->state);
    return 0;
}


/* A new ledger admits no write before it has a sample.  All later samples are
 * quota-lvmd's: a ledger has one sampler. */
static void
virStorageBackendQuotaLVMTenantFirstSample(virStorageBackendQuotaLVMTenant *tenant)
{
    virStorageBackendQuotaLVMLV *thinPool = tenant->report.thinPool;
    g_autofree struct quota_sample *sample = NULL;
    struct quota_usage usage;
    unsigned long long used;

    quota_usage_read(tenant->ledger, &usage);
    if (usage.sample_ns != 0)
        return;

    sample = g_new0(struct quota_sample, 1);
    quota_sample_begin(tenant->ledger, sample);
    if (virStorageBackendQuotaLVMGetPoolUsed(tenant->group, thinPool->name,
                                             thinPool->chunkSize, &used, NULL) < 0)
        return;
    quota_sample_publish(tenant->ledger, sample, used, quota_clock_ns(),
                         QUOTA_REASON_NONE);
}


/* Opens the ledger, making it first where it is missing */
int
virStorageBackendQuotaLVMTenantOpenLedger(virStorageBackendQuotaLVMTenant *tenant)
{
    int rc;

    if (tenant->ledger)
        return 0;

    if ((rc = quota_ledger_create(tenant->group, tenant->name, &tenant->ledger)) < 0) {
        virReportSystemError(-rc,
                             _("cannot create the ledger of tenant '%1$s' of volume group '%2$s' in %3$s"),
                             tenant->name, tenant->group, QUOTA_LEDGER_DIR);
        return -1;
    }

    return 0;
}


/**
 * virStorageBackendQuotaLVMUpdateSizes:
 * @def: pool definition
 * @state: what LVM says of the tenant
 * @used: bytes in use in the tenant's thin pool
 *
 * Room for thin volumes is what the grant has left and the group can add to
 * it, as far as the limit allows: the pool never promises what it cannot give.
 */
void
virStorageBackendQuotaLVMUpdateSizes(virStoragePoolDef *def,
                                     const struct quota_state *state,
                                     unsigned long long used)
{
    unsigned long long left = 0;
    unsigned long long room = state->group_free_bytes;

    def->capacity = state->limits.limit_bytes;
    def->allocation = state->thick_bytes + used;

    if (def->capacity > def->allocation)
        left = def->capacity - def->allocation;
    if (state->grant_bytes > used)
        room += state->grant_bytes - used;

    def->available = MIN(left, room);
}


/**
 * virStorageBackendQuotaLVMTenantPublish:
 * @tenant: tenant, read, with a thin pool
 * @def: pool definition, whose sizes are brought up to date
 *
 * Makes what was read what the ledger enforces, and asks quota-lvmd for a
 * sample: writers that wait for a higher limit go on at once.
 */
int
virStorageBackendQuotaLVMTenantPublish(virStorageBackendQuotaLVMTenant *tenant,
                                       virStoragePoolDef *def)
{
    virStorageBackendQuotaLVMReport *report = &tenant->report;
    unsigned long long used;

    if (virStorageBackendQuotaLVMTenantOpenLedger(tenant) < 0)
        return -1;

    quota_state_publish(tenant->ledger, &report->state);
    virStorageBackendQuotaLVMTenantFirstSample(tenant);
    quota_doorbell_ring(tenant->ledger);

    /* While the thin pool is not active nobody can tell: all of the grant */
    if (virStorageBackendQuotaLVMGetPoolUsed(tenant->group, report->thinPool->name,
                                             report->thinPool->chunkSize,
                                             &used, NULL) < 0)
        used = report->state.grant_bytes;

    virStorageBackendQuotaLVMSetCurrent(def, &report->state);
    virStorageBackendQuotaLVMUpdateSizes(def, &report->state, used);
    return 0;
}


/**
 * virStorageBackendQuotaLVMRefreshPoolSizes:
 * @pool: active pool
 *
 * Brings the pool's sizes to what device-mapper says now, for every look at
 * them: used bytes and the grant change all the time, without LVM or libvirt
 * taking part.  Nothing is locked and no command is run.
 */
void
virStorageBackendQuotaLVMRefreshPoolSizes(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    const struct quota_state *current = virStorageBackendQuotaLVMGetCurrent(def);
    char name[QUOTA_LV_MAX_BYTES + 1];
    struct quota_state state;
    unsigned long long used;
    unsigned long long grant;
    unsigned long long grown;

    if (!current ||
        quota_name_format_lv(def->source.tenant, QUOTA_THIN_POOL_VOLUME, name) < 0 ||
        virStorageBackendQuotaLVMGetPoolUsed(def->source.name, name,
                                             current->chunk_bytes,
                                             &used, &grant) < 0)
        return;

    /* What the grant has grown by came out of the group */
    state = *current;
    grown = grant > state.grant_bytes ? grant - state.grant_bytes : 0;
    state.group_free_bytes -= MIN(grown, state.group_free_bytes);
    state.grant_bytes = grant;

    virStorageBackendQuotaLVMUpdateSizes(def, &state, used);
}


/**
 * virStorageBackendQuotaLVMTenantCharge:
 * @tenant: tenant, read, with a thin pool
 * @volume: who asks
 * @bytes: whole extents that a thick volume needs
 *
 * Decides whether the tenant may have @bytes more, and charges them in the
 * ledger before LVM gives them: whoever is killed in between leaves the tenant
 * over-charged, until the next look at LVM, but never under-charged.
 */
int
virStorageBackendQuotaLVMTenantCharge(virStorageBackendQuotaLVMTenant *tenant,
                                      const char *volume,
                                      unsigned long long bytes)
{
    struct quota_state *state = &tenant->report.state;
    enum quota_reason reason;
    char asked[QUOTA_SIZE_MAX_BYTES];
    char limit[QUOTA_SIZE_MAX_BYTES];
    char thick[QUOTA_SIZE_MAX_BYTES];
    char grant[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];
    char kept[QUOTA_SIZE_MAX_BYTES];
    unsigned long long used;

    /* Which would decide by the same limit at the same time, with another ledger */
    if (tenant->report.isShared &&
        virStorageBackendQuotaLVMGetPoolUsed(tenant->group,
                                             tenant->report.thinPool->name,
                                             tenant->report.thinPool->chunkSize,
                                             &used, NULL) < 0) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("thin pool '%1$s' of the shared volume group '%2$s' is not active on this host, and another one may have it: no space for volume '%3$s' before the pool was stopped and started here"),
                       tenant->report.thinPool->name, tenant->group, volume);
        return -1;
    }

    if (bytes > quota_state_can_grow(state, &reason)) {
        quota_size_format(bytes, asked);

        if (reason == QUOTA_REASON_GROUP_FULL &&
            state->group_free_bytes < tenant->report.others.free_bytes) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("volume group '%1$s' is full: it has %2$s free, of which %3$s are guaranteed to other tenants, volume '%4$s' of tenant '%5$s' needs %6$s: extend the group with vgextend"),
                           tenant->group,
                           quota_size_format(tenant->report.others.free_bytes, room),
                           quota_size_format(tenant->report.others.free_bytes -
                                             state->group_free_bytes, kept),
                           volume, tenant->name, asked);
        } else if (reason == QUOTA_REASON_GROUP_FULL) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("volume group '%1$s' is full: it has %2$s free, volume '%3$s' of tenant '%4$s' needs %5$s: extend the group with vgextend"),
                           tenant->group,
                           quota_size_format(state->group_free_bytes, room),
                           volume, tenant->name, asked);
        } else {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("tenant '%1$s' is limited to %2$s in volume group '%3$s': %4$s are used by thick volumes and %5$s granted to its thin pool, volume '%6$s' needs %7$s: raise the limit, or make the volume thin (allocation 0)"),
                           tenant->name,
                           quota_size_format(state->limits.limit_bytes, limit),
                           tenant->group,
                           quota_size_format(state->thick_bytes, thick),
                           quota_size_format(state->grant_bytes, grant),
                           volume, asked);
        }
        return -1;
    }

    if (virStorageBackendQuotaLVMTenantOpenLedger(tenant) < 0)
        return -1;

    state->thick_bytes += bytes;
    quota_state_publish(tenant->ledger, state);
    return 0;
}
