/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thin-status.c: read the status of thin pools and volumes from device-mapper.
 *
 * Never through lvs, whose data_percent is rounded.  Owns no state beside
 * libdevmapper's open control device.
 */
#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quota-limits.h"
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

    memset(status, 0, sizeof(*status));
    if (strncmp(params, "Fail", 4) == 0 || strncmp(params, "Error", 5) == 0)
        return -EIO;

    /* no number of ours begins with a sign or ends within a word, and "%"
     * conversions accept both: look at the characters first */
    if (strspn(params, "0123456789/ ") < 8 || params[0] == ' ')
        return -EINVAL;
    if (sscanf(params, "%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%"
               SCNu64 " %*31s %31s", &status->transaction,
               &status->meta_used_blocks, &status->meta_total_blocks,
               &status->used_blocks, &status->total_blocks, mode) != 6)
        return -EINVAL;
    if (status->used_blocks > status->total_blocks)
        return -EINVAL;
    status->is_read_only = strcmp(mode, "ro") == 0;
    status->needs_check = strstr(params, " needs_check ") != NULL;
    return 0;
}

/* *@params: of the device's only target, which is of @type; valid as long as
 * the task is. */
static int
thin_status_ask(struct dm_task *task, bool commit, const char *type,
                const char **params)
{
    struct dm_info info;
    uint64_t start, length;
    char *found = NULL, *text = NULL;

    /* Unless told otherwise, a status has the pool commit. */
    if (!commit && !dm_task_no_flush(task))
        return -ENOMEM;

    if (!dm_task_run(task)) {
        int error = dm_task_get_errno(task);

        return error == ENXIO ? -ENODEV : error ? -error : -EIO;
    }
    if (!dm_task_get_info(task, &info) || !info.exists)
        return -ENODEV;
    dm_get_next_target(task, NULL, &start, &length, &found, &text);
    if (!found || !text || strcmp(found, type) != 0)
        return -EINVAL;
    *params = text;
    return 0;
}

static int
thin_status_read_pool(const char *dm_uuid, bool commit,
                      struct thin_status *status)
{
    struct dm_task *task = dm_task_create(DM_DEVICE_STATUS);
    const char *params;
    int ret = -ENOMEM;

    if (task && dm_task_set_uuid(task, dm_uuid))
        ret = thin_status_ask(task, commit, "thin-pool", &params);
    if (ret == 0)
        ret = thin_status_parse(params, status);
    if (task)
        dm_task_destroy(task);
    return ret;
}

int
thin_status_read(const char *dm_uuid, struct thin_status *status)
{
    return thin_status_read_pool(dm_uuid, false, status);
}

int
thin_status_read_exact(const char *dm_uuid, struct thin_status *status)
{
    return thin_status_read_pool(dm_uuid, true, status);
}

/*
 * $ dmsetup status --noflush vg0-acme.root
 * 0 4194304 thin 65536 4194175
 * Mapped sectors, and the highest one or "-".
 */
int
thin_status_parse_mapped(const char *params, uint64_t *bytes)
{
    unsigned long long sectors;
    char *end;

    *bytes = 0;
    if (strncmp(params, "Fail", 4) == 0 || strncmp(params, "Error", 5) == 0)
        return -EIO;
    if (params[0] < '0' || params[0] > '9')
        return -EINVAL;
    errno = 0;
    sectors = strtoull(params, &end, 10);
    if (errno || *end != ' ' || sectors > INT64_MAX / 512)
        return -EINVAL;
    *bytes = sectors * 512;
    return 0;
}

/* thin_status_escape: device-mapper's name of an LV is <group>-<lv>, in which
 * each hyphen of the two stands twice. */
static char *
thin_status_escape(char *to, const char *from)
{
    for (; *from; from++) {
        if (*from == '-')
            *to++ = '-';
        *to++ = *from;
    }
    *to = '\0';
    return to;
}

int
thin_status_read_mapped(const char *group, const char *tenant,
                        const char *volume, uint64_t *bytes)
{
    char name[2 * (QUOTA_GROUP_MAX_BYTES + QUOTA_LV_MAX_BYTES) + 2];
    char lv[QUOTA_LV_MAX_BYTES + 1];
    struct dm_task *task;
    const char *params;
    char *end;
    int ret;

    /* The ledger, where the volume's name may come from, is the tenant's. */
    if (quota_name_check_volume(tenant, volume, NULL) < 0 ||
        quota_name_format_lv(tenant, volume, lv) < 0)
        return -EINVAL;
    end = thin_status_escape(name, group);
    *end++ = '-';
    thin_status_escape(end, lv);

    ret = -ENOMEM;
    task = dm_task_create(DM_DEVICE_STATUS);
    if (task && dm_task_set_name(task, name))
        ret = thin_status_ask(task, false, "thin", &params);
    if (ret == 0)
        ret = thin_status_parse_mapped(params, bytes);
    if (task)
        dm_task_destroy(task);
    return ret;
}
