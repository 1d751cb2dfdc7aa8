/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_snapshot.c: volumes that begin with what another
 * one holds
 *
 * A snapshot or clone of a thin volume shares its chunks and is there at once;
 * a thick one gets a copy-on-write snapshot, whose space is charged whole; a
 * base image that the operator has tagged is the external origin of thin
 * clones in every tenant's pool.  While a thin snapshot is taken, no write
 * may be in flight that was not charged because its chunk was paid for.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_snapshot");

/* How long a snapshot waits for the writes that are in flight.  The group is
 * locked meanwhile, so no pool of it can grow. */
#define EPOCH_TIMEOUT_NS (10ULL * 1000 * 1000 * 1000)

/* LVM's default for copy-on-write; an exception takes 16 bytes of the store's
 * own metadata */
#define COW_CHUNK_SIZE 4096ULL
#define COW_EXCEPTIONS_PER_CHUNK (COW_CHUNK_SIZE / 16)


bool
virStorageBackendQuotaLVMIsThin(const virStorageBackendQuotaLVMLV *lv)
{
    return STREQ(lv->segtype, "thin");
}


bool
virStorageBackendQuotaLVMIsThickSnapshot(const virStorageBackendQuotaLVMLV *lv)
{
    return lv->origin && !virStorageBackendQuotaLVMIsThin(lv);
}


/* A copy-on-write snapshot of a thick LV: always the same tenant's */
virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindThickSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                           const virStorageBackendQuotaLVMLV *lv)
{
    size_t i;

    for (i = 0; i < tenant->report.nlvs; i++) {
        virStorageBackendQuotaLVMLV *other = &tenant->report.lvs[i];

        if (virStorageBackendQuotaLVMIsThickSnapshot(other) &&
            STREQ(other->origin, lv->name))
            return other;
    }

    return NULL;
}


static bool
virStorageBackendQuotaLVMIsInPool(virStorageBackendQuotaLVMTenant *tenant,
                                  const virStorageBackendQuotaLVMLV *lv)
{
    return virStorageBackendQuotaLVMIsThin(lv) &&
        STREQ_NULLABLE(lv->pool, tenant->report.thinPool->name);
}


/**
 * virStorageBackendQuotaLVMFindOrigin:
 * @tenant: tenant, read, with a thin pool
 * @def: pool definition
 * @vol: who asks
 * @path: of the LV that it is to begin with, or a volume's name
 * @origin: set to what it is: a volume of the tenant or a base image
 * @whole: holds @origin where it is none of the tenant's; to be cleared by the
 *         caller even after an error
 */
int
virStorageBackendQuotaLVMFindOrigin(virStorageBackendQuotaLVMTenant *tenant,
                                    virStoragePoolDef *def,
                                    virStorageVolDef *vol,
                                    const char *path,
                                    virStorageBackendQuotaLVMLV **origin,
                                    virStorageBackendQuotaLVMReport *whole)
{
    virStorageBackendQuotaLVMLV *lv = NULL;
    const char *name;

    if (!strchr(path, '/')) {
        lv = virStorageBackendQuotaLVMFindVolume(&tenant->report, path);
    } else if ((name = STRSKIP(path, def->target.path)) && name[0] == '/') {
        name++;
        lv = virStorageBackendQuotaLVMFindName(&tenant->report, name);

        if (!lv) {
            if (virStorageBackendQuotaLVMReadWholeGroup(tenant->group,
                                                        tenant->name, whole) < 0)
                return -1;

            if ((lv = virStorageBackendQuotaLVMFindName(whole, name)) &&
                !virStorageBackendQuotaLVMHasTag(lv, QUOTA_TAG_BASE))
                lv = NULL;
        }
    }

    if (!lv || lv == tenant->report.thinPool ||
        (!lv->volume && !virStorageBackendQuotaLVMHasTag(lv, QUOTA_TAG_BASE))) {
        virReportError(VIR_ERR_NO_STORAGE_VOL,
                       _("volume '%1$s' cannot begin with '%2$s', which is neither a volume of tenant '%3$s' nor a base image of volume group '%4$s': an operator makes one with lvchange --permission r, and lvchange --addtag %5$s"),
                       vol->name, path, tenant->name, tenant->group,
                       QUOTA_TAG_BASE);
        return -1;
    }

    *origin = lv;
    return 0;
}


