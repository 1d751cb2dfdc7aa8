/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_create.c: new volumes of a tenant
 *
 * One that begins with what another holds shares its chunks where LVM can do
 * that.  What a volume takes is charged before LVM is asked for it, and whatever
 * goes wrong after that leaves neither an LV nor a charge behind.
 */

#include <config.h>

#include "device.h"
#include "storage_backend_quota_lvm_internal.h"
#include "thin-status.h"
#include "viralloc.h"
#include "virerror.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


/* What can be told before the group is locked; its name is for the plan.  Sets
 * @header to what it needs beside its capacity. */
static int
virQuotaVolCheckNew(virStorageVolDef *vol,
                    unsigned long long *header)
{
    /* The storage driver's own check, for backends without buildVol; a snapshot
     * has its origin's */
    if (vol->target.capacity == 0 && !virStorageSourceHasBacking(&vol->target)) {
        virReportError(VIR_ERR_NO_SUPPORT, "%s",
                       _("volume capacity required for this storage pool"));
        return -1;
    }

    if (vol->target.capacity > LLONG_MAX) {
        virReportError(VIR_ERR_OVERFLOW,
                       _("capacity of %1$llu bytes of volume '%2$s' is too large"),
                       vol->target.capacity, vol->name);
        return -1;
    }

    return virQuotaLuksCheck(vol, header);
}


/* After an error, which is kept: removes what was made of a new volume */
static void
virQuotaVolAbandon(virQuotaTenant *tenant,
                   const char *name)
{
    const LvmLv *lv;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    virErrorPtr err;
    int rc;

    virErrorPreserveLast(&err);

    /* Its note stays until it is known to be gone */
    rc = virQuotaTenantRead(tenant);
    if (rc == 0 &&
        (lv = lvm_group_find_lv(virQuotaTenantView(tenant), name)) &&
        STREQ_NULLABLE(lv->tenant, tenant->name)) {
        plan = lvm_plan_volume_cut(virQuotaTenantView(tenant), tenant->name, lv, 0);
        rc = virQuotaTenantRun(tenant, plan, &why);
    }

    if (rc == 0)
        virQuotaZeroForget(tenant->group, name);

    virErrorRestore(&err);
}


/**
 * virQuotaVolMake:
 * @tenant: tenant, read
 * @vol: new volume, brought to what LVM says of it
 * @plan: how it is made; NULL: it is refused
 * @zero: it gets extents that may have been anybody's
 * @why: why it is refused, or empty
 */
static int
virQuotaVolMake(virQuotaTenant *tenant,
                virStorageVolDef *vol,
                LvmPlan *plan,
                bool zero,
                LvmRefusal *why)
{
    const LvmLv *lv;

    if (!plan) {
        virQuotaReportRefusal(tenant->def, why);
        return -1;
    }

    /* Of one of this name that is gone */
    virQuotaZeroForget(tenant->group, plan->made);

    if ((zero && virQuotaZeroBegin(tenant, plan->made, NULL, 0) < 0) ||
        virQuotaTenantRun(tenant, plan, why) < 0)
        goto error;

    lv = lvm_group_find_lv(virQuotaTenantView(tenant), plan->made);
    virQuotaVolUpdate(tenant->def, vol, lv);

    if (virQuotaZeroMade(tenant, lv) < 0)
        goto error;

    return 0;

 error:
    /* What a command that still runs makes, the next refresh takes back, by its
     * note; what another host has made meanwhile it must not. */
    if (why->error == -EEXIST)
        virQuotaZeroForget(tenant->group, plan->made);
    else if (why->why != LVM_WHY_SLOW)
        virQuotaVolAbandon(tenant, plan->made);
    return -1;
}


/**
 * virQuotaVolFindOrigin:
 * @tenant: tenant, read, with a thin pool
 * @vol: who asks
 * @path: of the LV that it is to begin with, or a volume's name
 *
 * Returns a volume of the tenant or a base image of the group.
 */
