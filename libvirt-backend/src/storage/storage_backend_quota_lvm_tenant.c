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

#include <inttypes.h>

#include "storage_backend_quota_lvm_internal.h"
#include "thin-status.h"
#include "virerror.h"
#include "virlog.h"
#include "virthread.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_tenant");

/* Half of max_workers, as libvirtd has it by default */
#define SLOW_VERBS_MAX 10

/* How many run, in all and by pool */
static virMutex slowLock = VIR_MUTEX_INITIALIZER;
static unsigned int slowVerbs;
static GHashTable *slowPools;


/**
 * virQuotaTenantLock:
 * @def: pool definition; must outlive the tenant
 * @verb: what the lock is for, for those who wait meanwhile
 *
 * Waits for the lock of the pool's volume group.  Nothing is read yet.
 */
virQuotaTenant *
virQuotaTenantLock(virStoragePoolDef *def,
                   const char *verb)
{
    g_autoptr(virQuotaTenant) tenant = g_new0(virQuotaTenant, 1);
    g_auto(LvmRefusal) why = { 0 };

    tenant->def = def;
    tenant->name = def->source.tenant;
    tenant->group = def->source.name;

    if (!(tenant->hold = lvm_hold_new(tenant->group, tenant->name, verb, &why))) {
        virQuotaReportRefusal(tenant->def, &why);
        return NULL;
    }

    tenant->hold->makes_ledger = true;
    return g_steal_pointer(&tenant);
}


/* Locks the tenant and reads it, for a change of a volume */
virQuotaTenant *
virQuotaTenantBegin(virStoragePoolDef *def,
                    const char *verb)
{
    g_autoptr(virQuotaTenant) tenant = NULL;

    if (!(tenant = virQuotaTenantLock(def, verb)) ||
        virQuotaTenantRead(tenant) < 0 ||
        virQuotaTenantRequirePool(tenant) < 0)
        return NULL;

    return g_steal_pointer(&tenant);
}


void
virQuotaTenantFree(virQuotaTenant *tenant)
{
    if (!tenant)
        return;

    lvm_hold_free(tenant->hold);
    g_free(tenant);
}


/**
 * virQuotaSlowBegin:
 * @def: pool definition
 * @slow: NULL
 *
 * For what copies, zeroes or waits.  Refused when as many run already as leave
 * half of libvirtd's workers, by default, to the verbs of others.  A pool has one
 * as long as there is any left, and more as long as there are more for the others.
 */
int
virQuotaSlowBegin(virStoragePoolDef *def,
                  virQuotaSlow *slow)
{
    VIR_LOCK_GUARD lock = virLockGuardLock(&slowLock);
    unsigned int left = SLOW_VERBS_MAX - slowVerbs;
    unsigned int own;

    if (!slowPools)
        slowPools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    own = GPOINTER_TO_UINT(g_hash_table_lookup(slowPools, def->name));
    if (left == 0 || own >= left) {
        virReportError(VIR_ERR_RESOURCE_BUSY,
                       _("%1$u operations on volumes of quota-lvm pools that take long are running, %2$u of them on pool '%3$s', and no more may run: try again when one has ended"),
                       slowVerbs, own, def->name);
        return -1;
    }

    g_hash_table_insert(slowPools, g_strdup(def->name), GUINT_TO_POINTER(own + 1));
    slowVerbs++;
    *slow = g_strdup(def->name);
    return 0;
}


void
virQuotaSlowEnd(virQuotaSlow *slow)
{
    VIR_LOCK_GUARD lock = virLockGuardLock(&slowLock);
    unsigned int own;

    if (!*slow)
        return;

    own = GPOINTER_TO_UINT(g_hash_table_lookup(slowPools, *slow));
    if (own > 1)
        g_hash_table_insert(slowPools, g_strdup(*slow), GUINT_TO_POINTER(own - 1));
    else
        g_hash_table_remove(slowPools, *slow);
    slowVerbs--;
    g_clear_pointer(slow, g_free);
}


/**
 * virQuotaPoolLend:
 * @pool: pool object, locked; no group is
 * @vol: volume that must stay, unless it is marked otherwise; or NULL
 *
 * Others get at @pool until virQuotaPoolTakeBack.  What takes long would otherwise keep
 * pool-list waiting, and so everybody.
 */
