/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thin-status.c: read a thin pool's status from device-mapper.
 *
 * Never through lvs, whose data_percent is rounded.  Owns no state beside
 * libdevmapper's open control device.
 */
#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <string.h>

#include "thin-status.h"

static void __attribute__((format(printf, 5, 6)))
thin_status_silence(int level, const char *file, int line, int dm_errno,
                    const char *format, ...)
{
    /* what fails is told by a return value, and the caller finds the words */
    (void)level, (void)file, (void)line, (void)dm_errno, (void)format;
}

void
thin_status_init(void)
{
    struct dm_task *task;

    dm_log_with_errno_init(thin_status_silence);

    /* libdevmapper opens the control device and compares versions on first
     * use, into plain variables: have that behind us before threads come.
     * A status needs none of its other globals. */
    dm_hold_control_dev(1);
    task = dm_task_create(DM_DEVICE_VERSION);
    if (task) {
        (void)dm_task_run(task);
        dm_task_destroy(task);
    }
}

/*
 * $ dmsetup status vg0-acme._thin-tpool
 * 0 131072 thin-pool 1 112/1024 160/1024 - rw no_discard_passdown \
 *     error_if_no_space - 256
 * What we get begins after "thin-pool": transaction id, used/total metadata
 * blocks, used/total data blocks, held metadata root, mode (rw, ro or
 * out_of_data_space), ...  A pool that failed says only "Fail" or "Error".
 */
int
thin_status_parse(const char *params, struct thin_status *status)
{
    char mode[32] = "";
    uint64_t transaction;

    memset(status, 0, sizeof(*status));
    if (strncmp(params, "Fail", 4) == 0 || strncmp(params, "Error", 5) == 0)
        return -EIO;

    /* no number of ours begins with a sign or ends within a word, and "%"
     * conversions accept both: look at the characters first */
    if (strspn(params, "0123456789/ ") < 8 || params[0] == ' ')
        return -EINVAL;
    if (sscanf(params, "%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%"
               SCNu64 " %*31s %31s", &transaction,
               &status->meta_used_blocks, &status->meta_total_blocks,
               &status->used_blocks, &status->total_blocks, mode) != 6)
        return -EINVAL;
    if (status->used_blocks > status->total_blocks)
        return -EINVAL;
    status->is_read_only = strcmp(mode, "ro") == 0;
    return 0;
}

static int
thin_status_ask(const char *dm_uuid, bool commit, struct thin_status *status)
{
    struct dm_task *task = dm_task_create(DM_DEVICE_STATUS);
    struct dm_info info;
    uint64_t start, length;
    char *type = NULL, *params = NULL;
    int ret = -ENOMEM;

    if (!task)
        return ret;
    if (!dm_task_set_uuid(task, dm_uuid))
        goto out;

    /* Unless told otherwise, a status has the pool commit. */
    if (!commit && !dm_task_no_flush(task))
        goto out;

    if (!dm_task_run(task)) {
        ret = dm_task_get_errno(task) ? -dm_task_get_errno(task) : -EIO;
        if (ret == -ENXIO)
            ret = -ENODEV;
        goto out;
    }
    if (!dm_task_get_info(task, &info) || !info.exists) {
        ret = -ENODEV;
        goto out;
    }
    dm_get_next_target(task, NULL, &start, &length, &type, &params);
    if (!type || !params || strcmp(type, "thin-pool") != 0) {
        ret = -EINVAL;
        goto out;
    }
    ret = thin_status_parse(params, status);
 out:
    dm_task_destroy(task);
    return ret;
}

int
thin_status_read(const char *dm_uuid, struct thin_status *status)
{
    return thin_status_ask(dm_uuid, false, status);
}

int
thin_status_read_exact(const char *dm_uuid, struct thin_status *status)
{
    return thin_status_ask(dm_uuid, true, status);
}