static const LvmLv *
virQuotaVolFindOrigin(virQuotaTenant *tenant,
                      virStorageVolDef *vol,
                      const char *path)
{
    const LvmLv *lv = NULL;
    const char *name;

    if (!strchr(path, '/')) {
        lv = virQuotaTenantFindVolume(tenant, path);
    } else if ((name = STRSKIP(path, tenant->def->target.path)) &&
               name[0] == '/') {
        lv = lvm_group_find_lv(virQuotaTenantView(tenant), name + 1);
    }

    if (lv && virQuotaZeroIsPending(tenant->group, lv->name, lv->uuid,
                                    lv->lv.size_bytes)) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume '%1$s' cannot begin with '%2$s' while that is overwritten with zeroes: wait until it is listed, or run pool-refresh if libvirtd was restarted meanwhile"),
                       vol->name, path);
        return NULL;
    }

    if (lv && !lv->is_hidden &&
        (lvm_lv_has_tag(lv, LVM_TAG_BASE) ||
         (STREQ_NULLABLE(lv->tenant, tenant->name) && lv->volume &&
          !lvm_lv_is_pool(lv))))
        return lv;

    virReportError(VIR_ERR_NO_STORAGE_VOL,
                   _("volume '%1$s' cannot begin with '%2$s', which is neither a volume of tenant '%3$s' nor a base image of volume group '%4$s': an operator makes one with lvchange --permission r, and lvchange --addtag %5$s"),
                   vol->name, path, tenant->name, tenant->group, LVM_TAG_BASE);
    return NULL;
}


/* What all thin volumes map, with one more of @origin's size */
static unsigned long long
virQuotaVolGetMapped(virQuotaTenant *tenant,
                     const LvmLv *origin)
{
    const LvmTenant *own = virQuotaTenantGet(tenant);
    uint64_t sum = 0;
    uint64_t bytes;
    size_t i;

    if (thin_status_read_mapped(tenant->group, origin->name, &bytes) == 0)
        sum = bytes;

    for (i = 0; i < own->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(own->lvs, i);

        if (lvm_lv_is_thin(lv) &&
            thin_status_read_mapped(tenant->group, lv->name, &bytes) == 0)
            sum = quota_add_saturating(sum, bytes);
    }

    return sum;
}


/* As a snapshot or clone of @origin */
static LvmPlan *
virQuotaVolPlanCopy(virQuotaTenant *tenant,
                    virStorageVolDef *vol,
                    const LvmLv *origin,
                    bool clone,
                    LvmRefusal *why)
{
    unsigned long long header = virQuotaLuksGetHeader(origin);
    g_autofree char *tag = virQuotaLuksFindTag(origin);
    LvmPlan *plan;
    LvmCopySpec spec = {
        .volume = vol->name,
        .origin = origin,
        .bytes = vol->target.capacity ? vol->target.capacity + header : 0,
        .cow_bytes = vol->target.has_allocation ? vol->target.allocation
                                                : UINT64_MAX,
        .mapped_bytes = virQuotaVolGetMapped(tenant, origin),
        .is_clone = clone,
        .is_active = device_is_active(tenant->group, origin->name, NULL),
        .tag = tag,     /* header and secret are its origin's */
    };

    plan = lvm_plan_copy(virQuotaTenantView(tenant), tenant->name, &spec, why);

    /* Whose capacity is without the header */
    if (why->why == LVM_WHY_ORIGIN_LARGER || why->why == LVM_WHY_ORIGIN_FIXED) {
        why->asked -= header;
        why->room -= header;
    }

    return plan;
}


/* With content that it begins with */
static int
virQuotaVolCreateSnapshot(virQuotaTenant *tenant,
                          virStorageVolDef *vol,
                          LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = NULL;
    const LvmLv *origin;

    if (vol->target.encryption) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("volume '%1$s' is encrypted as its backing store is: leave out <encryption>"),
                       vol->name);
        return -1;
    }

    if (!(origin = virQuotaVolFindOrigin(tenant, vol,
                                         vol->target.backingStore->path)))
        return -1;

    plan = virQuotaVolPlanCopy(tenant, vol, origin, false, why);
    return virQuotaVolMake(tenant, vol, plan, false, why);
}