/* Whether there is, or will be after this, room for the snapshot's own
 * content: it may be larger than its origin, but not smaller. */
static int
virStorageBackendQuotaLVMSnapshotSize(virStorageBackendQuotaLVMTenant *tenant,
                                      virStorageVolDef *vol,
                                      virStorageBackendQuotaLVMLV *origin,
                                      unsigned long long *bytes)
{
    unsigned long long header = virStorageBackendQuotaLVMLuksGetHeader(origin);
    unsigned long long physical;

    if (vol->target.capacity == 0) {
        *bytes = origin->size;
        return 0;
    }

    if (virStorageBackendQuotaLVMRoundUp(tenant, vol,
                                         vol->target.capacity + header, NULL,
                                         bytes, &physical) < 0)
        return -1;

    if (*bytes < origin->size) {
        virReportError(VIR_ERR_INVALID_ARG,
                       _("volume '%1$s' of %2$llu bytes is smaller than '%3$s', which it begins with: give it %4$llu bytes at least"),
                       vol->name, vol->target.capacity, origin->name,
                       origin->size - header);
        return -1;
    }

    return 0;
}


static void
virStorageBackendQuotaLVMAddSnapshotArgs(virStorageBackendQuotaLVMTenant *tenant,
                                         virCommand *cmd,
                                         const virStorageBackendQuotaLVMLV *origin,
                                         const char *name)
{
    g_autofree char *luks = virStorageBackendQuotaLVMLuksFindTag(origin);

    virCommandAddArgList(cmd, "--yes", "--snapshot", "--name", name, NULL);
    /* Header and secret are its origin's */
    if (luks)
        virCommandAddArgList(cmd, "--addtag", luks, NULL);
    virCommandAddArg(cmd, "--addtag");
    virCommandAddArgFormat(cmd, "%s%s", QUOTA_TAG_TENANT, tenant->name);
}


/* Runs @cmd, which takes a thin snapshot of a volume, while none of its writes
 * counts on a chunk being its own. */
static int
virStorageBackendQuotaLVMRunInEpoch(virStorageBackendQuotaLVMTenant *tenant,
                                    const char *volume,
                                    virCommand *cmd)
{
    int rc;
    int ret = -1;

    if (virStorageBackendQuotaLVMTenantOpenLedger(tenant) < 0)
        return -1;

    if ((rc = quota_epoch_begin(tenant->ledger, volume)) < 0) {
        virReportSystemError(-rc,
                             _("cannot tell the writers of volume '%1$s' of tenant '%2$s' of a snapshot"),
                             volume, tenant->name);
        return -1;
    }

    rc = quota_epoch_wait(tenant->ledger, volume, EPOCH_TIMEOUT_NS);
    if (rc == -ETIMEDOUT) {
        virReportError(VIR_ERR_OPERATION_TIMEOUT,
                       _("a write to volume '%1$s' of tenant '%2$s' is in flight since %3$llu seconds, no snapshot is taken: look whether its disks answer, and try again"),
                       volume, tenant->name,
                       EPOCH_TIMEOUT_NS / 1000 / 1000 / 1000);
    } else if (rc < 0 && rc != -ENOENT) {
        virReportSystemError(-rc,
                             _("cannot wait for the writes to volume '%1$s' of tenant '%2$s'"),
                             volume, tenant->name);
    } else {
        ret = virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
    }

    quota_epoch_end(tenant->ledger, volume);
    return ret;
}


static int
virStorageBackendQuotaLVMExtendLV(virStorageBackendQuotaLVMTenant *tenant,
                                  const char *name,
                                  unsigned long long bytes)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand("lvextend");

    virCommandAddArg(cmd, "--size");
    virCommandAddArgFormat(cmd, "%llub", bytes);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, name);

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


