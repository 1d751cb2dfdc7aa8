/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_status.c: bytes in use, as device-mapper counts
 * them
 *
 * LVM rounds its percentages and needs a process for each answer; the status
 * line of a device is exact and costs one ioctl.  A device that is not there
 * is an answer too, never an error: volumes may vanish at any time.
 */

#include <config.h>

#include <libdevmapper.h>

#include "storage_backend_quota_lvm_internal.h"
#include "virlog.h"
#include "virstring.h"
#include "virthread.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_status");

#define SECTOR_SIZE 512ULL

/* How long udev may look at a device */
#define IN_USE_TRIES 300
#define IN_USE_WAIT_US (10 * 1000)

/* libdevmapper keeps its descriptor of the control device and the size of its
 * buffers in static variables, and pools are looked at by many threads */
static virMutex virStorageBackendQuotaLVMStatusLock = VIR_MUTEX_INITIALIZER;


/* The line of a @task for the only target of a device, if that is a @type; NULL
 * otherwise. */
static char *
virStorageBackendQuotaLVMGetLine(int taskType,
                                 const char *group,
                                 const char *lv,
                                 const char *layer,
                                 const char *type)
{
    struct dm_task *task = NULL;
    struct dm_info info = { 0 };
    struct dm_pool *pool = NULL;
    char *ret = NULL;
    char *name;
    uint64_t start;
    uint64_t length;
    char *target = NULL;
    char *params = NULL;
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMStatusLock);

    if (!(pool = dm_pool_create("quota-lvm", 256)) ||
        !(name = dm_build_dm_name(pool, group, lv, layer)) ||
        !(task = dm_task_create(taskType)))
        goto cleanup;

    /* Without "no flush" the kernel would commit the pool's metadata for
     * every look at it. */
    if (!dm_task_set_name(task, name) ||
        !dm_task_no_flush(task) ||
        !dm_task_run(task) ||
        !dm_task_get_info(task, &info) ||
        !info.exists)
        goto cleanup;

    dm_get_next_target(task, NULL, &start, &length, &target, &params);

    if (STREQ_NULLABLE(target, type))
        ret = g_strdup(params);

 cleanup:
    if (task)
        dm_task_destroy(task);
    if (pool)
        dm_pool_destroy(pool);
    return ret;
}


static char *
virStorageBackendQuotaLVMGetStatus(const char *group,
                                   const char *lv,
                                   const char *layer,
                                   const char *type)
{
    return virStorageBackendQuotaLVMGetLine(DM_DEVICE_STATUS, group, lv, layer, type);
}


/**
 * virStorageBackendQuotaLVMIsActive:
 * @group: volume group
 * @lv: an LV
 * @inUse: whether anybody has it open, may be NULL
 *
 * Of a thin pool that has volumes, these are in use as long as one of them is
 * active.
 */
bool
virStorageBackendQuotaLVMIsActive(const char *group,
                                  const char *lv,
                                  bool *inUse)
{
    struct dm_task *task = NULL;
    struct dm_info info = { 0 };
    struct dm_pool *pool = NULL;
    bool ret = false;
    char *name;
    VIR_LOCK_GUARD lock = virLockGuardLock(&virStorageBackendQuotaLVMStatusLock);

    if ((pool = dm_pool_create("quota-lvm", 256)) &&
        (name = dm_build_dm_name(pool, group, lv, NULL)) &&
        (task = dm_task_create(DM_DEVICE_INFO)) &&
        dm_task_set_name(task, name) &&
        dm_task_run(task) &&
        dm_task_get_info(task, &info))
        ret = info.exists;

    if (inUse)
        *inUse = ret && info.open_count > 0;
    if (task)
        dm_task_destroy(task);
    if (pool)
        dm_pool_destroy(pool);
    return ret;
}


/**
 * virStorageBackendQuotaLVMGetPoolUsed:
 * @group: volume group
 * @lv: a thin pool
 * @chunkSize: bytes of its chunks
 * @used: bytes of its data that are mapped
 * @size: bytes of its data, may be NULL
 *
 * Returns 0, or -1 without an error if the thin pool is not active or failed.
 */
