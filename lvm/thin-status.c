/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thin-status.c: read the status of thin pools and volumes from device-mapper.
 *
 * Never through lvs, whose data_percent is rounded.  Owns no state beside
 * libdevmapper's open control device.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm.h"
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
    dm_log_with_errno_init(thin_status_silence);
    lvm_dm_hold();
}

/* thin_status_take: a number that ends with @end; NULL: it is none.  sscanf would
 * take signs, and what does not fit. */
static const char *
thin_status_take(const char *at, char end, uint64_t *number)
{
    *number = 0;
    if (*at < '0' || *at > '9')
        return NULL;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, *at - '0', number))
            return NULL;
    }
    return *at == end ? at + 1 : NULL;
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
    const char *at = params;
    char mode[32];

    memset(status, 0, sizeof(*status));
    if (strncmp(params, "Fail", 4) == 0 || strncmp(params, "Error", 5) == 0)
        return -EIO;

    if (!(at = thin_status_take(at, ' ', &status->transaction)) ||
        !(at = thin_status_take(at, '/', &status->meta_used_blocks)) ||
        !(at = thin_status_take(at, ' ', &status->meta_total_blocks)) ||
        !(at = thin_status_take(at, '/', &status->used_blocks)) ||
        !(at = thin_status_take(at, ' ', &status->total_blocks)) ||
        sscanf(at, "%*31s %31s", mode) != 1)
        return -EINVAL;
    if (status->used_blocks > status->total_blocks ||
        status->meta_used_blocks > status->meta_total_blocks)
        return -EINVAL;
    status->is_read_only = strcmp(mode, "ro") == 0;
    status->needs_check = strstr(params, " needs_check ") != NULL;
    return 0;
}

bool
thin_status_is_metadata_short(const struct thin_status *status)
{
    return status->meta_used_blocks >=
        status->meta_total_blocks - status->meta_total_blocks / 5;
}

/* thin_status_ask: the parameters of a device whose target is of @type.  -EINVAL:
 * it is another one. */
static int
thin_status_ask(int question, const struct lvm_dm_device *device, bool commits,
                const char *type, struct lvm_dm_answer *answer)
{
    int ret = lvm_dm_ask(question, device, commits, answer);

    return ret == 0 && strcmp(answer->target, type) != 0 ? -EINVAL : ret;
}

static int
thin_status_read_pool(const struct lvm_dm_device *device, bool commits,
                      struct thin_status *status)
{
    struct lvm_dm_answer answer;
    int ret = thin_status_ask(DM_DEVICE_STATUS, device, commits, "thin-pool",
                              &answer);

    return ret < 0 ? ret : thin_status_parse(answer.params, status);
}

int
thin_status_read(const char *dm_uuid, struct thin_status *status)
{
    const struct lvm_dm_device device = { .uuid = dm_uuid };

    return thin_status_read_pool(&device, false, status);
}

int
thin_status_read_exact(const char *dm_uuid, struct thin_status *status)
{
    const struct lvm_dm_device device = { .uuid = dm_uuid };

    return thin_status_read_pool(&device, true, status);
}

int
thin_status_read_lv(const char *group, const char *lv,
                    struct thin_status *status)
{
    struct lvm_dm_device device = { .group = group, .lv = lv, .layer = "tpool" };
    int ret = thin_status_read_pool(&device, false, status);

    if (ret != -ENODEV)
        return ret;
    device.layer = NULL;
    return thin_status_read_pool(&device, false, status);
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

int
thin_status_read_mapped(const char *group, const char *lv, uint64_t *bytes)
{
    const struct lvm_dm_device device = { .group = group, .lv = lv };
    struct lvm_dm_answer answer;
    int ret = thin_status_ask(DM_DEVICE_STATUS, &device, false, "thin", &answer);

    *bytes = 0;
    return ret < 0 ? ret : thin_status_parse_mapped(answer.params, bytes);
}

int
thin_status_read_volume(const char *group, const char *tenant,
                        const char *volume, uint64_t *bytes)
{
    char lv[QUOTA_LV_MAX_BYTES + 1];

    if (quota_name_check_volume(group, tenant, volume, NULL) < 0 ||
        quota_name_format_lv(tenant, volume, lv) < 0)
        return -EINVAL;
    return thin_status_read_mapped(group, lv, bytes);
}

bool
thin_status_has_external_origin(const char *group, const char *lv)
{
    const struct lvm_dm_device device = { .group = group, .lv = lv };
    struct lvm_dm_answer answer;
    char word[64];

    /*
     * # dmsetup table vg0-acme.root
     * 0 131072 thin 253:2 2 253:5
     * The pool, the volume's number in it, and an external origin, if any.
     */
    return thin_status_ask(DM_DEVICE_TABLE, &device, false, "thin",
                           &answer) == 0 &&
           sscanf(answer.params, "%*s %*s %63s", word) == 1;
}