/* What all thin volumes map, with one more of @origin's size */
static unsigned long long
virStorageBackendQuotaLVMGetMapped(virStorageBackendQuotaLVMTenant *tenant,
                                   const virStorageBackendQuotaLVMLV *origin)
{
    unsigned long long bytes;
    size_t i;

    bytes = virStorageBackendQuotaLVMGetThinMapped(tenant->group, origin->name);

    for (i = 0; i < tenant->report.nlvs; i++) {
        const virStorageBackendQuotaLVMLV *lv = &tenant->report.lvs[i];

        if (virStorageBackendQuotaLVMIsInPool(tenant, lv))
            bytes += virStorageBackendQuotaLVMGetThinMapped(tenant->group, lv->name);
    }

    return bytes;
}


static int
virStorageBackendQuotaLVMCreateThinSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                            virStorageBackendQuotaLVMLV *origin,
                                            const char *name,
                                            bool clone)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCREATE);

    virStorageBackendQuotaLVMTenantGrowMetadata(tenant,
                                                virStorageBackendQuotaLVMGetMapped(tenant, origin));

    virStorageBackendQuotaLVMAddSnapshotArgs(tenant, cmd, origin, name);
    if (clone)
        virCommandAddArgList(cmd, "--addtag", QUOTA_TAG_CLONE, NULL);
    virCommandAddArgList(cmd, "--setactivationskip", "n", NULL);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, origin->name);

    return virStorageBackendQuotaLVMRunInEpoch(tenant, origin->volume, cmd);
}


static int
virStorageBackendQuotaLVMSetLVActive(virStorageBackendQuotaLVMTenant *tenant,
                                     const char *name,
                                     bool on)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCHANGE);

    virCommandAddArgList(cmd, "--activate", on ? "y" : "n", NULL);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, name);

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


/* LVM takes an LV as an external origin only while it is not active */
static int
virStorageBackendQuotaLVMCreateExternalClone(virStorageBackendQuotaLVMTenant *tenant,
                                             virStorageVolDef *vol,
                                             virStorageBackendQuotaLVMLV *base,
                                             const char *name)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCREATE);
    virErrorPtr err;
    bool active;
    int ret;

    if (!base->readOnly) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("base image '%1$s' of volume group '%2$s' is writable, which would change volume '%3$s': make it read-only with lvchange --permission r"),
                       base->name, tenant->group, vol->name);
        return -1;
    }

    active = virStorageBackendQuotaLVMIsActive(tenant->group, base->name, NULL);
    if (active && virStorageBackendQuotaLVMIsInUse(tenant->group, base->name)) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("base image '%1$s' of volume group '%2$s' is in use, and LVM makes no clone of it meanwhile: stop what has it open"),
                       base->name, tenant->group);
        return -1;
    }

    if (active &&
        virStorageBackendQuotaLVMSetLVActive(tenant, base->name, false) < 0)
        return -1;

    virStorageBackendQuotaLVMAddSnapshotArgs(tenant, cmd, base, name);
    virCommandAddArgList(cmd, "--setactivationskip", "n", "--thinpool", NULL);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group,
                           tenant->report.thinPool->name);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, base->name);
    ret = virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);

    if (active) {
        virErrorPreserveLast(&err);
        if (virStorageBackendQuotaLVMSetLVActive(tenant, base->name, true) < 0)
            VIR_WARN("base image %s/%s stays inactive: %s",
                     tenant->group, base->name, virGetLastErrorMessage());
        virErrorRestore(&err);
    }

    return ret;
}


/* The most that a copy-on-write store can use, as cow_max_extents() of LVM */
static unsigned long long
virStorageBackendQuotaLVMGetCOWMax(virStorageBackendQuotaLVMTenant *tenant,
                                   const virStorageBackendQuotaLVMLV *origin)
{
    unsigned long long chunks = VIR_DIV_UP(origin->size, COW_CHUNK_SIZE);

    chunks += VIR_DIV_UP(chunks, COW_EXCEPTIONS_PER_CHUNK) + 2;

    return VIR_ROUND_UP(chunks * COW_CHUNK_SIZE,
                        tenant->report.extentSize);
}