int
virStorageBackendQuotaLVMGetPoolUsed(const char *group,
                                     const char *lv,
                                     unsigned long long chunkSize,
                                     unsigned long long *used,
                                     unsigned long long *size)
{
    g_autofree char *status = NULL;
    g_auto(GStrv) fields = NULL;
    g_auto(GStrv) data = NULL;
    unsigned long long chunks;
    unsigned long long total;

    /* LVM puts the target under a layer of its own; a pool that never had a
     * volume may be without. */
    if (!(status = virStorageBackendQuotaLVMGetStatus(group, lv, "tpool", "thin-pool")) &&
        !(status = virStorageBackendQuotaLVMGetStatus(group, lv, NULL, "thin-pool")))
        return -1;

    /*
     * # dmsetup status --noflush vg0-acme._thin-tpool
     * 0 2097152 thin-pool 1 13/3072 512/16384 - rw discard_passdown error_if_no_space - 1024
     *
     * id, metadata blocks used/all, chunks used/all; or the word "Fail"
     */
    fields = g_strsplit(status, " ", 0);
    if (g_strv_length(fields) < 3)
        return -1;

    data = g_strsplit(fields[2], "/", 2);
    if (g_strv_length(data) != 2 ||
        virStrToLong_ullp(data[0], NULL, 10, &chunks) < 0 ||
        virStrToLong_ullp(data[1], NULL, 10, &total) < 0) {
        VIR_WARN("cannot parse status '%s' of thin pool %s/%s", status, group, lv);
        return -1;
    }

    *used = chunks * chunkSize;
    if (size)
        *size = total * chunkSize;
    return 0;
}


/**
 * virStorageBackendQuotaLVMGetThinMapped:
 * @group: volume group
 * @lv: a thin volume
 *
 * Returns the bytes that are mapped; 0 if the volume is not active.
 */
unsigned long long
virStorageBackendQuotaLVMGetThinMapped(const char *group,
                                       const char *lv)
{
    /*
     * # dmsetup status --noflush vg0-acme.root
     * 0 4194304 thin 65536 4194175
     *
     * mapped sectors, the highest mapped sector or "-"; or the word "Fail"
     */
    g_autofree char *status = NULL;
    char *end;
    unsigned long long sectors;

    if (!(status = virStorageBackendQuotaLVMGetStatus(group, lv, NULL, "thin")) ||
        virStrToLong_ullp(status, &end, 10, &sectors) < 0)
        return 0;

    return sectors * SECTOR_SIZE;
}


/**
 * virStorageBackendQuotaLVMHasExternalOrigin:
 * @group: volume group
 * @lv: a thin volume
 *
 * Returns whether chunks that are not mapped show another device's data.
 */
bool
virStorageBackendQuotaLVMHasExternalOrigin(const char *group,
                                           const char *lv)
{
    /*
     * # dmsetup table vg0-acme.root
     * 0 131072 thin 253:2 2 253:5
     *
     * the pool, the volume's number in it, and an external origin, if any
     */
    g_autofree char *table = NULL;
    g_auto(GStrv) fields = NULL;

    if (!(table = virStorageBackendQuotaLVMGetLine(DM_DEVICE_TABLE, group, lv,
                                                   NULL, "thin")))
        return false;

    fields = g_strsplit(g_strstrip(table), " ", 0);
    return g_strv_length(fields) > 2;
}


/**
 * virStorageBackendQuotaLVMIsInUse:
 * @group: volume group
 * @lv: an LV
 *
 * Returns whether it is open, and still is after a while: udev looks at a
 * device whenever somebody who could write to it closes it.
 */
bool
virStorageBackendQuotaLVMIsInUse(const char *group,
                                 const char *lv)
{
    bool inUse;
    size_t i;

    for (i = 0; i < IN_USE_TRIES; i++) {
        virStorageBackendQuotaLVMIsActive(group, lv, &inUse);
        if (!inUse)
            return false;
        g_usleep(IN_USE_WAIT_US);
    }

    return true;
}
