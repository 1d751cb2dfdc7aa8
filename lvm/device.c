/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.c: the size and the state of an LV's device.
 *
 * A command of LVM that is killed between loading a table and resuming the
 * device leaves both to be seen here, and nowhere in LVM's own metadata.
 */
#include <errno.h>
#include <libdevmapper.h>

#include "device.h"

int
device_read(const char *dm_uuid, struct device *device)
{
    struct dm_task *task = dm_task_create(DM_DEVICE_TABLE);
    uint64_t start, length, end = 0;
    char *type, *params;
    struct dm_info info;
    void *next = NULL;
    int ret = -ENOMEM;

    if (!task || !dm_task_set_uuid(task, dm_uuid))
        goto out;
    if (!dm_task_run(task)) {
        int error = dm_task_get_errno(task);

        ret = error == ENXIO ? -ENODEV : error ? -error : -EIO;
        goto out;
    }
    if (!dm_task_get_info(task, &info) || !info.exists) {
        ret = -ENODEV;
        goto out;
    }
    do {
        next = dm_get_next_target(task, next, &start, &length, &type, &params);
        if (type && start + length > end)
            end = start + length;
    } while (next);
    device->size_bytes = end * 512;
    device->is_open = info.open_count > 0;
    device->is_suspended = info.suspended;
    device->has_new_table = info.inactive_table;
    ret = 0;
 out:
    if (task)
        dm_task_destroy(task);
    return ret;
}