static int
virStorageBackendQuotaLVMCreateThickSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                             virStorageVolDef *vol,
                                             virStorageBackendQuotaLVMLV *origin,
                                             const char *name)
{
    g_autoptr(virCommand) cmd = virStorageBackendQuotaLVMCommand(LVCREATE);
    unsigned long long max = virStorageBackendQuotaLVMGetCOWMax(tenant, origin);
    unsigned long long bytes = max;
    unsigned long long physical = max;

    if (vol->target.has_allocation) {
        if (vol->target.allocation == 0) {
            virReportError(VIR_ERR_INVALID_ARG,
                           _("a snapshot of thick volume '%1$s' needs an allocation: the space for what changes while snapshot '%2$s' exists"),
                           origin->volume, vol->name);
            return -1;
        }

        if (virStorageBackendQuotaLVMRoundUp(tenant, vol, vol->target.allocation,
                                             NULL, &bytes, &physical) < 0)
            return -1;
        bytes = MIN(bytes, max);
    }

    if (virStorageBackendQuotaLVMTenantCharge(tenant, vol->name, bytes) < 0)
        return -1;

    virStorageBackendQuotaLVMAddSnapshotArgs(tenant, cmd, origin, name);
    virCommandAddArg(cmd, "--size");
    virCommandAddArgFormat(cmd, "%llub", bytes);
    virCommandAddArg(cmd, "--chunksize");
    virCommandAddArgFormat(cmd, "%llub", COW_CHUNK_SIZE);
    virCommandAddArgFormat(cmd, "%s/%s", tenant->group, origin->name);

    return virStorageBackendQuotaLVMTenantRun(tenant, cmd, NULL);
}


/**
 * virStorageBackendQuotaLVMCreateSnapshot:
 * @tenant: tenant, read, with a thin pool
 * @vol: new volume; capacity 0 is its origin's
 * @origin: of virStorageBackendQuotaLVMFindOrigin
 * @name: of the new LV
 * @clone: to be a volume in its own right rather than a snapshot
 *
 * The caller ends what was begun, with virStorageBackendQuotaLVMCreateEnd, or
 * with virStorageBackendQuotaLVMCreateUndo after an error.
 */
int
virStorageBackendQuotaLVMCreateSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                        virStorageVolDef *vol,
                                        virStorageBackendQuotaLVMLV *origin,
                                        const char *name,
                                        bool clone)
{
    bool inPool = virStorageBackendQuotaLVMIsInPool(tenant, origin);
    bool external = !inPool &&
        virStorageBackendQuotaLVMHasTag(origin, QUOTA_TAG_BASE);
    unsigned long long bytes;

    if (virStorageBackendQuotaLVMIsThickSnapshot(origin)) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("'%1$s' is itself a thick snapshot, and LVM makes no snapshots of those: copy it with vol-clone"),
                       origin->name);
        return -1;
    }

    if (virStorageBackendQuotaLVMSnapshotSize(tenant, vol, origin, &bytes) < 0)
        return -1;

    if (inPool) {
        if (virStorageBackendQuotaLVMCreateThinSnapshot(tenant, origin, name,
                                                        clone) < 0)
            return -1;
    } else if (external) {
        if (virStorageBackendQuotaLVMCreateExternalClone(tenant, vol, origin,
                                                         name) < 0)
            return -1;
    } else {
        if (bytes > origin->size) {
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("a snapshot of thick volume '%1$s' has its capacity, %2$llu bytes, not %3$llu"),
                           origin->volume, origin->size, bytes);
            return -1;
        }

        return virStorageBackendQuotaLVMCreateThickSnapshot(tenant, vol, origin,
                                                            name);
    }

    if (bytes > origin->size)
        return virStorageBackendQuotaLVMExtendLV(tenant, name, bytes);

    return 0;
}


/* Whether a copy that is to have as much allocation as @vol says may share
 * chunks with what it is copied from.  A volume that says nothing of its
 * allocation is to be allocated whole; one that says what the input's own XML
 * says, as vol-clone does, is to be of the input's kind. */