void
virQuotaPoolLend(virStoragePoolObj *pool,
                 virStorageVolDef *vol)
{
    virStoragePoolObjIncrAsyncjobs(pool);
    if (vol)
        vol->in_use++;
    virObjectUnlock(pool);
}


void
virQuotaPoolTakeBack(virStoragePoolObj *pool,
                     virStorageVolDef *vol)
{
    virObjectLock(pool);
    if (vol)
        vol->in_use--;
    virStoragePoolObjDecrAsyncjobs(pool);
}


/**
 * virQuotaPoolWait:
 * @pool: pool object, locked; others get at it meanwhile
 * @vol: volume that must stay, or NULL
 * @why: what was refused, and reported
 *
 * Waits, some seconds, for what a tenant of the group keeps open, or is writing.
 * Returns true if the verb is to be tried again, once: the error is forgotten.
 * Nobody waits in a pool in which somebody else does, or copies.
 */
bool
virQuotaPoolWait(virStoragePoolObj *pool,
                 virStorageVolDef *vol,
                 LvmRefusal *why)
{
    g_auto(virQuotaSlow) slow = NULL;
    virErrorPtr refused;
    bool ready = false;

    if (!lvm_can_wait(why) || virStoragePoolObjGetAsyncjobs(pool) > 0)
        return false;

    virErrorPreserveLast(&refused);
    if (virQuotaSlowBegin(virStoragePoolObjGetDef(pool), &slow) == 0) {
        virQuotaPoolLend(pool, vol);
        ready = lvm_wait_ready(why);
        virQuotaPoolTakeBack(pool, vol);
    }

    if (ready)
        g_clear_pointer(&refused, virFreeError);
    virResetLastError();
    virErrorRestore(&refused);
    return ready;
}


int
virQuotaTenantRead(virQuotaTenant *tenant)
{
    g_auto(LvmRefusal) why = { 0 };

    if (!lvm_hold_read(tenant->hold, &why)) {
        virQuotaReportRefusal(tenant->def, &why);
        return -1;
    }

    return 0;
}


/* What LVM said last; gone with the next reading or change */
const LvmGroup *
virQuotaTenantView(virQuotaTenant *tenant)
{
    return tenant->hold->view;
}


/* The tenant in that, NULL if LVM knows of none */
const LvmTenant *
virQuotaTenantGet(virQuotaTenant *tenant)
{
    return lvm_hold_tenant(tenant->hold);
}


const LvmLv *
virQuotaTenantFindVolume(virQuotaTenant *tenant,
                         const char *volume)
{
    return lvm_tenant_find_volume(tenant->hold->view, tenant->name, volume);
}


int
virQuotaTenantRequirePool(virQuotaTenant *tenant)
{
    g_auto(LvmRefusal) why = { 0 };

    if (!lvm_check_tenant(tenant->hold->view, tenant->name, &why)) {
        virQuotaReportRefusal(tenant->def, &why);
        return -1;
    }

    return 0;
}


/**
 * virQuotaPoolSetSizes:
 * @def: pool definition
 * @state: what LVM says of the tenant
 * @used: bytes in use in the tenant's thin pool
 *
 * The pool never promises what it cannot give.
 */
void
virQuotaPoolSetSizes(virStoragePoolDef *def,
                     const struct quota_state *state,
                     unsigned long long used)
{
    def->capacity = state->limits.limit_bytes;
    def->allocation = state->thick_bytes + used;
    def->available = lvm_available_bytes(state, used);
}


/* Makes the pool show what LVM said last */
static void
virQuotaTenantUpdatePool(virQuotaTenant *tenant)
{
    const LvmTenant *own = virQuotaTenantGet(tenant);
    struct thin_status status;
    unsigned long long used;

    if (!own || !own->thin_pool)
        return;

    /* While the thin pool is not active nobody can tell: all of the grant */
    if (thin_status_read(own->thin_dm_uuid, &status) == 0)
        used = status.used_blocks * own->state.chunk_bytes;
    else
        used = own->state.grant_bytes;

    virQuotaPoolDefSetCurrent(tenant->def, &own->state);
    virQuotaPoolSetSizes(tenant->def, &own->state, used);
}


/**
 * virQuotaTenantPublish:
 * @tenant: tenant, read, with a thin pool
 *
 * Makes what was read what the ledger enforces and what the pool shows.
 */