static int
virQuotaVolCreateOnce(virStoragePoolDef *def,
                      virStorageVolDef *vol,
                      LvmRefusal *why)
{
    const LvmLayout *layout = NULL;
    unsigned long long header;
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;

    if (virQuotaVolCheckNew(vol, &header) < 0 ||
        !(tenant = virQuotaTenantBegin(def, "vol-create")))
        return -1;

    if (virStorageSourceHasBacking(&vol->target))
        return virQuotaVolCreateSnapshot(tenant, vol, why);

    if (vol->target.allocation >= vol->target.capacity)
        layout = virQuotaPoolDefGetLayout(def);

    plan = lvm_plan_volume_create(virQuotaTenantView(tenant), tenant->name,
                                  vol->name, vol->target.capacity + header,
                                  layout, why);
    return virQuotaVolMake(tenant, vol, plan, layout, why);
}


/**
 * virQuotaVolCreate:
 * @pool: pool object
 * @vol: volume; one with a backing store is a snapshot of that; any other is
 *       thin if it asks for less allocation than capacity
 */
int
virQuotaVolCreate(virStoragePoolObj *pool,
                  virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(LvmRefusal) why = { 0 };
    int ret = virQuotaVolCreateOnce(def, vol, &why);

    if (ret < 0 && virQuotaPoolWait(pool, NULL, &why))
        ret = virQuotaVolCreateOnce(def, vol, &why);

    return ret;
}


/* Whether a copy that is to have as much allocation as @vol says may share
 * chunks with what it is copied from.  A volume that says nothing of its
 * allocation is to be allocated whole; one that says what the input's own XML
 * says, as vol-clone does, is to be of the input's kind. */
static bool
virQuotaVolWantsThin(virStorageVolDef *vol,
                     virStorageVolDef *inputvol)
{
    return vol->target.has_allocation &&
        (vol->target.allocation < vol->target.capacity ||
         vol->target.allocation <= inputvol->target.allocation);
}


/* Whether @vol can be made of @origin at once; reports why it cannot if it must */
static bool
virQuotaVolIsInstant(virQuotaTenant *tenant,
                     virStorageVolDef *vol,
                     virStorageVolDef *inputvol,
                     const LvmLv *origin,
                     bool must)
{
    if (!origin || STRNEQ(origin->uuid, NULLSTR_EMPTY(inputvol->key)) ||
        !lvm_copy_is_instant(virQuotaTenantView(tenant), tenant->name, origin)) {
        if (must)
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("volume '%1$s' is neither thin nor a base image, so it has no instant copy: leave out the reflink flag"),
                           inputvol->name);
        return false;
    }

    if (!virQuotaLuksIsSame(vol, inputvol)) {
        if (must)
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("volumes '%1$s' and '%2$s' are not encrypted with the same secret, so there is no instant copy: leave out the reflink flag"),
                           inputvol->name, vol->name);
        return false;
    }

    return must || virQuotaVolWantsThin(vol, inputvol);
}


/* vol-clone repeats the input's own XML: what it begins with, it copies, and a
 * header that is copied along has its size */
static int
virQuotaVolTakeInput(virStorageVolDef *vol,
                     virStorageVolDef *inputvol)
{
    if (virStorageSourceHasBacking(&vol->target)) {
        if (!virStorageSourceHasBacking(&inputvol->target) ||
            STRNEQ_NULLABLE(vol->target.backingStore->path,
                            inputvol->target.backingStore->path)) {
            virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                           _("volume '%1$s' cannot begin with both backing store '%2$s' and volume '%3$s'"),
                           vol->name, vol->target.backingStore->path,
                           inputvol->name);
            return -1;
        }
        g_clear_pointer(&vol->target.backingStore, virObjectUnref);
    }

    if (vol->target.encryption && inputvol->target.encryption &&
        inputvol->type == VIR_STORAGE_VOL_BLOCK &&
        virQuotaLuksIsSame(vol, inputvol))
        vol->target.encryption->payload_offset =
            inputvol->target.encryption->payload_offset;

    return 0;
}