static bool
virStorageBackendQuotaLVMWantsThin(virStorageVolDef *vol,
                                   virStorageVolDef *inputvol)
{
    return vol->target.has_allocation &&
        (vol->target.allocation < vol->target.capacity ||
         vol->target.allocation <= inputvol->target.allocation);
}


/**
 * virStorageBackendQuotaLVMCreateVolFrom:
 * @pool: pool object
 * @vol: new volume
 * @inputvol: of this pool or of another, of any type
 * @flags: VIR_STORAGE_VOL_CREATE_*
 *
 * Makes @vol as an instant copy of @inputvol where LVM can do that.  Returns
 * 1 if it did, 0 if the data has to be copied, -1 on error.
 */
int
virStorageBackendQuotaLVMCreateVolFrom(virStoragePoolObj *pool,
                                       virStorageVolDef *vol,
                                       virStorageVolDef *inputvol,
                                       unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    bool instant = flags & VIR_STORAGE_VOL_CREATE_REFLINK;
    g_autoptr(virStorageBackendQuotaLVMTenant) tenant = NULL;
    g_auto(virStorageBackendQuotaLVMReport) whole = { 0 };
    virStorageBackendQuotaLVMLV *origin = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];

    if (virStorageBackendQuotaLVMCheckNewVol(def, vol) < 0 ||
        quota_name_format_lv(def->source.tenant, vol->name, name) < 0)
        return -1;

    /* vol-clone repeats the input's own XML: what it begins with, it copies */
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

    /* Where the header is copied along, none has to be made */
    if (vol->target.encryption && inputvol->target.encryption &&
        inputvol->type == VIR_STORAGE_VOL_BLOCK &&
        virStorageBackendQuotaLVMLuksIsSame(vol, inputvol))
        vol->target.encryption->payload_offset =
            inputvol->target.encryption->payload_offset;

    if (!(tenant = virStorageBackendQuotaLVMVolBegin(def)) ||
        virStorageBackendQuotaLVMTenantCheckNew(tenant, vol->name) < 0)
        return -1;

    if (inputvol->type == VIR_STORAGE_VOL_BLOCK &&
        virStorageBackendQuotaLVMFindOrigin(tenant, def, vol,
                                            inputvol->target.path,
                                            &origin, &whole) < 0) {
        if (virGetLastErrorCode() != VIR_ERR_NO_STORAGE_VOL || instant)
            return -1;
        virResetLastError();
    }

    /* A copy of a thick snapshot is not to have the size of its store */
    if (origin && virStorageBackendQuotaLVMIsThickSnapshot(origin) &&
        vol->target.allocation == inputvol->target.allocation)
        vol->target.allocation = vol->target.capacity;

    if (!origin || STRNEQ(origin->uuid, NULLSTR_EMPTY(inputvol->key)) ||
        !(virStorageBackendQuotaLVMIsInPool(tenant, origin) ||
          virStorageBackendQuotaLVMHasTag(origin, QUOTA_TAG_BASE))) {
        if (instant) {
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("volume '%1$s' is neither thin nor a base image, so it has no instant copy: leave out the reflink flag"),
                           inputvol->name);
            return -1;
        }
        return 0;
    }

    if (!virStorageBackendQuotaLVMLuksIsSame(vol, inputvol)) {
        if (instant) {
            virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                           _("volumes '%1$s' and '%2$s' are not encrypted with the same secret, so there is no instant copy: leave out the reflink flag"),
                           inputvol->name, vol->name);
            return -1;
        }
        return 0;
    }

    if (!instant && !virStorageBackendQuotaLVMWantsThin(vol, inputvol))
        return 0;

    if (virStorageBackendQuotaLVMCreateSnapshot(tenant, vol, origin, name, true) < 0) {
        virStorageBackendQuotaLVMCreateUndo(tenant, def, vol);
        return -1;
    }

    if (virStorageBackendQuotaLVMCreateEnd(tenant, def, vol) < 0)
        return -1;

    return 1;
}
