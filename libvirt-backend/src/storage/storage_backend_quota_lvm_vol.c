/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_vol.c: what a volume shows of its LV
 *
 * A volume is an LV <tenant>.<volume> with the tenant's tag.  It is found by its
 * UUID among the tenant's, so a name can never reach another's.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "thin-status.h"
#include "viralloc.h"
#include "virlog.h"
#include "virthread.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_vol");


/* Copies under way, by the path of what is being made.  The storage driver's
 * other calls see the volume, but not the thread that fills it. */
struct virQuotaVolProgress {
    unsigned long long done;
    unsigned long long allocation;
};

static virMutex progressLock = VIR_MUTEX_INITIALIZER;
static GHashTable *progressTable;


/**
 * virQuotaVolSetProgress:
 * @vol: a volume that is being filled
 * @done: bytes of it that are
 *
 * From now on a look at a thick volume shows that as its allocation.
 */
void
virQuotaVolSetProgress(virStorageVolDef *vol,
                       unsigned long long done)
{
    struct virQuotaVolProgress *entry;
    const char *path = vol->target.path;
    VIR_LOCK_GUARD lock = virLockGuardLock(&progressLock);

    if (vol->target.sparse)
        return;

    if (!progressTable)
        progressTable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    if (!(entry = g_hash_table_lookup(progressTable, path))) {
        entry = g_new0(struct virQuotaVolProgress, 1);
        g_hash_table_insert(progressTable, g_strdup(path), entry);
    }

    entry->done = MIN(done, vol->target.allocation);
    entry->allocation = vol->target.allocation;
}


/* What is copied already; when all is, what the volume takes, once.  Returns
 * false if nothing is copied to it. */
static bool
virQuotaVolGetProgress(const char *path,
                       unsigned long long *allocation)
{
    struct virQuotaVolProgress *entry;
    VIR_LOCK_GUARD lock = virLockGuardLock(&progressLock);

    if (!progressTable || !(entry = g_hash_table_lookup(progressTable, path)))
        return false;

    *allocation = entry->done;
    if (entry->done == entry->allocation)
        g_hash_table_remove(progressTable, path);
    return true;
}


/* The end of it.  Nobody will ask for that of a copy that failed. */
void
virQuotaVolEndProgress(virStorageVolDef *vol,
                       bool failed)
{
    virQuotaVolSetProgress(vol, vol->target.allocation);
    if (failed)
        ignore_value(virQuotaVolGetProgress(vol->target.path,
                                            &vol->target.allocation));
}


static unsigned long long
virQuotaVolGetMapped(const char *group,
                     const char *lv)
{
    uint64_t bytes;

    return thin_status_read_mapped(group, lv, &bytes) < 0 ? 0 : bytes;
}


/* A clone inside the pool is a volume in its own right: what it shares with its
 * origin is nobody's concern. */
void
virQuotaVolUpdateBacking(virStoragePoolDef *def,
                         virStorageVolDef *vol,
                         const LvmLv *lv)
{
    g_clear_pointer(&vol->target.backingStore, virObjectUnref);

    if (!*lv->origin || lvm_lv_has_tag(lv, LVM_TAG_CLONE))
        return;

    vol->target.backingStore = virStorageSourceNew();
    vol->target.backingStore->type = VIR_STORAGE_TYPE_BLOCK;
    vol->target.backingStore->format = VIR_STORAGE_FILE_RAW;
    vol->target.backingStore->path = g_strdup_printf("%s/%s", def->target.path,
                                                     lv->origin);
}


/* The device is QEMU's, which gets the rights to it when a guest starts, and
 * nobody else's: whoever has it open is past the filter, and would read what its
 * extents held before they are zeroed. */
static void
virQuotaVolDropPerms(virStorageVolDef *vol)
{
    virStoragePerms *perms = vol->target.perms;

    if (!perms)
        return;

    if (perms->mode != (mode_t) -1 || perms->uid != (uid_t) -1 ||
        perms->gid != (gid_t) -1 || perms->label) {
        VIR_WARN("owner, group, mode and label of volume '%s' are not applied: its device is for guests alone",
                 vol->name);
    }

    perms->mode = (mode_t) -1;
    perms->uid = (uid_t) -1;
    perms->gid = (gid_t) -1;
    g_clear_pointer(&perms->label, g_free);
}


void
virQuotaVolUpdate(virStoragePoolDef *def,
                  virStorageVolDef *vol,
                  const LvmLv *lv)
{
    vol->type = VIR_STORAGE_VOL_BLOCK;
    vol->target.type = VIR_STORAGE_TYPE_BLOCK;
    vol->target.format = VIR_STORAGE_FILE_RAW;

    g_free(vol->key);
    vol->key = g_strdup(lv->uuid);

    g_free(vol->target.path);
    vol->target.path = g_strdup_printf("%s/%s", def->target.path, lv->name);

    virQuotaVolUpdateBacking(def, vol, lv);
    virQuotaVolDropPerms(vol);

    vol->target.capacity = lv->lv.size_bytes;
    /* raid's legs and metadata too */
    vol->target.allocation = lvm_lv_taken_bytes(lv);
    vol->target.sparse = lvm_lv_is_thin(lv);
    if (vol->target.sparse)
        vol->target.allocation = virQuotaVolGetMapped(def->source.name, lv->name);
    else if (lvm_lv_is_thick_snapshot(lv))
        vol->target.capacity = lv->origin_bytes;

    virQuotaLuksUpdate(vol, lv);
}


/**
 * virQuotaVolNew:
 * @def: pool definition
 * @lv: an LV of the pool's tenant that is named as a volume
 */
virStorageVolDef *
virQuotaVolNew(virStoragePoolDef *def,
               const LvmLv *lv)
{
    virStorageVolDef *vol = g_new0(virStorageVolDef, 1);

    vol->name = g_strdup(lv->volume);
    virQuotaVolUpdate(def, vol, lv);

    return vol;
}


/* The LV behind a volume.  Looked up by UUID: somebody may have removed the LV
 * and made another of the same name meanwhile. */
const LvmLv *
virQuotaVolFindLV(virQuotaTenant *tenant,
                  virStorageVolDef *vol)
{
    const LvmLv *lv = virQuotaTenantFindVolume(tenant, vol->name);

    return lv && STREQ(lv->uuid, vol->key) ? lv : NULL;
}


/* Called for every look at a volume: asks device-mapper alone.  The storage
 * driver also calls it for the volume of another pool that one of this pool is
 * copied from. */
int
virQuotaVolRefresh(virStoragePoolObj *pool,
                   virStorageVolDef *vol)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autofree char *path = NULL;
    char name[QUOTA_LV_MAX_BYTES + 1];

    if (!vol->target.sparse) {
        ignore_value(virQuotaVolGetProgress(vol->target.path,
                                            &vol->target.allocation));
        return 0;
    }

    if (quota_name_format_lv(def->source.tenant, vol->name, name) < 0)
        return 0;

    path = g_strdup_printf("%s/%s", def->target.path, name);
    if (STREQ_NULLABLE(vol->target.path, path))
        vol->target.allocation = virQuotaVolGetMapped(def->source.name, name);

    return 0;
}