int
virQuotaTenantPublish(virQuotaTenant *tenant)
{
    g_auto(LvmRefusal) why = { 0 };

    if (!lvm_hold_open_ledger(tenant->hold, &why)) {
        virQuotaReportRefusal(tenant->def, &why);
        return -1;
    }

    lvm_hold_publish(tenant->hold);
    virQuotaTenantUpdatePool(tenant);
    return 0;
}


/**
 * virQuotaTenantRun:
 * @tenant: tenant, read
 * @plan: made from virQuotaTenantView; NULL: refused
 * @why: why it was refused, or empty
 *
 * Carries out a plan.  Whatever comes of it, view, ledger and pool are what LVM
 * says then.
 */
int
virQuotaTenantRun(virQuotaTenant *tenant,
                  LvmPlan *plan,
                  LvmRefusal *why)
{
    bool ok = plan && lvm_hold_run(tenant->hold, plan, why);

    if (plan)
        virQuotaTenantUpdatePool(tenant);

    if (!ok)
        virQuotaReportRefusal(tenant->def, why);

    return ok ? 0 : -1;
}


/**
 * virQuotaTenantDefine:
 * @tenant: tenant, read, with a thin pool
 * @newDef: the definition to apply, NULL: none
 *
 * A definition whose digest is not the one that was applied last is new or
 * was changed: its limits become tags, in one LVM transaction.  Otherwise the
 * tags are the truth, whoever wrote them.  A definition without a limit of
 * space keeps the one that is tagged.
 */
int
virQuotaTenantDefine(virQuotaTenant *tenant,
                     virStoragePoolDef *newDef)
{
    const LvmTenant *own = virQuotaTenantGet(tenant);
    const struct quota_limits *defined = newDef ? virQuotaPoolDefGetLimits(newDef) : NULL;
    struct quota_limits limits = own->state.limits;
    g_autofree char *digest = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    if (defined) {
        digest = g_strdup_printf("%016" PRIx64, quota_limits_digest(defined));
        if (STRNEQ_NULLABLE(own->definition, digest)) {
            limits = *defined;
            if (limits.limit_bytes == 0)
                limits.limit_bytes = own->state.limits.limit_bytes;
        } else {
            defined = NULL;
        }
    }

    if (!defined && limits.limit_bytes > 0) {
        virQuotaPoolDefSetCurrent(tenant->def, &own->state);
    } else {
        plan = lvm_plan_limits_set(virQuotaTenantView(tenant), tenant->name,
                                   &limits, NULL, digest, &why);
        if (virQuotaTenantRun(tenant, plan, &why) < 0)
            return -1;

        VIR_INFO("tenant '%s' of volume group '%s' has a new limit of %llu bytes",
                 tenant->name, tenant->group,
                 (unsigned long long) limits.limit_bytes);
    }

    if (newDef && (own = virQuotaTenantGet(tenant)))
        virQuotaPoolDefSetCurrent(newDef, &own->state);
    return 0;
}


/**
 * virQuotaPoolRefreshSizes:
 * @pool: active pool
 *
 * Brings the pool's sizes to what device-mapper says now, for every look at
 * them: used bytes and the grant change all the time, without LVM or libvirt
 * taking part.  Nothing is locked and no command is run.
 */
void
virQuotaPoolRefreshSizes(virStoragePoolObj *pool)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    const struct quota_state *current = virQuotaPoolDefGetCurrent(def);
    char name[QUOTA_LV_MAX_BYTES + 1];
    struct thin_status status;
    struct quota_state state;
    unsigned long long grant;
    unsigned long long grown;

    if (!current ||
        quota_name_format_lv(def->source.tenant, QUOTA_THIN_POOL_VOLUME, name) < 0 ||
        thin_status_read_lv(def->source.name, name, &status) < 0)
        return;

    /* What the grant has grown by came out of the group */
    state = *current;
    grant = status.total_blocks * state.chunk_bytes;
    grown = grant > state.grant_bytes ? grant - state.grant_bytes : 0;
    state.group_free_bytes -= MIN(grown, state.group_free_bytes);
    state.grant_bytes = grant;

    virQuotaPoolSetSizes(def, &state, status.used_blocks * state.chunk_bytes);
}