static int
virQuotaVolCreateFromOnce(virStoragePoolDef *def,
                          virStorageVolDef *vol,
                          virStorageVolDef *inputvol,
                          unsigned int flags,
                          LvmRefusal *why)
{
    bool instant = flags & VIR_STORAGE_VOL_CREATE_REFLINK;
    g_autoptr(virQuotaTenant) tenant = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    const LvmLv *origin = NULL;
    unsigned long long header;

    if (virQuotaVolCheckNew(vol, &header) < 0 ||
        virQuotaVolTakeInput(vol, inputvol) < 0 ||
        !(tenant = virQuotaTenantBegin(def, "vol-clone")))
        return -1;

    if (!lvm_plan_check_new(virQuotaTenantView(tenant), tenant->name, vol->name,
                            NULL, why)) {
        lvm_refusal_about(why, vol->name);
        virQuotaReportRefusal(def, why);
        return -1;
    }

    if (inputvol->type == VIR_STORAGE_VOL_BLOCK &&
        !(origin = virQuotaVolFindOrigin(tenant, vol, inputvol->target.path))) {
        if (instant)
            return -1;
        virResetLastError();
    }

    /* A copy of a thick snapshot is not to have the size of its store */
    if (origin && lvm_lv_is_thick_snapshot(origin) &&
        vol->target.allocation == inputvol->target.allocation)
        vol->target.allocation = vol->target.capacity;

    if (!virQuotaVolIsInstant(tenant, vol, inputvol, origin, instant))
        return instant ? -1 : 0;

    plan = virQuotaVolPlanCopy(tenant, vol, origin, true, why);
    return virQuotaVolMake(tenant, vol, plan, false, why) < 0 ? -1 : 1;
}


/**
 * virQuotaVolCreateFrom:
 * @pool: pool object
 * @vol: new volume
 * @inputvol: of this pool or of another, of any type
 * @flags: VIR_STORAGE_VOL_CREATE_*
 *
 * Makes @vol as an instant copy of @inputvol where LVM can do that.  Returns
 * 1 if it did, 0 if the data has to be copied, -1 on error.
 */
int
virQuotaVolCreateFrom(virStoragePoolObj *pool,
                      virStorageVolDef *vol,
                      virStorageVolDef *inputvol,
                      unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(LvmRefusal) why = { 0 };
    int ret = virQuotaVolCreateFromOnce(def, vol, inputvol, flags, &why);

    /* the pool of another's input would stay locked */
    if (ret < 0 &&
        virStorageVolDefFindByName(pool, inputvol->name) == inputvol &&
        virQuotaPoolWait(pool, inputvol, &why))
        ret = virQuotaVolCreateFromOnce(def, vol, inputvol, flags, &why);

    return ret;
}


/* While neither pool nor tenant is locked: what takes long has failed */
static void
virQuotaVolAbandonUnlocked(virStoragePoolObj *pool,
                           virStorageVolDef *vol)
{
    VIR_LOCK_GUARD lock = virObjectLockGuard(pool);
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaTenant) tenant = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];
    virErrorPtr err;

    virErrorPreserveLast(&err);
    if (quota_name_format_lv(def->source.tenant, vol->name, name) == 0 &&
        (tenant = virQuotaTenantBegin(def, "vol-delete")))
        virQuotaVolAbandon(tenant, name);
    virErrorRestore(&err);
}


/**
 * virQuotaVolBuild:
 * @pool: pool object, not locked: this takes its time
 * @vol: shallow copy of a volume that was just made without content
 * @flags: of no use to block volumes
 */
int
virQuotaVolBuild(virStoragePoolObj *pool,
                 virStorageVolDef *vol,
                 unsigned int flags G_GNUC_UNUSED)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(virQuotaSlow) slow = NULL;

    /* A snapshot has its origin's header */
    if (((!vol->target.sparse || vol->target.encryption) &&
         virQuotaSlowBegin(def, &slow) < 0) ||
        virQuotaZeroVol(def, vol, 0) < 0 ||
        (vol->target.encryption && !virStorageSourceHasBacking(&vol->target) &&
         virQuotaFormatVol(pool, vol) < 0)) {
        virQuotaVolAbandonUnlocked(pool, vol);
        return -1;
    }

    virQuotaZeroEnd(def, vol);
    return 0;
}
